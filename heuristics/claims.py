"""What a piece of evidence may say about a time budget.

A claim maps every point of the triangle, under every value of the shared unknowns, to a log likelihood
and to a misfit: by how many widths the point breaks it. Claims are soft; a width is one standard
deviation of a one-sided normal or of a logistic blur, both log-concave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from heuristics.arrays import Array
from heuristics.simplex import Ceiling, Prior, Triangle, Unknowns
from heuristics.vocabulary import Relation, Share

_LOGISTIC_PER_DEVIATION = np.pi / np.sqrt(3.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One share is at most, or at least, ``value``: the form in which every claim can be read.

    As a claim its likelihood is 1 where it holds and falls off as a normal of ``width`` where it does not,
    so a looser value or a greater width never lowers the likelihood of any point.
    """

    share: Share
    relation: Relation
    value: float
    width: float

    def misfit(self, triangle: Triangle, unknowns: Unknowns) -> Array:
        """Widths by which each point breaks the bound; 0 where it holds."""
        excess = triangle.of(self.share) - self.value
        if self.relation is Relation.AT_LEAST:
            excess = -excess
        return np.maximum(0.0, excess / self.width)

    def log_likelihood(self, triangle: Triangle, unknowns: Unknowns) -> Array:
        """Log likelihood at each point, broadcastable over the unknowns."""
        return -0.5 * self.misfit(triangle, unknowns) ** 2

    def as_bounds(self, prior: Prior) -> tuple[Bound | RatioBound, ...]:
        """Itself."""
        return (self,)


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioBound:
    """``share`` stands to ``to`` as ``value`` to 1; the readable form of a claim on proportions."""

    share: Share
    to: Share
    value: float
    width: float


