"""What held a load back is told by the measured batch, whatever the engine's waiting requests came to on average."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heuristics.batch_shape import BatchFit
from heuristics.held_back import limited, limited_level
from heuristics.operations import Phase
from heuristics.sweep import CAPPED, SweepLevel
from heuristics.verdict import Diagnosis, Judgement, PhaseJudgement, Verdict
from heuristics.vocabulary import Limit, Regime
from tests.heuristics.test_sweep import level, sweep

OTHERS = (Limit.POWER_CAP, Limit.PREFILL)
QUEUED = st.sets(st.sampled_from([Limit.QUEUE, *OTHERS]))
"""Limits that a verdict may have got before: a queue is seen or not, as fast as the machine is."""


def judgement(*limits: Limit) -> Judgement:
    return Judgement(verdict=Verdict(regime=Regime.MEMORY, confidence=0.9, shares=None, limits=tuple(sorted(limits))))


def phases(*limits: Limit) -> dict[Phase, PhaseJudgement]:
    return {phase: PhaseJudgement(judgement=judgement(*limits)) for phase in (Phase.PREFILL, Phase.DECODE)}


def seen(offered: int, batch: float | None, *limits: Limit) -> SweepLevel:
    made = replace(level(offered, 100.0), batch=batch)
    return limited_level(replace(made, judgement=judgement(*limits), phases=phases(*limits)))


def diagnosis(*limits: Limit, cap: float | None = None) -> Diagnosis:
    whole = replace(
        judgement(*limits), batch_fit=None if cap is None else BatchFit(levels=(), parts=None, cap_batch=cap)
    )
    return Diagnosis(kind="process", whole=whole, phases=phases(*limits), devices=(judgement(*limits),) * 2)


def of(found: Judgement | None) -> set[Limit]:
    assert found is not None
    assert found.verdict is not None
    assert list(found.verdict.limits) == sorted(found.verdict.limits)
    return set(found.verdict.limits)


def of_decode(found: Diagnosis | SweepLevel) -> set[Limit]:
    return of(found.phases[Phase.DECODE].judgement)


@given(offered=st.integers(1, 256), part=st.floats(0.01, 1.0), before=QUEUED, mean=QUEUED)
def test_queue_is_a_limit_where_fewer_ran_together_and_nowhere_else(
    offered: int, part: float, before: set[Limit], mean: set[Limit]
) -> None:
    one = seen(offered, part * offered, *before)
    found = limited(diagnosis(*mean), sweep(seen(offered, float(offered), *before), one))
    held = {Limit.QUEUE} if one.capped else set()
    assert one.capped == (part * offered < CAPPED * offered)
    assert of(one.judgement) == of_decode(one) == before - {Limit.QUEUE} | held
    for whole in (found.whole, *found.devices):
        assert of(whole) == mean - {Limit.QUEUE} | held
    assert of_decode(found) == mean - {Limit.QUEUE} | held
    assert of(found.phases[Phase.PREFILL].judgement) == (mean if one.capped else mean - {Limit.QUEUE})


@pytest.mark.parametrize("where", ["whole", "level"])
def test_a_full_cache_that_was_seen_anywhere_is_the_reason(where: str) -> None:
    """The mean over the levels may hide it: those that fitted used little of the cache."""
    in_whole, in_level = ([Limit.KV_CAPACITY], []) if where == "whole" else ([], [Limit.KV_CAPACITY])
    one = seen(8, 4.0, *in_level)
    found = limited(diagnosis(*in_whole), sweep(seen(1, 1.0), one))
    assert of(found.whole) == of_decode(found) == {Limit.KV_CAPACITY}
    assert of(one.judgement) == ({Limit.KV_CAPACITY} if where == "level" else {Limit.QUEUE})


def test_a_full_cache_where_all_ran_together_is_left_as_it_was() -> None:
    one = seen(4, 4.0, Limit.KV_CAPACITY, Limit.QUEUE)
    found = limited(diagnosis(Limit.KV_CAPACITY, Limit.QUEUE), sweep(one))
    assert of(one.judgement) == of(found.whole) == {Limit.KV_CAPACITY}


def test_a_cap_by_the_curve_alone_leaves_what_was_judged() -> None:
    for limits in ((), (Limit.QUEUE,)):
        found = diagnosis(*limits, cap=7.0)
        assert limited(found, sweep(seen(8, 7.0, *limits))) == found


def test_where_no_batch_was_measured_nothing_is_known() -> None:
    assert of(seen(8, None, Limit.QUEUE).judgement) == {Limit.QUEUE}
    assert of(seen(8, None).judgement) == set()
    idle = replace(level(4, 1.0, batch=1.0), judgement=Judgement(verdict=None))
    assert limited_level(idle) == idle
