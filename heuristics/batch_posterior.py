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


def posterior_of(levels: Levels, others: Levels) -> Posterior:
    """The posterior of three levels or more. Places are those levels, and the ``others``, which count for nothing."""
    count = levels.batch.size
    shapes = shapes_at(np.concatenate([levels.batch, others.batch]), np.concatenate([levels.context, others.context]))
    columns, column_prior = _columns(count)
    rest = levels.log_step - shapes.log_step[:, :count]
    bent = np.arange(len(rest)) >= shapes.proportional
    kept, weights, sums = _contenders(rest, levels, columns, column_prior, bent), [], []
    for place, misfit in enumerate(MISFITS):
        prior = shapes.log_prior + np.where(bent, np.log(BENT_PRIOR[place]), np.log(MISFIT_PRIOR[place]))
        log, jump, spread = _log_likelihood(rest[kept], levels.error, float(misfit), columns)
        log += column_prior
        log += prior[kept, None]
        top = float(log.max())
        weight = np.exp(np.maximum(log - top, LEAST_LOG))
        chosen, size = weight[:, 1:count], jump[:, 1:count]
        moments = np.stack([chosen, chosen * size, chosen * (size**2 + spread[1:count])]).sum(axis=1)
        weights.append((top, weight.sum(axis=1)))
        sums.append(moments)
    share = np.exp(np.array([top for top, _ in weights]) - max(top for top, _ in weights))
    by_shape = np.full(len(rest), 1e-250)
    by_shape[kept] += sum(s * weight for s, (_, weight) in zip(share, weights, strict=True))
    whole = float(by_shape.sum())
    by_step, first, second = sum(s * moments for s, moments in zip(share, sums, strict=True))
    safe = np.maximum(by_step, 1e-250)
    weight = shapes.refined(np.log(by_shape))
    told = weight > NEGLIGIBLE
    return Posterior(
        fixed=shapes.fixed[told],
        weight=weight[told] / weight[told].sum(),
        step_weight=by_step / whole,
        step_size=first / safe,
        step_error=np.sqrt(np.maximum(0.0, second / safe - (first / safe) ** 2)),
        misfit=float(
            np.exp(sum(s * w.sum() * m for s, (_, w), m in zip(share, weights, np.log(MISFITS), strict=True)) / whole)
        ),
        bent=float(by_shape[bent].sum() / whole),
        slowing=float(by_shape[-shapes.slowing :].sum() / whole),
    )


def _log_likelihood(rest: Array, error: Array, misfit: float, columns: Array) -> tuple[Array, Array, Array]:
    """Of (shapes, columns), the scale and the switch integrated out; the switch's mean, and its variance by column."""
    precision = 1.0 / (error**2 + misfit**2)
    whole = precision.sum()
    apart = rest - (rest @ (precision / whole))[:, None]
    column = columns - (precision @ columns / whole)
    squares = precision @ column**2
    told = squares + JUMP**-2
    jump = apart @ (column * (precision[:, None] / told))
    log = jump**2 * (0.5 * told)
    log += 0.5 * (np.log(precision).sum() - np.log(whole) - np.log1p(JUMP**2 * squares))
    log -= (0.5 * (apart**2 @ precision))[:, None]
    return log, jump, 1.0 / told


def _contenders(rest: Array, levels: Levels, columns: Array, column_prior: Array, bent: Flags) -> Rows:
    """Rows of the shapes that may matter: all of them where none comes near, and always those to interpolate in."""
    misfit = float(MISFITS[GLANCE])
    log, _, _ = _log_likelihood(rest, levels.error, misfit, columns)
    best = (log + column_prior).max(axis=1)
    precision = 1.0 / (levels.error**2 + misfit**2)
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