class Claim(Protocol):
    """What the engine needs of a claim."""

    def misfit(self, triangle: Triangle, unknowns: Unknowns) -> Array: ...

    def log_likelihood(self, triangle: Triangle, unknowns: Unknowns) -> Array: ...

    def as_bounds(self, prior: Prior) -> tuple[Bound | RatioBound, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WallBound:
    """A time fraction of the *whole* window, idle time included, that caps a share of the time with work.

    Memory and compute: share ≤ fraction ÷ work. Latency: latency ≥ 1 − fraction ÷ work.
    """

    share: Share
    fraction: float
    width: float

    def misfit(self, triangle: Triangle, unknowns: Unknowns) -> Array:
        """Widths by which each point breaks the bound."""
        cap = np.minimum(1.0, self.fraction / unknowns.work)
        held = triangle.of(self.share)
        excess = (1.0 - cap) - held if self.share is Share.LATENCY else held - cap
        return np.maximum(0.0, excess / self.width)

    def log_likelihood(self, triangle: Triangle, unknowns: Unknowns) -> Array:
        """Log likelihood at each point, broadcastable over the unknowns."""
        return -0.5 * self.misfit(triangle, unknowns) ** 2

    def as_bounds(self, prior: Prior) -> tuple[Bound | RatioBound, ...]:
        """The bound when the job had work as long as it may have had."""
        if self.share is Share.LATENCY:
            cap = min(1.0, self.fraction / prior.least_work)
            return (Bound(share=self.share, relation=Relation.AT_LEAST, value=1.0 - cap, width=self.width),)
        cap = min(1.0, self.fraction / prior.least_work)
        return (Bound(share=self.share, relation=Relation.AT_MOST, value=cap, width=self.width),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Moved ÷ needed bytes, or executed ÷ useful FLOPs: at least 1, spread half-normally above it.

    ``tail`` of the weight lies evenly, in the logarithm, on factors up to ``most``: code that is nothing
    like what the arithmetic assumes.
    """

    spread: float
    tail: float = 0.0
    most: float = 1.0

    def grid(self) -> tuple[Array, Array]:
        """Factors and normalised weights, each of shape (factors,)."""
        if self.spread == 0.0:
            return np.ones(1), np.ones(1)
        quantiles = np.array([0.0, 0.35, 0.75, 1.25, 1.9])
        weights = np.exp(-0.5 * quantiles**2)
        factors, weights = 1.0 + self.spread * quantiles, (1.0 - self.tail) * weights / weights.sum()
        if self.tail:
            wild = np.geomspace(1.5, self.most, 4)
            factors = np.concatenate([factors, wild])
            weights = np.concatenate([weights, np.full(4, self.tail / 4)])
        return factors, weights


MEASURED = Traffic(spread=0.0)
"""Counters count what really moved."""

STREAMED = Traffic(spread=0.12, tail=0.08, most=4.0)
"""Weight streaming by fused kernels: little beyond what is needed, unless the code is not fused after all."""

UNFUSED = Traffic(spread=0.9, tail=0.12, most=10.0)
"""Eager or unfused code, tile padding, dequantisation, skewed experts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """A resource ran at ``peak_fraction`` of its peak over the window.

    With u = fraction × traffic ÷ (ceiling × work), share ≤ u ≤ memory + compute, and u is spread evenly
    over that interval: a compute-bound operation may use any part of the bandwidth. That density, blurred
    by a logistic of ``width``, is why a resource at its roof favours its share without asserting it.
    """

    share: Share
    peak_fraction: float
    width: float
    traffic: Traffic = MEASURED
    of_work: bool = False
    """The fraction is of the time with work already, not of the whole window."""

    def _per_fraction(self, unknowns: Unknowns) -> Array:
        """u for each unit of the peak fraction."""
        ceiling = unknowns.bandwidth if self.share is Share.MEMORY else unknowns.arithmetic
        per_fraction: Array = 1.0 / (ceiling * (1.0 if self.of_work else unknowns.work))
        return per_fraction

    def misfit(self, triangle: Triangle, unknowns: Unknowns) -> Array:
        """Widths by which no traffic factor can reconcile a point with the measurement."""
        used = self.peak_fraction * self._per_fraction(unknowns)
        most = used * float(self.traffic.grid()[0].max())
        below = triangle.of(self.share) - most
        above = used - (1.0 - triangle.latency)
        return np.maximum(0.0, np.maximum(below, above) / self.width)

    def log_likelihood(self, triangle: Triangle, unknowns: Unknowns) -> Array:
        """Log of the density of the observed fraction at each point, the traffic factor marginalised."""
        least = triangle.of(self.share)
        most = 1.0 - triangle.latency
        scale = self.width / _LOGISTIC_PER_DEVIATION
        per_fraction = self._per_fraction(unknowns)
        density = np.zeros(np.broadcast_shapes(per_fraction.shape, least.shape))
        for factor, weight in zip(*self.traffic.grid(), strict=True):
            moved = self.peak_fraction * per_fraction * factor
            inside = _logistic((moved - least) / scale) - _logistic((moved - most) / scale)
            density += weight * per_fraction * factor * inside / (most - least)
        return np.log(density + 1e-12)

    def as_bounds(self, prior: Prior) -> tuple[Bound | RatioBound, ...]:
        """share ≤ u, and latency ≤ 1 − u, at the typical ceiling, each for the work that loosens it most.

        Of a roof that is unknown only what holds wherever it may lie.
        """
        ceiling = prior.bandwidth if self.share is Share.MEMORY else prior.arithmetic
        least_work = 1.0 if self.of_work else prior.least_work
        typical = (ceiling.typical, ceiling.typical)
        least, most = (ceiling.low, ceiling.high) if ceiling.log_uniform else typical
        above, below = self.peak_fraction / least, self.peak_fraction / most
        return (
            Bound(share=self.share, relation=Relation.AT_MOST, value=min(1.0, above / least_work), width=self.width),
            Bound(share=Share.LATENCY, relation=Relation.AT_MOST, value=max(0.0, 1.0 - below), width=self.width),
        )


def _logistic(x: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


MANY_PARTS = 4096
FINENESS = 400
"""Fractions closer than one of so many steps are the same to a claim whose width is a dozen of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """Parts of the window, each with the fraction of both peaks reached in it. Arrays of shape (parts,).

    ``weight`` is each part's share of the window, above 0; the weights need not sum to 1.
    """

    weight: Array
    bandwidth_fraction: Array
    arithmetic_fraction: Array

    def condensed(self) -> Pieces:
        """The same with parts of nearly equal fractions taken together, so that many cost no more than some."""
        if self.weight.size <= MANY_PARTS:
            return self
        both = (self.bandwidth_fraction, self.arithmetic_fraction)
        bandwidth, arithmetic = (np.rint(np.minimum(f, 1.0) * FINENESS).astype(np.int32) for f in both)
        place = bandwidth * (FINENESS + 1) + arithmetic
        weight: Array = np.bincount(place, self.weight).astype(np.float64)
        present = np.flatnonzero(weight)
        fractions = [np.bincount(place, self.weight * f)[present] / weight[present] for f in both]
        return Pieces(weight=weight[present], bandwidth_fraction=fractions[0], arithmetic_fraction=fractions[1])

    def shares(self, bandwidth_ceiling: float, arithmetic_ceiling: float) -> tuple[float, float]:
        """Roof-equivalent time bound by memory and by compute: each part counts its longer roof time once."""
        memory = self.bandwidth_fraction / bandwidth_ceiling
        compute = self.arithmetic_fraction / arithmetic_ceiling
        by_memory = memory >= compute
        longest = np.minimum(1.0, np.maximum(memory, compute)) * self.weight
        return float(longest[by_memory].sum()), float(longest[~by_memory].sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Roof-equivalent time added up part by part: memory ≈ Σ, compute ≈ Σ, the rest of the window unexplained.

    ``complete``: the parts are all that ran, so the sums are estimates; otherwise they are lower bounds.
    ``ceilings`` replaces the shared ones where the fractions are of another kind of peak (Speed of Light).
    """

    pieces: Pieces
    width: float
    complete: bool
    ceilings: tuple[Ceiling, Ceiling] | None = None

    def _shares(self, unknowns: Unknowns) -> list[tuple[Array, Array, float]]:
        """(memory, compute, weight), either over the shared ceilings or one entry a private pair."""
        if self.ceilings is None:
            shape = (1, unknowns.bandwidth.size, unknowns.arithmetic.size, 1)
            pairs = [
                self.pieces.shares(float(b), float(a))
                for b in unknowns.bandwidth.ravel()
                for a in unknowns.arithmetic.ravel()
            ]
            table = np.array(pairs)
            return [(table[:, 0].reshape(shape), table[:, 1].reshape(shape), 1.0)]
        found = []
        bandwidth, bandwidth_weight = self.ceilings[0].grid(5)
        arithmetic, arithmetic_weight = self.ceilings[1].grid(5)
        for b, wb in zip(bandwidth, bandwidth_weight, strict=True):
            for a, wa in zip(arithmetic, arithmetic_weight, strict=True):
                memory, compute = self.pieces.shares(float(b), float(a))
                found.append((np.array(memory), np.array(compute), float(wb * wa)))
        return found

    def _squared(self, triangle: Triangle, memory: Array, compute: Array) -> Array:
        apart_memory = (triangle.memory - memory) / self.width
        apart_compute = (triangle.compute - compute) / self.width
        if not self.complete:
            apart_memory = np.minimum(0.0, apart_memory)
            apart_compute = np.minimum(0.0, apart_compute)
        squared: Array = apart_memory**2 + apart_compute**2
        return squared

    def misfit(self, triangle: Triangle, unknowns: Unknowns) -> Array:
        """Widths between each point and the nearest split that any ceiling allows."""
        apart = [np.sqrt(self._squared(triangle, m, c)) for m, c, _ in self._shares(unknowns)]
        least: Array = np.minimum.reduce(apart)
        return least

    def log_likelihood(self, triangle: Triangle, unknowns: Unknowns) -> Array:
        """Log likelihood at each point, private ceilings marginalised."""
        likelihood = sum(
            weight * np.exp(-0.5 * self._squared(triangle, m, c)) for m, c, weight in self._shares(unknowns)
        )
        return np.log(np.asarray(likelihood) + 1e-12)

    def as_bounds(self, prior: Prior) -> tuple[Bound | RatioBound, ...]:
        """memory and compute at least their sums, and at most, if complete, at the typical ceilings."""
        bandwidth, arithmetic = self.ceilings or (prior.bandwidth, prior.arithmetic)
        memory, compute = self.pieces.shares(bandwidth.typical, arithmetic.typical)
        relations = (Relation.AT_LEAST, Relation.AT_MOST) if self.complete else (Relation.AT_LEAST,)
        return tuple(
            Bound(share=share, relation=relation, value=value, width=self.width)
            for share, value in ((Share.MEMORY, memory), (Share.COMPUTE, compute))
            for relation in relations
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Proportion:
    """compute : memory in roof-equivalent time, from operations whose absolute speed is unknown.

    ``byte_s`` and ``flop_s`` are each operation's time at the two *peaks*, shape (operations,). The width
    is on compute ÷ (memory + compute). Says nothing about latency.
    """

    byte_s: Array
    flop_s: Array
    width: float

    def _compute_part(self, bandwidth_ceiling: float, arithmetic_ceiling: float) -> float:
        memory = self.byte_s / bandwidth_ceiling
        compute = self.flop_s / arithmetic_ceiling
        longest = np.maximum(memory, compute)
        return float(longest[compute > memory].sum() / longest.sum())

    def misfit(self, triangle: Triangle, unknowns: Unknowns) -> Array:
        """Widths between the proportion at each point and the expected one."""
        shape = (1, unknowns.bandwidth.size, unknowns.arithmetic.size, 1)
        expected = np.array(
            [
                self._compute_part(float(b), float(a))
                for b in unknowns.bandwidth.ravel()
                for a in unknowns.arithmetic.ravel()
            ]
        ).reshape(shape)
        at_roofs = triangle.memory + triangle.compute
        apart: Array = np.abs(triangle.compute / at_roofs - expected) / self.width
        return apart

    def log_likelihood(self, triangle: Triangle, unknowns: Unknowns) -> Array:
        """Log likelihood at each point, broadcastable over the ceilings."""
        return -0.5 * self.misfit(triangle, unknowns) ** 2

    def as_bounds(self, prior: Prior) -> tuple[Bound | RatioBound, ...]:
        """compute : memory at the typical ceilings; 99 stands for no memory-bound operation at all.

        None where the arithmetic roof is unknown: the proportion then differs from one possible roof to another.
        """
        if prior.arithmetic.log_uniform:
            return ()
        part = self._compute_part(prior.bandwidth.typical, prior.arithmetic.typical)
        ratio = min(99.0, part / max(1e-9, 1.0 - part))
        return (RatioBound(share=Share.COMPUTE, to=Share.MEMORY, value=ratio, width=self.width),)
