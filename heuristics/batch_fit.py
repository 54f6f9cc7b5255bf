"""From a batch curve to the fixed and the marginal part of a step: what doubling the batch shows, and what not.

Near twice the throughput for twice the batch means weights or latency, near none means arithmetic or KV traffic.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from heuristics.arrays import Array
from heuristics.batch_levels import Levels, held_back, levels_of, usable
from heuristics.batch_parts import parts_of
from heuristics.batch_posterior import Posterior, posterior_of, quantiles
from heuristics.batch_shape import DEVIATIONS, SURE, BatchFit, BatchLevel, Interval
from heuristics.observations import LoadCurve

LEAST_RANGE = 7.0
"""Largest over smallest batch: three doublings, less what rounding and half-full steps take."""

FEWEST_LEVELS = 4

BETWEEN = 0.3
"""Of the difference to the next level: how much nearer a bend may be than the levels show."""

AT_THE_END = 0.1
"""How much less is known at the largest batch of a curve that slows down: whether it goes on to."""

SETTLED, SETTLED_BENT = 0.28, 0.16
"""A fixed share whose interval is no wider is told, a wider one is shown as what it is: of a sum of two parts, and of
curves that bend. Of the shares told within them 95 % come within 0.05 of the truth (docs/roofline.md)."""

MOST_MISFIT = 0.2
"""Of levels about any curve: more is chance, or another kernel at every batch."""

NOTABLE_MISFIT, NOTABLE_SLOWING, NOTABLE_LAST_STEP = 0.04, 0.3, 0.2
"""From here on each is named as the reason for a wide interval."""

SLOWING = 0.5
"""A curve that probably slows down: what comes after its largest batch is anyone's guess."""
_SLOWING = "growth slows down and may pick up again, as experts make it: a larger batch would tell"

LEAST_ERROR = 0.01
"""Relative, of a level's time, where windows do not show more."""


def fit_batches(curve: LoadCurve, *, kv_s: Array | None = None) -> BatchFit:
    """What a curve of decode-only windows tells of its step, whatever their order.

    ``kv_s``, shape (windows,), is the time that reading each window's KV cache takes at the peak bandwidth, NaN where
    that is not known; it is told apart, and changes nothing else. Windows that were held back by a full cache do not
    shape the curve: they stand at the batch that was measured. With fewer than three doublings, or four batches,
    there are levels and no parts, and the reason.
    """
    fine, capped = usable(curve), held_back(curve)
    levels, held = levels_of(curve, fine & ~capped, kv_s), levels_of(curve, fine & capped, kv_s)
    cap = float(np.exp(np.average(np.log(held.batch), weights=held.windows))) if held.batch.size else None
    told = [*_told(levels, capped=False), *_told(held, capped=True)]
    unfitted = BatchFit(
        levels=_with_gains(told, levels),
        parts=None,
        reason=_lacking(levels, cap),
        cap_batch=cap,
        outliers=levels.outliers,
    )
    if unfitted.reason is not None:
        return unfitted
    found = posterior_of(levels, held.batch, held.context)
    if found.misfit > MOST_MISFIT:
        return replace(unfitted, reason=f"no curve fits: step times lie {100.0 * found.misfit:.0f} % off any")
    shares = _shares(found, np.concatenate([levels.batch, held.batch]))
    settled = [
        replace(level, fixed_share=share, unsettled=_unsettled(level.batch, share, found, levels))
        for level, share in zip(told, shares, strict=True)
    ]
    free = [level for level in settled if not level.capped]
    return replace(unfitted, levels=_with_gains(settled, levels), parts=parts_of(levels, free, found))


