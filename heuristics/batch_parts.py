"""From the shares of a batch curve to what is told of it: both parts in seconds, the knee, and switches of kernels."""

from __future__ import annotations

import math

import numpy as np

from heuristics.arrays import Array, median
from heuristics.batch_levels import NORMAL, Levels
from heuristics.batch_posterior import Posterior
from heuristics.batch_shape import DEVIATIONS, BatchLevel, Interval, Parts, Switch

LIKELY_SWITCH = 0.7
NOTABLE_SWITCH = 0.08
"""Of the step's time: a smaller jump is no other kernel's."""

BEYOND = 2.0
"""Times the largest batch measured up to which a knee is told."""


def parts_of(levels: Levels, told: list[BatchLevel], found: Posterior) -> Parts:
    """Parts of a step as they are at the largest of the fitted levels, which ``told`` are, by rising batch."""
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
            return batches[place - 1] * math.exp(part * math.log(batches[place] / batches[place - 1]))
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
    deviation = NORMAL * (median(np.abs(rest)) or 0.0)
    return middle, deviation / float(np.sqrt(((x - x.mean()) ** 2).sum()))
