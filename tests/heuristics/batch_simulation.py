"""How well a batch curve gives back the truth, by family of simulated machines.

python -m tests.heuristics.batch_simulation [RUNS]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from heuristics.arrays import Flags
from heuristics.batch_fit import fit_batches
from heuristics.batch_shape import Interval
from tests.heuristics.batch_simulator import FAMILIES, Run

NEAR = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """Fractions of the runs. ``near`` is of those that were told, None without any, ``covered`` of all."""

    runs: int
    told_largest: float
    told_middle: float
    near_largest: float | None
    near_middle: float | None
    covered: float
    half_width: float


def recovered(family: str, runs: int, seed: int = 1) -> Recovered:
    """So many runs of a family."""
    chance = np.random.default_rng([seed, *family.encode()])
    rows = [row for _ in range(runs) for row in _compared(FAMILIES[family](chance))]
    table = np.array(rows).reshape(runs, 2, 4)
    told, error, inside, wide = np.moveaxis(table, 2, 0)
    near = np.abs(error) <= NEAR
    return Recovered(
        runs=runs,
        told_largest=float(told[:, 0].mean()),
        told_middle=float(told[:, 1].mean()),
        near_largest=_mean(near[told[:, 0] > 0, 0]),
        near_middle=_mean(near[told[:, 1] > 0, 1]),
        covered=float(inside.mean()),
        half_width=float(np.median(wide)),
    )


def _mean(flags: Flags) -> float | None:
    return float(flags.mean()) if flags.size else None


def _compared(run: Run) -> list[tuple[float, float, float, float]]:
    """(told, error, truth inside the interval, half its width) at the largest batch and at the middle one."""
    fit = fit_batches(run.curve)
    found = []
    for batch in (run.largest, run.middle):
        share, truth = fit.fixed_share_at(batch), run.fixed_share(batch)
        if share is None:
            found.append((0.0, np.inf, 0.0, np.inf))
            continue
        at = min(fit.levels, key=lambda level: abs(np.log(level.batch / batch)))
        found.append((float(at.unsettled is None), share.value - truth, float(_holds(share, truth)), _half(share)))
    return found


def _holds(share: Interval, truth: float) -> bool:
    return share.low - 0.01 <= truth <= share.high + 0.01


def _half(share: Interval) -> float:
    return 0.5 * (share.high - share.low)


def table(runs: int) -> str:
    """A line a family, in Markdown."""
    lines = [
        "| family | told, largest | within 0.05 | told, middle | within 0.05 | interval holds | ± median |",
        "|---|---|---|---|---|---|---|",
    ]
    for family in FAMILIES:
        r = recovered(family, runs)
        lines.append(
            f"| {family} | {_percent(r.told_largest)} | {_percent(r.near_largest)} | {_percent(r.told_middle)} "
            f"| {_percent(r.near_middle)} | {_percent(r.covered)} | {r.half_width:.3f} |"
        )
    return "\n".join(lines)


def _percent(part: float | None) -> str:
    return "" if part is None else f"{100 * part:.1f} %"


if __name__ == "__main__":
    print(table(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
