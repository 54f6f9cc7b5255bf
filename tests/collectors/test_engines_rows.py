"""Each engine's own metrics tell of the same work: batch, steps, tokens and requests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from collectors.engines.concepts import Concept
from collectors.engines.table import ENGINES
from collectors.engines.windows import readings
from collectors.prometheus.exposition import WANTED
from heuristics.observations import Serving
from tests.make import engines
from tests.make.engines import State
from tests.make.prometheus import page, served, snapshots

BEFORE = State()
AFTER = BEFORE.later(10.0, step_s=0.025, batch=12.0, running=12.0, prompt_tokens=900.0, first_seconds=6.0, firsts=20.0)

WRITERS: dict[str, Callable[[State], list[str]]] = {
    "vLLM 0.6": lambda s: engines.vllm(s, era="0.6"),
    "vLLM 0.8": lambda s: engines.vllm(s, era="0.8"),
    "vLLM 0.10": lambda s: engines.vllm(s, era="0.10"),
    "vLLM 0.33": engines.vllm,
    "SGLang": engines.sglang,
    "SGLang, four ranks": lambda s: engines.sglang(s, ranks=4),
    "TGI": engines.tgi,
    "llama.cpp": engines.llama_cpp,
    "TensorRT-LLM": engines.tensorrt_llm,
    "Triton": engines.triton,
    "LMDeploy": engines.lmdeploy,
    "LightLLM": engines.lightllm,
    "Dynamo": engines.dynamo,
}


def window(writer: Callable[[State], list[str]], before: State = BEFORE, after: State = AFTER) -> Serving:
    return served(page(writer(before)), page(writer(after)), interval_s=10.0)


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_work_reads_the_same_from_every_engine(name: str) -> None:
    found = window(WRITERS[name])
    assert name.startswith(found.engine)
    assert found.window_s == 10.0
    assert not found.lifetime
    assert found.busy
    assert found.requests_running == 10.0
    stepless = name in ("TensorRT-LLM", "LightLLM", "Dynamo")
    assert found.steps == (None if stepless else pytest.approx(400.0))
    assert found.steps_per_s == (None if stepless else pytest.approx(40.0))
    assert found.step_s == (None if name == "LightLLM" else pytest.approx(0.025))
    level = name in ("TGI", "TensorRT-LLM", "Triton", "LightLLM", "Dynamo") or name.startswith("SGLang")
    assert found.batch == pytest.approx(10.0 if level else 12.0, rel=1e-3)
    tokens = 4000.0 if name in ("TGI", "Triton") or name.startswith("SGLang") else 4800.0
    assert found.generation_tokens == pytest.approx(tokens, rel=1e-3)
    assert found.tokens_per_s == pytest.approx(tokens / 10.0, rel=1e-3)


@pytest.mark.parametrize("name", [n for n in WRITERS if n not in ("Triton", "Dynamo")])
def test_prompt_tokens_are_counted(name: str) -> None:
    found = window(WRITERS[name])
    assert found.prompt_tokens == 900.0
    assert found.prompt_tokens_per_s == 90.0
    assert found.prompt_tokens_computed == 900.0


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("vLLM 0.6", 0.42),
        ("vLLM 0.10", 0.42),
        ("SGLang, four ranks", 0.42),
        ("Triton", 0.42),
        ("LMDeploy", 0.42),
        ("TensorRT-LLM", 0.42),
        ("TGI", None),
    ],
)
def test_the_use_of_the_cache_is_a_fraction(name: str, usage: float | None) -> None:
    assert window(WRITERS[name]).kv_cache_usage == usage


@pytest.mark.parametrize("name", ["vLLM 0.8", "vLLM 0.33", "SGLang", "TensorRT-LLM", "Dynamo"])
def test_latencies_are_means_over_the_window(name: str) -> None:
    found = window(WRITERS[name])
    assert found.time_per_output_token_s == pytest.approx(0.025)
    assert found.time_to_first_token_s == pytest.approx(0.3)


# --- vLLM


def test_histograms_need_no_buckets() -> None:
    assert window(lambda s: engines.vllm(s, buckets=False)) == window(engines.vllm)


def test_a_gauge_that_is_off_is_absent() -> None:
    (shot,) = snapshots(
        page(engines.vllm(BEFORE, era="0.6")).replace(
            '_perc{model_name="ours/tiny-7b"} 0.42', '_perc{model_name="ours/tiny-7b"} -1.0'
        )
    )
    assert Concept.KV_USAGE not in readings(ENGINES[0], shot)


def test_estimated_counters_that_stay_zero_are_absent() -> None:
    found = window(engines.vllm)
    assert (found.flops, found.read_bytes, found.write_bytes) == (None, None, None)


def test_estimated_counters_are_per_device() -> None:
    after = BEFORE.later(10.0, flops=8e15, read_bytes=6e12, write_bytes=1e11)
    found = window(lambda s: engines.vllm(s, s), after=after)
    assert (found.flops, found.read_bytes, found.write_bytes) == (8e15, 6e12, 1e11)


@pytest.mark.parametrize("era", ["0.8", "0.10", "0.33"])
def test_prompt_tokens_from_the_prefix_cache_are_not_computed(era: str) -> None:
    after = BEFORE.later(10.0, prompt_tokens=900.0, cached_tokens=650.0)
    found = window(lambda s: engines.vllm(s, era=era), after=after)
    assert found.prompt_tokens == 900.0
    assert found.prompt_tokens_computed == 250.0


def test_speculation_yields_more_tokens_a_step_not_a_larger_batch() -> None:
    after = BEFORE.later(10.0, step_s=0.04, batch=8.0, generation_tokens=250 * 8 * 2.5, drafts=2000.0, accepted=3000.0)
    found = window(engines.vllm, after=after)
    assert found.generation_tokens == 5000.0
    assert found.batch == pytest.approx(8.0)
    assert found.step_s == pytest.approx(0.04)
    assert (found.drafts, found.accepted_tokens) == (2000.0, 3000.0)


def test_data_parallel_engines_add_up_and_step_on_their_own() -> None:
    one, two = window(engines.vllm), window(lambda s: engines.vllm(s, s))
    assert two.requests_running == 20.0
    assert two.generation_tokens == pytest.approx(9600.0)
    assert two.kv_cache_usage == one.kv_cache_usage
    assert two.kv_capacity_tokens == 2 * (one.kv_capacity_tokens or 0.0)
    assert (two.batch, two.step_s, two.steps) == (one.batch, one.step_s, one.steps)
    assert two.tokens_per_step == one.tokens_per_step


@pytest.mark.parametrize("era", ["0.8", "0.33"])
def test_the_caches_capacity_follows_from_its_configuration(era: str) -> None:
    assert window(lambda s: engines.vllm(s, era=era, capacity=48_000)).kv_capacity_tokens == 48_000.0


@pytest.mark.parametrize("stated", ["None", "²", "", "many"])
def test_a_capacity_that_is_no_number_is_not_known(stated: str) -> None:
    text = page(engines.vllm(BEFORE)).replace('kv_cache_size_tokens="100000"', f'kv_cache_size_tokens="{stated}"')
    assert served(text).kv_capacity_tokens == 6250 * 128
    assert served(text.replace('num_gpu_blocks="6250"', f'num_gpu_blocks="{stated}"')).kv_capacity_tokens is None


@pytest.mark.parametrize(
    ("served_name", "shown"),
    [("/mnt/store/ours/tiny-7b/", "tiny-7b"), ("ours/tiny-7b", "tiny-7b"), ("tiny", "tiny")],
)
def test_a_models_path_is_cut_to_its_last_part(served_name: str, shown: str) -> None:
    assert window(lambda s: engines.vllm(s, model=served_name)).model == shown


# --- SGLang


def test_ranks_repeat_one_another_and_are_not_summed() -> None:
    assert window(lambda s: engines.sglang(s, ranks=8)) == window(engines.sglang)


def test_data_parallel_replicas_are_summed_though_their_first_ranks_differ() -> None:
    one, two = window(engines.sglang), window(lambda s: engines.sglang(s, s, ranks=4))
    assert two.requests_running == 20.0
    assert (two.batch, two.step_s, two.steps) == (one.batch, one.step_s, one.steps)


def test_prefill_passes_are_no_steps_of_decode() -> None:
    (shot,) = snapshots(page(engines.sglang(BEFORE)))
    assert readings(ENGINES[1], shot)[Concept.STEPS] == BEFORE.steps


def test_a_gauge_of_retracted_requests_that_falls_is_no_restart() -> None:
    texts = [
        page([line for line in engines.sglang(s) if "num_retracted_requests" not in line]) for s in (BEFORE, AFTER)
    ]
    found = served(
        texts[0].replace(
            'num_retracted_reqs{model_name="ours/tiny-7b"} 0.0', 'num_retracted_reqs{model_name="ours/tiny-7b"} 5.0'
        ),
        texts[1],
        interval_s=10.0,
    )
    assert not found.lifetime
    assert found.preemptions is None


def test_tokens_counted_as_they_come_speak_before_those_counted_at_the_end() -> None:
    def live(state: State) -> list[str]:
        rows = [
            f'sglang:realtime_tokens_total{{mode="{mode}"}} {n}'
            for mode, n in (("decode", state.generation_tokens), ("prefill_compute", 7.0))
        ]
        return [*(line for line in engines.sglang(state)), *rows]

    found = window(live)
    assert found.generation_tokens == 4800.0
    assert found.batch == pytest.approx(12.0)


@pytest.mark.parametrize("writer", [engines.sglang, engines.tgi])
def test_a_counter_that_moves_when_requests_end_is_trusted_once_many_did(writer: Callable[[State], list[str]]) -> None:
    found = window(writer, after=BEFORE.later(10.0, step_s=0.025, batch=12.0, firsts=500.0))
    assert found.generation_tokens == 4800.0
    assert found.batch == pytest.approx(12.0)


# --- llama.cpp


def test_a_lifetime_mean_batch_becomes_that_of_the_window() -> None:
    found = window(engines.llama_cpp, after=BEFORE.later(10.0, batch=2.0))
    assert found.batch == pytest.approx(2.0, rel=1e-2)
    assert engines.llama_cpp(AFTER)[-1].endswith(f" {AFTER.busy_slots / AFTER.steps:.6g}")


@pytest.mark.parametrize("ended", [0.0, 60.0, 90_000.0])
def test_tokens_of_requests_still_running_are_counted_and_those_of_earlier_ones_not(ended: float) -> None:
    found = window(engines.llama_cpp, after=BEFORE.later(10.0, batch=3.0, generation_tokens=ended))
    assert found.generation_tokens == pytest.approx(1500.0, rel=1e-2)


def test_a_mean_over_too_many_steps_to_be_exact_is_not_used() -> None:
    old = State(steps=5e8, busy_slots=1.7e9, running=3.0)
    found = window(engines.llama_cpp, before=old, after=old.later(10.0, batch=3.0))
    assert found.batch == 3.0
    frozen = window(engines.llama_cpp, before=old, after=old.later(10.0, batch=3.0, generation_tokens=0.0))
    assert frozen.generation_tokens == pytest.approx(1500.0)


def test_with_speculation_the_token_counter_stays() -> None:
    after = BEFORE.later(10.0, batch=1.0, generation_tokens=1400.0, drafts=500.0, accepted=900.0)
    found = window(engines.llama_cpp, after=after)
    assert found.generation_tokens == 1400.0
    assert found.batch == pytest.approx(1.0, rel=1e-2)


def test_a_usage_that_is_not_a_number_is_absent() -> None:
    assert window(lambda s: engines.llama_cpp(s, usage="nan")).kv_cache_usage is None
    assert window(lambda s: engines.llama_cpp(s, usage="0.5")).kv_cache_usage == 0.5


# --- the others


def test_triton_without_the_backend_counts_executions() -> None:
    found = window(lambda s: engines.triton(s, backend=False))
    assert found.steps == pytest.approx(400.0)
    assert found.requests_running is None
    assert not found.busy


def test_dynamos_two_spellings_are_one_model() -> None:
    assert window(engines.dynamo).model == "tiny-7b"


def test_an_engine_behind_a_front_end_speaks_for_itself() -> None:
    text = page(engines.dynamo(BEFORE), engines.vllm(BEFORE))
    assert served(text).engine == "vLLM"


def test_every_name_in_the_table_passes_the_filter() -> None:
    names = {name for engine in ENGINES for names in engine.metrics.values() for name in names}
    assert not [name for name in names if not name.startswith(WANTED)]
