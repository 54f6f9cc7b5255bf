"""Every action: registered, documented, and offered where the evidence supports it and nowhere else."""

from __future__ import annotations

import pkgutil
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heuristics import advice
from heuristics.advice import (
    another_device,
    chunked_prefill,
    larger_batch,
    launches,
    narrower_arithmetic,
    power_cap,
    quantise_kv_cache,
    quantise_weights,
    shorter_context,
    speculative_decoding,
    tensor_parallel,
)
from heuristics.advice.actions import ACTIONS, MOST, advise
from heuristics.advice.advice import Action, Advice, Withheld
from heuristics.advice.job import LEAST_GAIN, job_of
from heuristics.case import Case
from heuristics.gpus import part_named
from heuristics.judge import judge
from heuristics.observations import Activity, Host, LoadCurve, Serving, Timeline
from heuristics.operations import Load, Phase, step_roof_s
from heuristics.roofs import datasheet_roofs
from heuristics.vocabulary import Dtype, Limit, Regime, Share
from heuristics.work import Work
from tests.heuristics.advice.jobs import LLAMA_2_7B, LLAMA_2_70B, decode, in_phases, judged
from tests.heuristics.cases import LLAMA_8B, samples, timeline

HELPERS = {"advice", "actions", "job"}
IDS = [action.__name__.rsplit(".", 1)[-1] for action in ACTIONS]


def offered(module: ModuleType, case: Case) -> Advice:
    found = module.advise(judged(case))
    assert isinstance(found, Advice), found
    return found


def withheld(module: ModuleType, case: Case) -> str:
    found = module.advise(judged(case))
    assert isinstance(found, Withheld), found
    return found.reason


def prefill(tokens: float = 2048.0, reached: float = 0.6, engine: str = "SGLang", **changes: Any) -> Case:
    """Prompts on an H100, each of that length, at so much of the arithmetic."""
    case = decode()
    assert case.work is not None
    assert case.roofs is not None
    load = Load(phase=Phase.PREFILL, context_tokens=tokens)
    flops = sum(op.flops for op in case.work.operations(load))
    step_s = flops / (case.roofs.flops_per_s or 0.0) / reached
    serving = Serving(
        engine=engine,
        busy=True,
        step_s=step_s,
        batch=1.0,
        tokens_per_step=tokens,
        prompt_tokens_computed=100 * tokens,
        prompt_tokens_per_s=tokens / step_s,
    )
    return replace(case, load=load, serving=replace(serving, **changes))


def test_every_action_is_registered() -> None:
    there = {m.name for m in pkgutil.iter_modules(advice.__path__)} - HELPERS
    missing = there - set(IDS)
    assert not missing, f"add to heuristics.advice.actions.ACTIONS: {', '.join(sorted(missing))}"


@pytest.mark.parametrize("action", ACTIONS, ids=IDS)
def test_every_action_says_what_it_changes_and_what_it_assumes(action: ModuleType) -> None:
    text = action.__doc__ or ""
    places = [text.find(h) for h in ("What it changes:", "When it is offered:", "Assumptions:", "Example:")]
    assert min(places) > 0
    assert places == sorted(places)
    assert action.__name__.rsplit(".", 1)[-1] == action.NAME


@st.composite
def situations(draw: st.DrawFn) -> Case:
    gpu = draw(st.sampled_from(["H100", "A100", "L40S", "H20", "RTX 4090", "MI250X"]))
    served = {
        "requests_running": 1.0,
        "requests_waiting": draw(st.sampled_from([None, 0.0, 5.0])),
        "kv_cache_usage": draw(st.sampled_from([None, 0.3, 0.99])),
        "kv_capacity_tokens": draw(st.sampled_from([None, 400_000.0])),
    }
    return decode(
        gpu=gpu,
        shape=draw(st.sampled_from([LLAMA_8B, LLAMA_2_7B, LLAMA_2_70B])),
        batch=draw(st.floats(1.0, 400.0)),
        context=draw(st.floats(1.0, 20_000.0)),
        reached=draw(st.floats(0.05, 0.95)),
        tensor_parallel=draw(st.sampled_from([1, 2, 4, 8])),
        weight_bits=draw(st.sampled_from([None, 8.0, 4.5])),
        served=served,
    )


