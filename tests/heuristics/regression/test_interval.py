"""Intervals and corrections against what they must be."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from heuristics.regression import interval
from heuristics.regression.interval import holm, mean_interval, prediction

VALUES = st.lists(st.floats(-1.0, 1.0), min_size=2, max_size=30)


def test_with_nothing_expected_beforehand_it_is_the_textbooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interval, "USUAL_WEIGHT", 0)
    monkeypatch.setattr(interval, "TRENDING", 0.0)
    logs = [0.01, -0.02, 0.03, 0.0, -0.01, 0.02, 0.015, -0.03]
    found = prediction(logs, 0.99)
    scale = stats.tstd(logs) * math.sqrt(1 + 1 / 8)
    low, high = stats.t.interval(0.99, 7, loc=sum(logs) / 8, scale=scale)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.tail(high) == pytest.approx(0.01)


@given(VALUES, st.floats(-2.0, 2.0))
def test_the_interval_and_the_probability_agree(logs: list[float], value: float) -> None:
    found = prediction(logs, 0.99)
    if min(abs(value - found.low), abs(value - found.high)) > 1e-6:
        assert (found.low < value < found.high) == (found.tail(value) > 0.01)


@given(VALUES, st.floats(-3.0, 3.0))
def test_a_shift_of_all_shifts_the_interval(logs: list[float], by: float) -> None:
    one, other = prediction(logs, 0.99), prediction([x + by for x in logs], 0.99)
    if (one.slope is None) == (other.slope is None):
        assert other.low == pytest.approx(one.low + by, abs=1e-6)
        assert other.high == pytest.approx(one.high + by, abs=1e-6)


def test_eight_sessions_that_agree_by_luck_do_not_make_the_next_one_a_change() -> None:
    found = prediction([0.0] * 8, 0.99)
    assert 0.02 < found.high < 0.05


def test_a_straight_line_leads_on() -> None:
    found = prediction([0.01 * i for i in range(8)], 0.99)
    assert found.slope == pytest.approx(0.01)
    assert found.low < 0.08 < found.high


def test_holms_numbers() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    assert holm([0.7, 0.9]) == pytest.approx([1.0, 1.0])


@given(st.lists(st.floats(0.0, 1.0), max_size=8))
def test_holm_keeps_the_order_and_never_lowers(ps: list[float]) -> None:
    found = holm(ps)
    assert all(a >= p for a, p in zip(found, ps, strict=True))
    assert all((p <= q) <= (a <= b) for p, a in zip(ps, found, strict=True) for q, b in zip(ps, found, strict=True))


@given(VALUES)
def test_the_mean_lies_in_its_interval(values: list[float]) -> None:
    found = mean_interval(values, 0.99)
    assert found.low <= found.value <= found.high
    assert 0.0 <= found.p <= 1.0


def test_the_means_interval_is_students() -> None:
    values = [0.05, 0.04, 0.06, 0.055, 0.045]
    found = mean_interval(values, 0.99)
    want = stats.ttest_1samp(values, 0.0)
    assert found.p == pytest.approx(want.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(want.confidence_interval(0.99)))
