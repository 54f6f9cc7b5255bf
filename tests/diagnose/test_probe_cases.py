"""From times and counts to verdicts: the corners, graphs, and what a curve may say of its own beginning."""

from __future__ import annotations

from dataclasses import replace

import pytest

from collectors.probe.census import Counted
from diagnose.probing.cases import curve_of, judged, samples_by_round, workload_of
from heuristics.assemble import Given
from heuristics.operations import Phase
from heuristics.probed import ProbedBatch
from heuristics.roofs import measured_roofs
from heuristics.vocabulary import Cause, Dtype, Regime
from tests.make.probed import H100, measured, product, timing

GIVEN = Given(
    dtype=Dtype.FP32,
    roofs=measured_roofs(
        bandwidth_bytes_per_s=20e9,
        flops_per_s={Dtype.FP32: 200e9},
        dtype=Dtype.FP32,
        source="made up",
        last_level_cache_bytes=32e6,
    ),
)
EDGE = 8192
"""268 MB of weights: 13.4 ms a step at the roof, whatever is made of them."""


def regimes(rows: tuple[ProbedBatch, ...]) -> dict[int, Regime | None]:
    return {row.batch: row.judgement.verdict.regime if row.judgement.verdict else None for row in rows}


def test_clean_corners_of_a_product_on_a_processor() -> None:
    """The library leaves its kernel for vectors at batch 2, which is no faster: batch 1 is bound by memory anyway."""
    times = {1: 14.5e-3, 2: 29e-3, 4: 32e-3, 8: 35e-3, 16: 38e-3, 32: 48e-3, 64: 70e-3, 128: 110e-3}
    found = judged(measured({b: timing(b, t) for b, t in times.items()}, {b: product(EDGE, b) for b in times}), GIVEN)
    assert regimes(found)[1] is Regime.MEMORY
    assert regimes(found)[128] is Regime.COMPUTE
    first, last = found[0].judgement.verdict, found[-1].judgement.verdict
    assert first is not None
    assert last is not None
    assert (first.cause, last.cause) == (Cause.WEIGHTS, Cause.TENSOR)
    assert min(first.confidence, last.confidence) > 0.9
    assert found[0].tokens_per_s == pytest.approx(1 / 14.5e-3, rel=1e-3)


def test_a_tiny_model_is_latency() -> None:
    counts = {b: product(256, b) for b in (1, 8)}
    found = judged(measured({b: timing(b, 200e-6) for b in counts}, counts), GIVEN)
    assert set(regimes(found).values()) == {Regime.LATENCY}


def test_a_step_that_sleeps_waits_for_the_host() -> None:
    found = judged(measured({1: timing(1, 30e-3, busy=0.2)}, {1: product(1024, 1)}), GIVEN)
    verdict = found[0].judgement.verdict
    assert verdict is not None
    assert (verdict.regime, verdict.cause) == (Regime.LATENCY, Cause.HOST)


def test_launching_shows_as_what_a_graph_takes_off() -> None:
    """1.75 GB of BF16 weights: 0.52 ms at an H100's bandwidth."""
    edge = 29580
    found = judged(
        measured(
            {1: timing(1, 3e-3, device_s=0.75e-3, graph_s=0.7e-3)},
            {1: product(edge, 1, element_bytes=2)},
            device=H100,
        ),
        replace(GIVEN, dtype=Dtype.BF16, roofs=None),
    )
    (row,) = found
    graph, eager = row.judgement.verdict, row.eager.verdict if row.eager else None
    assert graph is not None
    assert eager is not None
    assert (graph.regime, graph.cause) == (Regime.MEMORY, Cause.WEIGHTS)
    assert (eager.regime, eager.cause) == (Regime.LATENCY, Cause.HOST)
    assert row.tokens_per_s == pytest.approx(1 / 0.7e-3, rel=1e-3)


