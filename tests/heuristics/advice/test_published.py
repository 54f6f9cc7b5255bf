"""Predicted gains against published ones: the measurement before the change goes in, the one after it is compared.

Tokens per second before and after, as their authors print them. Rows marked ``chosen`` fixed the constants of an action
(how fast narrow weights stream, what a draft costs, an all-reduce): they show that formulas can describe them and no
more. The other rows of the table were known by then, but fixed nothing; those on batches, on the next device and on
the cache below were looked up after all constants stood. What is off by more than the band is listed with the reason,
and the list is itself under test.

Sources:
    gpt-fast: README of pytorch-labs/gpt-fast, batch 1, a prompt of 5 tokens, A100 80 GB at 330 W; one GCD of an MI250X.
    llama.cpp: README of XiongjieDai/GPU-Benchmarks-on-LLM-Inference, LLaMA 3 8B, 1,024 tokens generated, May 2024.
    EAGLE: README of SafeAILab/EAGLE, "With gpt-fast", LLaMA2-Chat 13B on one A100.
    SGLang: its documentation on speculative decoding, Llama 3.1 8B on one H100, MT-bench.
    NeMo: NVIDIA NeMo Framework user guide, performance of Llama-2, FP16, 128 tokens in and 20 out: mean latencies.
    FP8 cache: "The State of FP8 KV-Cache and Attention Quantization in vLLM", Llama-3.1-8B: 54 % of the slope in BF16.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from heuristics.advice import another_device, quantise_weights, speculative_decoding, tensor_parallel
from heuristics.advice.advice import Advice
from heuristics.advice.job import Job
from heuristics.advice.larger_batch import at_batch
from heuristics.gpus import part_named
from heuristics.operations import Load, Phase, step_roof_s
from heuristics.whatif import Prediction
from tests.heuristics.advice.jobs import LLAMA_2_7B, LLAMA_2_70B, decode, judged
from tests.heuristics.cases import LLAMA_8B

LLAMA_2_13B = replace(LLAMA_2_7B, layers=40, hidden_size=5120, heads=40, kv_heads=40, intermediate_size=13824)

BAND = 0.22
"""Of the published gain, to both sides."""


def weights(bits: float) -> Callable[[Job], Prediction]:
    return lambda job: quantise_weights.predicted(job.measured, bits)


def devices(job: Job) -> Prediction:
    found = tensor_parallel.advise(job)
    assert isinstance(found, Advice)
    assert found.predicted_speedup is not None
    assert found.speedup_range is not None
    low, high = found.speedup_range
    return Prediction(speedup=found.predicted_speedup, low=low, high=high, outcome=job.measured.step.outcome())


def drafts(job: Job) -> Prediction:
    return speculative_decoding.predicted(job)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    name: str
    change: Callable[[Job], Prediction]
    before: float
    after: float
    job: dict[str, Any]
    chosen: bool = False

    @property
    def gain(self) -> float:
        return self.after / self.before

    def predicted(self) -> Prediction:
        job = {"context": 130.0} | self.job
        return self.change(judged(decode(step_s=1.0 / self.before, **job)))


A100_7B: dict[str, Any] = {"gpu": "A100", "shape": LLAMA_2_7B}
A100_13B: dict[str, Any] = {"gpu": "A100", "shape": LLAMA_2_13B}
A100_70B: dict[str, Any] = {"gpu": "A100", "shape": LLAMA_2_70B}
LLAMA_CPP = [("RTX 3090", 46.51, 111.74), ("RTX 4090", 54.34, 127.74), ("A40", 33.95, 88.95), ("L40S", 43.42, 113.6)]
EIGHT, FOUR = weights(quantise_weights.EIGHT), weights(quantise_weights.FOUR)

ROWS = [
    Row(name="gpt-fast 7B, 8 bits", change=EIGHT, before=104.9, after=155.58, job=A100_7B, chosen=True),
    Row(name="gpt-fast 7B, 4 bits", change=FOUR, before=104.9, after=196.8, job=A100_7B, chosen=True),
    *(
        Row(name=f"llama.cpp 8B, 4 bits, {gpu}", change=FOUR, before=f16, after=q4, job={"gpu": gpu}, chosen=True)
        for gpu, f16, q4 in LLAMA_CPP
    ),
    Row(
        name="gpt-fast 7B, 8 bits, MI250X",
        change=EIGHT,
        before=76.33,
        after=101.86,
        job={"gpu": "MI250X", "shape": LLAMA_2_7B},
    ),
    Row(
        name="gpt-fast 70B on 8, 8 bits",
        change=EIGHT,
        before=62.5,
        after=80.44,
        job=A100_70B | {"tensor_parallel": 8},
    ),
    # A device's slice of a product is so small that its kernel no longer streams: 548 of 2,039 GB/s.
    Row(
        name="gpt-fast 70B on 8, 4 bits",
        change=FOUR,
        before=62.5,
        after=90.77,
        job=A100_70B | {"tensor_parallel": 8},
    ),
    Row(
        name="llama.cpp 8B, 4 bits, RTX 6000 Ada", change=FOUR, before=51.97, after=130.99, job={"gpu": "RTX 6000 Ada"}
    ),
    Row(name="EAGLE's gpt-fast 13B, 4 bits", change=FOUR, before=33.2, after=47.4, job=A100_13B),
    Row(name="gpt-fast 7B on 2", change=devices, before=104.9, after=168.84, job=A100_7B, chosen=True),
    Row(name="gpt-fast 7B on 4", change=devices, before=168.84, after=254.02, job=A100_7B | {"tensor_parallel": 2}),
    Row(name="gpt-fast 7B on 8", change=devices, before=254.02, after=328.43, job=A100_7B | {"tensor_parallel": 4}),
    Row(name="gpt-fast 70B on 4", change=devices, before=21.32, after=38.01, job=A100_70B | {"tensor_parallel": 2}),
    Row(name="gpt-fast 70B on 8", change=devices, before=38.01, after=62.5, job=A100_70B | {"tensor_parallel": 4}),
    Row(name="EAGLE 13B", change=drafts, before=33.2, after=71.5, job=A100_13B, chosen=True),
    Row(name="EAGLE-3 in SGLang 8B", change=drafts, before=158.34, after=373.25, job={"gpu": "H100"}, chosen=True),
    Row(name="EAGLE 13B, 4 bits", change=drafts, before=47.4, after=82.5, job=A100_13B | {"weight_bits": 4.5}),
    Row(
        name="gpt-fast 70B, 4 bits, drafts of a 7B",
        change=drafts,
        before=25.25,
        after=48.4,
        job=A100_70B | {"weight_bits": 4.5},
    ),
]

OFF = [
    # The present kernels reach 43 % of the bandwidth, and those for 4 bits do better, which nothing told before.
    Row(name="llama.cpp 8B, 4 bits, A100 PCIe", change=FOUR, before=54.56, after=138.31, job={"gpu": "A100 80GB PCIe"}),
    # An older draft on hard prompts: fewer tokens are accepted than was assumed; the range holds it.
    Row(name="EAGLE-2 in SGLang 8B", change=drafts, before=158.34, after=244.10, job={"gpu": "H100"}),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_predicted_gains_are_near_the_published_ones(row: Row) -> None:
    found = row.predicted()
    assert found.speedup == pytest.approx(row.gain, rel=BAND)
    assert found.low * 0.98 <= row.gain <= found.high * 1.02


@pytest.mark.parametrize("row", OFF, ids=lambda row: row.name)
def test_those_that_are_off_are_off(row: Row) -> None:
    assert row.predicted().speedup != pytest.approx(row.gain, rel=BAND)


def test_what_was_not_looked_at_before_is_most_of_the_rows() -> None:
    assert sum(not row.chosen for row in [*ROWS, *OFF]) > 0.5 * len([*ROWS, *OFF])


NEMO = {"A100": (234.0, 249.6, 272.6, 329.5), "H100": (153.8, 160.8, 174.8, 199.2)}
"""Milliseconds at batch 1, 2, 4 and 8."""
IN, OUT = 128.0, 20.0


def served(gpu: str, batch: float, latency_ms: float) -> Job:
    """Decode with the prompts' part of the time taken off, which the roofs give: they were timed together."""
    case = decode(gpu=gpu, shape=LLAMA_2_7B, batch=batch)
    assert case.work is not None
    assert case.roofs is not None
    prompts = case.work.operations(Load(phase=Phase.PREFILL, batch=batch, context_tokens=IN))
    prefill_s = step_roof_s(prompts, case.roofs, achievable=True)
    assert prefill_s is not None
    step_s = (latency_ms / 1e3 - prefill_s) / OUT
    found = judged(decode(gpu=gpu, shape=LLAMA_2_7B, batch=batch, context=IN + OUT / 2.0, step_s=step_s))
    return replace(found, part=OUT * step_s / (latency_ms / 1e3))


