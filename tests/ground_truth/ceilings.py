"""The achievable ceilings, fitted to the captures. ``python -m tests.ground_truth.ceilings`` prints the table.

For each setting the mean over captures of log P(the regime that interventions show), from hardware counters, from
numbers, and from both. Each family of workloads is left out once, and what is best on the others is tried on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import log

import numpy as np

from heuristics.case import Case
from heuristics.judge import judge
from heuristics.simplex import STATED_CEILINGS, Ceiling, Ceilings
from heuristics.vocabulary import Share
from tests.ground_truth.answers import machines
from tests.ground_truth.registry import WORKLOADS
from tests.ground_truth.sources import SUBSETS, cases
from tests.ground_truth.truth import truth_of

READINGS = ("gpm", "numbers", "gpm + numbers")
LEAST = 0.01

BANDWIDTH = ((0.75, 0.12), (0.80, 0.10), (0.85, 0.08), (0.85, 0.12), (0.90, 0.06))
ARITHMETIC = ((0.68, 0.16), (0.72, 0.14), (0.76, 0.12), (0.80, 0.12), (0.85, 0.10))
"""(mean, deviation) of the achievable fraction of each peak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A case, the share that is right for it, and where it comes from."""

    family: str
    workload: str
    reading: str
    case: Case
    right: Share


def rows() -> Iterator[Row]:
    """Every capture of a GPU whose regime is known."""
    for _, folder, manifest in machines():
        if manifest["machine"].get("threads"):
            continue
        for name, capture in manifest["workloads"].items():
            truth = truth_of(name, capture)
            if truth is None or truth.regime not in set(Share):
                continue
            for reading in READINGS:
                for case in cases(folder / name, capture, SUBSETS[reading], manifest):
                    yield Row(
                        family=WORKLOADS[name].family,
                        workload=name,
                        reading=reading,
                        case=case,
                        right=Share(truth.regime),
                    )


def setting(bandwidth: tuple[float, float], arithmetic: tuple[float, float]) -> Ceilings:
    """Ceilings with these means and deviations."""
    usual = STATED_CEILINGS

    def made(like: Ceiling, figures: tuple[float, float]) -> Ceiling:
        return replace(like, mean=figures[0], deviation=figures[1])

    return Ceilings(bandwidth=made(usual.bandwidth, bandwidth), arithmetic=made(usual.arithmetic, arithmetic))


def score(row: Row, ceilings: Ceilings) -> float:
    """Log of the mass on the right share."""
    assert row.case.roofs is not None
    case = replace(row.case, roofs=replace(row.case.roofs, ceilings=ceilings))
    return log(max(LEAST, judge(case).mass[row.right]))


def main() -> None:
    """Fit, leave each family out once, print."""
    every = [row for row in rows() if row.case.roofs is not None]
    settings = list(product(BANDWIDTH, ARITHMETIC))
    table = np.array([[score(row, setting(*s)) for row in every] for s in settings])
    families = sorted({row.family for row in every})
    of = np.array([families.index(row.family) for row in every])
    print(f"{len(every)} verdicts on {len({r.workload for r in every})} workloads, {len(families)} families")
    print("bandwidth      arithmetic     mean log P  " + "  ".join(f"{r:>13s}" for r in READINGS))
    reading = np.array([READINGS.index(row.reading) for row in every])
    for place in [*np.argsort(-table.mean(axis=1))[:8].tolist(), settings.index((BANDWIDTH[0], ARITHMETIC[0]))]:
        (b, bd), (a, ad) = settings[place]
        by = "  ".join(f"{table[place, reading == k].mean():13.3f}" for k in range(len(READINGS)))
        print(f"{b:.2f} +- {bd:.2f}   {a:.2f} +- {ad:.2f}   {table[place].mean():10.3f}  {by}")
    usual = settings.index((BANDWIDTH[0], ARITHMETIC[0]))
    print("left out        best on the others               there    as it was")
    for k, family in enumerate(families):
        best = int(table[:, of != k].mean(axis=1).argmax())
        (b, bd), (a, ad) = settings[best]
        here = table[best, of == k].mean()
        print(
            f"{family:15s} {b:.2f} +- {bd:.2f}, {a:.2f} +- {ad:.2f}   {here:8.3f}   {table[usual, of == k].mean():8.3f}"
        )


if __name__ == "__main__":
    main()
