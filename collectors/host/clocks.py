"""Processor time of whole processes, by the kernel's clock of each: one call a process, threads already added up."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

_SCHEDULED = 2
"""Kind of clock: nanoseconds as the scheduler counts them, of running threads too."""


def clock_of(pid: int) -> int:
    """The number of a process's clock, as the kernel forms it (clock_getcpuclockid(3) of a single-threaded caller)."""
    return (~pid << 3) | _SCHEDULED


@dataclass(slots=True)
class Clocks:
    """The clocks of a tree. Processes that end take their time with them: it is what was added that counts."""

    by_pid: dict[int, int] = field(default_factory=dict)

    def follow(self, pids: Iterable[int]) -> None:
        """Begin with those that are new, forget those that are gone."""
        wanted = set(pids)
        for pid in [p for p in self.by_pid if p not in wanted]:
            del self.by_pid[pid]
        for pid in wanted:
            if pid not in self.by_pid and (now := _read(pid)) is not None:
                self.by_pid[pid] = now

    def gained_ns(self) -> int:
        """Nanoseconds on CPUs since the last call."""
        gained = 0
        for pid, before in list(self.by_pid.items()):
            now = _read(pid)
            if now is None:
                del self.by_pid[pid]
            else:
                gained += max(0, now - before)
                self.by_pid[pid] = now
        return gained


def _read(pid: int) -> int | None:
    try:
        return time.clock_gettime_ns(clock_of(pid))
    except OSError:
        return None
