"""How often change points are found, and how soon, in series made up: steps, drifts, stretches, and nothing at all.

``python -m tests.heuristics.regression.change_point_simulation [SERIES]`` prints the table of docs/history.md. Nothing
here is shared with the search but the hosts, which are those of the gate's nights.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from heuristics.regression.change_points import Change, Kind, change_points
from tests.heuristics.regression.simulation import HOSTS

NOISE = 0.02
BEFORE = 40
NEAR = 3
"""Sessions that a place may be off."""

Shape = Callable[["np.ndarray[tuple[int], np.dtype[np.int64]]"], "np.ndarray[tuple[int], np.dtype[np.float64]]"]


def step(size: float) -> Shape:
    """Slower by ``size`` from session ``BEFORE`` on."""
    return lambda night: np.log1p(size) * (night >= BEFORE)


def stretch(size: float, nights: int) -> Shape:
    """Slower for some nights only, as when a fault is mended."""
    return lambda night: np.log1p(size) * ((night >= BEFORE // 2) & (night < BEFORE // 2 + nights))


def drift(a_night: float) -> Shape:
    """Slower by so much more every night after ``BEFORE`` quiet ones."""
    return lambda night: a_night * np.maximum(0, night - BEFORE + 1)


def series(host: str, shape: Shape, nights: int, rng: np.random.Generator) -> list[float]:
    found: list[float] = (NOISE * HOSTS[host](rng, nights) + shape(np.arange(nights))).tolist()
    return found


@dataclass(frozen=True)
class Found:
    """Of so many series: any change, one to the worse, a step of that kind near its place, a drift."""

    any: float
    worse: float
    near: float
    drifting: float


def found(host: str, shape: Shape, nights: int, count: int, seed: int = 1) -> Found:
    rng = np.random.default_rng(seed)
    every = [change_points(series(host, shape, nights, rng)) for _ in range(count)]
    return Found(
        any=_rate(every, lambda c: True),
        worse=_rate(every, lambda c: c.size > 0.0),
        near=_rate(every, lambda c: c.kind is Kind.STEP and c.size > 0.0 and abs(c.first - BEFORE) <= NEAR),
        drifting=_rate(every, lambda c: c.kind is Kind.DRIFT),
    )


def _rate(every: list[list[Change]], holds: Callable[[Change], bool]) -> float:
    return sum(any(map(holds, changes)) for changes in every) / len(every)


def table(count: int) -> list[str]:
    """The lines of the table, in percent of the series."""
    lines = [
        f"{count:,} series a row, {100.0 * NOISE:.0f} % noise between sessions, {BEFORE} sessions before the change"
    ]
    lines += ["", f"{'host':12} {'change':>20} {'nights':>6}   {'any':>5} {'slower':>6} {'near':>5} {'drift':>5}"]
    for host in ("normal", "heavy tails", "drifting"):
        for name, shape, nights in (
            ("none", step(0.0), 40),
            *((f"{100 * size:.0f} % step", step(size), BEFORE + n) for size in (0.03, 0.05, 0.1) for n in _AFTER),
            *((f"{100 * size:.0f} % for {n} nights", stretch(size, n), BEFORE) for size, n in ((0.05, 10), (0.1, 5))),
            *(("0.2 % a night", drift(0.002), BEFORE + n) for n in (10, 15, 20, 30, 40)),
        ):
            rates = found(host, shape, nights, count)
            cells = (
                f"{100 * rates.any:5.1f} {100 * rates.worse:6.1f} {100 * rates.near:5.1f} {100 * rates.drifting:5.1f}"
            )
            lines.append(f"{host:12} {name:>20} {nights:>6}   {cells}")
    return lines


_AFTER = (3, 5, 7, 10, 20)

if __name__ == "__main__":
    print("\n".join(table(int(sys.argv[1]) if len(sys.argv) > 1 else 200)))
