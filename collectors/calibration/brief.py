"""A brief calibration of the processors through torch, with as many threads as it uses now.

What steps of torch's are measured against: its own libraries reach more, or less, than numpy's do. It is taken in many
short glances between whatever else is measured, so that it sees the machine in the same states.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from statistics import median
from typing import Any

from collectors.calibration.cpu import COLUMNS, SECTIONS, read_bytes
from collectors.calibration.figures import Calibration, Level
from collectors.calibration.machine import PROC, Machine, memory_figure, this_machine
from collectors.calibration.others import OthersWatch

GLANCE_S = 0.15
FEWEST_RUNS = 2
EDGE = 1024


@dataclass(slots=True, kw_only=True)
class Kernel:
    """What to run, the bytes or operations of a run, and the rates it reached so far."""

    run: Callable[[], object]
    amount: float
    rates: list[float] = field(default_factory=list)

    def take(self, seconds: float) -> None:
        """Some more runs."""
        deadline_s = time.perf_counter() + seconds
        runs = 0
        while runs < FEWEST_RUNS or time.perf_counter() < deadline_s:
            begun_s = time.perf_counter()
            self.run()
            self.rates.append(self.amount / max(1e-9, time.perf_counter() - begun_s))
            runs += 1


class BriefCalibration:
    """Bandwidth of reading, and products of each arithmetic type that torch has, glance by glance."""

    def __init__(self, torch: Any, types: Sequence[str] = ("fp32",), machine: Machine | None = None) -> None:
        self._machine = machine or this_machine()
        self._threads = int(torch.get_num_threads())
        self._readers = list(_readers(torch, self._machine))
        made = {name: _product(torch, name) for name in types}
        self._products = {name: kernel for name, kernel in made.items() if kernel is not None}
        for kernel in (*self._readers, *self._products.values()):
            kernel.run()
        self._watch = OthersWatch()

    def glance(self, seconds: float = GLANCE_S) -> None:
        """Run everything once more, half the time each for reading and for products."""
        for kernels in (self._readers, list(self._products.values())):
            for kernel in kernels:
                kernel.take(seconds / 2.0 / len(kernels))

    def calibration(self) -> Calibration:
        """The best of all glances, and how far the median stays behind."""
        reader = max(self._readers, key=lambda kernel: max(kernel.rates))
        spreads = [_spread(kernel.rates) for kernel in self._products.values()]
        return Calibration(
            machine=self._machine,
            taken_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            others_fraction=self._watch.fraction() or 0.0,
            levels=(
                Level(
                    threads=self._threads,
                    bandwidth_bytes_per_s=max(reader.rates),
                    flops_per_s={name: max(kernel.rates) for name, kernel in self._products.items()},
                    bandwidth_spread=_spread(reader.rates),
                    arithmetic_spread=max(spreads, default=None),
                ),
            ),
        )


def _spread(rates: Sequence[float]) -> float:
    return 1.0 - median(rates) / max(rates)


def _readers(torch: Any, machine: Machine) -> Iterator[Kernel]:
    """A matrix beyond the cache times a vector, by rows and by columns, a part of it each time."""
    size = read_bytes(machine.last_level_cache_bytes, memory_figure(PROC, "MemAvailable"))
    rows = max(1, int(size / 4.0 / COLUMNS / SECTIONS))
    sections = torch.ones(SECTIONS, rows, COLUMNS)
    row, column = torch.ones(rows), torch.ones(COLUMNS)
    ahead = cycle(sections)
    moved = 4.0 * rows * COLUMNS
    yield Kernel(run=lambda: torch.mv(next(ahead), column), amount=moved)
    yield Kernel(run=lambda: torch.mv(next(ahead).T, row), amount=moved)


def _product(torch: Any, name: str) -> Kernel | None:
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}.get(name)
    if dtype is None:
        return None
    left, right = (torch.ones(EDGE, EDGE, dtype=dtype) for _ in range(2))
    return Kernel(run=lambda: left @ right, amount=2.0 * EDGE**3)
