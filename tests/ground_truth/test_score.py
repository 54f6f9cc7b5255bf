"""The verdicts on the committed captures, and the naive readings of the same."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.ground_truth.answers import Answer, answers
from tests.ground_truth.naive import NAIVE
from tests.ground_truth.score import confusion, rates, tables
from tests.ground_truth.shares import gaps, share_errors
from tests.ground_truth.tables import interval

PAGE = Path(__file__).parents[2] / "docs" / "ground_truth.md"
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


def test_latency_is_the_timelines_where_the_device_waits(every: list[Answer]) -> None:
    """Gaps at the job's own speed, and what its kernels lose to their roofs."""
    head, *rows = gaps(every)
    assert len(rows) >= 8
    for row in rows:
        shown = dict(zip(head, row, strict=True))
        share = float(shown["latency share"])
        low, high = (float(end) for end in shown["by intervention"].split(" to "))
        assert abs(float(shown["apart"])) <= 0.10, shown
        assert share >= float(shown["gaps at its own speed"]) - 0.02, shown
        assert low - 0.10 <= share <= high + 0.10, shown


@pytest.mark.parametrize("reading", ["gpm", "numbers", "gpm + numbers", "all"])
def test_shares_are_where_interventions_put_them(every: list[Answer], reading: str) -> None:
    head, *rows = share_errors(of(every, reading))
    (row,) = rows
    shown = dict(zip(head, row, strict=True))
    count = shown["captures"]
    assert int(count) >= 25
    assert shown["latency within 0.10"].startswith(f"{count} of {count} ")


def test_every_rate_has_its_interval(every: list[Answer]) -> None:
    head, *rows = rates(every)
    for row in rows:
        shown = dict(zip(head, row, strict=True))
        for name in ("right of all with a regime", "right of named", "names none", "sure and wrong"):
            assert re.fullmatch(r"\d+ of \d+ \(\d\.\d\d to \d\.\d\d\)", shown[name]), name


@pytest.mark.parametrize("reading", OUR_OWN)
def test_every_capture_stands_once_in_the_confusion(every: list[Answer], reading: str) -> None:
    head, *rows = confusion(every, reading)
    assert sum(int(cell) for row in rows for cell in row[1:]) == len(of(every, reading))
    assert len(head) == len(rows[0])


def test_the_page_has_these_tables(everywhere: list[Answer]) -> None:
    """``DIAGNOSE_UPDATE_GOLDEN=1`` writes those that the page has a mark for."""
    page, marked = PAGE.read_text(encoding="utf-8"), 0
    wanted = page
    for machine in ("h100", "cpu"):
        for name, text in tables([a for a in everywhere if a.machine == machine]):
            mark = f"<!-- {machine}: {name} -->\n"
            if mark in wanted:
                before, after = wanted.split(mark)
                _, _, rest = after.lstrip("\n").partition("\n\n")
                wanted, marked = f"{before}{mark}\n{text}\n\n{rest}", marked + 1
    if os.environ.get("DIAGNOSE_UPDATE_GOLDEN"):
        PAGE.write_text(wanted, encoding="utf-8")
        page = wanted
    assert marked >= 8
    assert page == wanted