@settings(max_examples=60, deadline=None)
@given(situations())
def test_what_is_advised_gains_is_ranked_and_fits_on_five_lines(case: Case) -> None:
    found = judge(case)
    given_, kept_back = advise(found)
    assert len(given_) <= MOST
    gains = [a.predicted_speedup for a in given_ if a.predicted_speedup is not None]
    assert gains == sorted(gains, reverse=True)
    assert all(gain >= LEAST_GAIN for gain in gains)
    for item in given_:
        assert item.speedup_range is not None
        low, high = item.speedup_range
        assert item.predicted_speedup is not None
        assert 0.0 < low <= item.predicted_speedup * (1 + 1e-9)
        assert item.predicted_speedup <= high * (1 + 1e-9)
    said = [a.action for a in given_] + [w.action for w in kept_back]
    assert len(said) == len(set(said))
    assert all(len(w.reason) > 10 for w in kept_back)
    undecided = found.verdict is None or found.verdict.regime in (Regime.INCONCLUSIVE, Regime.IDLE)
    assert bool(said) is not undecided


@settings(max_examples=60, deadline=None)
@given(situations())
def test_no_advice_passes_the_roof_of_what_it_changes(case: Case) -> None:
    """The step that is advised, at the peaks, is the least that it can take: no speed-up is larger than that allows."""
    job = job_of(judge(case), {})
    if isinstance(job, str) or not job.explained:
        return
    step = job.measured.step
    load, now_s = step.load, step.outcome().step_s

    def most(work: Work, load: Load) -> float:
        least_s = step_roof_s(work.operations(load), step.roofs)
        assert least_s is not None
        return load.batch / least_s / (step.load.batch / now_s)

    found = {a.action: a for a in (action.advise(job) for action in ACTIONS) if isinstance(a, Advice)}
    more = replace(load, batch=2.0 * load.batch) if job.wants_room else load
    ceilings = {
        Action.QUANTISE_KV_CACHE: most(step.work.with_kv_bits(8.0), more),
        Action.SHORTER_CONTEXT: most(step.work, replace(more, context_tokens=0.5 * load.context_tokens)),
    }
    if Action.QUANTISE_WEIGHTS in found:
        bits = found[Action.QUANTISE_WEIGHTS].figures["to_bits"]
        ceilings[Action.QUANTISE_WEIGHTS] = most(step.work.with_weight_bits(bits), load)
    if Action.LARGER_BATCH in found:
        target = found[Action.LARGER_BATCH].figures["target_batch"]
        ceilings[Action.LARGER_BATCH] = most(step.work, replace(load, batch=target))
    if Action.MORE_TENSOR_PARALLELISM in found:
        grown = found[Action.MORE_TENSOR_PARALLELISM].figures["room"] * load.batch
        ceilings[Action.MORE_TENSOR_PARALLELISM] = most(
            step.work, replace(load, batch=grown, tensor_parallel=2 * load.tensor_parallel)
        )
    for action, ceiling in ceilings.items():
        if action in found:
            low, high = found[action].speedup_range or (0.0, 0.0)
            assert low <= high <= ceiling * (1.0 + 1e-9), action


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (Case(), "nothing was measured"),
        (decode(reached=1.5), "an input cannot be right"),
        (decode(weight_bits=4.5, batch=48.0, reached=0.45), "inconclusive"),
    ],
    ids=["nothing", "impossible", "undecided"],
)
def test_no_advice_without_ground(case: Case, reason: str) -> None:
    found = judge(case)
    assert advise(found) == ((), ())
    said = job_of(found, {})
    assert isinstance(said, str)
    assert reason in said


def test_a_stalled_job_gets_none() -> None:
    stalled = decode(
        served={"requests_running": 4.0, "frozen_s": 9.0, "steps": 0.0, "generation_tokens": 0.0, "window_s": 9.0}
    )
    assert Limit.STALLED in (judge(stalled).verdict or pytest.fail("no verdict")).limits
    assert advise(judge(stalled)) == ((), ())


