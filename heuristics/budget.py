"""The time budget: soft claims multiplied over the triangle memory + compute + latency = 1.

The posterior under a uniform prior answers three questions: the shares (its means), the regime (the
largest share) and the confidence (the mass in which that share is the largest). What several claims have
in common is marginalised once, outermost. Evidence that no point satisfies, even with every claim
relaxed by two widths, is a conflict: one of the sources is wrong and which one is not known, so the
posteriors of the largest consistent subsets are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from heuristics.arrays import Array, Flags
from heuristics.evidence import Evidence
from heuristics.simplex import SHARES, Prior, Triangle, Unknowns, triangle
from heuristics.vocabulary import Quantity, Share

RELAXATION_WIDTHS = 2.0
"""A claim broken by more than this many widths is contradicted, not merely strained."""

DECIDED = 0.60
"""Posterior mass below which no regime is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The posterior over the triangle.

    ``shares`` are posterior means that sum to 1, ``mass`` the probability that each share is the largest.
    ``conflict`` names the signals that cannot all be right.
    """

    shares: dict[Share, float]
    mass: dict[Share, float]
    density: Array
    conflict: tuple[str, ...] = ()

    @property
    def latency_range(self) -> tuple[float, float]:
        """Between these the latency share lies with 80 % probability."""
        grid = triangle()
        order = np.argsort(grid.latency, kind="stable")
        below = np.cumsum(self.density[order])
        low, high = (
            float(grid.latency[order][min(int(np.searchsorted(below, p)), below.size - 1)]) for p in (0.1, 0.9)
        )
        return low, high

    @property
    def leader(self) -> Share:
        """The share most probably the largest."""
        return max(SHARES, key=lambda share: self.mass[share])

    @property
    def confidence(self) -> float:
        """The posterior mass of the leader."""
        return self.mass[self.leader]


def weigh(evidence: Sequence[Evidence], prior: Prior) -> Budget:
    """Add up evidence, whatever its order, to one budget; each physical quantity counts once."""
    ordered = sorted(one_a_quantity(evidence), key=lambda item: item.quantity)
    grid = triangle()
    unknowns = prior.unknowns()
    likelihoods = [_log_likelihood(item, grid, unknowns) for item in ordered]
    together = _density(likelihoods, grid, unknowns)
    if _consistent(ordered, grid, unknowns):
        return _budget(together, grid)
    kept, conflict = _consistent_subsets(ordered, grid, unknowns)
    averaged = np.mean([_density([likelihoods[i] for i in subset], grid, unknowns) for subset in kept], axis=0)
    budget = _budget(averaged, grid)
    ceiling = _budget(together, grid).confidence
    if budget.confidence > ceiling:
        averaged = _flattened(averaged, grid, ceiling)
        budget = _budget(averaged, grid)
    return Budget(shares=budget.shares, mass=budget.mass, density=averaged, conflict=conflict)


def one_a_quantity(evidence: Sequence[Evidence]) -> list[Evidence]:
    """The best source of each quantity, in the order given: the others restate it and would count it twice."""
    best: dict[Quantity, Evidence] = {}
    for item in sorted(evidence, key=lambda e: (e.rank, e.signal, e.source)):
        best.setdefault(item.quantity, item)
    kept = []
    for item in evidence:
        if best.get(item.quantity) is item:
            kept.append(best.pop(item.quantity))
    return kept


def _log_likelihood(item: Evidence, grid: Triangle, unknowns: Unknowns) -> Array:
    total: Array = np.zeros((1, 1, 1, 1))
    for claim in item.claims:
        total = total + claim.log_likelihood(grid, unknowns)
    return total


def _density(likelihoods: Sequence[Array], grid: Triangle, unknowns: Unknowns) -> Array:
    shape = np.broadcast_shapes(unknowns.log_weight.shape, (grid.memory.size,))
    total = np.broadcast_to(unknowns.log_weight, shape).copy()
    for likelihood in likelihoods:
        total += likelihood
    total -= total.max()
    density: Array = np.exp(total, out=total).sum(axis=(0, 1, 2))
    normalised: Array = density / density.sum()
    return normalised


def _budget(density: Array, grid: Triangle) -> Budget:
    mass = density @ grid.winner
    return Budget(
        shares={share: float(density @ grid.of(share)) for share in SHARES},
        mass={share: float(mass[i]) for i, share in enumerate(SHARES)},
        density=density,
    )


def _consistent(items: Sequence[Evidence], grid: Triangle, unknowns: Unknowns) -> bool:
    allowed: Flags = np.ones((1, 1, 1, grid.memory.size), bool)
    for item in items:
        for claim in item.claims:
            allowed = allowed & (claim.misfit(grid, unknowns) <= RELAXATION_WIDTHS)
    return bool(allowed.any())


def _consistent_subsets(
    items: Sequence[Evidence], grid: Triangle, unknowns: Unknowns
) -> tuple[list[tuple[int, ...]], tuple[str, ...]]:
    """The largest subsets that some point satisfies, and the signals that were dropped from any of them."""
    everything = range(len(items))
    for dropped in range(1, len(items) + 1):
        kept = [
            subset
            for subset in combinations(everything, len(items) - dropped)
            if _consistent([items[i] for i in subset], grid, unknowns)
        ]
        if kept:
            blamed = sorted({i for subset in kept for i in everything if i not in subset})
            return kept, tuple(items[i].signal for i in blamed)
    raise AssertionError("the empty set of evidence is always consistent")


def _flattened(density: Array, grid: Triangle, confidence: float) -> Array:
    """Mix in the uniform prior until the leader holds no more than ``confidence``."""
    uniform = np.full_like(density, 1.0 / density.size)
    sharp = _budget(density, grid).confidence
    level = 1.0 / 3.0
    keep = max(0.0, (confidence - level) / (sharp - level)) if sharp > level else 0.0
    return keep * density + (1.0 - keep) * uniform
