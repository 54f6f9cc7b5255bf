"""The triangle of time budgets, and the unknowns that several pieces of evidence share.

Every array that a claim returns broadcasts over four axes: the share of the window in which the job
had work, the achievable fraction of peak bandwidth, the achievable fraction of peak arithmetic, and
the points of the triangle memory + compute + latency = 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from heuristics.arrays import Array
from heuristics.vocabulary import Share

POINTS_PER_EDGE = 60
"""Cells along an edge: a resolution of 1/60, a third of the narrowest width in use."""

SHARES = (Share.MEMORY, Share.COMPUTE, Share.LATENCY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Triangle:
    """Cell centres of the triangle, shape (points,), and who wins at each (points, 3), ties split evenly."""

    memory: Array
    compute: Array
    latency: Array
    winner: Array

    def of(self, share: Share) -> Array:
        """The coordinate of one share at every point."""
        return {Share.MEMORY: self.memory, Share.COMPUTE: self.compute, Share.LATENCY: self.latency}[share]


@cache
def triangle(points_per_edge: int = POINTS_PER_EDGE) -> Triangle:
    """The uniform grid; cell centres keep the three corners symmetric and off the edges."""
    rows, columns = np.meshgrid(np.arange(points_per_edge), np.arange(points_per_edge), indexing="ij")
    inside = rows + columns < points_per_edge
    memory = (rows[inside] + 1 / 3) / points_per_edge
    compute = (columns[inside] + 1 / 3) / points_per_edge
    latency = 1.0 - memory - compute
    shares = np.stack([memory, compute, latency], axis=1)
    largest = np.isclose(shares, shares.max(axis=1, keepdims=True), atol=1e-9)
    return Triangle(
        memory=memory,
        compute=compute,
        latency=latency,
        winner=largest / largest.sum(axis=1, keepdims=True),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """What fraction of a peak well-written code reaches: a normal prior cut to [low, high].

    ``log_uniform`` replaces it where the roof is unknown until seen (emulated or dequantised arithmetic).
    """

    mean: float
    deviation: float
    low: float
    high: float = 1.0
    log_uniform: bool = False

    def grid(self, points: int) -> tuple[Array, Array]:
        """Values and normalised weights, each of shape (points,)."""
        if self.log_uniform:
            values = np.exp(np.linspace(np.log(self.low), np.log(self.high), points))
            return values, np.full(points, 1.0 / points)
        values = np.linspace(self.low, self.high, points)
        weights = np.exp(-0.5 * ((values - self.mean) / self.deviation) ** 2)
        return values, weights / weights.sum()

    @property
    def typical(self) -> float:
        """The one number to show: the mean, or the geometric middle of an unknown roof."""
        return float(np.sqrt(self.low * self.high)) if self.log_uniform else self.mean


BANDWIDTH_CEILING = Ceiling(mean=0.85, deviation=0.08, low=0.45)
"""What the best kernels stream at, of the peak: 0.91 sums and attention, 0.81 thin products on an H100, 0.87 the best
decoding published. Whole jobs decode at 55 to 87 %, and what they lack is latency. ``tests/ground_truth/ceilings.py``
fits 0.90 ± 0.06 to captures of one card, whichever family of workloads is left out; other cards are known less well.
"""

ARITHMETIC_CEILING = Ceiling(mean=0.68, deviation=0.16, low=0.30)
"""Large matrix products reach 51 % (MI300X) to 87 % (A100) of the dense peak, and less in whole models. The same fit
leaves it as it is.
"""

UNKNOWN_ARITHMETIC_CEILING = Ceiling(mean=0.2, deviation=0.0, low=0.03, log_uniform=True)
"""Emulated or dequantised arithmetic: anything from a thirtieth of the peak to all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """What is believed reachable of both peaks of a device; it depends on how the peaks are known."""

    bandwidth: Ceiling = BANDWIDTH_CEILING
    arithmetic: Ceiling = ARITHMETIC_CEILING


STATED_CEILINGS = Ceilings()
"""Of peaks that a datasheet or the device states: no program reaches them."""

MEASURED_CEILINGS = Ceilings(
    bandwidth=Ceiling(mean=0.92, deviation=0.08, low=0.60, high=1.10),
    arithmetic=Ceiling(mean=0.80, deviation=0.15, low=0.35, high=1.10),
)
"""Of rates that a benchmark reached on the machine itself: a job comes closer, and may do slightly better. Whole
models fall short of the best matrix product by their shapes."""

LOADED_CEILINGS = Ceilings(
    bandwidth=Ceiling(mean=1.0, deviation=0.20, low=0.60, high=1.60),
    arithmetic=Ceiling(mean=0.90, deviation=0.25, low=0.35, high=1.60),
)
"""Of rates measured while others used the machine: the true ones may be well above."""

STEADY = 0.08
"""Spread of a benchmark's rounds that its usual ceilings cover."""


def unsteady(ceiling: Ceiling, spread: float | None) -> Ceiling:
    """The ceiling of a rate whose rounds fell behind the best one by ``spread`` on median: a job sees the median."""
    if spread is None or spread <= STEADY:
        return ceiling
    part = min(0.7, spread)
    return replace(
        ceiling,
        mean=ceiling.mean * (1.0 - part),
        deviation=float(np.hypot(ceiling.deviation, 0.5 * part)),
        low=max(0.2, ceiling.low - part),
    )


CEILING_POINTS = 9
WORK_POINTS = 7

NO_PAUSE = 0.5
"""Prior weight of a device that was active whenever there was work; the rest spreads up to work all the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknowns:
    """The grid over what is common to several claims; arrays broadcast as (work, bandwidth, arithmetic, 1)."""

    work: Array
    bandwidth: Array
    arithmetic: Array
    log_weight: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What is believed before any evidence: a uniform triangle, two ceilings, and how much of the window had work."""

    bandwidth: Ceiling = BANDWIDTH_CEILING
    arithmetic: Ceiling = ARITHMETIC_CEILING
    least_work: float = 1.0
    """The job had work for at least this share of the window; 1 when requests are known to have run throughout."""

    def unknowns(self) -> Unknowns:
        """The product grid with its log weights."""
        bandwidth, bandwidth_weight = self.bandwidth.grid(CEILING_POINTS)
        arithmetic, arithmetic_weight = self.arithmetic.grid(CEILING_POINTS)
        work, work_weight = np.ones(1), np.ones(1)
        if self.least_work < 1.0:
            work = np.linspace(self.least_work, 1.0, WORK_POINTS)
            work_weight = np.full(WORK_POINTS, (1.0 - NO_PAUSE) / (WORK_POINTS - 1))
            work_weight[0] = NO_PAUSE
        log_weight = (
            np.log(work_weight)[:, None, None, None]
            + np.log(bandwidth_weight)[None, :, None, None]
            + np.log(arithmetic_weight)[None, None, :, None]
        )
        return Unknowns(
            work=work[:, None, None, None],
            bandwidth=bandwidth[None, :, None, None],
            arithmetic=arithmetic[None, None, :, None],
            log_weight=log_weight,
        )
