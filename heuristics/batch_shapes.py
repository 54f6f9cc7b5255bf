"""How a step's time may grow with the batch: a library of shapes, each with the part of it that does not grow.

A shape is known up to a factor. Its fixed part is 1 − d log step ÷ d log batch: for a step of f + m·B that is
f ÷ (f + m·B), for the larger of two roofs it is 1 below the knee and 0 above.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from heuristics.arrays import Array

PROPORTIONAL, ROOFS, SLOWING = 0.55, 0.3, 0.15
"""Prior weights: a constant and a proportional part; rooflines, flat and then steep; growth that slows down."""

BATCHES = 64
"""Batches at which both parts may be alike, spread evenly in the logarithm ..."""
FINER = 8
"""... and in between, where their weight is interpolated."""

LOWEST, HIGHEST = 1.0 / 40.0, 80.0
"""Of those batches, in units of the smallest and of the largest one measured."""

KNEES = 30
SHARPNESS = (2.0, 6.0, 40.0)
"""Of a knee: several kernels that cross the ridge at batches of their own smear it out."""

WAITING = (0.0, 0.4, 1.5)
"""Constant time beside a roofline, in units of its flat part: launches, the host."""

SPREAD_COST = (0.0, 0.3)
"""Cost of a sequence beside a roofline, in units of its steep part: KV traffic, work on the host."""

POWERS = (0.4, 0.7)
EXPERTS = (0.8, 2.5, 8.0)
"""Weights of all experts beside what every token streams."""
BESIDE_EXPERTS = (0.0, 0.1, 0.35, 1.2)
"""Cost of all sequences of the largest batch beside what every token streams."""

PARTS_OF_CONTEXT = (0.0, 0.5, 1.0)
"""Of the marginal part, what grows with the context too."""

UNLIKE = 0.05
"""Relative spread of the contexts from which on they are told apart from the batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """``log_step`` and ``log_prior`` of (shapes, levels) and (shapes,), and ``fixed`` of (finer shapes, levels).

    The first ``proportional`` rows of ``log_step`` are curves of BATCHES each, to each of which ``fixed`` has FINER
    times as many, at places evenly between; the other rows stand in both.
    """

    log_step: Array
    log_prior: Array
    fixed: Array
    proportional: int
    slowing: int
    """So many of the last rows of both."""

    def refined(self, log_weight: Array) -> Array:
        """Weights of the finer shapes, which sum to 1, from log weights of the shapes."""
        curves = log_weight[: self.proportional].reshape(-1, BATCHES)
        fine = np.concatenate([_between(curves).ravel() - np.log(FINER), log_weight[self.proportional :]])
        weight: Array = np.exp(fine - fine.max())
        found: Array = weight / weight.sum()
        return found


def shapes_at(batch: Array, context: Array) -> Shapes:
    """Every shape at these batches; contexts may be NaN, and are then taken to be alike."""
    return _shapes(batch.tobytes(), context.tobytes())


@lru_cache(maxsize=8)
def _shapes(batch_bytes: bytes, context_bytes: bytes) -> Shapes:
    """Kept, because the devices and phases of a job are judged on the same curve."""
    batch, context = np.frombuffer(batch_bytes), np.frombuffer(context_bytes)
    low, high = float(batch.min()), float(batch.max())
    coarse, fine = (np.geomspace(low * LOWEST, high * HIGHEST, count) for count in (BATCHES, _fine(BATCHES)))
    loads = _loads(batch, context)
    others = ((ROOFS, _roofs(batch, np.geomspace(low, high, KNEES))), (SLOWING, _slowing(batch, low, high)))
    step = np.concatenate([np.log1p(load / coarse[:, None]) for load in loads])
    return Shapes(
        log_step=np.concatenate([step, *(np.log(found) for _, (found, _) in others)]),
        log_prior=np.concatenate(
            [np.full(len(f), np.log(w / len(f))) for w, f in ((PROPORTIONAL, step), *((w, f) for w, (f, _) in others))]
        ),
        fixed=np.concatenate(
            [1.0 / (1.0 + load / fine[:, None]) for load in loads]
            + [1.0 - grown / found for _, (found, grown) in others]
        ),
        proportional=len(step),
        slowing=len(others[-1][1][0]),
    )


def _fine(count: int) -> int:
    return (count - 1) * FINER + 1


def _between(curves: Array) -> Array:
    """Cubics (Catmull and Rom) through each curve's points, FINER places to a step."""
    padded = np.concatenate([2 * curves[:, :1] - curves[:, 1:2], curves, 2 * curves[:, -1:] - curves[:, -2:-1]], axis=1)
    before, at, after, beyond = padded[:, :-3], padded[:, 1:-2], padded[:, 2:-1], padded[:, 3:]
    part = (np.arange(FINER) / FINER)[:, None, None]
    steep, bent = after - before, 2 * before - 5 * at + 4 * after - beyond
    inner = at + 0.5 * part * (steep + part * (bent + part * (3 * (at - after) + beyond - before)))
    laid = np.moveaxis(inner, 0, 2).reshape(len(curves), -1)
    found: Array = np.concatenate([laid, curves[:, -1:]], axis=1)
    return found


def _loads(batch: Array, context: Array) -> list[Array]:
    """What the marginal part may be proportional to: the batch, or also the tokens that its sequences cache."""
    if not np.isfinite(context).all() or not context.mean() or context.std() < UNLIKE * context.mean():
        return [batch]
    relative = context / context.mean()
    return [batch * ((1.0 - part) + part * relative) for part in PARTS_OF_CONTEXT]


def _roofs(batch: Array, knee: Array) -> tuple[Array, Array]:
    """Step and what of it grows of: waiting + ‖(1, B ÷ knee)‖ + cost · B, the larger of two roofs, smeared."""
    x = batch / knee[:, None]
    log_x = np.log(x)
    steps, grown = [], []
    for sharp in SHARPNESS:
        above = 1.0 / (1.0 + np.exp(np.clip(-sharp * log_x, -700.0, 700.0)))
        roof = np.exp(np.logaddexp(0.0, sharp * log_x) / sharp)
        for waiting in WAITING:
            for cost in SPREAD_COST:
                steps.append(waiting + roof + cost * x)
                grown.append(roof * above + cost * x)
    return np.concatenate(steps), np.concatenate(grown)


def _slowing(batch: Array, low: float, high: float) -> tuple[Array, Array]:
    """The same of powers below one, and of experts of which more and more are touched."""
    x = batch / np.geomspace(low / 10.0, high * 10.0, 24)[:, None]
    steps = [1.0 + x**power for power in POWERS]
    grown = [power * x**power for power in POWERS]
    x = batch / np.geomspace(low, high, 16)[:, None]
    untouched = np.exp(-x)
    for experts in EXPERTS:
        for cost in BESIDE_EXPERTS:
            beside = cost * batch / high
            steps.append(1.0 + experts * (1.0 - untouched) + beside)
            grown.append(experts * x * untouched + beside)
    return np.concatenate(steps), np.concatenate(grown)
