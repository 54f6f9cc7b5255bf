"""Which shapes of a batch curve the levels leave standing: a posterior over shapes, kernel switches and misfit.

With y = log step time at each level, y = log shape + scale + switch + error. The scale has a flat prior and the
switch a normal one, so both are integrated out in closed form; what remains is a sum over a grid. Averaging over
models rather than choosing one is what keeps intervals honest where a bend and a jump look alike (Hoeting et al.,
"Bayesian model averaging", 1999).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heuristics.arrays import Array
from heuristics.batch_levels import Levels
from heuristics.batch_shapes import shapes_at

MISFITS = np.array([0.003, 0.01, 0.025, 0.06, 0.15])
"""Relative deviation of a level from any shape: what the scatter of its windows does not explain."""

MISFIT_PRIOR = np.array([0.3, 0.3, 0.22, 0.12, 0.06])

JUMP = 0.4
"""Standard deviation of a switch, in logarithms of the step's time."""

STEPS, PULSES = 0.2, 0.06
"""Prior weight of a switch between two levels, and of one level that stands apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """``fixed`` (shapes, places) with the ``weight`` of each shape (shapes,).

    ``step_weight`` (levels − 1,) is the probability that the kernels change above each level, ``step_size`` the mean
    of the logarithm by which the step's time then jumps, and ``step_error`` its standard deviation. ``misfit`` is the
    mean relative deviation of levels from the curve, ``bent`` the probability that it is no sum of a constant and a
    proportional part.
    """

    fixed: Array
    weight: Array
    step_weight: Array
    step_size: Array
    step_error: Array
    misfit: float
    bent: float


def posterior_of(levels: Levels, others: Levels) -> Posterior:
    """The posterior of three levels or more. Places are those levels, and the ``others``, which count for nothing."""
    count = levels.batch.size
    shapes = shapes_at(
        *(np.concatenate(both) for both in ((levels.batch, others.batch), (levels.context, others.context)))
    )
    columns, column_prior = _columns(count)
    rest = levels.log_step - shapes.log_step[:, :count]
    steps = slice(1, count)
    parts = []
    for misfit, prior in zip(MISFITS, MISFIT_PRIOR, strict=True):
        precision = 1.0 / (levels.error**2 + misfit**2)
        whole = precision.sum()
        apart = rest - (rest @ (precision / whole))[:, None]
        column = columns - (precision @ columns / whole)
        squares = precision @ column**2
        told = squares + JUMP**-2
        size = apart @ (column * (precision[:, None] / told))
        scale = np.log(prior) + 0.5 * (np.log(precision).sum() - np.log(whole))
        log = size**2 * (0.5 * told) + (column_prior - 0.5 * np.log1p(JUMP**2 * squares))
        log += (shapes.log_prior - 0.5 * (apart**2 @ precision) + scale)[:, None]
        top = float(log.max())
        weight = np.exp(log - top)
        chosen, jumps = weight[:, steps], size[:, steps]
        squared = (chosen * (jumps**2 + 1.0 / told[steps])).sum(axis=0)
        parts.append((top, weight.sum(axis=1), chosen.sum(axis=0), (chosen * jumps).sum(axis=0), squared))
    tops = np.array([part[0] for part in parts])
    share = np.exp(tops - tops.max())
    by_shape, by_step, first, second = (
        sum(s * part[place] for s, part in zip(share, parts, strict=True)) for place in range(1, 5)
    )
    whole = float(np.sum(by_shape))
    safe = np.maximum(by_step, 1e-300)
    mean = first / safe
    return Posterior(
        fixed=shapes.fixed,
        bent=float(by_shape[shapes.proportional :].sum() / whole),
        weight=shapes.refined(np.log(np.maximum(by_shape, 1e-300))),
        step_weight=by_step / whole,
        step_size=mean,
        step_error=np.sqrt(np.maximum(0.0, second / safe - mean**2)),
        misfit=float(sum(s * part[1].sum() * m for s, part, m in zip(share, parts, MISFITS, strict=True)) / whole),
    )


def _columns(levels: int) -> tuple[Array, Array]:
    """No switch, a switch above each level but the last, and each inner level apart; with their log priors."""
    steps = np.tril(np.ones((levels, levels)), -1)[:, :-1]
    pulses = np.eye(levels)[:, 1:-1]
    prior = np.concatenate(
        [
            [1.0 - STEPS - PULSES],
            np.full(levels - 1, STEPS / (levels - 1)),
            np.full(levels - 2, PULSES / (levels - 2)),
        ]
    )
    return np.concatenate([np.zeros((levels, 1)), steps, pulses], axis=1), np.log(prior)


def quantiles(values: Array, weight: Array, parts: tuple[float, ...]) -> list[float]:
    """Weighted quantiles of a grid's values, interpolated."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order]) - 0.5 * weight[order]
    return [float(q) for q in np.interp(parts, reached, values[order])]
