"""Column names of nvidia-smi's logs, by what they mean.

Columns are found by name, never by position: their order follows ``-s``, and drivers add some.
"""

from __future__ import annotations

import re
from enum import IntEnum, auto

from collectors.units import factor


class Column(IntEnum):
    """What a column states; fractions, watts, hertz and bytes once converted."""

    GPU = auto()
    NAME = auto()
    UUID = auto()
    BUS = auto()
    TIME = auto()
    SM = auto()
    MEMORY = auto()
    ENCODER = auto()
    DECODER = auto()
    JPEG = auto()
    OPTICAL_FLOW = auto()
    POWER = auto()
    POWER_LIMIT = auto()
    SM_CLOCK = auto()
    MEMORY_CLOCK = auto()
    MAX_SM_CLOCK = auto()
    MAX_MEMORY_CLOCK = auto()
    MEMORY_TOTAL = auto()
    POWER_VIOLATION = auto()
    THERMAL_VIOLATION = auto()
    POWER_LIMITED = auto()
    THERMALLY_LIMITED = auto()
    PID = auto()
    ENGINE_ACTIVE = auto()
    SM_ACTIVE = auto()
    SM_OCCUPANCY = auto()
    TENSOR_ACTIVE = auto()
    DRAM_ACTIVE = auto()
    FP64_ACTIVE = auto()
    FP32_ACTIVE = auto()
    FP16_ACTIVE = auto()
    INTEGER_ACTIVE = auto()


_NAMES: dict[str, Column] = {
    "gpu": Column.GPU,
    "index": Column.GPU,
    "name": Column.NAME,
    "gpu_name": Column.NAME,
    "uuid": Column.UUID,
    "gpu_uuid": Column.UUID,
    "pci.bus_id": Column.BUS,
    "gpu_bus_id": Column.BUS,
    "time": Column.TIME,
    "timestamp": Column.TIME,
    "sm": Column.SM,
    "utilization.gpu": Column.SM,
    "gpu_util": Column.SM,
    "gpu_util_pct": Column.SM,
    "mem": Column.MEMORY,
    "utilization.memory": Column.MEMORY,
    "mem_util": Column.MEMORY,
    "mem_util_pct": Column.MEMORY,
    "memory_util_pct": Column.MEMORY,
    "enc": Column.ENCODER,
    "utilization.encoder": Column.ENCODER,
    "dec": Column.DECODER,
    "utilization.decoder": Column.DECODER,
    "jpg": Column.JPEG,
    "utilization.jpeg": Column.JPEG,
    "ofa": Column.OPTICAL_FLOW,
    "utilization.ofa": Column.OPTICAL_FLOW,
    "pwr": Column.POWER,
    "power.draw": Column.POWER,
    "power.draw.average": Column.POWER,
    "power.draw.instant": Column.POWER,
    "power_w": Column.POWER,
    "enforced.power.limit": Column.POWER_LIMIT,
    "power.limit": Column.POWER_LIMIT,
    "pclk": Column.SM_CLOCK,
    "clocks.sm": Column.SM_CLOCK,
    "clocks.current.sm": Column.SM_CLOCK,
    "sm_clock_mhz": Column.SM_CLOCK,
    "clocks.gr": Column.SM_CLOCK,
    "clocks.current.graphics": Column.SM_CLOCK,
    "mclk": Column.MEMORY_CLOCK,
    "clocks.mem": Column.MEMORY_CLOCK,
    "clocks.current.memory": Column.MEMORY_CLOCK,
    "memory_clock_mhz": Column.MEMORY_CLOCK,
    "clocks.max.sm": Column.MAX_SM_CLOCK,
    "clocks.max.gr": Column.MAX_SM_CLOCK,
    "clocks.max.graphics": Column.MAX_SM_CLOCK,
    "clocks.max.memory": Column.MAX_MEMORY_CLOCK,
    "clocks.max.mem": Column.MAX_MEMORY_CLOCK,
    "memory.total": Column.MEMORY_TOTAL,
    "pviol": Column.POWER_VIOLATION,
    "tviol": Column.THERMAL_VIOLATION,
    "pid": Column.PID,
}
_RANK = {name: rank for rank, name in enumerate(_NAMES)}

