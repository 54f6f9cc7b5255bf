"""What-if: nothing changed changes nothing, no change passes a roof, and a step is the sum of its parts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heuristics.case import Case
from heuristics.gpus import parts
from heuristics.judge import judge
from heuristics.observations import Activity
from heuristics.operations import step_roof_s
from heuristics.roofs import datasheet_roofs
from heuristics.simplex import ARITHMETIC_CEILING
from heuristics.vocabulary import Dtype, Share
from heuristics.whatif import Measured, SharesWork, Step, measured_step, spread
from tests.heuristics.advice.jobs import LLAMA_2_7B, LLAMA_2_70B, decode
from tests.heuristics.cases import LLAMA_8B

SHAPES = st.sampled_from([LLAMA_8B, LLAMA_2_7B, LLAMA_2_70B])
BATCHES = st.floats(1.0, 600.0)
CONTEXTS = st.floats(0.0, 50_000.0)
PARTS = st.sampled_from([p for p in parts() if Dtype.BF16 in p.dense_flops_per_s])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    return decode(
        gpu=draw(PARTS).name,
        shape=draw(SHAPES),
        batch=draw(BATCHES),
        context=draw(CONTEXTS),
        reached=draw(st.floats(0.15, 0.97)),
    )


def explained(case: Case) -> Measured:
    found = measured_step(case, judge(case))
    assert isinstance(found, Measured)
    assert not isinstance(found.step.work, SharesWork)
    return found


@settings(max_examples=40, deadline=None)
@given(cases())
def test_a_step_that_does_not_change_is_the_measured_one(case: Case) -> None:
    found = explained(case)
    same = found.predict(Step.outcome)
    assert (same.speedup, same.low, same.high) == pytest.approx((1.0, 1.0, 1.0))
    assert case.serving is not None
    assert found.step.outcome().step_s == pytest.approx(case.serving.step_s, rel=0.02)


@settings(max_examples=60, deadline=None)
@given(
    cases(),
    BATCHES,
    CONTEXTS,
    st.sampled_from([4.0, 8.0, 16.0]),
    st.sampled_from([8.0, 16.0]),
    st.sampled_from([1, 2, 4, 8]),
    PARTS,
)
def test_no_change_is_predicted_above_the_roofs(case, batch, context, bits, kv_bits, devices, part) -> None:  # type: ignore[no-untyped-def]
    found = explained(case)
    for step in (found.step, *found.others):
        changed = replace(
            step,
            work=step.work.with_weight_bits(bits).with_kv_bits(kv_bits),
            load=replace(step.load, batch=batch, context_tokens=context, tensor_parallel=devices),
            roofs=datasheet_roofs(part),
        )
        least_s = step_roof_s(changed.operations, changed.roofs)
        assert least_s is not None
        outcome = changed.outcome()
        assert outcome.step_s >= least_s * (1.0 - 1e-9)
        assert outcome.step_s == pytest.approx(outcome.memory_s + outcome.compute_s + outcome.latency_s)


@settings(max_examples=40, deadline=None)
@given(cases(), st.floats(1.0, 8.0))
def test_steps_take_longer_with_more_sequences_and_more_context_and_no_longer_with_less_to_read(
    case: Case, factor: float
) -> None:
    step = explained(case).step
    now_s = step.outcome().step_s

    def with_load(**changes: float) -> float:
        return replace(step, load=replace(step.load, **changes)).outcome().step_s  # type: ignore[arg-type]

    assert with_load(batch=step.load.batch * factor) >= now_s * (1.0 - 1e-9)
    assert with_load(context_tokens=step.load.context_tokens * factor) >= now_s * (1.0 - 1e-9)
    assert replace(step, work=step.work.with_weight_bits(16.0 / factor)).outcome().step_s <= now_s * (1.0 + 1e-9)
    assert replace(step, work=step.work.with_kv_bits(16.0 / factor)).outcome().step_s <= now_s * (1.0 + 1e-9)


@settings(max_examples=40, deadline=None)
@given(cases(), st.floats(1.0, 4.0), st.floats(1.0, 4.0))
def test_faster_roofs_shorten_what_they_bind_and_nothing_else(case: Case, wider: float, faster: float) -> None:
    step = explained(case).step
    roofs = step.roofs
    assert roofs.bandwidth_bytes_per_s is not None
    assert roofs.flops_per_s is not None
    better = replace(
        roofs, bandwidth_bytes_per_s=roofs.bandwidth_bytes_per_s * wider, flops_per_s=roofs.flops_per_s * faster
    )
    now, then = step.outcome(), replace(step, roofs=better).outcome()
    assert then.step_s <= now.step_s * (1.0 + 1e-9)
    assert then.latency_s == now.latency_s
    assert now.step_s / then.step_s <= max(wider, faster) * (1.0 + 1e-9)


def test_a_job_faster_than_is_usual_shows_that_of_the_roof_that_binds_it_alone() -> None:
    found = explained(decode(reached=0.9))
    assert found.step.reach.bandwidth > 0.85
    assert found.step.reach.arithmetic == pytest.approx(ARITHMETIC_CEILING.mean)


def test_a_job_slower_than_is_usual_is_so_everywhere() -> None:
    """DRAM was seen active all the time, and yet the step takes twice what its bytes would."""
    busy = Activity(window_s=None, dram_active=0.75, tensor_active=0.02, sm_active=0.95, engine_active=1.0)
    found = explained(decode(reached=0.375, activity=busy))
    assert found.step.reach.bandwidth < 0.5
    assert found.step.reach.arithmetic < 0.45


def test_operations_that_explain_little_of_a_busy_device_explain_nothing() -> None:
    busy = Activity(window_s=None, dram_active=0.75, tensor_active=0.02, sm_active=0.95, engine_active=1.0)
    case = decode(reached=0.05, activity=busy)
    found = measured_step(case, judge(case))
    assert isinstance(found, Measured)
    assert isinstance(found.step.work, SharesWork)
    shares = judge(case).verdict
    assert shares is not None
    assert shares.shares is not None
    outcome = found.step.outcome()
    assert outcome.memory_s / outcome.step_s == pytest.approx(shares.shares[Share.MEMORY], rel=0.02)


def test_weights_that_the_cache_holds_are_not_streamed() -> None:
    case = decode()
    assert case.roofs is not None
    cached = replace(case, roofs=replace(case.roofs, last_level_cache_bytes=1e12))
    found = measured_step(cached, judge(cached))
    assert isinstance(found, Measured)
    assert isinstance(found.step.work, SharesWork)


def test_a_case_without_shares_has_no_step() -> None:
    assert isinstance(measured_step(Case(), judge(Case())), str)


def test_the_spread_of_a_ceiling_lies_within_it() -> None:
    for case in (decode(), decode(weight_bits=4.0)):
        ceiling = case.prior.arithmetic
        low, high = spread(ceiling)
        assert ceiling.low <= low < ceiling.typical < high <= ceiling.high
