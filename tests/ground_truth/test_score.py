"""The verdicts on the committed captures, and the naive readings of the same."""

from __future__ import annotations

import pytest

from tests.ground_truth.answers import Answer, answers
from tests.ground_truth.naive import NAIVE
from tests.ground_truth.tables import interval

OUR_OWN = ("dmon", "query", "nvml", "gpm", "trace", "numbers", "gpm + trace", "gpm + numbers", "all")


@pytest.fixture(scope="module")
def everywhere() -> list[Answer]:
    """All answers on all captures."""
    return list(answers())


@pytest.fixture(scope="module")
def every(everywhere: list[Answer]) -> list[Answer]:
    """Those on the GPU's captures."""
    return [a for a in everywhere if a.machine == "h100"]


def of(every: list[Answer], reading: str) -> list[Answer]:
    """Those of one set of sources."""
    return [a for a in every if a.reading == reading]


@pytest.mark.parametrize("reading", OUR_OWN)
def test_no_answer_is_wrong_and_sure(every: list[Answer], reading: str) -> None:
    wrong = [(a.workload, a.regime, a.confidence) for a in of(every, reading) if a.confidently_wrong]
    assert of(every, reading)
    assert wrong == []


@pytest.mark.parametrize("reading", ["all", "gpm", "gpm + numbers"])
def test_with_counters_nearly_every_regime_that_is_named_is_right(every: list[Answer], reading: str) -> None:
    told = [a for a in of(every, reading) if a.right is not None]
    assert len(told) >= 20
    assert sum(bool(a.right) for a in told) >= 0.95 * len(told)


@pytest.mark.parametrize("reading", ["dmon", "query", "nvml"])
def test_time_fractions_alone_mostly_leave_it_open(every: list[Answer], reading: str) -> None:
    mine = of(every, reading)
    assert sum(a.given for a in mine) < 0.5 * len(mine)


@pytest.mark.parametrize("reading", sorted(set(NAIVE) - {"ncu's 60 % rule"}))
def test_the_naive_readings_are_wrong_far_more_often(every: list[Answer], reading: str) -> None:
    mine = {a.workload: a for a in of(every, reading)}
    wrong = sum(a.right is False for a in mine.values())
    ours = sum(a.right is False for a in of(every, "all") if a.workload in mine)
    assert wrong >= 10
    assert ours <= 1


@pytest.mark.parametrize(("hits", "count"), [(0, 0), (0, 10), (5, 10), (10, 10), (190, 200)])
def test_intervals_hold_the_rate_and_narrow_with_the_count(hits: int, count: int) -> None:
    low, high = interval(hits, count)
    assert 0.0 <= low <= high <= 1.0
    if count:
        assert low <= hits / count <= high
        assert interval(10 * hits, 10 * count)[1] - interval(10 * hits, 10 * count)[0] < high - low


def test_the_corners_on_a_cpu_are_all_told(everywhere: list[Answer]) -> None:
    found = [a for a in everywhere if a.machine == "cpu" and a.reading == "all"]
    assert len(found) >= 6
    assert {a.truth.regime for a in found} == {"memory", "compute", "latency"}
    assert all(a.right for a in found), [(a.workload, a.regime) for a in found if not a.right]
