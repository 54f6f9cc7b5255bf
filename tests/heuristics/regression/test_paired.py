"""Two versions in turns: what holds of any values, and of what their verdicts say beside them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heuristics.regression.beside import Beside, beside
from heuristics.regression.loose import LARGEST
from heuristics.regression.metrics import ROOF_FRACTION
from heuristics.regression.outcome import Flip, Outcome, Why
from heuristics.regression.paired import FEWEST_PAIRS, PairedCheck, compare_pairs, ended_early
from heuristics.regression.policy import PairedPolicy
from tests.reports.situations import FLIPPED, session

FIGURE = st.floats(2.0 / LARGEST, LARGEST)
PAIRS = st.lists(st.tuples(FIGURE, FIGURE), max_size=12)
BESIDE = st.builds(
    Beside,
    no_measure=st.sampled_from([None, None, Why.NO_WORK, Why.STALLED]),
    batch=st.none() | st.just((8.0, 16.0)),
    flip=st.none() | st.just(FLIPPED),
    roof=st.lists(st.tuples(st.floats(0.01, 1.0), st.floats(0.01, 1.0)), max_size=8).map(tuple),
)


def compared(pairs: list[tuple[float, float]], also: Beside | None = None) -> PairedCheck:
    return compare_pairs([a for a, _ in pairs], [b for _, b in pairs], PairedPolicy(), beside=also)


@given(PAIRS, BESIDE)
def test_any_values_come_to_finite_changes_and_a_reason(pairs: list[tuple[float, float]], also: Beside) -> None:
    found = compared(pairs, also)
    assert found.why
    told = [value for value in (found.change, found.low, found.high) if value is not None]
    assert len(told) == (3 if len(pairs) >= 2 else 0)
    assert all(math.isfinite(value) and value > -1.0 for value in told)


@given(PAIRS, BESIDE)
def test_what_ended_early_never_passes_and_never_fails_for_ending(
    pairs: list[tuple[float, float]], also: Beside
) -> None:
    whole = compared(pairs, also)
    found = ended_early(whole)
    assert found.outcome in (Outcome.REGRESSION, Outcome.CANNOT_TELL)
    assert (found.outcome is Outcome.REGRESSION) == (whole.outcome is Outcome.REGRESSION)
    assert found.warnings


@given(PAIRS, BESIDE)
def test_nothing_fails_of_idle_jobs_or_of_too_few_pairs(pairs: list[tuple[float, float]], also: Beside) -> None:
    found = compared(pairs, also)
    if also.no_measure is not None:
        assert (found.outcome, found.why) == (Outcome.CANNOT_TELL, (also.no_measure,))
    if len(pairs) < FEWEST_PAIRS:
        assert found.outcome is Outcome.CANNOT_TELL


def test_a_flip_that_is_only_told_is_no_reason_of_a_slow_down() -> None:
    flip: Flip = FLIPPED
    a, b = [1.0, 1.01, 0.99, 1.0, 1.0], [1.2, 1.21, 1.19, 1.2, 1.2]
    gating = compare_pairs(a, b, PairedPolicy(), beside=Beside(flip=flip))
    told = compare_pairs(a, b, PairedPolicy(flips_gate=False), beside=Beside(flip=flip))
    assert (gating.why, told.why) == ((Why.SLOWER, flip.why), (Why.SLOWER,))
    assert told.flip is flip


def test_the_roof_alone_as_the_metric() -> None:
    a, b = [0.6, 0.61, 0.6, 0.59, 0.6], [0.5, 0.51, 0.5, 0.49, 0.5]
    found = compare_pairs(a, b, PairedPolicy(), metric=ROOF_FRACTION, beside=Beside(roof=tuple(zip(a, b, strict=True))))
    assert (found.outcome, found.why, found.roof) == (Outcome.REGRESSION, (Why.FARTHER_FROM_ROOF,), None)


@pytest.mark.parametrize(("batch", "other"), [(8.0, False), (9.0, False), (9.7, True), (6.0, True)])
def test_another_load_is_a_batch_beyond_a_fifth(batch: float, other: bool) -> None:
    found = beside([(session(), session(batch=batch))] * 5, PairedPolicy())
    assert found.batch == ((8.0, batch) if other else None)


def test_a_roof_counts_where_all_state_one() -> None:
    bare = session(without=("bandwidth_fraction", "compute_fraction"))
    assert len(beside([(session(), session())] * 5, PairedPolicy()).roof) == 5
    assert beside([*[(session(), session())] * 4, (session(), bare)], PairedPolicy()).roof == ()
    assert beside([], PairedPolicy()) == Beside()


def test_a_host_that_changes_between_pairs_is_no_difference_of_a_and_b() -> None:
    here, there = session(), session(identity={"host": "EPYC 9454, 96 cores"})
    assert beside([(here, here), (there, there)], PairedPolicy()).unlike == ()
    assert [apart.trait for apart in beside([(here, there)] * 3, PairedPolicy()).unlike] == ["host"]
    unstated = session(identity={"host": None, "devices": None, "workload": None})
    assert beside([(here, unstated)], PairedPolicy()).unlike == ()
