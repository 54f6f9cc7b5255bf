"""Interval arithmetic against sets of whole numbers."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heuristics.intervals import EMPTY, Spans, difference, gaps, intersection, merged, union
from tests.heuristics.device_events import spans

pairs = st.tuples(st.integers(-30, 30), st.integers(-30, 30))
many = st.lists(pairs, max_size=12)


def points(found: Spans) -> set[int]:
    """The whole numbers inside."""
    return {n for start, end in zip(found.start, found.end, strict=True) for n in range(start, end)}


def points_of(some: list[tuple[int, int]]) -> set[int]:
    return {n for start, end in some for n in range(start, end)}


def is_normal(found: Spans) -> bool:
    """Sorted, disjoint, not even touching, none empty."""
    return bool((found.end > found.start).all() and (found.start[1:] > found.end[:-1]).all())


@given(many)
def test_a_union_holds_what_its_intervals_hold(some: list[tuple[int, int]]) -> None:
    found = spans(*some)
    assert points(found) == points_of(some)
    assert is_normal(found)
    assert found.total_ns == len(points_of(some))
    assert len(found) == found.start.size


@given(many, st.randoms(use_true_random=False))
def test_the_order_of_intervals_does_not_matter(some: list[tuple[int, int]], random: Random) -> None:
    shuffled = list(some)
    random.shuffle(shuffled)
    assert same(spans(*some), spans(*shuffled))


def same(a: Spans, b: Spans) -> bool:
    return bool(np.array_equal(a.start, b.start) and np.array_equal(a.end, b.end))


@pytest.mark.parametrize(
    ("operation", "on_sets"),
    [(merged, set.union), (intersection, set.intersection), (difference, set.difference)],
)
@given(a=many, b=many)
def test_operations_agree_with_those_of_sets(
    operation: Callable[[Spans, Spans], Spans],
    on_sets: Callable[[set[int], set[int]], set[int]],
    a: list[tuple[int, int]],
    b: list[tuple[int, int]],
) -> None:
    found = operation(spans(*a), spans(*b))
    assert points(found) == on_sets(points_of(a), points_of(b))
    assert is_normal(found)


@given(many)
def test_gaps_are_the_holes_between_spans(some: list[tuple[int, int]]) -> None:
    found = spans(*some)
    inside = points(found)
    expected = set(range(min(inside), max(inside) + 1)) - inside if inside else set()
    assert points(gaps(found)) == expected
    assert len(gaps(found)) == max(0, len(found) - 1)


@given(many, many)
def test_parts_inside_and_outside_add_up(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> None:
    whole, other = spans(*a), spans(*b)
    inside, outside = intersection(whole, other), difference(whole, other)
    assert inside.total_ns + outside.total_ns == whole.total_ns
    assert same(merged(inside, outside), whole)


@given(many, st.integers(-(2**61), 2**61))
def test_a_shift_of_the_clock_changes_no_length(some: list[tuple[int, int]], shift: int) -> None:
    found, moved = spans(*some), spans(*[(start + shift, end + shift) for start, end in some])
    assert moved.total_ns == found.total_ns
    assert gaps(moved).total_ns == gaps(found).total_ns


def test_touching_intervals_are_one() -> None:
    found = spans((0, 5), (5, 9))
    assert (found.start.tolist(), found.end.tolist()) == ([0], [9])
    assert len(gaps(found)) == 0


def test_nothing_is_an_answer() -> None:
    nothing = union(np.empty(0, np.int64), np.empty(0, np.int64))
    for found in (nothing, EMPTY, gaps(EMPTY), merged(EMPTY, EMPTY), intersection(EMPTY, spans((0, 1)))):
        assert len(found) == found.total_ns == 0
    assert same(difference(spans((0, 3)), EMPTY), spans((0, 3)))
