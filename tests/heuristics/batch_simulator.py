"""Batch curves whose truth is known, made from physics and chance and from nothing of the estimator.

A machine has a step time at a batch and a context, and says what part of it would stay if the batch grew by a little
(numerically, from its own step time). A family draws machines and the windows that a tool would have seen of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from heuristics.arrays import Array
from heuristics.observations import LoadCurve

NOISE = 0.03
"""Relative standard deviation of a window's step time."""

WINDOWS = 6
"""Windows a batch of an active sweep."""

DOUBLINGS = 2.0 ** np.arange(8)

StepTime = Callable[[Array, Array], Array]
Chance = np.random.Generator


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What was seen, and what is true. ``step_s`` has no kernel switches in it: they are no growth."""

    curve: LoadCurve
    step_s: StepTime
    largest: float
    middle: float
    near: float = 1.0005
    """Between this and its inverse the growth is taken."""

    def fixed_share(self, batch: float) -> float:
        """1 − d log step ÷ d log batch at a batch."""
        near = np.array([batch / self.near, batch * self.near])
        alike = np.abs(np.log(self.curve.batch / batch)) < 0.07
        context = self.curve.context_tokens[alike].mean() if alike.any() else np.nan
        low, high = np.log(self.step_s(near, np.full(2, context)))
        return float(1.0 - (high - low) / np.log(near[1] / near[0]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """How it was looked at: the batch of every window in the order of time, and what disturbs it."""

    batch: Array
    context: Array
    offered: Array | None = None
    switch_at: float = np.inf
    switch_factor: float = 1.0
    warm_up: int = 0
    outliers: float = 0.0
    slower_when_capped: float = 1.0


def look(chance: Chance, step_s: StepTime, seen: Seen, noise: float = NOISE) -> Run:
    """Windows of a machine."""
    batch = seen.batch
    time = step_s(batch, seen.context) * np.where(batch >= seen.switch_at, seen.switch_factor, 1.0)
    if seen.offered is not None:
        time = time * np.where(seen.offered > 1.05 * batch, seen.slower_when_capped, 1.0)
    time = time * np.exp(noise * chance.standard_normal(batch.size))
    early = np.arange(batch.size)
    time = time * np.where(early < seen.warm_up, 1.0 + chance.uniform(0.3, 2.0) * np.exp(-0.7 * early), 1.0)
    wild = chance.random(batch.size) < seen.outliers
    time = time * np.where(wild, 1.0 + np.abs(chance.standard_t(1.5, batch.size)), 1.0)
    levels = np.unique(np.round(batch) if seen.offered is None else np.minimum(seen.offered, np.round(batch.max())))
    return Run(
        curve=LoadCurve(batch=batch, step_s=time, context_tokens=seen.context, offered=seen.offered),
        step_s=step_s,
        largest=float(min(levels[-1], batch.max())),
        middle=float(levels[levels.size // 2]),
    )


def sweep(batches: Array = DOUBLINGS, windows: int = WINDOWS) -> Seen:
    """Upwards, so many windows a batch."""
    batch = np.repeat(batches, windows)
    return Seen(batch=batch, context=np.full(batch.size, np.nan))


def sum_of_parts(chance: Chance, largest: float = DOUBLINGS[-1], share: float | None = None) -> StepTime:
    """Weights and waiting, and so much for each sequence."""
    fixed = chance.uniform(0.03, 0.97) if share is None else share
    scale = 10.0 ** chance.uniform(-3.0, -1.0)

    def step_s(batch: Array, context: Array) -> Array:
        found: Array = scale * (fixed + (1.0 - fixed) * batch / largest)
        return found

    return step_s


def cache_traffic(chance: Chance, largest: float = DOUBLINGS[-1]) -> StepTime:
    """Weights, launches, a little arithmetic, and a KV cache of which every sequence reads its context."""
    fixed = chance.uniform(0.03, 0.97)
    arithmetic = chance.uniform(0.0, 0.2)
    scale = 10.0 ** chance.uniform(-3.0, -1.0)

    def step_s(batch: Array, context: Array) -> Array:
        read = np.where(np.isnan(context), 1.0, context / 1000.0)
        grown = (arithmetic + (1.0 - arithmetic) * read) * batch / largest
        found: Array = scale * (fixed + (1.0 - fixed) * grown)
        return found

    return step_s


def rooflines(chance: Chance) -> StepTime:
    """Several products, each at the larger of its two roofs, one after another; launches and a cache beside them."""
    bytes_s = chance.dirichlet(np.full(5, 2.0))
    knee = 2.0 ** chance.uniform(2.0, 9.0) * 2.0 ** chance.normal(0.0, 0.6, 5)
    launches, cache = chance.uniform(0.0, 0.8), chance.uniform(0.0, 0.004)

    def step_s(batch: Array, context: Array) -> Array:
        products = np.maximum(bytes_s, bytes_s * batch[:, None] / knee).sum(axis=1)
        found: Array = 0.01 * (launches + products + cache * batch)
        return found

    return step_s


def one_roofline(chance: Chance) -> StepTime:
    """A single product that crosses its ridge, perhaps with launches: flat, then straight up, nothing between."""
    knee, launches = 2.0 ** chance.uniform(2.0, 8.0), chance.choice([0.0, 0.3])

    def step_s(batch: Array, context: Array) -> Array:
        found: Array = 0.01 * (launches + np.maximum(1.0, batch / knee))
        return found

    return step_s


def experts(chance: Chance) -> StepTime:
    """A mixture: what every token streams, and the experts that a step's tokens touch, of which ever fewer are new."""
    count = int(chance.choice([8, 16, 64, 128]))
    chosen = int(chance.choice([1, 2, 4, 8][: 2 if count < 64 else 4]))
    common, arithmetic = chance.uniform(0.1, 0.6), chance.uniform(0.0, 0.004)

    def step_s(batch: Array, context: Array) -> Array:
        touched = 1.0 - (1.0 - chosen / count) ** batch
        found: Array = 0.01 * (common + (1.0 - common) * touched + arithmetic * batch)
        return found

    return step_s


