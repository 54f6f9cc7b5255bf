"""Measure this machine once: its processors, other arithmetic through torch, and its GPUs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from collectors.calibration.cpu import EDGES, measured_level, read_bytes, thread_counts
from collectors.calibration.figures import Calibration, Level
from collectors.calibration.machine import PROC, SYSFS, Machine, memory_figure, this_machine
from collectors.calibration.others import OthersWatch
from collectors.calibration.rounds import Trial

SECONDS = 5.0
QUICK_S = 2.0
LEAST_LEVEL_S = 0.3


def measure(
    *,
    seconds: float = SECONDS,
    with_torch: bool = True,
    machine: Machine | None = None,
    stream_bytes: float | None = None,
    edges: Sequence[int] = EDGES,
    told: Callable[[str], None] = lambda _: None,
    sysfs: Path = SYSFS,
    proc: Path = PROC,
) -> Calibration:
    """This machine's roofs; ``seconds`` go to the processors, torch and GPUs take theirs on top.

    ``told`` hears what is measured next. ``stream_bytes`` and ``edges`` set the sizes of the kernels.
    """
    found = machine or this_machine(sysfs=sysfs, proc=proc)
    counts = thread_counts(found.cpus)
    size = stream_bytes or read_bytes(found.last_level_cache_bytes, memory_figure(proc, "MemAvailable"))
    watch = OthersWatch(proc=proc)
    levels: list[Level] = []
    trials: list[Trial] = []
    for threads in counts:
        told(f"memory and arithmetic with {threads} thread{'s' if threads > 1 else ''}")
        level, made = measured_level(
            threads, seconds=max(LEAST_LEVEL_S, seconds / len(counts)), stream_bytes=size, edges=edges
        )
        levels.append(level)
        trials += made
    others = max(_off_cpu(trials), watch.fraction() or 0.0)
    calibration = Calibration(
        machine=found,
        taken_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        others_fraction=others,
        levels=tuple(levels),
    )
    if with_torch:
        from collectors.calibration.through_torch import extended

        return extended(calibration, told)
    return calibration


def _off_cpu(trials: Sequence[Trial]) -> float:
    """Part of the rounds' time in which threads that wanted a CPU had none."""
    wall_s = sum(t.wall_s for t in trials)
    return max(0.0, 1.0 - sum(t.on_cpu_s for t in trials) / wall_s) if wall_s else 0.0