class TestLargerBatch:
    def test_up_to_the_crossover(self) -> None:
        found = offered(larger_batch, decode(gpu="H200", context=16.0))
        assert "the crossover" in found.sentence
        assert 150 < found.figures["target_batch"] < 260

    def test_up_to_the_memory(self) -> None:
        found = offered(larger_batch, decode(context=4096.0))
        assert "as many as fit" in found.sentence
        assert found.figures["target_batch"] == 119

    def test_up_to_the_engines_own_cache(self) -> None:
        found = offered(larger_batch, decode(context=1000.0, served={"kv_capacity_tokens": 24_000.0}))
        assert found.figures["target_batch"] == 24

    def test_a_full_cache_takes_no_more(self) -> None:
        full = {"requests_running": 8.0, "kv_cache_usage": 0.99}
        assert "full" in withheld(larger_batch, decode(batch=8.0, served=full))

    @pytest.mark.parametrize(
        ("waiting", "words"), [(0.0, "fewer replicas"), (12.0, "max_num_seqs"), (None, "a larger batch")]
    )
    def test_what_is_missing(self, waiting: float | None, words: str) -> None:
        assert words in offered(larger_batch, decode(served={"requests_waiting": waiting})).sentence

    def test_not_where_arithmetic_binds(self) -> None:
        assert "near the largest" in withheld(larger_batch, decode(batch=600.0, context=16.0, reached=0.6))

    def test_latency_is_not_believed_to_stay_for_ever(self) -> None:
        found = offered(larger_batch, decode(batch=4.0, reached=0.04))
        assert found.figures["target_batch"] == 32
        assert found.predicted_speedup == pytest.approx(7.7, abs=0.4)


class TestQuantiseWeights:
    def test_eight_bits_of_sixteen_and_what_four_would_do(self) -> None:
        found = offered(quantise_weights, decode())
        assert found.predicted_speedup == pytest.approx(1.55, abs=0.1)
        assert found.figures["speedup_at_4_bits"] > 1.8
        assert "unpacking" not in found.why

    def test_four_bits_near_their_crossover_are_warned_of(self) -> None:
        assert "unpacking" in offered(quantise_weights, decode(batch=64.0)).why

    def test_four_of_eight(self) -> None:
        assert "4 bits" in offered(quantise_weights, decode(weight_bits=8.0)).sentence

    def test_not_where_the_cache_is_most_of_the_bytes(self) -> None:
        assert "smaller part" in withheld(quantise_weights, decode(batch=64.0, context=16_000.0))

    def test_not_where_it_was_done(self) -> None:
        assert "already" in withheld(quantise_weights, decode(weight_bits=4.5, gpu="H20"))

    def test_not_where_memory_does_not_bind(self) -> None:
        assert "largest share" in withheld(quantise_weights, decode(reached=0.04))


class TestCache:
    def test_narrower_and_shorter(self) -> None:
        case = decode(batch=64.0, context=16_000.0)
        for module in (quantise_kv_cache, shorter_context):
            assert offered(module, case).predicted_speedup == pytest.approx(1.7, abs=0.15)

    def test_a_full_cache_holds_twice_as_many(self) -> None:
        full = {"requests_running": 8.0, "requests_waiting": 9.0, "kv_cache_usage": 0.99}
        case = decode(batch=8.0, context=2000.0, served=full)
        for module in (quantise_kv_cache, shorter_context):
            found = offered(module, case)
            assert found.predicted_speedup == pytest.approx(1.9, abs=0.15)
            assert "full" in found.why

    def test_a_full_cache_that_nobody_waits_for_takes_no_more(self) -> None:
        full = {"requests_running": 8.0, "requests_waiting": 0.0, "kv_cache_usage": 0.99}
        found = quantise_kv_cache.advise(judged(decode(batch=8.0, context=8000.0, served=full)))
        assert isinstance(found, Advice)
        assert found.predicted_speedup == pytest.approx(1.25, abs=0.1)
        assert "full" not in found.why

    def test_not_where_it_is_small(self) -> None:
        assert "only" in withheld(quantise_kv_cache, decode())
        assert "only" in withheld(shorter_context, decode())


