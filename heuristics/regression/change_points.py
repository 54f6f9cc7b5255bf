"""Where a series of sessions changed: steps and drifts, found afterwards, also those too small for the gate.

A series is cut where a step or a drift fits it best, else around a stretch of some sessions; each part is cut again,
as long as that is no chance (divisive segmentation, as in E-divisive: Matteson and James 2014; Hunter 2023). Chance
is what the same values in random orders show at their best place, so that neither the search over all places nor a
heavy tail makes it seem smaller than it is. Measured rates are in docs/history.md;
``tests.heuristics.regression.change_point_simulation`` prints them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SIGNIFICANT = 0.001
LEAST_CHANGE = 0.01
"""A smaller one is not reported, however sure it is."""

SIDE = 3
"""Sessions on either side of a step: two bad nights are no change."""

STRETCH = 30
"""Sessions of a stretch that is looked for as such: longer ones show their two ends by themselves."""

DRIFTING = 8
"""Sessions that a drift lasts at least; a shorter one looks like a step."""

CONFIDENCE = 0.95
ORDERS = 4_999
"""Random orders that a series is compared with, so that the least p is 0.0002."""

FIRST_ORDERS = 499
"""After so many most series are known to be nothing out of the ordinary."""

NUMBERS_AT_ONCE = 250_000
"""Orders are made by blocks of so many values."""

WINSOR = 2.5
"""Deviations (of the median absolute one) from the median at which values are clipped while places are searched."""

EVIDENCE = 2.0
"""By which drifts must be better than steps in Schwarz's criterion: "positive" in Kass and Raftery (1995)."""

LONGEST = 1_000
"""Sessions that are searched, the newest: further back nobody asks."""


