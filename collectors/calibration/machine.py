"""Which machine this is, as far as its roofs depend on it: processor, usable CPUs, memory, last-level cache."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

SYSFS = Path("/sys")
PROC = Path("/proc")

_SUFFIX = {"": 1.0, "K": 1024.0, "M": 1024.0**2, "G": 1024.0**3}
_GIB = 1024.0**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine. ``cpus`` are those this process may run on; the cache counts all its instances beside them."""

    cpu: str
    cpus: int
    memory_bytes: float | None = None
    last_level_cache_bytes: float | None = None

    @property
    def key(self) -> str:
        """The same for machines on which the same roofs hold: processor, CPUs, and memory to the GiB."""
        memory_gib = round((self.memory_bytes or 0.0) / _GIB)
        return hashlib.sha256(f"{self.cpu}|{self.cpus}|{memory_gib}".encode()).hexdigest()[:16]


def this_machine(*, sysfs: Path = SYSFS, proc: Path = PROC, cpus: Collection[int] | None = None) -> Machine:
    """The machine this runs on; ``cpus`` are the usable CPUs' numbers where they are not to be asked for."""
    usable = usable_cpus() if cpus is None else cpus
    return Machine(
        cpu=cpu_name(proc),
        cpus=len(usable),
        memory_bytes=memory_figure(proc, "MemTotal"),
        last_level_cache_bytes=last_level_cache_bytes(usable, sysfs),
    )


def usable_cpus() -> frozenset[int]:
    """Numbers of the CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def on_distinct_cores(cpus: Collection[int], most: int, sysfs: Path = SYSFS) -> tuple[int, ...]:
    """At most so many of the CPUs, hardware threads of one core last."""
    seen: dict[str, int] = {}
    ranked = []
    for cpu in sorted(cpus):
        core = _text(sysfs / f"devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").strip() or str(cpu)
        seen[core] = seen.get(core, 0) + 1
        ranked.append((seen[core], cpu))
    return tuple(sorted(cpu for _, cpu in sorted(ranked)[:most]))


def memory_figure(proc: Path, name: str) -> float | None:
    """A line of ``meminfo`` in bytes, such as MemTotal or MemAvailable."""
    found = re.search(rf"^{name}:\s*(\d+) kB", _text(proc / "meminfo"), re.MULTILINE)
    return float(found[1]) * 1024.0 if found else None


def last_level_cache_bytes(cpus: Collection[int], sysfs: Path = SYSFS) -> float | None:
    """Bytes of the outermost cache beside these CPUs, all its instances together.

    Where each of several CPUs states a last-level cache of its own, a hypervisor made them up: one is counted.
    """
    instances: dict[str, float] = {}
    for cpu in sorted(cpus):
        caches = [c for c in map(_cache, sorted((sysfs / f"devices/system/cpu/cpu{cpu}/cache").glob("index*"))) if c]
        if caches:
            _, shared, size = max(caches, key=lambda c: c[0])
            instances[shared or str(cpu)] = size
    if not instances:
        return None
    if len(instances) == len(cpus) > 1:
        return max(instances.values())
    return sum(instances.values())


def _cache(index: Path) -> tuple[int, str, float] | None:
    """(level, CPUs that share it, bytes) of a cache that holds data."""
    stated: Mapping[str, str] = {
        name: _text(index / name).strip() for name in ("level", "type", "size", "shared_cpu_list")
    }
    size = re.fullmatch(r"(\d+)([KMG]?)", stated["size"])
    if size is None or not stated["level"].isdecimal() or stated["type"] == "Instruction":
        return None
    return int(stated["level"]), stated["shared_cpu_list"], float(size[1]) * _SUFFIX[size[2]]


def cpu_name(proc: Path) -> str:
    """The processor's name; ARM states numbers of maker and part instead."""
    text = _text(proc / "cpuinfo")
    for fields in (("model name",), ("CPU implementer", "CPU part")):
        found = [re.search(rf"^{field}\s*:\s*(.+)$", text, re.MULTILINE) for field in fields]
        if all(found):
            return " ".join(" ".join(f[1].split()) for f in found if f)
    return platform.machine() or "unknown"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
