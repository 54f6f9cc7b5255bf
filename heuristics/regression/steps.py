"""Whether a series of sessions changed its level for good: only those since then say what is to be expected now.

An improvement that was kept, another host of the same type: sessions from before it would widen the interval until
nothing can leave it any more. A quick test for the gate; ``change_points`` looks for more, off line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from heuristics.regression.interval import MOST_FREEDOM, USUAL_SPREAD, USUAL_WEIGHT

FEWEST = 3
"""Sessions on either side: two may be chance, or one bad night and its shadow."""

CHANCE = 0.005
"""Probability of a step by chance in all of a steady series, by Bonferroni over the places where it may be."""


def present_level(logs: Sequence[float], least: float) -> int:
    """The place from which on the sessions are at their present level; 0 where all are.

    ``logs``, shape (sessions,), in their order; ``least`` is the smallest step that matters, likewise a logarithm.
    Student's t between both sides of the likeliest place, then again within what comes after it.
    """
    begin = 0
    while (place := _step(logs[begin:], least)) is not None:
        begin += place
    return begin


def _step(logs: Sequence[float], least: float) -> int | None:
    from scipy.special import stdtr

    n = len(logs)
    places = range(FEWEST, n - FEWEST + 1)
    best, highest = None, 0.0
    for place in places:
        apart, score = _between(logs[:place], logs[place:])
        if abs(apart) >= least and score > highest:
            best, highest = place, score
    if best is None:
        return None
    freedom = min(n - 2 + USUAL_WEIGHT, MOST_FREEDOM)
    return best if 2.0 * float(stdtr(freedom, -highest)) * len(places) < CHANCE else None


def _between(before: Sequence[float], after: Sequence[float]) -> tuple[float, float]:
    """Their difference, and Student's t of it."""
    one, other = fmean(before), fmean(after)
    squares = math.fsum((x - one) ** 2 for x in before) + math.fsum((x - other) ** 2 for x in after)
    n = len(before) + len(after)
    variance = (squares + USUAL_WEIGHT * USUAL_SPREAD**2) / (n - 2 + USUAL_WEIGHT)
    return other - one, abs(other - one) / math.sqrt(variance * (1.0 / len(before) + 1.0 / len(after)))