def _switched(chance: Chance, seen: Seen, places: Array) -> Seen:
    factor = np.exp(chance.choice([-1.0, 1.0], p=[0.3, 0.7]) * chance.uniform(0.15, 0.7))
    return _replaced(seen, switch_at=float(chance.choice(places)), switch_factor=float(factor))


def _replaced(seen: Seen, **changes: object) -> Seen:
    from dataclasses import replace

    return replace(seen, **changes)  # type: ignore[arg-type]


def _capped(chance: Chance) -> Seen:
    """Concurrency doubles up to 256; the cache holds no more than so many sequences, and preempting costs."""
    cap = float(np.round(2.0 ** chance.uniform(4.2, 7.0)))
    offered = np.repeat(2.0 ** np.arange(9), WINDOWS)
    batch = np.minimum(offered, cap)
    drift = np.where(offered > cap, np.exp(-np.abs(chance.normal(0.0, 0.02, batch.size))), 1.0)
    return Seen(
        batch=batch * drift,
        context=np.full(batch.size, np.nan),
        offered=offered,
        slower_when_capped=float(chance.uniform(1.0, 1.3)),
    )


def _passive(chance: Chance, windows: int = 80) -> Array:
    """The mean batch of windows of a server whose load wanders over four doublings or more."""
    walk = np.cumsum(chance.normal(0.0, 0.35, windows))
    walk = (walk - walk.min()) / np.ptp(walk)
    found: Array = 2.0 ** (chance.uniform(4.0, 6.5) * walk)
    return found


def _weights_and_waiting(chance: Chance) -> Run:
    return look(chance, sum_of_parts(chance), sweep())


def _one_window(chance: Chance) -> Run:
    return look(chance, sum_of_parts(chance), sweep(windows=1))


def _cache(chance: Chance) -> Run:
    return look(chance, cache_traffic(chance), sweep())


