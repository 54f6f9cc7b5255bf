"""What a calibration found, and what it says of a job with a given number of threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

from collectors.calibration.machine import Machine
from heuristics.roofs import Roofs, measured_roofs
from heuristics.vocabulary import Dtype

Record = dict[str, Any]

LOADED = 0.05
"""Where others took more than this part of the processors' time, figures may be too low."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Rates that so many threads reach together. Bytes/s; FLOP/s (or integer operations/s) by arithmetic type.

    Spreads are fractions by which a median round stays behind the fastest; None where figures were not measured
    at this number of threads.
    """

    threads: int
    bandwidth_bytes_per_s: float
    flops_per_s: dict[str, float]
    bandwidth_spread: float | None = None
    arithmetic_spread: float | None = None

    def __post_init__(self) -> None:
        """Reject what cannot have been measured.

        Raises:
            ValueError: a figure is not finite and positive.
        """
        for figure in (self.threads, self.bandwidth_bytes_per_s, *self.flops_per_s.values()):
            if not 0 < figure < float("inf"):
                raise ValueError(f"a rate of {figure}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """What one GPU reaches. Bytes/s moved, read and written counted; FLOP/s by arithmetic type."""

    index: int
    name: str
    bandwidth_bytes_per_s: float
    flops_per_s: dict[str, float]
    memory_bytes: float | None = None

    def __post_init__(self) -> None:
        """Reject what cannot have been measured.

        Raises:
            ValueError: a figure is not finite and positive.
        """
        for figure in (self.bandwidth_bytes_per_s, *self.flops_per_s.values()):
            if not 0 < figure < float("inf"):
                raise ValueError(f"a rate of {figure}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """One machine's roofs. ``taken_at`` is ISO 8601 in UTC; ``levels`` are in order of their threads.

    ``others_fraction``: part of the processors' time that others took meanwhile.
    """

    machine: Machine
    taken_at: str
    others_fraction: float
    levels: tuple[Level, ...]
    gpus: tuple[Gpu, ...] = ()

    def __post_init__(self) -> None:
        """Reject what cannot have been measured.

        Raises:
            ValueError: no level, or levels out of order.
        """
        threads = [level.threads for level in self.levels]
        if not threads or threads != sorted(set(threads)):
            raise ValueError(f"levels of {threads} threads")

    @property
    def under_load(self) -> bool:
        """Others used the machine meanwhile: figures may be too low."""
        return self.others_fraction > LOADED

    def for_threads(self, threads: int) -> Level:
        """The rates that so many threads reach: interpolated between measured numbers, never falling with more."""
        types = dict.fromkeys(name for level in self.levels for name in level.flops_per_s)
        wanted = max(1, threads)
        exact = next((level for level in self.levels if level.threads == wanted), None)
        return Level(
            threads=wanted,
            bandwidth_bytes_per_s=_between([(x.threads, x.bandwidth_bytes_per_s) for x in self.levels], wanted),
            flops_per_s={
                name: _between([(x.threads, x.flops_per_s[name]) for x in self.levels if name in x.flops_per_s], wanted)
                for name in types
            },
            bandwidth_spread=exact.bandwidth_spread if exact else None,
            arithmetic_spread=exact.arithmetic_spread if exact else None,
        )

    def record(self, *, threads: int | None = None, t_s: float = 0.0) -> Record:
        """The ``calibration`` record of the processors, for a job with so many threads (None: all CPUs).

        ``levels`` hold what was measured, for a later choice: see ``at_threads``.
        """
        level = self.for_threads(threads or self.machine.cpus)
        found: Record = {
            "t_s": t_s,
            "what": "calibration",
            "device": self.machine.cpu,
            "threads": level.threads,
            "bandwidth_bytes_per_s": level.bandwidth_bytes_per_s,
            "flops_per_s": dict(level.flops_per_s),
            "taken_at": self.taken_at,
            "under_load": self.under_load,
        }
        found["levels"] = [
            {
                "threads": level.threads,
                "bandwidth_bytes_per_s": level.bandwidth_bytes_per_s,
                "flops_per_s": dict(level.flops_per_s),
                "bandwidth_spread": level.bandwidth_spread or 0.0,
                "arithmetic_spread": level.arithmetic_spread or 0.0,
            }
            for level in self.levels
        ]
        if self.machine.last_level_cache_bytes is not None:
            found["last_level_cache_bytes"] = self.machine.last_level_cache_bytes
        return found

    def gpu_record(self, gpu: Gpu, t_s: float = 0.0) -> Record:
        """The ``calibration`` record of a GPU."""
        return {
            "t_s": t_s,
            "what": "calibration",
            "device": gpu.name,
            "index": gpu.index,
            "bandwidth_bytes_per_s": gpu.bandwidth_bytes_per_s,
            "flops_per_s": dict(gpu.flops_per_s),
            "taken_at": self.taken_at,
            "under_load": self.under_load,
        }

    def roofs(self, *, threads: int | None = None, dtype: Dtype | None = None) -> Roofs:
        """The processors' roofs for a job with so many threads (None: all CPUs) and that arithmetic (None: unknown)."""
        return roofs_of(self.record(threads=threads), dtype)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, absent ones left out."""
        return {**_without_none(asdict(self)), "under_load": self.under_load}


def roofs_of(record: Mapping[str, Any], dtype: Dtype | None = None) -> Roofs:
    """The roofs that a ``calibration`` record states, for arithmetic of type ``dtype`` (None: not known)."""
    threads = record.get("threads")
    counted = f", {threads} thread{'s' if threads != 1 else ''}" if threads is not None else ""
    names = {d.value for d in Dtype}
    return measured_roofs(
        bandwidth_bytes_per_s=record["bandwidth_bytes_per_s"],
        flops_per_s={Dtype(name): rate for name, rate in record["flops_per_s"].items() if name in names},
        dtype=dtype,
        source=f"calibrated on this machine{counted}, {str(record['taken_at'])[:10]}",
        last_level_cache_bytes=record.get("last_level_cache_bytes"),
        under_load=bool(record.get("under_load")),
        bandwidth_spread=record.get("bandwidth_spread"),
        arithmetic_spread=record.get("arithmetic_spread"),
    )


def at_threads(record: Mapping[str, Any], threads: int) -> dict[str, Any]:
    """A ``calibration`` record for another number of threads, from its ``levels``; as it is where it has none."""
    levels = record.get("levels")
    if not levels:
        return dict(record)
    wanted = max(1, threads)
    types = dict.fromkeys(name for level in levels for name in level["flops_per_s"])
    nearest = min(levels, key=lambda level: abs(level["threads"] - wanted))
    return {
        **record,
        **{name: nearest[name] for name in ("bandwidth_spread", "arithmetic_spread") if name in nearest},
        "threads": wanted,
        "bandwidth_bytes_per_s": _between([(x["threads"], x["bandwidth_bytes_per_s"]) for x in levels], wanted),
        "flops_per_s": {
            name: _between([(x["threads"], x["flops_per_s"][name]) for x in levels if name in x["flops_per_s"]], wanted)
            for name in types
        },
    }


def _between(measured: Sequence[tuple[int, float]], threads: int) -> float:
    """The highest rate so far, on the line between the measured neighbours; outside them, the nearest one's."""
    highest = list(zip((n for n, _ in measured), accumulate((rate for _, rate in measured), max), strict=True))
    below = max((point for point in highest if point[0] <= threads), default=highest[0])
    above = min((point for point in highest if point[0] >= threads), default=highest[-1])
    if above[0] == below[0]:
        return below[1]
    part = (threads - below[0]) / (above[0] - below[0])
    return below[1] + part * (above[1] - below[1])


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [_without_none(v) for v in value]
    return value
