"""Student's t on logarithms: where the next session lies, given some, and how far two halves of pairs are apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev

USUAL_SPREAD = 0.02
"""Deviation between sessions that is expected before any is seen: quiet hosts show 1 %, busy ones 3 to 4 %."""

USUAL_WEIGHT = 2
"""Sessions that the expectation counts for: eight alone may agree by luck, and the next then looks like a change."""

MOST_FREEDOM = 9
"""Degrees of freedom that are used at most: sessions have heavier tails than normal noise, however many there are."""

TRENDING = 0.15
"""Two-sided probability of a slope by chance, below which the host is taken to drift, and the next session with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """Student's t about a mean: of one further session, at ``at``, with ``scale`` and degrees of ``freedom``."""

    at: float
    scale: float
    freedom: int

    def reach(self, confidence: float) -> float:
        from scipy.special import stdtrit

        return float(stdtrit(self.freedom, 0.5 + 0.5 * confidence)) * self.scale

    def tail(self, value: float) -> float:
        from scipy.special import stdtr

        return min(1.0, 2.0 * float(stdtr(self.freedom, -abs(value - self.at) / self.scale)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Where one more session is expected, as logarithms of the metric.

    ``centre`` is the median of the sessions, ``low`` and ``high`` are the interval's ends, ``deviation`` is the
    standard deviation between sessions, ``slope`` the drift a session where one is seen. ``least``: the median absolute
    deviation, which a change must exceed twice.
    """

    centre: float
    low: float
    high: float
    deviation: float
    least: float
    count: int
    slope: float | None
    lines: tuple[_Line, ...]

    def tail(self, value: float) -> float:
        """Two-sided probability that one more session lies as far off as ``value``, if nothing changed."""
        return max(line.tail(value) for line in self.lines)


def prediction(logs: Sequence[float], confidence: float) -> Prediction:
    """Student's two-sided interval for the next of ``logs``, shape (sessions,), in their order, at least two.

    mean ± t · s · sqrt(1 + 1/n), the textbook interval of one further observation, with s² taken together with
    ``USUAL_WEIGHT`` sessions of ``USUAL_SPREAD``. Where the sessions drift, it also takes in where their line leads:
    a host that gets slower by itself night after night is no change of the job. What the constants give is in
    docs/check.md; ``tests.heuristics.regression.simulation`` prints it.
    """
    n = len(logs)
    mean, centre = fmean(logs), median(logs)
    squares = math.fsum((x - mean) ** 2 for x in logs)
    lines = [_line(mean, squares, n - 1, 1.0 + 1.0 / n)]
    slope = _slope(logs, mean, squares)
    if slope is not None:
        ahead, across = 0.5 * (n + 1), _across(n)
        left = max(0.0, squares - slope**2 * across)
        lines.append(_line(mean + slope * ahead, left, n - 2, 1.0 + 1.0 / n + ahead**2 / across))
    return Prediction(
        centre=centre,
        low=min(line.at - line.reach(confidence) for line in lines),
        high=max(line.at + line.reach(confidence) for line in lines),
        deviation=math.sqrt(squares / (n - 1)),
        least=median(abs(x - centre) for x in logs),
        count=n,
        slope=slope,
        lines=tuple(lines),
    )


def _line(at: float, squares: float, freedom: int, factor: float) -> _Line:
    weight = freedom + USUAL_WEIGHT
    variance = (squares + USUAL_WEIGHT * USUAL_SPREAD**2) / weight
    return _Line(at=at, scale=math.sqrt(variance * factor), freedom=min(weight, MOST_FREEDOM))


def _across(n: int) -> float:
    """Sum of squares of the places 0 to n - 1 about their middle."""
    return n * (n * n - 1) / 12.0


def _slope(logs: Sequence[float], mean: float, squares: float) -> float | None:
    """Least squares over the sessions' order, where it is no chance."""
    from scipy.special import stdtr

    n = len(logs)
    if n < 4:
        return None
    across = _across(n)
    slope = math.fsum((place - 0.5 * (n - 1)) * (x - mean) for place, x in enumerate(logs)) / across
    left = max(0.0, squares - slope**2 * across)
    error = math.sqrt(left / (n - 2) / across)
    if error == 0.0:
        return slope or None
    return slope if 2.0 * float(stdtr(n - 2, -abs(slope) / error)) < TRENDING else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """The mean of some numbers with its confidence interval."""

    value: float
    low: float
    high: float
    deviation: float
    count: int
    p: float
    """Two-sided, of a mean of zero."""


def mean_interval(values: Sequence[float], confidence: float) -> Mean:
    """Student's interval of a mean, of ``values`` of shape (pairs,), at least two."""
    from scipy.special import stdtr, stdtrit

    n = len(values)
    mean, deviation = fmean(values), stdev(values)
    error = deviation / math.sqrt(n)
    reach = float(stdtrit(n - 1, 0.5 + 0.5 * confidence)) * error
    p = float(mean == 0.0) if error == 0.0 else min(1.0, 2.0 * float(stdtr(n - 1, -abs(mean) / error)))
    return Mean(value=mean, low=mean - reach, high=mean + reach, deviation=deviation, count=n, p=p)


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's adjusted probabilities in the order of ``ps``: no more false alarms over all than in one test (1979)."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    adjusted = [0.0] * len(ps)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = highest
    return adjusted