def _contexts(chance: Chance) -> Run:
    """Contexts that differ from batch to batch, and are known."""
    seen = sweep()
    level = 1000.0 * np.exp(chance.normal(0.0, 0.5, DOUBLINGS.size))
    return look(chance, cache_traffic(chance), _replaced(seen, context=np.repeat(level, WINDOWS)))


def _switch(chance: Chance) -> Run:
    return look(chance, sum_of_parts(chance), _switched(chance, sweep(), DOUBLINGS[1:-1]))


def _last_switch(chance: Chance) -> Run:
    return look(chance, sum_of_parts(chance), _switched(chance, sweep(), DOUBLINGS[-1:]))


def _first_switch(chance: Chance) -> Run:
    """One sequence runs on another kernel: throughput does not grow from one to two."""
    seen = _replaced(sweep(), switch_at=2.0, switch_factor=float(chance.uniform(1.7, 2.2)))
    return look(chance, sum_of_parts(chance), seen)


def _cap(chance: Chance) -> Run:
    seen = _capped(chance)
    return look(chance, sum_of_parts(chance, float(seen.batch.max())), seen)


def _warm_up(chance: Chance) -> Run:
    return look(chance, sum_of_parts(chance), _replaced(sweep(), warm_up=int(chance.integers(1, 4))))


def _outliers(chance: Chance) -> Run:
    return look(chance, sum_of_parts(chance), _replaced(sweep(), outliers=0.1))


def _roofs(chance: Chance) -> Run:
    return look(chance, rooflines(chance), sweep())


def _one_roof(chance: Chance) -> Run:
    return look(chance, one_roofline(chance), sweep())


def _experts(chance: Chance) -> Run:
    return look(chance, experts(chance), sweep())


def _wandering(chance: Chance) -> Run:
    batch = _passive(chance)
    step_s = sum_of_parts(chance, float(batch.max()))
    return look(chance, step_s, Seen(batch=batch, context=np.full(batch.size, np.nan)))


def _buckets(chance: Chance) -> Run:
    """A server whose batches are padded to sizes that a graph was captured for: 1, 2, 4, then multiples of eight."""
    batch = _passive(chance)
    inner = sum_of_parts(chance, float(batch.max()))

    def padded(batch: Array, context: Array) -> Array:
        small = 2.0 ** np.ceil(np.log2(np.maximum(1.0, batch)))
        return inner(np.where(batch <= 8.0, small, 8.0 * np.ceil(batch / 8.0)), context)

    def smooth(batch: Array, context: Array) -> Array:
        """Over half a doubling to each side: what stays within a bucket is no part that stays."""
        around = batch[:, None] * 2.0 ** np.linspace(-0.5, 0.5, 401)
        found: Array = padded(around, context[:, None]).mean(axis=1)
        return found

    run = look(chance, padded, Seen(batch=batch, context=np.full(batch.size, np.nan)))
    return Run(curve=run.curve, step_s=smooth, largest=run.largest, middle=run.middle, near=2.0)


def _all_at_once(chance: Chance) -> Run:
    """Cache traffic, a kernel switch, a cap, warm-up and outliers together."""
    seen = _capped(chance)
    free = np.unique(seen.batch[seen.batch == seen.offered])
    seen = _replaced(_switched(chance, seen, free[1:-1]), warm_up=2, outliers=0.05)
    return look(chance, cache_traffic(chance, float(seen.batch.max())), seen)


FAMILIES: dict[str, Callable[[Chance], Run]] = {
    "fixed and proportional": _weights_and_waiting,
    "one window a batch": _one_window,
    "KV traffic": _cache,
    "contexts that differ": _contexts,
    "kernel switch": _switch,
    "kernel switch at the first doubling": _first_switch,
    "kernel switch at the last doubling": _last_switch,
    "capped by the KV cache": _cap,
    "warm-up": _warm_up,
    "outliers": _outliers,
    "rooflines of several products": _roofs,
    "one roofline": _one_roof,
    "experts": _experts,
    "a load that wanders": _wandering,
    "batches padded to buckets": _buckets,
    "all at once": _all_at_once,
}
"""Named as the table in docs/roofline.md names them."""
