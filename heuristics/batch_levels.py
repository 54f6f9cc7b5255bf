"""Windows of a batch curve taken together by their measured batch, so that outliers and warm-up do not count."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from heuristics.arrays import Array, Flags, Rows, median
from heuristics.observations import LoadCurve

LEVEL_WIDTH = 0.2
"""Doublings that one level spans: 12 and 13 sequences are alike, 4 and 5 are not."""

MOST_LEVELS = 16

USUAL_SLOPE = 0.5
"""Of a step's time on the batch, both in logarithms: within a level it hardly matters."""

DISBELIEF = 4.685
"""Deviations beyond which Tukey's biweight gives a window no weight; 95 % efficient on normal noise."""

NORMAL = 1.4826
"""Standard deviations in a median absolute deviation of normal noise."""

LEAST_SCATTER = 1e-4

HELD_BACK = 0.75
"""A batch below this part of the sequences asked for was held back: closed loops lose less between requests."""

STALLED, LESS = 0.9, 1.4
"""So was one below the first of these parts, once so many times more were asked for and no more ran."""

NEAR_TOP = 0.85
"""Of the largest batch: lower ones had not grown yet, or drained, and were not held back."""

ROUNDS = 6

MOST_MORE = 1.6
"""Times the scatter by medians that the one by squares may be: a few levels of few windows hold outliers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Arrays of shape (levels,), by rising batch.

    ``log_step`` is of seconds, ``error`` its standard error by the scatter of windows, 0 where that is not known.
    ``context`` and ``kv_s`` are NaN where no window states them. ``scatter`` is the relative standard deviation of a
    window, None where no level has two.
    """

    batch: Array
    log_step: Array
    error: Array
    windows: Array
    context: Array
    kv_s: Array
    scatter: float | None
    outliers: int


def usable(curve: LoadCurve) -> Flags:
    """Windows whose batch and time can be."""
    with np.errstate(invalid="ignore"):
        found: Flags = (curve.batch > 0) & (curve.step_s > 0) & (curve.batch < np.inf) & (curve.step_s < np.inf)
    return found


def held_back(curve: LoadCurve) -> Flags:
    """Windows whose batch was capped: as the engine says, or by more being asked for than the most that ran."""
    stated = np.zeros(curve.batch.size, bool) if curve.capped is None else curve.capped.astype(bool)
    if curve.offered is None or not usable(curve).any():
        return stated
    with np.errstate(invalid="ignore"):
        top = curve.batch >= NEAR_TOP * curve.batch[usable(curve)].max()
        behind = curve.batch < STALLED * curve.offered
        stalled = behind & (curve.offered >= LESS * _enough(curve, curve.offered))
        held = behind if (stalled & top).any() else curve.batch < HELD_BACK * curve.offered
    found: Flags = stated | (held & top)
    return found


def _enough(curve: LoadCurve, offered: Array) -> Array:
    """Of each window, the fewest sequences asked for with which about as many ran."""
    order = np.argsort(curve.batch, kind="stable")
    fewest = np.minimum.accumulate(np.nan_to_num(offered[order], nan=np.inf)[::-1])[::-1]
    found: Array = fewest[np.minimum(np.searchsorted(curve.batch[order], STALLED * curve.batch), offered.size - 1)]
    return found