def _lacking(levels: Levels, cap: float | None) -> str | None:
    """Why nothing can be fitted, or None."""
    held = f"; at {cap:.3g} it was held back, though more was asked for" if cap is not None else ""
    if not levels.batch.size:
        return "no window shows a batch that was free to grow" if cap is not None else "no window states a batch"
    low, high = float(levels.batch[0]), float(levels.batch[-1])
    if high < LEAST_RANGE * low:
        return f"the batch went only from {low:.3g} to {high:.3g}: three doublings are needed{held}"
    if levels.batch.size < FEWEST_LEVELS:
        return f"only {levels.batch.size} different batches were seen: {FEWEST_LEVELS} are needed{held}"
    return None


def _told(levels: Levels, *, capped: bool) -> list[BatchLevel]:
    """Levels as they were measured."""
    return [
        BatchLevel(
            batch=float(batch),
            step_s=math.exp(log_step),
            windows=int(windows),
            capped=capped,
            kv_share=min(1.0, float(kv) / math.exp(log_step)) if np.isfinite(kv) else None,
        )
        for batch, log_step, windows, kv in zip(levels.batch, levels.log_step, levels.windows, levels.kv_s, strict=True)
    ]


def _with_gains(told: list[BatchLevel], levels: Levels) -> tuple[BatchLevel, ...]:
    """By batch, each with its gain over the one before; a capped one has none, and is none to compare with."""
    errors = dict(zip(map(float, levels.batch), np.maximum(levels.error, LEAST_ERROR), strict=True))
    found: list[BatchLevel] = []
    before: BatchLevel | None = None
    for level in sorted(told, key=lambda level: (level.batch, level.capped)):
        gain = None
        if before is not None and not level.capped:
            gain = _gain(before, level, math.hypot(errors[level.batch], errors[before.batch]))
        found.append(replace(level, gain=gain))
        before = before if level.capped else level
    return tuple(found)


def _gain(before: BatchLevel, after: BatchLevel, error: float) -> Interval:
    """2 to the power of the elasticity between two levels."""
    apart = math.log(after.batch / before.batch)
    elasticity = math.log(after.tokens_per_s / before.tokens_per_s) / apart
    wide = DEVIATIONS * error / apart
    return Interval(value=2.0**elasticity, low=2.0 ** (elasticity - wide), high=2.0 ** (elasticity + wide))


def _shares(found: Posterior, batch: Array) -> list[Interval]:
    """The fixed share at every place; wider where the curve bends, for the bend may lie between two batches."""
    values = found.weight @ found.fixed
    quantile = quantiles(found.fixed, found.weight, (0.5 * (1.0 - SURE), 0.5 * (1.0 + SURE)))
    order = np.argsort(batch, kind="stable")
    apart = np.abs(np.diff(values[order], prepend=values[order[0]], append=values[order[-1]]))
    wider = np.empty(values.size)
    wider[order] = BETWEEN * found.bent * np.maximum(apart[1:], apart[:-1])
    wider[order[-1]] += AT_THE_END * (found.slowing + 0.5 * (found.bent - found.slowing))
    shares = []
    for value, more, (lowest, highest) in zip(values.tolist(), wider.tolist(), quantile, strict=True):
        low, high = max(0.0, lowest - more), min(1.0, highest + more)
        shares.append(Interval(value=min(high, max(low, value)), low=low, high=high))
    return shares


def _unsettled(batch: float, share: Interval, found: Posterior, levels: Levels) -> str | None:
    """Why the share at a level is hardly known."""
    if found.slowing > SLOWING and batch >= levels.batch[-1]:
        return _SLOWING
    if share.high - share.low <= SETTLED - (SETTLED - SETTLED_BENT) * found.bent:
        return None
    if float(found.step_weight[-1]) > NOTABLE_LAST_STEP and batch > levels.batch[-2]:
        return "the last step up may be another kernel: one more doubling would tell"
    if found.misfit > NOTABLE_MISFIT:
        return f"step times scatter by {100.0 * found.misfit:.0f} % about any curve"
    if found.slowing > NOTABLE_SLOWING:
        return _SLOWING
    return "too few windows for their scatter: more of them, or more doublings, would tell"
