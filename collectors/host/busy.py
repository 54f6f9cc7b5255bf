"""How long the machine's CPUs were busy, and how much of that was neither the job's work nor our own."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

_BUSY = (0, 1, 2, 5, 6, 7)
"""Columns of a line in ``/proc/stat`` that are not idle: user, nice, system, interrupts, stolen."""

APART_S = 0.9
SPARING = 2000.0
"""The kernel adds up every interrupt of every CPU to tell it: on a large machine that is asked less often."""


def busy_s(root: Path, cpus: Collection[int] | None = None) -> float | None:
    """Seconds that CPUs were busy or stolen since the start of the machine, over all of them or over those asked for.

    None where ``root``, such as /proc, does not tell.
    """
    try:
        text = (root / "stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    lines = {name: line.split() for name, line in re.findall(r"^cpu(\d*) +(.*)$", text, re.MULTILINE)}
    wanted = [lines.get(name) for name in ([""] if cpus is None else map(str, cpus))]
    if any(words is None or len(words) <= max(_BUSY) for words in wanted):
        return None
    ticks = sum(int(words[column]) for words in wanted if words is not None for column in _BUSY)
    return ticks / os.sysconf("SC_CLK_TCK")


class BusyClock:
    """The machine's clock beside the job's. ``root`` is where ``/proc`` is."""

    def __init__(self, root: str = "/proc") -> None:
        self._root = Path(root)
        self.restart()

    def restart(self) -> None:
        """Count from now on."""
        begun_s = time.thread_time()
        self._then = busy_s(self._root), time.process_time()
        self._then_s = time.monotonic()
        self._due_s = self._then_s + max(APART_S, SPARING * (time.thread_time() - begun_s))
        self._job_s = 0.0

    def told(self, job_s: float, *, last: bool = False) -> dict[str, float]:
        """Seconds since the last time that it was told: passed, busy, and of these the job's and our own.

        ``job_s``: the job's work since the last call. Nothing where it is too early, unless it is the last time.
        """
        self._job_s += job_s
        if not last and time.monotonic() < self._due_s:
            return {}
        (busy_then, own_then), then_s, ours_s = self._then, self._then_s, self._job_s
        self.restart()
        busy_now, own_now = self._then
        if busy_then is None or busy_now is None:
            return {}
        return {
            "machine_window_s": self._then_s - then_s,
            "machine_busy_s": max(0.0, busy_now - busy_then),
            "machine_ours_s": ours_s + own_now - own_then,
        }


def other_cores(told: Collection[Mapping[str, Any]]) -> float | None:
    """Cores' worth of work of others, over all that was told; None where nothing was."""
    stated = [t for t in told if "machine_window_s" in t]
    window_s: float = sum(t["machine_window_s"] for t in stated)
    if window_s <= 0.0:
        return None
    others_s: float = sum(t["machine_busy_s"] - t["machine_ours_s"] for t in stated)
    return max(0.0, others_s) / window_s
