"""Which shapes of a batch curve the levels leave standing: a posterior over shapes, kernel switches and misfit.

With y = log step time at each level, y = log shape + scale + switch + error. The scale has a flat prior and the
switch a normal one, so both are integrated out in closed form; what remains is a sum over a grid. Averaging over
models rather than choosing one is what keeps intervals honest where a bend and a jump look alike (Hoeting et al.,
"Bayesian model averaging", 1999).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heuristics.arrays import Array, Flags, Rows
from heuristics.batch_levels import Levels
from heuristics.batch_shapes import shapes_at

MISFITS = np.array([0.003, 0.01, 0.025, 0.06, 0.15, 0.5])
"""Relative deviation of a level from any shape: what the scatter of its windows does not explain."""

MISFIT_PRIOR = np.array([0.3, 0.3, 0.21, 0.11, 0.05, 0.03])
BENT_PRIOR = np.array([1e-9, 0.3, 0.38, 0.2, 0.09, 0.03])
"""Of shapes that bend: the library holds too few of them for one to be exact."""

GLANCE = 2
"""The misfit at which shapes are looked through first ..."""
HOPELESS = 16.0
"""... and those left out that fall so far behind, in logarithms of the likelihood, ..."""
GOOD = 2.5
"""... where the best one comes this near, in squared deviations a level: a greater misfit would favour others."""

JUMP = 0.4
"""Standard deviation of a switch, in logarithms of the step's time."""

LEAST_LOG = -300.0
"""Smaller weights are alike: numbers too small for their exponent take a hundred times as long."""

LEAST_WEIGHT = 1e-250
NEGLIGIBLE = 1e-7
"""Weight of a shape that no interval notices."""

STEPS, PULSES = 0.2, 0.06
"""Prior weight of a switch between two levels, and of one level that stands apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """``fixed`` (shapes, places) with the ``weight`` of each shape (shapes,).

    ``step_weight`` (levels − 1,) is the probability that the kernels change above each level, ``step_size`` the mean
    of the logarithm by which the step's time then jumps, and ``step_error`` its standard deviation. ``misfit`` is the
    typical relative deviation of levels from the curve, ``bent`` the probability that it is no sum of a constant and a
    proportional part, ``slowing`` that its growth slows down somewhere.
    """

    fixed: Array
    weight: Array
    step_weight: Array
    step_size: Array
    step_error: Array
    misfit: float
    bent: float
    slowing: float


def posterior_of(levels: Levels, batch: Array, context: Array) -> Posterior:
    """The posterior of three levels or more. Places are those levels, and then other batches that count for nothing."""
    count = levels.batch.size
    shapes = shapes_at(np.concatenate([levels.batch, batch]), np.concatenate([levels.context, context]))
    columns, column_prior = _columns(count)
    rest = levels.log_step - shapes.log_step[:, :count]
    bent = np.arange(len(rest)) >= shapes.proportional
    kept = _contenders(rest, levels, columns, column_prior, bent)
    log, jump, variance = _log_likelihood(rest[kept], levels.error, MISFITS, columns)
    prior = np.where(bent[kept], np.log(BENT_PRIOR)[:, None], np.log(MISFIT_PRIOR)[:, None]) + shapes.log_prior[kept]
    log += column_prior
    log += prior[:, :, None]
    weight = np.exp(np.maximum(log - log.max(), LEAST_LOG))
    weight /= weight.sum()
    by_shape = np.full(len(rest), LEAST_WEIGHT)
    by_shape[kept] += weight.sum(axis=(0, 2))
    chosen, size = weight[:, :, 1:count], jump[:, :, 1:count]
    by_step = np.maximum(chosen.sum(axis=(0, 1)), LEAST_WEIGHT)
    mean = (chosen * size).sum(axis=(0, 1)) / by_step
    square = (chosen * (size**2 + variance[:, None, 1:count])).sum(axis=(0, 1)) / by_step
    fine = shapes.refined(np.log(by_shape))
    told = fine > NEGLIGIBLE
    return Posterior(
        fixed=shapes.fixed[told],
        weight=fine[told] / fine[told].sum(),
        step_weight=by_step,
        step_size=mean,
        step_error=np.sqrt(np.maximum(0.0, square - mean**2)),
        misfit=float(np.exp(weight.sum(axis=(1, 2)) @ np.log(MISFITS))),
        bent=float(by_shape[bent].sum()),
        slowing=float(by_shape[-shapes.slowing :].sum()),
    )


def _log_likelihood(rest: Array, error: Array, misfits: Array, columns: Array) -> tuple[Array, Array, Array]:
    """Of (misfits, shapes, columns), scale and switch integrated out; the switch's mean, and (misfits, columns) its
    variance.
    """
    precision = 1.0 / (error**2 + misfits[:, None] ** 2)
    whole = precision.sum(axis=1, keepdims=True)
    apart = rest - ((precision / whole) @ rest.T)[:, :, None]
    column = columns - ((precision / whole) @ columns)[:, None, :]
    squares = (precision[:, :, None] * column**2).sum(axis=1)
    told = squares + JUMP**-2
    jump = apart @ (column * precision[:, :, None] / told[:, None, :])
    log = jump**2
    log *= 0.5 * told[:, None, :]
    log -= 0.5 * (apart**2 @ precision[:, :, None])
    log += 0.5 * (np.log(precision).sum(axis=1, keepdims=True) - np.log(whole))[:, :, None]
    log -= 0.5 * np.log1p(JUMP**2 * squares)[:, None, :]
    return log, jump, 1.0 / told


def _contenders(rest: Array, levels: Levels, columns: Array, column_prior: Array, bent: Flags) -> Rows:
    """Rows of the shapes that may matter: all of them where none comes near, and always those to interpolate in."""
    log, _, _ = _log_likelihood(rest, levels.error, MISFITS[GLANCE : GLANCE + 1], columns)
    best = (log[0] + column_prior).max(axis=1)
    precision = 1.0 / (levels.error**2 + MISFITS[GLANCE] ** 2)
    perfect = 0.5 * (np.log(precision).sum() - np.log(precision.sum()))
    if float(best.max()) < perfect - 0.5 * GOOD * levels.batch.size:
        return np.arange(len(rest))
    return np.flatnonzero((best > best.max() - HOPELESS) | ~bent)


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


def quantiles(values: Array, weight: Array, parts: tuple[float, ...]) -> list[list[float]]:
    """Weighted quantiles of each column of a grid's values, interpolated."""
    order = np.argsort(values, axis=0, kind="stable")
    heavy = weight[order]
    reached = np.cumsum(heavy, axis=0) - 0.5 * heavy
    laid = np.take_along_axis(values, order, axis=0)
    return [np.interp(parts, reached[:, place], laid[:, place]).tolist() for place in range(values.shape[1])]
