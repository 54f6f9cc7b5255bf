"""Shapes that are looked for in a series of sessions, all places at once: steps, drifts, stretches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SIDE = 3
"""Sessions on either side of a step: two bad nights are no change."""

STRETCH = 30
"""Sessions of a stretch that is looked for as such: longer ones show their two ends by themselves."""

DRIFTING = 8
"""Sessions that a drift lasts at least; a shorter one looks like a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Something to look for at each of ``places``: which side of the cut drifts, if one does, and how well it fits
    each order, shape (orders, places).
    """

    drifting: int | None
    places: NDArray[np.int64]
    length: int
    """Of a stretch, 0 for one cut."""
    fits: Array


def one_cut(orders: Array, *, drifts: bool) -> Iterator[Shape]:
    """Steps, and drifts that begin or end somewhere, in ``orders`` of shape (orders, sessions).

    What a shape explains of an order is their absolute product, the shape brought to mean zero and length one.
    """
    n = orders.shape[1]
    sums = _sums(orders)
    at = np.arange(SIDE, n - SIDE + 1)
    yield Shape(drifting=None, places=at, length=0, fits=np.abs(sums[:, at]) / np.sqrt(at * (n - at) / n))
    if not drifts or n < DRIFTING:
        return
    ramps = np.cumsum(sums[:, 1:], axis=1)
    place = np.arange(n, dtype=np.float64)
    linear, square = np.cumsum(place), np.cumsum(place**2)
    at = np.array([0, *range(SIDE, n - DRIFTING + 1)])
    left = n - 1 - at
    begun = ramps[:, -1:] - np.where(at > 0, ramps[:, at - 1], 0.0)
    yield Shape(drifting=1, places=at, length=0, fits=np.abs(begun) / np.sqrt(square[left] - linear[left] ** 2 / n))
    at = np.arange(DRIFTING, n - SIDE + 1)
    if len(at):
        top = at - 1
        norm = square[top] + top**2 * (n - at) - (linear[top] + top * (n - at)) ** 2 / n
        yield Shape(drifting=0, places=at, length=0, fits=np.abs(ramps[:, top - 1]) / np.sqrt(norm))


def stretches(orders: Array) -> Iterator[Shape]:
    """The same of stretches on a level of their own, by their length."""
    n = orders.shape[1]
    sums = _sums(orders)
    for length in range(SIDE, min(STRETCH, n - 2 * SIDE) + 1):
        at = np.arange(SIDE, n - SIDE - length + 1)
        fits = np.abs(sums[:, at + length] - sums[:, at]) / math.sqrt(length * (n - length) / n)
        yield Shape(drifting=None, places=at, length=length, fits=fits)


def _sums(orders: Array) -> Array:
    """Of the sessions before each place, less the mean of all; shape (orders, sessions + 1)."""
    sums = np.zeros((orders.shape[0], orders.shape[1] + 1))
    np.cumsum(orders - orders.mean(axis=1, keepdims=True), axis=1, out=sums[:, 1:])
    return sums
