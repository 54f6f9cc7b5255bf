"""Plots of characters: every point is in them, in its place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reports.plot import BLOCKS, DOT, columns_of, marks, plot, spark

VALUES = st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=200)


@given(VALUES, st.integers(10, 80))
def test_every_column_has_its_points_and_no_line_is_wider(values: list[float], room: int) -> None:
    places = columns_of(len(values), room)
    assert places == sorted(places)
    assert places[-1] < room
    points: dict[int, list[float]] = {}
    for place, value in zip(places, values, strict=True):
        points.setdefault(place, []).append(value)
    lines = plot(points, {}, width=places[-1] + 1, rows=9, told=lambda v: f"{v:.3g}")
    begin = lines[0].index("┤") + 1
    drawn = {x for line in lines for x, c in enumerate(line[begin:]) if c == DOT}
    assert len(lines) == 9
    assert drawn == set(points)


def test_the_highest_is_on_top_and_the_lowest_at_the_bottom() -> None:
    lines = plot({0: [1.0], 4: [3.0], 8: [2.0]}, {6: 2.0}, width=9, rows=5, told=lambda v: f"{v:g}")
    assert lines == ["  3 ┤    •", "    │", "  2 ┤      ─ •", "    │", "  1 ┤•"]


@given(VALUES, st.integers(1, 40))
def test_a_line_of_blocks_has_no_more_than_it_may(values: list[float], width: int) -> None:
    line = spark(values, width)
    assert 1 <= len(line) <= min(width, len(values))
    assert set(line) <= set(BLOCKS)


def test_marks_stand_at_their_columns() -> None:
    assert marks({0: "1", 3: "b"}, 6) == "1  b"
