"""What keeps a process from the CPUs: affinity, cgroup quota and throttling, pressure, and reading from disks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from collectors.process.proc import Proc

PRESSURES = ("cpu", "memory", "io")
_SOME = re.compile(r"^some .*total=(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Counters since whenever; only differences mean something. Seconds and bytes, None where not stated."""

    throttled_s: float | None
    pressure_s: dict[str, float]
    read_bytes: float | None


@dataclass(frozen=True)
class Limits:
    """Reader of the limits of one process, usually the job's root. Roots are injectable."""

    pid: int
    proc: Proc
    cgroups: str = "/sys/fs/cgroup"

    @cached_property
    def _throttlings(self) -> tuple[Path, ...]:
        """Where throttling is counted: files that state it, which most groups do not have."""
        stated = (folder / "cpu.stat" for folder in self._folders())
        return tuple(file for file in stated if "throttled" in _text(file))

    @cached_property
    def _pressures(self) -> dict[str, Path]:
        """The innermost group's pressure where it has one, else the machine's."""
        inner = next(iter(self._folders()), None)
        found = {}
        for kind in PRESSURES:
            own = inner / f"{kind}.pressure" if inner is not None else None
            found[kind] = own if own is not None and own.exists() else Path(self.proc.root) / "pressure" / kind
        return found

    def cores(self) -> float | None:
        """CPUs that it may use: those of its affinity, or its quota where that is less."""
        try:
            allowed = float(len(os.sched_getaffinity(self.pid)))
        except OSError:
            return None
        quota = self.quota()
        return allowed if quota is None else min(allowed, quota)

    def quota(self) -> float | None:
        """CPUs of its cgroup's quota, the tightest above it; None without one."""
        found = []
        for folder in self._folders():
            limit = _text(folder / "cpu.max").split()
            if len(limit) == 2 and limit[0].isdecimal() and limit[1].isdecimal():
                found.append(int(limit[0]) / int(limit[1]))
            quota, period = _text(folder / "cpu.cfs_quota_us").strip(), _text(folder / "cpu.cfs_period_us").strip()
            if quota.isdecimal() and period.isdecimal() and int(period) > 0:
                found.append(int(quota) / int(period))
        return min(found, default=None)

    def held(self, pids: Iterable[int]) -> Held:
        """Throttling and pressure of the cgroup, and bytes that the processes read from disks."""
        return Held(throttled_s=self._throttled_s(), pressure_s=self._pressure_s(), read_bytes=self._read_bytes(pids))

    def _folders(self) -> list[Path]:
        """The folders of its cgroup and those above, in either version of the hierarchy, the innermost first."""
        found: list[Path] = []
        for line in (self.proc.text(self.pid, "cgroup") or "").splitlines():
            _, controllers, path = [*line.split(":", 2), "", ""][:3]
            names = controllers.split(",")
            if controllers and "cpu" not in names:
                continue
            base = Path(self.cgroups) / ("cpu" if controllers else "")
            inner = base / path.lstrip("/")
            found += [inner, *(p for p in inner.parents if p == base or base in p.parents)]
        return found

    def _throttled_s(self) -> float | None:
        totals = []
        for file in self._throttlings:
            stated = dict(line.split(None, 1) for line in _text(file).splitlines() if " " in line)
            for name, unit_s in (("throttled_usec", 1e-6), ("throttled_time", 1e-9)):
                if stated.get(name, "").strip().isdecimal():
                    totals.append(int(stated[name]) * unit_s)
        return max(totals, default=None)

    def _pressure_s(self) -> dict[str, float]:
        found = {}
        for kind, file in self._pressures.items():
            some = _SOME.search(_text(file))
            if some is not None:
                found[kind] = int(some[1]) * 1e-6
        return found

    def _read_bytes(self, pids: Iterable[int]) -> float | None:
        stated = []
        for pid in pids:
            found = re.search(r"^read_bytes: (\d+)", self.proc.text(pid, "io") or "", re.MULTILINE)
            if found is not None:
                stated.append(float(found[1]))
        return sum(stated) if stated else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
