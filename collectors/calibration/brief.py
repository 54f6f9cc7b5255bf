"""A brief calibration of the processors through torch, with as many threads as it uses now.

What a step of torch's is measured against: its own libraries reach more, or less, than numpy's do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

from collectors.calibration.cpu import COLUMNS, SECTIONS, read_bytes
from collectors.calibration.figures import Calibration, Level
from collectors.calibration.machine import PROC, Machine, memory_figure, this_machine
from collectors.calibration.others import OthersWatch

SECONDS = 1.5
FEWEST_RUNS = 5
EDGE = 1536

Kernel = tuple[Callable[[], object], float]
"""What to run, and the bytes or operations of a run."""


def brief(torch: Any, *, types: tuple[str, ...] = ("fp32",), seconds: float = SECONDS) -> Calibration:
    """Bandwidth of reading, and the best product of each arithmetic type, at torch's number of threads."""
    machine, threads = this_machine(), int(torch.get_num_threads())
    watch = OthersWatch()
    with torch.no_grad():
        bandwidth, bandwidth_spread = _best(list(_readers(torch, machine)), seconds / 2.0)
        rates: dict[str, float] = {}
        spreads: dict[str, float] = {}
        for name in types:
            product = _product(torch, name)
            if product is not None:
                rates[name], spreads[name] = _best([product], seconds / 2.0 / len(types))
    return Calibration(
        machine=machine,
        taken_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        others_fraction=watch.fraction() or 0.0,
        levels=(
            Level(
                threads=threads,
                bandwidth_bytes_per_s=bandwidth,
                flops_per_s=rates,
                bandwidth_spread=bandwidth_spread,
                arithmetic_spread=max(spreads.values(), default=None),
            ),
        ),
    )


def better(first: Calibration, second: Calibration) -> Calibration:
    """Of two with the same threads the higher rates: others can only have taken some."""
    a, b = first.levels[0], second.levels[0]
    flops = {name: max(a.flops_per_s[name], b.flops_per_s.get(name, 0.0)) for name in a.flops_per_s}
    faster = a if a.bandwidth_bytes_per_s >= b.bandwidth_bytes_per_s else b
    calmer = min(a.arithmetic_spread or 0.0, b.arithmetic_spread or 0.0)
    return Calibration(
        machine=first.machine,
        taken_at=first.taken_at,
        others_fraction=min(first.others_fraction, second.others_fraction),
        levels=(
            Level(
                threads=a.threads,
                bandwidth_bytes_per_s=faster.bandwidth_bytes_per_s,
                flops_per_s=flops,
                bandwidth_spread=min(a.bandwidth_spread or 0.0, b.bandwidth_spread or 0.0),
                arithmetic_spread=calmer,
            ),
        ),
    )


def _readers(torch: Any, machine: Machine) -> Iterator[Kernel]:
    """A matrix beyond the cache times a vector, by rows and by columns, a part of it each time."""
    size = read_bytes(machine.last_level_cache_bytes, memory_figure(PROC, "MemAvailable"))
    rows = max(1, int(size / 4.0 / COLUMNS / SECTIONS))
    sections = torch.ones(SECTIONS, rows, COLUMNS)
    row, column = torch.ones(rows), torch.ones(COLUMNS)
    ahead = cycle(sections)
    by_rows: Callable[[], object] = lambda: torch.mv(next(ahead), column)  # noqa: E731
    by_columns: Callable[[], object] = lambda: torch.mv(next(ahead).T, row)  # noqa: E731
    moved = 4.0 * rows * COLUMNS
    return iter(((by_rows, moved), (by_columns, moved)))


def _product(torch: Any, name: str) -> Kernel | None:
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}.get(name)
    if dtype is None:
        return None
    left, right = (torch.ones(EDGE, EDGE, dtype=dtype) for _ in range(2))
    return lambda: left @ right, 2.0 * EDGE**3


def _best(kernels: list[Kernel], seconds: float) -> tuple[float, float]:
    """The highest rate of the best kernel, and how far its median run stays behind, as a fraction."""
    found = []
    for run, amount in kernels:
        run()
        rates: list[float] = []
        deadline_s = time.perf_counter() + seconds / len(kernels)
        while len(rates) < FEWEST_RUNS or time.perf_counter() < deadline_s:
            begun_s = time.perf_counter()
            run()
            rates.append(amount / max(1e-9, time.perf_counter() - begun_s))
        found.append(sorted(rates))
    best = max(found, key=lambda rates: rates[-1])
    return best[-1], 1.0 - best[len(best) // 2] / best[-1]
