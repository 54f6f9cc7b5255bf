"""How much of the processors' time others take while something is measured."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path

from collectors.calibration.machine import PROC, usable_cpus
from collectors.host.busy import busy_s


class OthersWatch:
    """Made before a measurement, asked after it."""

    def __init__(self, *, proc: Path = PROC, cpus: Collection[int] | None = None) -> None:
        self._proc = proc
        self._cpus = usable_cpus() if cpus is None else cpus
        self._begun = self._now()

    def fraction(self) -> float | None:
        """The part of these CPUs' time since then that went to others or was stolen; None where it is not told."""
        begun, now = self._begun, self._now()
        busy_then, busy_now = begun[0], now[0]
        capacity_s = (now[2] - begun[2]) * len(self._cpus)
        if busy_then is None or busy_now is None or capacity_s <= 0.0:
            return None
        others_s = (busy_now - busy_then) - (now[1] - begun[1])
        return min(1.0, max(0.0, others_s / capacity_s))

    def _now(self) -> tuple[float | None, float, float]:
        """Seconds: these CPUs busy, this process on them, the clock."""
        return busy_s(self._proc, self._cpus), time.process_time(), time.monotonic()