def levels_of(curve: LoadCurve, chosen: Flags, kv_s: Array | None = None) -> Levels:
    """Levels of the chosen windows, whatever their order."""
    batch, log_step = curve.batch[chosen], np.log(curve.step_s[chosen])
    order = np.lexsort((log_step, batch))
    batch, log_step = batch[order], log_step[order]
    level = _groups(np.log2(batch))
    count = int(level[-1]) + 1 if level.size else 0
    windows = np.bincount(level, minlength=count).astype(float)
    middle = np.bincount(level, np.log(batch), count) / windows
    flat = log_step - USUAL_SLOPE * (np.log(batch) - middle[level])
    medians = _medians(level, flat, windows)
    scatter = _scatter(np.abs(flat - medians[level]), windows[level])
    weight = np.ones(flat.size)
    place = medians
    if scatter is not None:
        place, weight = _biweight(level, flat, medians, windows, scatter)
    believed = np.maximum(1.0, np.bincount(level, weight, count))
    if scatter is not None:
        scatter = _believed_scatter(flat - place[level], weight, windows[level], scatter)
    return Levels(
        batch=np.exp(middle),
        log_step=place,
        error=np.zeros(count) if scatter is None else _errors(level, flat, place, weight, believed, scatter),
        windows=windows,
        context=_means(level, curve.context_tokens[chosen][order], count),
        kv_s=_means(level, np.full(flat.size, np.nan) if kv_s is None else kv_s[chosen][order], count),
        scatter=scatter,
        outliers=int((weight < 0.1).sum()),
    )


def _groups(log2_batch: Array) -> Rows:
    """Each sorted window's level, cut where one is full."""
    found = np.zeros(log2_batch.size, np.intp)
    if not log2_batch.size:
        return found
    width = max(LEVEL_WIDTH, float(log2_batch[-1] - log2_batch[0]) / MOST_LEVELS)
    start, end = 0, 0
    while end < log2_batch.size:
        end = int(np.searchsorted(log2_batch, log2_batch[start] + width, side="right"))
        found[end:] += 1
        start = end
    return found


def _medians(level: Rows, values: Array, windows: Array) -> Array:
    inside = values[np.lexsort((values, level))]
    first = np.concatenate([[0], np.cumsum(windows)[:-1]]).astype(np.intp)
    size = windows.astype(np.intp)
    found: Array = 0.5 * (inside[first + (size - 1) // 2] + inside[first + size // 2])
    return found


def _scatter(apart: Array, windows: Array) -> float | None:
    """Standard deviation of a window about its level, by the median over all levels of two windows or more."""
    several = windows > 1
    middle = median(apart[several] * np.sqrt(windows[several] / (windows[several] - 1.0)))
    return None if middle is None else max(LEAST_SCATTER, NORMAL * middle)


def _believed_scatter(apart: Array, weight: Array, windows: Array, scatter: float) -> float:
    """The same by the mean square of what was believed, which knows it better; levels of one window tell nothing."""
    several = windows > 1
    free = float((weight[several] * (1.0 - 1.0 / windows[several])).sum())
    square = float((weight[several] * apart[several] ** 2).sum()) / max(1.0, free)
    return max(LEAST_SCATTER, min(math.sqrt(square), MOST_MORE * scatter))


def _biweight(level: Rows, values: Array, start: Array, windows: Array, scatter: float) -> tuple[Array, Array]:
    """Tukey's location of each level from its median, and the weight of each window. Pairs count alike."""
    place, judged = start, (windows > 2)[level]
    weight = np.ones(values.size)
    for _ in range(ROUNDS):
        apart = np.minimum(1.0, np.abs(values - place[level]) / (DISBELIEF * scatter))
        weight = np.where(judged, (1.0 - apart**2) ** 2, 1.0)
        total = np.bincount(level, weight, start.size)
        moved = np.bincount(level, weight * values, start.size) / np.maximum(total, 1e-12)
        place = np.where(total > 1e-6, moved, start)
    return place, weight


def _errors(level: Rows, values: Array, place: Array, weight: Array, believed: Array, scatter: float) -> Array:
    """Standard error of each level: by all levels' scatter, or its own where that is greater."""
    squares = np.bincount(level, weight * (values - place[level]) ** 2, place.size)
    own = np.sqrt(squares / np.maximum(1.0, believed - 1.0))
    found: Array = np.maximum(scatter, own) / np.sqrt(believed)
    return found


def _means(level: Rows, values: Array, count: int) -> Array:
    """Means over the windows that state a value, NaN where none does."""
    stated = np.isfinite(values)
    number = np.bincount(level[stated], minlength=count)
    total = np.bincount(level[stated], values[stated], count)
    found: Array = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    return found