class Kind(StrEnum):
    """A step from one session to the next, or a drift over many."""

    STEP = "step"
    DRIFT = "drift"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of the logarithms. ``first`` is the first session of the new level, or the one that the drift begins at;
    ``last`` the last one of it, for a step the same as ``first``. ``low`` and ``high``: 95 % interval of ``size``.
    """

    kind: Kind
    first: int
    last: int
    size: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Sessions ``begin`` to ``end`` (not included) on one level, or on one slope.

    ``joined``: it begins where the part before ends, without a step, as one of the two drifts. ``p``: of its drift, or
    else of the step that it begins with.
    """

    begin: int
    end: int
    drifts: bool = False
    joined: bool = False
    p: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """Something to look for at each of ``places``: which side of the cut drifts, if one does, and how well it fits
    each order, shape (orders, places).
    """

    drifting: int | None
    places: NDArray[np.int64]
    length: int
    """Of a stretch, 0 for one cut."""
    fits: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Where a part is cut, which of the pieces drifts, and the probability of such a fit by chance."""

    cuts: list[int]
    drifting: int | None
    p: float


def change_points(logs: Sequence[float]) -> list[Change]:
    """The changes of ``logs``, shape (sessions,) in their order, first to last; the newest ``LONGEST`` are searched.

    The same series gives the same answer: the random orders are always the same ones. Unless drifts explain it better
    than steps alone, for what each takes to describe (Schwarz's criterion, 1978), it is steps.
    """
    values = np.asarray(logs[-LONGEST:], dtype=np.float64)
    whole = _Part(begin=0, end=len(values))
    parts = _cut(values, whole, drifts=True)
    if any(part.drifts for part in parts):
        steps = _cut(values, whole, drifts=False)
        parts = parts if _cost(values, parts) + EVIDENCE < _cost(values, steps) else steps
    return _changes(values, parts, len(logs) - len(values))


def _cut(values: Array, part: _Part, *, drifts: bool) -> list[_Part]:
    """The parts that a part falls into; itself alone where there is no more than chance in it."""
    here = values[part.begin : part.end]
    if part.drifts:
        here = here - _line(here)
    found = _found(here, drifts=drifts and not part.drifts)
    if found is None:
        return [part]
    drifting, p = found.drifting, found.p
    ends = [0, *found.cuts, len(here)]
    pieces = [
        _Part(
            begin=part.begin + begin,
            end=part.begin + end,
            drifts=part.drifts or place == drifting,
            joined=part.joined if place == 0 else drifting is not None,
            p=p if place > 0 or place == drifting else part.p,
        )
        for place, (begin, end) in enumerate(pairwise(ends))
    ]
    return [piece for each in pieces for piece in _cut(values, each, drifts=drifts)]


def _found(values: Array, *, drifts: bool) -> _Found | None:
    """The best of one cut, else of the two ends of a stretch; None where it is chance or too small to matter."""
    if len(values) < 2 * SIDE or not np.ptp(values) > 0.0:
        return None
    return _beyond_chance(values, partial(_one_cut, drifts=drifts)) or (
        _beyond_chance(values, _stretches) if len(values) >= 3 * SIDE else None
    )


def _beyond_chance(values: Array, shapes: Callable[[Array], Iterator[_Shape]]) -> _Found | None:
    clipped = _clipped(values)
    shape = max(shapes(clipped[None]), key=lambda s: s.fits.max())
    at, fit = int(shape.places[shape.fits[0].argmax()]), float(shape.fits.max()) * (1.0 - 1e-9)
    cuts = [cut for cut in ((at, at + shape.length) if shape.length else (at,)) if 0 < cut < len(values)]
    drifting = shape.drifting if cuts or shape.drifting is None else 0
    if _size(values, cuts, drifting) < math.log1p(LEAST_CHANGE):
        return None
    rng = np.random.default_rng(0)
    reached = done = 0
    while done < ORDERS:
        block = FIRST_ORDERS if not done else max(1, NUMBERS_AT_ONCE // len(values))
        orders = rng.permuted(np.broadcast_to(clipped, (min(block, ORDERS - done), len(values))), axis=1)
        highest = np.zeros(len(orders))
        for other in shapes(orders):
            np.maximum(highest, other.fits.max(axis=1), out=highest)
        reached += int((highest >= fit).sum())
        done += len(orders)
        if reached + 1 > SIGNIFICANT * (ORDERS + 1):
            return None
    return _Found(cuts=cuts, drifting=drifting, p=(reached + 1) / (done + 1))


def _size(values: Array, cuts: Sequence[int], drifting: int | None) -> float:
    """Of the largest step, or of the drift."""
    parts = np.split(values, cuts)
    if drifting is not None:
        return float(np.ptp(_line(parts[drifting])))
    return max(abs(float(after.mean() - before.mean())) for before, after in pairwise(parts))


def _one_cut(orders: Array, *, drifts: bool) -> Iterator[_Shape]:
    """Steps, and drifts that begin or end somewhere, in ``orders`` of shape (orders, sessions).

    What a shape explains of an order is their absolute product, the shape brought to mean zero and length one.
    """
    n = orders.shape[1]
    sums = _sums(orders)
    at = np.arange(SIDE, n - SIDE + 1)
    yield _Shape(drifting=None, places=at, length=0, fits=np.abs(sums[:, at]) / np.sqrt(at * (n - at) / n))
    if not drifts or n < DRIFTING:
        return
    ramps = np.cumsum(sums[:, 1:], axis=1)
    place = np.arange(n, dtype=np.float64)
    linear, square = np.cumsum(place), np.cumsum(place**2)
    at = np.array([0, *range(SIDE, n - DRIFTING + 1)])
    left = n - 1 - at
    begun = ramps[:, -1:] - np.where(at > 0, ramps[:, at - 1], 0.0)
    yield _Shape(drifting=1, places=at, length=0, fits=np.abs(begun) / np.sqrt(square[left] - linear[left] ** 2 / n))
    at = np.arange(DRIFTING, n - SIDE + 1)
    if len(at):
        top = at - 1
        norm = square[top] + top**2 * (n - at) - (linear[top] + top * (n - at)) ** 2 / n
        yield _Shape(drifting=0, places=at, length=0, fits=np.abs(ramps[:, top - 1]) / np.sqrt(norm))


def _stretches(orders: Array) -> Iterator[_Shape]:
    """The same of stretches on a level of their own, by their length."""
    n = orders.shape[1]
    sums = _sums(orders)
    for length in range(SIDE, min(STRETCH, n - 2 * SIDE) + 1):
        at = np.arange(SIDE, n - SIDE - length + 1)
        fits = np.abs(sums[:, at + length] - sums[:, at]) / math.sqrt(length * (n - length) / n)
        yield _Shape(drifting=None, places=at, length=length, fits=fits)


def _sums(orders: Array) -> Array:
    """Of the sessions before each place, less the mean of all; shape (orders, sessions + 1)."""
    sums = np.zeros((orders.shape[0], orders.shape[1] + 1))
    np.cumsum(orders - orders.mean(axis=1, keepdims=True), axis=1, out=sums[:, 1:])
    return sums


def _clipped(values: Array) -> Array:
    centre = np.median(values)
    reach = WINSOR * 1.4826 * float(np.median(np.abs(values - centre)))
    return np.clip(values, centre - reach, centre + reach) if reach > 0.0 else values


def _line(values: Array) -> Array:
    """Least squares over the places."""
    place = np.arange(len(values)) - 0.5 * (len(values) - 1)
    across = float(place @ place)
    slope = float(place @ values) / across if across else 0.0
    line: Array = values.mean() + slope * place
    return line


def _cost(values: Array, parts: Sequence[_Part]) -> float:
    """Schwarz's criterion: what is left unexplained, and the numbers that it takes: a place and a size a change."""
    left = math.fsum(float(((here - _fitted(here, part)) ** 2).sum()) for here, part in _with_values(values, parts))
    steps = sum(not part.joined for part in parts[1:])
    slopes = sum(part.drifts for part in parts)
    numbers = 1 + steps + slopes + len(parts) - 1
    n = len(values)
    return n * math.log(max(left, 1e-12) / n) + numbers * math.log(n)


def _with_values(values: Array, parts: Sequence[_Part]) -> list[tuple[Array, _Part]]:
    return [(values[part.begin : part.end], part) for part in parts]


def _fitted(here: Array, part: _Part) -> Array:
    return _line(here) if part.drifts else np.full_like(here, here.mean())


def _changes(values: Array, parts: Sequence[_Part], skipped: int) -> list[Change]:
    found = []
    for before, part in zip((None, *parts), parts, strict=False):
        if before is not None and not part.joined:
            found.append(_step(values, before, part, skipped))
        if part.drifts:
            found.append(_drift(values, part, skipped))
    return [change for change in found if abs(change.size) >= math.log1p(LEAST_CHANGE)]


def _step(values: Array, before: _Part, after: _Part, skipped: int) -> Change:
    """Welch's interval of the difference of two levels; of a drifting part, at the end that meets the other."""
    left, left_error, left_freedom = _level(values, before, last=True)
    right, right_error, right_freedom = _level(values, after, last=False)
    error = math.hypot(left_error, right_error)
    parts = left_error**4 / left_freedom + right_error**4 / right_freedom
    freedom = error**4 / parts if parts > 0.0 else float(left_freedom + right_freedom)
    first = after.begin + skipped
    return _change(Kind.STEP, first, first, right - left, error, freedom, after.p)


def _drift(values: Array, part: _Part, skipped: int) -> Change:
    here = values[part.begin : part.end]
    n = len(here)
    line = _line(here)
    freedom = max(1, n - 2)
    slope_error = math.sqrt(float(((here - line) ** 2).sum()) / freedom / _across(n))
    total = float(line[-1] - line[0])
    first, last = part.begin + skipped, part.end - 1 + skipped
    return _change(Kind.DRIFT, first, last, total, slope_error * (n - 1), freedom, part.p)


def _level(values: Array, part: _Part, *, last: bool) -> tuple[float, float, int]:
    """A part's level at an end of it, its standard error and degrees of freedom."""
    here = values[part.begin : part.end]
    n, fitted = len(here), _fitted(here, part)
    freedom = max(1, n - 1 - part.drifts)
    variance = float(((here - fitted) ** 2).sum()) / freedom
    away = (0.5 * (n - 1)) ** 2 / _across(n) if part.drifts else 0.0
    return float(fitted[-1 if last else 0]), math.sqrt(variance * (1.0 / n + away)), freedom


def _across(n: int) -> float:
    """Sum of squares of the places of ``n`` sessions about their middle."""
    return n * (n * n - 1) / 12.0


def _change(kind: Kind, first: int, last: int, size: float, error: float, freedom: float, p: float) -> Change:
    from scipy.special import stdtrit

    reach = float(stdtrit(freedom, 0.5 + 0.5 * CONFIDENCE)) * error
    return Change(kind=kind, first=first, last=last, size=size, low=size - reach, high=size + reach, p=p)