class TestLaunches:
    GPU = part_named("H100")

    def test_launches_that_come_late(self) -> None:
        found = offered(launches, Case(part=self.GPU, roofs=datasheet_roofs(self.GPU), timeline=timeline(busy=0.5)))
        assert found.action is Action.CUDA_GRAPHS
        assert found.predicted_speedup == pytest.approx(2.0, abs=0.05)

    def test_without_roofs_too(self) -> None:
        assert offered(launches, Case(timeline=timeline(busy=0.5))).predicted_speedup == pytest.approx(2.0, abs=0.05)

    def test_graphs_are_not_advised_twice(self) -> None:
        found = offered(launches, Case(part=self.GPU, timeline=timeline(busy=0.5, graph_launched=900)))
        assert found.action is Action.LESS_HOST_WORK
        assert "graphs already" in found.why

    def test_gaps_of_nobody_are_no_launches(self) -> None:
        assert "whose" in withheld(launches, Case(timeline=timeline(busy=0.5, host_gap_s=None)))
        assert "only" in withheld(launches, Case(timeline=timeline(busy=0.5, host_gap_s=0.01)))

    def test_without_evidence_of_the_host_nothing(self) -> None:
        assert "nothing shows" in withheld(launches, decode(reached=0.05))

    def test_a_cpu_job_that_sleeps(self) -> None:
        host = Host(window_s=10.0, threads=4, asleep_fraction=0.75, computes=True, busy_cores=0.5)
        case = decode(reached=0.1, part=None, host=host, served={"requests_running": 1.0, "requests_waiting": 0.0})
        found = offered(launches, case)
        assert found.action is Action.LESS_HOST_WORK
        assert 2.5 < (found.predicted_speedup or 0.0) < 5.0
        assert not isinstance(speculative_decoding.advise(judged(case)), Advice)
        assert not isinstance(tensor_parallel.advise(judged(case)), Advice)


class TestTensorParallelism:
    def test_up(self) -> None:
        found = offered(tensor_parallel, decode())
        assert found.action is Action.MORE_TENSOR_PARALLELISM
        assert 1.4 < (found.predicted_speedup or 0.0) < 2.0
        assert found.devices_factor == 2.0

    def test_not_beyond_one_machine(self) -> None:
        assert "closely" in withheld(tensor_parallel, decode(shape=LLAMA_2_70B, tensor_parallel=8))

    def test_not_where_the_heads_do_not_split(self) -> None:
        odd = replace(LLAMA_8B, heads=33, kv_heads=11)
        assert "split" in withheld(tensor_parallel, decode(shape=odd))

    def test_down_where_the_devices_wait_for_each_other(self) -> None:
        talking = timeline(busy=0.4, host_gap_s=0.0, communication_s=0.5)
        found = offered(tensor_parallel, decode(tensor_parallel=2, batch=8.0, reached=0.2, timeline=talking))
        assert found.action is Action.LESS_TENSOR_PARALLELISM

    def test_not_down_where_one_copy_does_not_fit(self) -> None:
        talking = timeline(busy=0.4, host_gap_s=0.0, communication_s=0.5)
        case = decode(shape=LLAMA_2_70B, tensor_parallel=2, batch=2.0, reached=0.2, timeline=talking)
        assert "fit" in withheld(tensor_parallel, case)

    def test_not_down_without_evidence_of_communication(self) -> None:
        assert "nothing shows" in withheld(tensor_parallel, decode(tensor_parallel=4, reached=0.04))


class TestSpeculativeDecoding:
    def test_small_batches(self) -> None:
        assert offered(speculative_decoding, decode(batch=2.0)).predicted_speedup == pytest.approx(2.1, abs=0.1)

    def test_expected_tokens(self) -> None:
        assert speculative_decoding.tokens_a_step(0.7, 4) == pytest.approx(2.7731)
        assert speculative_decoding.tokens_a_step(1e-9, 4) == pytest.approx(1.0)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"batch": 64.0}, "a few sequences"),
            ({"reached": 0.04}, "memory-bound"),
            ({"served": {"drafts": 100.0, "accepted_tokens": 50.0}}, "already"),
        ],
    )
    def test_not_elsewhere(self, changes: dict[str, Any], words: str) -> None:
        assert words in withheld(speculative_decoding, decode(**changes))


