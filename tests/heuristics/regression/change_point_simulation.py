"""How often change points are found, and how soon, in series made up: steps, drifts, stretches, and nothing at all.

``python -m tests.heuristics.regression.change_point_simulation [SERIES [HOST...]]`` prints the table of
docs/history.md. Nothing here is shared with the search but the hosts, which are those of the gate's nights.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
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


def table(count: int, hosts: Sequence[str]) -> Iterator[str]:
    """The lines of the table, in percent of the series; without a change, of ten times as many."""
    yield f"{count:,} series a row, {100.0 * NOISE:.0f} % noise between sessions, {BEFORE} sessions before the change"
    yield f"{'host':12} {'change':>18} {'nights after':>12}   {'any':>5} {'slower':>6} {'near':>5} {'drift':>5}"
    for host in hosts:
        yield _row(host, "none", "", found(host, step(0.0), BEFORE, 10 * count))
        for size, nights in _STEPS:
            rates = found(host, step(size), BEFORE + nights, count)
            yield _row(host, f"{100 * size:.0f} % step", str(nights), rates)
        for size, nights in _STRETCHES:
            yield _row(
                host, f"{100 * size:.0f} % for {nights} nights", "", found(host, stretch(size, nights), 40, count)
            )
        for nights in _DRIFTS:
            yield _row(host, "0.2 % a night", str(nights), found(host, drift(0.002), BEFORE + nights, count))


def _row(host: str, name: str, nights: str, rates: Found) -> str:
    cells = f"{100 * rates.any:5.1f} {100 * rates.worse:6.1f} {100 * rates.near:5.1f} {100 * rates.drifting:5.1f}"
    return f"{host:12} {name:>18} {nights:>12}   {cells}"


_STEPS = ((0.03, 7), (0.03, 10), (0.03, 20), (0.05, 3), (0.05, 5), (0.05, 7), (0.05, 10), (0.1, 3), (0.1, 5))
_STRETCHES = ((0.05, 10), (0.1, 5))
_DRIFTS = (10, 15, 20, 25, 30, 40)

if __name__ == "__main__":
    for line in table(int(sys.argv[1]) if len(sys.argv) > 1 else 200, sys.argv[2:] or ("normal", "heavy tails")):
        print(line, flush=True)
