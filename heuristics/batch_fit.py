"""From a batch curve to the fixed and the marginal part of a step: what doubling the batch shows, and what not.

Near twice the throughput for twice the batch means weights or latency, near none means arithmetic or KV traffic.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from heuristics.arrays import Array, median
from heuristics.batch_levels import Levels, held_back, levels_of, usable
from heuristics.batch_posterior import Posterior, posterior_of, quantiles
from heuristics.batch_shape import DEVIATIONS, SURE, BatchFit, BatchLevel, Interval, Parts, Switch
from heuristics.observations import LoadCurve

LEAST_RANGE = 7.0
"""Largest over smallest batch: three doublings, less what rounding and half-full steps take."""

FEWEST_LEVELS = 4

BETWEEN = 0.3
"""Of the difference to the next level: how much nearer a bend may be than the levels show."""

AT_THE_END = 0.1
"""How much less is known at the largest batch of a curve that slows down: whether it goes on to."""

SETTLED = 0.18
"""A fixed share whose interval is no wider is told; a wider one is shown as what it is."""

LEAST_ERROR = 0.01
"""Relative, of a level's time, where windows do not show more."""

LIKELY_SWITCH = 0.7
NOTABLE_SWITCH = 0.08
"""Of the step's time: a smaller jump is no other kernel's."""

BEYOND = 2.0
"""Times the largest batch measured up to which a knee is told."""


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
    reason = _lacking(levels, cap)
    if reason is not None:
        return BatchFit(
            levels=tuple(_with_gains(_sorted(told), levels)),
            parts=None,
            reason=reason,
            cap_batch=cap,
            outliers=levels.outliers,
        )
    found = posterior_of(levels, held)
    shares = _shares(found, np.concatenate([levels.batch, held.batch]))
    settled = [
        replace(level, fixed_share=share, unsettled=_unsettled(level.batch, share, found, levels))
        for level, share in zip(told, shares, strict=True)
    ]
    free = [level for level in settled if not level.capped]
    return BatchFit(
        levels=tuple(_with_gains(_sorted(settled), levels)),
        parts=_parts(levels, free, found),
        cap_batch=cap,
        outliers=levels.outliers,
    )


def _lacking(levels: Levels, cap: float | None) -> str | None:
    """Why nothing can be fitted, or None."""
    held = f"; beyond that the KV cache held it back at {cap:.3g}" if cap is not None else ""
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


def _sorted(told: list[BatchLevel]) -> list[BatchLevel]:
    return sorted(told, key=lambda level: (level.batch, level.capped))


def _with_gains(told: list[BatchLevel], levels: Levels) -> list[BatchLevel]:
    """Each level with its gain over the one before; a capped one has none, and is none to compare with."""
    errors = dict(zip(map(float, levels.batch), np.maximum(levels.error, LEAST_ERROR), strict=True))
    found, before = [], None
    for level in told:
        if before is not None and not level.capped:
            error = math.hypot(errors[level.batch], errors[before.batch])
            level = replace(level, gain=_gain(before, level, error))  # noqa: PLW2901
        before = before if level.capped else level
        found.append(level)
    return found


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
    if share.high - share.low <= SETTLED:
        return None
    if float(found.step_weight[-1]) > 0.2 and batch > levels.batch[-2]:
        return "the last step up may be another kernel: one more doubling would tell"
    if found.slowing > 0.3:
        return "growth slows down and may pick up again, as experts make it: a larger batch would tell"
    if found.misfit > 0.04:
        return f"the levels scatter by {100.0 * found.misfit:.0f} % about any curve"
    return "too few windows for their scatter: more of them, or more doublings, would tell"


def _parts(levels: Levels, told: list[BatchLevel], found: Posterior) -> Parts:
    largest, share = told[-1], told[-1].fixed_share
    assert share is not None
    middle, error = slope(np.log(levels.batch), np.log(levels.batch) - levels.log_step)
    wide = DEVIATIONS * math.hypot(error, float(levels.error.max()) / math.log(levels.batch[-1] / levels.batch[0]))
    knee = _knee(told)
    return Parts(
        fixed_s=Interval(
            value=share.value * largest.step_s, low=share.low * largest.step_s, high=share.high * largest.step_s
        ),
        marginal_s=Interval(
            value=(1.0 - share.value) * largest.step_s / largest.batch,
            low=(1.0 - share.high) * largest.step_s / largest.batch,
            high=(1.0 - share.low) * largest.step_s / largest.batch,
        ),
        elasticity=Interval(value=middle, low=middle - wide, high=middle + wide),
        knee_batch=knee if isinstance(knee, Interval) else None,
        knee_reason=knee if isinstance(knee, str) else None,
        switches=_switches(found, levels),
        scatter=levels.scatter,
        misfit=found.misfit,
    )


def _switches(found: Posterior, levels: Levels) -> tuple[Switch, ...]:
    """Jumps that the levels show beyond doubt; they say nothing of what the batch explains."""
    return tuple(
        Switch(
            below_batch=float(levels.batch[place]),
            above_batch=float(levels.batch[place + 1]),
            factor=Interval(
                value=math.exp(size), low=math.exp(size - DEVIATIONS * error), high=math.exp(size + DEVIATIONS * error)
            ),
        )
        for place, (weight, size, error) in enumerate(
            zip(found.step_weight, found.step_size, found.step_error, strict=True)
        )
        if weight > LIKELY_SWITCH and abs(size) > NOTABLE_SWITCH
    )


def _knee(told: list[BatchLevel]) -> Interval | str:
    """Where the marginal part has grown to the fixed one, or why that is not told."""
    shares = [level.fixed_share for level in told]
    batches = [level.batch for level in told]
    low, value, high = (_half(batches, [getattr(share, part) for share in shares]) for part in ("low", "value", "high"))
    most = BEYOND * batches[-1]
    if value > most:
        return f"beyond {most:.3g} sequences" if low > most else f"beyond {low:.3g} sequences"
    if value < batches[0]:
        return f"below {batches[0]:.3g} sequences"
    if high > 2.0 * most:
        return f"beyond {low:.3g} sequences"
    return Interval(value=value, low=min(low, value), high=max(high, value))


def _half(batches: list[float], shares: list[float]) -> float:
    """The last batch at which the share falls through one half; outside of all as f + m·B would go on."""
    for place in range(len(batches) - 1, 0, -1):
        before, after = shares[place - 1], shares[place]
        if before > 0.5 >= after:
            part = (before - 0.5) / (before - after)
            return batches[place - 1] * (batches[place] / batches[place - 1]) ** part
    place = -1 if shares[-1] > 0.5 else 0
    return batches[place] * shares[place] / max(1e-9, 1.0 - shares[place])


def slope(x: Array, y: Array) -> tuple[float, float]:
    """The median of the slopes through all pairs (Theil and Sen), and its standard error from the residuals."""
    first, second = np.triu_indices(x.size, 1)
    apart = x[second] - x[first]
    middle = median((y[second] - y[first]) / apart)
    assert middle is not None
    rest = y - middle * x
    rest -= np.sort(rest)[rest.size // 2]
    deviation = 1.4826 * (median(np.abs(rest)) or 0.0)
    return middle, deviation / float(np.sqrt(((x - x.mean()) ** 2).sum()))