_MEASURED_WORDS = frozenset({"power_w", "gpu_util", "gpu_util_pct", "sm_clock_mhz", "memory_clock_mhz"})
_MEASURED_FAMILIES = ("utilization.", "power.draw", "clocks.", "temperature.gpu", "memory.used", "pci.bus_id")

FRACTIONS = frozenset(
    {
        Column.SM,
        Column.MEMORY,
        Column.ENCODER,
        Column.DECODER,
        Column.JPEG,
        Column.OPTICAL_FLOW,
        Column.ENGINE_ACTIVE,
        Column.SM_ACTIVE,
        Column.SM_OCCUPANCY,
        Column.TENSOR_ACTIVE,
        Column.DRAM_ACTIVE,
        Column.FP64_ACTIVE,
        Column.FP32_ACTIVE,
        Column.FP16_ACTIVE,
        Column.INTEGER_ACTIVE,
    }
)
"""Parts of a whole: below 0 or above 1 they are no reading."""

_DEFAULT_UNITS = {
    Column.SM: "%",
    Column.MEMORY: "%",
    Column.ENCODER: "%",
    Column.DECODER: "%",
    Column.JPEG: "%",
    Column.OPTICAL_FLOW: "%",
    Column.POWER: "W",
    Column.POWER_LIMIT: "W",
    Column.SM_CLOCK: "MHz",
    Column.MEMORY_CLOCK: "MHz",
    Column.MAX_SM_CLOCK: "MHz",
    Column.MAX_MEMORY_CLOCK: "MHz",
    Column.MEMORY_TOTAL: "MiB",
    Column.POWER_VIOLATION: "%",
    Column.THERMAL_VIOLATION: "",
}

_CLOCK_REASON = re.compile(r"clocks_(?:event|throttle)_reasons\.(\w+)$")
_POWER_REASONS = frozenset({"sw_power_cap", "hw_power_brake_slowdown"})
_THERMAL_REASONS = frozenset({"sw_thermal_slowdown", "hw_thermal_slowdown"})

_GPM: tuple[tuple[str, Column], ...] = (
    (r"^gract", Column.ENGINE_ACTIVE),
    (r"^smutil|^smact", Column.SM_ACTIVE),
    (r"^smocc", Column.SM_OCCUPANCY),
    (r"^(any)?(ten|tns)|^anyt|^mma", Column.TENSOR_ACTIVE),
    (r"^dram(?!c)", Column.DRAM_ACTIVE),
    (r"^fp64", Column.FP64_ACTIVE),
    (r"^fp32", Column.FP32_ACTIVE),
    (r"^fp16", Column.FP16_ACTIVE),
    (r"^int", Column.INTEGER_ACTIVE),
)
"""Columns that ``--gpm-metrics`` appends. Their abbreviations are not documented, so beginnings are matched; driver 580
prints ``smutil``, ``mmaact``, ``dram`` and ``fp32`` for the ids 2, 5, 10 and 12."""


def column_of(name: str, unit: str = "") -> Column | None:
    """What a column states; None for one that is not needed."""
    lowered = name.strip().lower()
    if unit.upper().startswith("GPM"):
        return next((column for pattern, column in _GPM if re.search(pattern, lowered)), None)
    reason = _CLOCK_REASON.match(lowered)
    if reason is not None:
        if reason[1] in _POWER_REASONS:
            return Column.POWER_LIMITED
        return Column.THERMALLY_LIMITED if reason[1] in _THERMAL_REASONS else None
    return _NAMES.get(lowered)


def rank_of(name: str) -> int:
    """Which of several columns that state the same speaks: the lower, wherever they stand in the table."""
    return _RANK.get(name.strip().lower(), len(_RANK))


def is_measured(name: str) -> bool:
    """Whether only nvidia-smi, or a recorder of its readings, names a column so."""
    lowered = name.strip().lower()
    return lowered.startswith(_MEASURED_FAMILIES) or lowered in _MEASURED_WORDS


def scale_of(column: Column, unit: str) -> float:
    """The factor from a column's unit to SI; the usual unit where none is printed."""
    if unit.upper().startswith("GPM"):
        return 0.01
    chosen = unit if factor(unit) is not None and unit else _DEFAULT_UNITS.get(column, "")
    return factor(chosen) or 1.0
