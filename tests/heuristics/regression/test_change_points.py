"""Change points: found where they are, not where nothing is, whichever way, in whatever unit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heuristics.regression.change_points import SIDE, Kind, change_points
from tests.heuristics.regression.change_point_simulation import BEFORE, drift, found, series, step, stretch


@pytest.mark.parametrize("host", ["normal", "heavy tails"])
def test_few_series_without_a_change_show_one(host: str) -> None:
    assert found(host, step(0.0), 40, 150).any <= 0.03


@pytest.mark.parametrize("host", ["normal", "heavy tails"])
def test_steps_too_small_for_the_gate_are_found_at_their_place(host: str) -> None:
    rates = found(host, step(0.05), BEFORE + 12, 15)
    assert rates.worse >= 0.85
    assert rates.near >= 0.7


def test_a_drift_is_called_one() -> None:
    assert found("normal", drift(0.002), BEFORE + 40, 12).drifting >= 0.7


def test_a_stretch_has_two_ends() -> None:
    rng = np.random.default_rng(3)
    changes = change_points(series("normal", stretch(0.10, 6), 40, rng))
    assert [change.size > 0.0 for change in changes] == [True, False]
    assert [change.first for change in changes] == pytest.approx([20, 26], abs=1)


def test_two_steps_are_no_drift() -> None:
    night = np.arange(60)
    noise = 0.01 * np.random.default_rng(5).standard_normal(60)
    changes = change_points((noise + 0.06 * (night >= 20) + 0.06 * (night >= 40)).tolist())
    assert [(change.kind, change.first) for change in changes] == [(Kind.STEP, 20), (Kind.STEP, 40)]
    assert all(change.low < 0.06 < change.high for change in changes)


def test_a_drift_tells_its_beginning_and_all_of_its_size() -> None:
    night = np.arange(70)
    noise = 0.005 * np.random.default_rng(6).standard_normal(70)
    (change,) = change_points((noise + 0.003 * np.maximum(0, night - 30)).tolist())
    assert change.kind is Kind.DRIFT
    assert change.first == pytest.approx(30, abs=5)
    assert change.last == 69
    assert change.size == pytest.approx(0.003 * 39, rel=0.1)


@given(st.integers(0, 10_000), st.floats(0.04, 0.3), st.integers(8, 25), st.floats(-5.0, 5.0))
@settings(max_examples=8)
def test_turned_round_or_in_other_units_it_is_the_same_series(seed: int, size: float, at: int, unit: float) -> None:
    night = np.arange(36)
    values = 0.01 * np.random.default_rng(seed).standard_normal(36) + size * (night >= at)
    changes = change_points(values.tolist())
    places = [(c.kind, c.first, c.last) for c in changes]
    negative = change_points((-values).tolist())
    shifted = change_points((values + unit).tolist())
    assert changes
    assert [(c.kind, c.first, c.last) for c in negative] == places
    assert [(c.kind, c.first, c.last) for c in shifted] == places
    assert [c.size for c in negative] == pytest.approx([-c.size for c in changes])
    assert change_points(values.tolist()) == changes


@given(st.lists(st.floats(-50.0, 50.0), max_size=24))
@settings(max_examples=40)
def test_changes_lie_in_the_series_in_their_order(values: list[float]) -> None:
    changes = change_points(values)
    assert all(0 <= c.first <= c.last < len(values) for c in changes)
    assert [c.first for c in changes] == sorted(c.first for c in changes)
    assert all(c.low <= c.size <= c.high and abs(c.size) >= math.log1p(0.01) for c in changes)
    assert all(SIDE <= c.first <= len(values) - SIDE for c in changes if c.kind is Kind.STEP)


@pytest.mark.parametrize("values", [[], [1.0], [1.0] * 50, [1.0, 1.2] * 2, [0.0] * 20 + [0.005] * 20])
def test_too_few_sessions_or_too_small_a_change_are_none(values: list[float]) -> None:
    assert change_points(values) == []


def test_two_bad_nights_at_the_end_are_no_change() -> None:
    values = (0.01 * np.random.default_rng(8).standard_normal(30)).tolist()
    assert change_points([*values, 0.4, 0.5]) == []


def test_an_exact_step_has_no_width() -> None:
    (change,) = change_points([0.0] * 12 + [0.1] * 12)
    assert (change.first, change.size, change.low, change.high) == (12, *[pytest.approx(0.1)] * 3)


def test_of_a_long_series_the_newest_part_is_searched() -> None:
    values = [0.5] * 50 + [0.0] * 980 + [0.1] * 20
    (change,) = change_points(values)
    assert change.first == 1030
