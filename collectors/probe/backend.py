"""What the probe asks of the device that a step runs on, and how it is asked of a processor."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Run = Callable[[], object]
"""A step with its inputs bound."""

TASKS = Path("/proc/self/task")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Seconds so far of this process: on CPUs, and of its threads ready without one; None where that is not told."""

    on_cpu_s: float
    waited_s: float | None


class Backend(Protocol):
    """A device. Seconds throughout."""

    @property
    def asynchronous(self) -> bool:
        """Steps are queued: the host goes on while the device works."""

    def now(self) -> float:
        """The host's clock."""

    def usage(self) -> Usage:
        """What this process took so far."""

    def synchronize(self) -> None:
        """Wait until everything queued is done."""

    def device_s(self, run: Run, ahead_s: float) -> float | None:
        """One step by the device's clock, begun ``ahead_s`` after it was queued; None where the host is the device."""

    def captured(self, run: Run) -> Run | str:
        """The replay of the step as a graph, or why there is none."""

    def named(self, name: str) -> AbstractContextManager[object]:
        """A range that tools which watch this process see."""


def usage(tasks: Path = TASKS) -> Usage:
    """What this process took so far, by the kernel's own count of each thread."""
    waited_ns = 0
    try:
        for task in tasks.iterdir():
            waited_ns += int((task / "schedstat").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return Usage(on_cpu_s=time.process_time(), waited_s=None)
    return Usage(on_cpu_s=time.process_time(), waited_s=waited_ns / 1e9)