@pytest.mark.parametrize("gpu", NEMO)
@pytest.mark.parametrize("place", [1, 2, 3])
def test_larger_batches_gain_as_published(gpu: str, place: int) -> None:
    latency_ms, batch = NEMO[gpu], 2.0**place
    job = served(gpu, 1.0, latency_ms[0])
    found = job.of_job(job.measured.predict(lambda step: at_batch(step, batch)).speedup)
    assert found == pytest.approx(batch * latency_ms[0] / latency_ms[place], rel=0.10)


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_the_next_device_gains_as_published(place: int) -> None:
    before_ms, after_ms = NEMO["A100"][place], NEMO["H100"][place]
    job = served("A100", 2.0**place, before_ms)
    h100 = part_named("H100")
    found = job.of_job(another_device.predicted(job, h100).speedup, another_device.rest_speedup(job, h100))
    assert found == pytest.approx(before_ms / after_ms, rel=0.10)


def test_a_cache_of_8_bits_halves_the_slope_over_the_context_as_published() -> None:
    step = judged(decode(shape=LLAMA_8B, context=8000.0)).measured.step

    def slope(bits: float) -> float:
        narrow = replace(step, work=step.work.with_kv_bits(bits))
        longer = replace(narrow, load=replace(step.load, context_tokens=64_000.0))
        return longer.outcome().step_s - narrow.outcome().step_s

    assert slope(8.0) / slope(16.0) == pytest.approx(0.54, rel=0.10)
