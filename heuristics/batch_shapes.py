"""How a step's time may grow with the batch: a library of shapes, each with the part of it that does not grow.

A shape is known up to a factor. ``fixed`` is 1 − d log step ÷ d log batch: for a step of f + m·B it is f ÷ (f + m·B).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heuristics.arrays import Array

PROPORTIONAL, ROOFS, SLOWING = 0.55, 0.3, 0.15
"""Prior weights: a constant and a proportional part; rooflines, flat and then steep; growth that slows down."""

SHARPNESS = (2.5, 8.0)
"""Of a knee: several kernels that cross the ridge at batches of their own smear it out."""

WAITING = (0.0, 0.4, 1.5)
"""Constant time beside a roofline, in units of its flat part: launches, the host."""

SPREAD_COST = (0.0, 0.3)
"""Cost a sequence beside a roofline, in units of its steep part: KV traffic, work on the host."""

POWERS = (0.4, 0.7)
EXPERTS = (1.0, 4.0, 16.0)
"""Weights of all experts beside what every token streams."""

PARTS_OF_CONTEXT = (0.0, 0.5, 1.0)
"""Of the marginal part, what grows with the context too."""

UNLIKE = 0.05
"""Relative spread of the contexts from which on they are told apart from the batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """``log_step`` and ``fixed`` have shape (shapes, levels), ``log_prior`` (shapes,)."""

    log_step: Array
    fixed: Array
    log_prior: Array


def shapes_at(batch: Array, context: Array) -> Shapes:
    """Every shape at these batches; contexts may be NaN, and are then taken to be alike."""
    low, high = float(batch.min()), float(batch.max())
    families = (
        (PROPORTIONAL, _proportional(batch, context, np.geomspace(low / 40.0, high * 80.0, 120))),
        (ROOFS, _roofs(batch, np.geomspace(low, high, 28))),
        (SLOWING, _slowing(batch, low, high)),
    )
    return Shapes(
        log_step=np.concatenate([step for _, (step, _) in families]),
        fixed=np.concatenate([fixed for _, (_, fixed) in families]),
        log_prior=np.concatenate([np.full(len(step), np.log(weight / len(step))) for weight, (step, _) in families]),
    )


def _proportional(batch: Array, context: Array, equal: Array) -> tuple[Array, Array]:
    """1 + u ÷ equal: ``equal`` is the batch at which both parts are alike."""
    found = np.concatenate([u / equal[:, None] for u in _loads(batch, context)])
    return np.log1p(found), 1.0 / (1.0 + found)


def _loads(batch: Array, context: Array) -> list[Array]:
    """What the marginal part may be proportional to: the batch, or also the tokens that its sequences cache."""
    if not np.isfinite(context).all() or not context.mean() or context.std() < UNLIKE * context.mean():
        return [batch]
    relative = context / context.mean()
    return [batch * ((1.0 - part) + part * relative) for part in PARTS_OF_CONTEXT]


def _roofs(batch: Array, knee: Array) -> tuple[Array, Array]:
    """Waiting + ‖(1, B ÷ knee)‖ + B · cost: the larger of two roofs, smeared, with what stands beside it."""
    x = batch / knee[:, None]
    steps, grown = [], []
    for sharp in SHARPNESS:
        power = x**sharp
        roof = (1.0 + power) ** (1.0 / sharp)
        steep = roof * power / (1.0 + power)
        for waiting in WAITING:
            for cost in SPREAD_COST:
                steps.append(waiting + roof + cost * x)
                grown.append(steep + cost * x)
    step = np.concatenate(steps)
    return np.log(step), 1.0 - np.concatenate(grown) / step


def _slowing(batch: Array, low: float, high: float) -> tuple[Array, Array]:
    """Powers below one, and experts of which more and more are touched."""
    x = batch / np.geomspace(low / 10.0, high * 10.0, 24)[:, None]
    steps = [1.0 + x**power for power in POWERS]
    grown = [power * x**power for power in POWERS]
    x = batch / np.geomspace(low, high, 12)[:, None]
    untouched = np.exp(-x)
    steps += [1.0 + experts * (1.0 - untouched) for experts in EXPERTS]
    grown += [experts * x * untouched for experts in EXPERTS]
    step = np.concatenate(steps)
    return np.log(step), 1.0 - np.concatenate(grown) / step