def test_the_curve_bounds_each_batch_by_what_it_shows_there() -> None:
    """1 to 256 grew well on the whole; that says something against arithmetic at 1, and nothing at 256."""
    times = {2**k: max(14e-3, 0.8e-3 * 2**k) for k in range(9)}
    rows = judged(measured({b: timing(b, t) for b, t in times.items()}, {b: product(EDGE, b) for b in times}), GIVEN)
    most = {
        row.batch: next(b.value for e in row.judgement.evidence if e.evidence.signal == "batch_curve" for b in e.bounds)
        for row in rows
    }
    assert most[1] < 0.1
    assert most[256] > 0.9
    assert regimes(rows)[1] is Regime.MEMORY
    assert regimes(rows)[256] is Regime.COMPUTE
    assert rows[-1].judgement.batch_fit is not None


def test_a_curve_has_a_window_for_every_calm_group() -> None:
    timings = [timing(1, 1e-3), timing(2, 1e-3, graph_s=0.5e-3)]
    curve = curve_of(timings, None, None)
    assert curve.batch.tolist() == [1.0] * 9 + [2.0] * 9
    assert curve.step_s[9:].mean() == pytest.approx(0.5e-3)
    assert curve_of(timings, "step_s", None).step_s[9:].mean() == pytest.approx(1e-3)


def test_every_calm_round_is_a_sample_of_the_batch_in_question() -> None:
    counts = {b: product(EDGE, b) for b in (1, 8, 64)}
    whole = measured({b: timing(b, 0.02 * b**0.5, rounds=5) for b in counts}, counts, batch=8)
    found = samples_by_round(whole, GIVEN, judged(whole, GIVEN)[1].judgement)
    steps = [g.step_s for g in whole.timings[1].calm]
    assert found["step_s"] == found["time_per_output_token_s"] == tuple(steps)
    assert found["tokens_per_s"] == pytest.approx([8 / s for s in steps])
    moved = counts[8].bytes
    assert moved is not None
    assert found["bandwidth_fraction"] == pytest.approx([moved / s / 20e9 for s in steps])
    assert workload_of(whole) == "probe decode 1,8,64 at 8"


def test_where_the_graph_is_judged_its_replays_are_the_samples() -> None:
    counts = {b: product(EDGE, b, element_bytes=2) for b in (1, 8)}
    timings = {b: timing(b, 3e-3, device_s=0.8e-3, graph_s=0.7e-3 * b) for b in counts}
    whole = measured(timings, counts, device=H100)
    found = samples_by_round(whole, Given(dtype=Dtype.BF16), judged(whole, Given(dtype=Dtype.BF16))[-1].judgement)
    assert found["step_s"] == tuple(timings[8].times("graph_s"))
    assert workload_of(whole) == "probe decode 1,8 by graph"


def test_rounds_of_prompts_have_their_tokens() -> None:
    counts = {b: product(EDGE, 512 * b) for b in (1, 2)}
    whole = replace(
        measured({b: timing(b, 0.4 * b) for b in counts}, counts), phase=Phase.PREFILL, context_tokens=512.0
    )
    found = samples_by_round(whole, GIVEN, judged(whole, GIVEN)[-1].judgement)
    assert found["prompt_tokens_per_s"] == pytest.approx([1024 / s for s in found["step_s"]])
    assert "time_per_output_token_s" not in found
    assert workload_of(whole) == "probe prefill 1,2 of 512 tokens"


def test_without_counts_there_is_a_time_and_no_guess() -> None:
    found = judged(measured({1: timing(1, 1e-3)}, {1: Counted(reason="no product was seen")}), GIVEN)
    judgement = found[0].judgement
    assert "bandwidth_fraction" not in judgement.measured
    assert judgement.verdict is None or judgement.verdict.regime in (Regime.INCONCLUSIVE, Regime.LATENCY)
    assert judgement.verdict is None or judgement.verdict.confidence < 0.6


def test_prompts_are_tokens_and_no_batch_curve() -> None:
    counts = {b: product(EDGE, 512 * b) for b in (1, 2, 4, 8)}
    times = {b: timing(b, 0.4 * b) for b in counts}
    whole = replace(measured(times, counts), phase=Phase.PREFILL, context_tokens=512.0)
    rows = judged(whole, GIVEN)
    assert rows[0].tokens_per_s == pytest.approx(512 / 0.4, rel=1e-3)
    assert regimes(rows)[8] is Regime.COMPUTE
    assert "batch_curve" not in {e.evidence.signal for e in rows[0].judgement.evidence}
    assert "tokens_per_s" not in rows[0].judgement.measured