class TestChunkedPrefill:
    def found(self, engine: str = "SGLang", decode_part: float = 0.6, batch: float = 16.0) -> Advice | Withheld:
        case = decode(batch=batch, served={"steps": 1000.0})
        job = job_of(*in_phases(case, prefill(engine=engine), decode_part))
        assert not isinstance(job, str)
        found = chunked_prefill.advise(job)
        assert isinstance(found, Advice | Withheld)
        return found

    def test_prompts_that_stop_decode(self) -> None:
        found = self.found()
        assert isinstance(found, Advice)
        assert found.phase is None
        assert 1.2 < (found.predicted_speedup or 0.0) < 1.0 / 0.6

    def test_not_where_the_engine_mixes_them(self) -> None:
        found = self.found("vLLM")
        assert isinstance(found, Withheld)
        assert "mixes" in found.reason

    def test_not_where_prompts_take_little(self) -> None:
        found = self.found(decode_part=0.95)
        assert isinstance(found, Withheld)
        assert "only" in found.reason

    def test_not_where_phases_are_not_told_apart(self) -> None:
        assert "told apart" in withheld(chunked_prefill, decode())


class TestPowerCap:
    BUSY = Activity(window_s=None, tensor_active=0.6, dram_active=0.2, sm_active=0.97, engine_active=1.0)

    def case(self, clock_hz: float = 1.4e9, tensor: float = 0.6) -> Case:
        part = part_named("H100")
        held = samples(sm=1.0, power_w=340.0, sm_clock_hz=clock_hz, power_limited=1.0, thermally_limited=0.0)
        active = replace(self.BUSY, tensor_active=tensor)
        return Case(part=part, roofs=datasheet_roofs(part), samples=held, activity=active)

    def test_bounded_by_the_clocks(self) -> None:
        found = offered(power_cap, self.case())
        rated = part_named("H100").rated_sm_clock_hz or 0.0
        assert 1.1 < (found.predicted_speedup or 0.0) <= rated / 1.4e9
        assert found.speedup_range is not None
        assert found.speedup_range[1] == pytest.approx(rated / 1.4e9)

    def test_without_the_clock_no_number(self) -> None:
        found = offered(power_cap, self.case(clock_hz=np.nan))
        assert found.predicted_speedup is None
        assert found.speedup_range is None

    def test_not_where_nothing_holds_them_down(self) -> None:
        assert "nothing" in withheld(power_cap, decode())


class TestDevice:
    def test_an_h200_for_what_an_h100s_bandwidth_binds(self) -> None:
        found = offered(another_device, decode())
        assert "H200 SXM" in found.sentence
        assert found.predicted_speedup == pytest.approx(1.4, abs=0.04)

    def test_of_the_same_maker(self) -> None:
        assert "MI" not in offered(another_device, decode(gpu="A100")).sentence

    def test_none_for_what_waits(self) -> None:
        assert "latency" in withheld(another_device, decode(reached=0.04))

    def test_a_larger_memory_takes_more_where_the_cache_is_full(self) -> None:
        full = {"requests_running": 8.0, "requests_waiting": 9.0, "kv_cache_usage": 0.99}
        roomy, tight = (
            another_device.predicted(judged(decode(batch=8.0, context=8000.0, served=served)), part_named("H200"))
            for served in (full, {"requests_running": 8.0, "requests_waiting": 0.0, "kv_cache_usage": 0.3})
        )
        assert roomy.speedup > 1.3 * tight.speedup


class TestNarrowerArithmetic:
    def test_prompts_in_fp8(self) -> None:
        found = offered(narrower_arithmetic, prefill())
        assert 1.2 < (found.predicted_speedup or 0.0) < 1.9

    def test_not_on_a_part_without_it(self) -> None:
        part = part_named("A100")
        assert Dtype.FP8 not in part.dense_flops_per_s
        old = replace(prefill(reached=0.19), part=part, roofs=datasheet_roofs(part))
        assert "narrower" in withheld(narrower_arithmetic, old)

    def test_not_in_decode_that_memory_binds(self) -> None:
        assert "compute" in withheld(narrower_arithmetic, decode())


def test_a_phases_gain_is_diluted_by_the_rest() -> None:
    case = decode(batch=4.0, served={"steps": 100.0})
    whole, phases = in_phases(case, prefill(), 0.5)
    alone, diluted = advise(judge(case))[0], advise(whole, phases)[0]
    gains = {a.action: a.predicted_speedup for a in alone}
    for item in diluted:
        if item.action in gains and item.action is not Action.ANOTHER_DEVICE:
            s = gains[item.action] or 0.0
            assert item.predicted_speedup == pytest.approx(1.0 / (0.5 + 0.5 / s), rel=1e-6)


def test_a_phase_whose_time_is_not_known_is_named() -> None:
    case = decode(served={"steps": 100.0})
    whole, phases = in_phases(case, prefill(), 0.5)
    untimed = {phase: replace(part, time_fraction=None) for phase, part in phases.items()}
    assert {a.phase for a in advise(whole, untimed)[0]} == {Phase.DECODE}


def test_launches_of_a_timeline_are_the_whole_jobs() -> None:
    assert isinstance(timeline(), Timeline)
    case = decode(reached=0.3, timeline=timeline(busy=0.4))
    job = judged(case)
    assert job.share(Share.LATENCY) > 0.5
    assert offered(launches, case).phase is None


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ({"asleep_fraction": 0.1, "wait_fraction": 0.7}, "nobody else"),
        ({"asleep_fraction": 0.1, "wait_fraction": 0.1, "throttled_fraction": 0.7}, "quota"),
        ({"asleep_fraction": 0.8, "wait_fraction": 0.0}, "host work"),
    ],
)
def test_what_the_host_lacks_is_told_apart(host: dict[str, float], words: str) -> None:
    watched = Host(window_s=10.0, threads=4, computes=True, busy_cores=0.5, **host)
    case = decode(reached=0.1, part=None, host=watched, served={"requests_running": 1.0, "requests_waiting": 0.0})
    assert words in offered(launches, case).sentence


@pytest.mark.parametrize(("fastest", "told"), [(16.0, 16.0), (64.0, 64.0)])
def test_batches_that_were_measured_stand_in_place_of_a_prediction(fastest: float, told: float) -> None:
    """Throughput grows as the batch up to ``fastest``, and no further."""
    case = decode()
    assert case.serving is not None
    step_s = case.serving.step_s or 0.0
    batches = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0])
    curve = LoadCurve(
        batch=batches, step_s=step_s * np.maximum(1.0, batches / fastest), context_tokens=np.full(7, np.nan)
    )
    found = larger_batch.advise(judged(replace(case, curve=curve)))
    assert isinstance(found, Advice)
    assert found.figures["target_batch"] == pytest.approx(told)
    assert found.predicted_speedup == pytest.approx(told)
    assert "measured" in found.sentence


def test_measured_batches_that_gained_nothing_are_not_advised() -> None:
    case = decode()
    assert case.serving is not None
    step_s = case.serving.step_s or 0.0
    batches = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    curve = LoadCurve(batch=batches, step_s=step_s * batches, context_tokens=np.full(5, np.nan))
    found = larger_batch.advise(judged(replace(case, curve=curve)))
    assert isinstance(found, Withheld)


@pytest.mark.parametrize(("waiting", "advised"), [(0.0, True), (0.3, False)])
def test_no_more_sequences_where_the_processors_are_others(waiting: float, advised: bool) -> None:
    """Eight at once gave a quarter of the throughput of one, on two cores that others used as well."""
    host = Host(window_s=10.0, threads=4, asleep_fraction=0.0, wait_fraction=waiting, busy_cores=2.0, computes=True)
    found = larger_batch.advise(judged(replace(decode(), host=host)))
    assert isinstance(found, Advice) is advised


def test_a_batch_at_the_crossover_is_bound_by_arithmetic_from_there_on() -> None:
    found = larger_batch.advise(judged(decode(shape=LLAMA_2_7B, context=0.0)))
    assert isinstance(found, Advice)
    if "the crossover" in found.sentence:
        assert found.then_bound_by is Share.COMPUTE
