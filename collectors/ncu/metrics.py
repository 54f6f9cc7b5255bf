"""Names that Nsight Compute's eras gave to the quantities we need, and how to add them up to a kernel's row."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import IntEnum, auto

from collectors.units import factor

NAN = float("nan")


class Field(IntEnum):
    """Cells of a kernel's row while it is read. Fractions, seconds, bytes, hertz."""

    DURATION = 0
    CYCLES = auto()
    CYCLE_RATE = auto()
    MEMORY = auto()
    COMPUTE = auto()
    DRAM = auto()
    TENSOR = auto()
    DRAM_BYTES = auto()
    DRAM_READ = auto()
    DRAM_WRITE = auto()
    DRAM_RATE = auto()
    WAVES = auto()
    RULE_WAVES = auto()
    FLOPS = auto()
    FLOPS_OF_SMS = auto()
    TENSOR_FLOPS = auto()
    TENSOR_FLOPS_BY_SPARSITY = auto()
    SM_COUNT = auto()
    BUS_WIDTH = auto()
    MEMORY_CLOCK = auto()
    SM_CLOCK = auto()
    L2_BYTES = auto()
    INVOCATIONS = auto()


OF_THE_DEVICE = frozenset({Field.SM_COUNT, Field.BUS_WIDTH, Field.MEMORY_CLOCK, Field.SM_CLOCK, Field.L2_BYTES})
"""Quantities that are the same for every kernel of a device."""

DEVICE_NAME = "device__attribute_display_name"

_PCT = ".avg.pct_of_peak_sustained_elapsed"

_BY_NAME: dict[str, Field] = {
    "gpu__time_duration.sum": Field.DURATION,
    "gpu__time_duration.avg": Field.DURATION,
    "gpu__time_duration": Field.DURATION,
    "gpu__time_active.avg": Field.DURATION,
    "sm__cycles_elapsed.avg": Field.CYCLES,
    "sm__cycles_elapsed.max": Field.CYCLES,
    "sm__cycles_elapsed.avg.per_second": Field.CYCLE_RATE,
    f"gpu__compute_memory_throughput{_PCT}": Field.MEMORY,
    f"sm__throughput{_PCT}": Field.COMPUTE,
    f"gpu__dram_throughput{_PCT}": Field.DRAM,
    f"dram__throughput{_PCT}": Field.DRAM,
    f"sm__pipe_tensor_cycles_active{_PCT}": Field.TENSOR,
    f"sm__inst_executed_pipe_tensor{_PCT}": Field.TENSOR,
    "sm__pipe_tensor_op_hmma_cycles_active.avg.pct_of_peak_sustained_active": Field.TENSOR,
    "dram__bytes.sum": Field.DRAM_BYTES,
    "dram__bytes_read.sum": Field.DRAM_READ,
    "dram__bytes_op_read.sum": Field.DRAM_READ,
    "dram__bytes_write.sum": Field.DRAM_WRITE,
    "dram__bytes_op_write.sum": Field.DRAM_WRITE,
    "dram__bytes.sum.per_second": Field.DRAM_RATE,
    "launch__waves_per_multiprocessor": Field.WAVES,
    "device__attribute_multiprocessor_count": Field.SM_COUNT,
    "device__attribute_global_memory_bus_width": Field.BUS_WIDTH,
    "device__attribute_fb_bus_width": Field.BUS_WIDTH,
    "device__attribute_memory_clock_rate": Field.MEMORY_CLOCK,
    "device__attribute_max_mem_frequency_khz": Field.MEMORY_CLOCK,
    "device__attribute_clock_rate": Field.SM_CLOCK,
    "device__attribute_max_gpu_frequency_khz": Field.SM_CLOCK,
    "device__attribute_l2_cache_size": Field.L2_BYTES,
}

_DIMENSIONED = frozenset(
    {Field.DURATION, Field.CYCLE_RATE, Field.DRAM_BYTES, Field.DRAM_READ, Field.DRAM_WRITE, Field.DRAM_RATE}
)
"""Quantities that say nothing without their unit: a raw page may have lost its row of units."""

_PERCENTAGES = frozenset({Field.MEMORY, Field.COMPUTE, Field.DRAM, Field.TENSOR})

_KILOHERTZ = frozenset({Field.MEMORY_CLOCK, Field.SM_CLOCK})

_BY_LABEL: dict[str, tuple[Field, bool]] = {
    "Duration": (Field.DURATION, False),
    "Elapsed Cycles": (Field.CYCLES, False),
    "SM Frequency": (Field.CYCLE_RATE, False),
    "Memory Throughput": (Field.MEMORY, True),
    "Memory [%]": (Field.MEMORY, True),
    "SOL Memory": (Field.MEMORY, True),
    "Compute (SM) Throughput": (Field.COMPUTE, True),
    "Compute (SM) [%]": (Field.COMPUTE, True),
    "SM [%]": (Field.COMPUTE, True),
    "SOL SM": (Field.COMPUTE, True),
    "DRAM Throughput": (Field.DRAM, True),
    "SOL FB": (Field.DRAM, True),
    "SOL DRAM": (Field.DRAM, True),
    "Waves Per SM": (Field.WAVES, False),
    "# SMs": (Field.SM_COUNT, False),
}
"""Labels of the details page, and whether the value is a percentage. "Memory Throughput" in bytes/s is DRAM's."""

_INSTRUCTION = re.compile(r"sm(sp)?__sass_thread_inst_executed_op_[dfh](add|mul|fma)_pred_on\.sum$")
_TENSOR_OPERATIONS = re.compile(r"sm__ops_path_tensor_src_\w+?(_sparsity_(?:off|on))?\.sum$")
"""One amount may be stated twice: by sub-partition and by SM, in all and by sparsity. Each way adds up by itself."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a metric goes: the cell, the factor to SI, and whether it adds up (FLOPs do)."""

    field: Field
    factor: float
    adds: bool = False


def target(name: str, unit: str) -> Target | None:
    """Where a metric goes by its name or label and its unit; None if it is not needed or its unit is unknown."""
    scale = factor(unit)
    if scale is None:
        return None
    found = _BY_NAME.get(name)
    if found is not None:
        if found in _KILOHERTZ and not unit:
            return Target(found, 1e3)
        if found in _PERCENTAGES:
            return Target(found, 0.01)
        if found in _DIMENSIONED and not unit.strip():
            return None
        return Target(found, scale)
    if name == "Memory Throughput" and unit.lower().startswith(("byte", "kbyte", "mbyte", "gbyte", "tbyte")):
        return Target(Field.DRAM_RATE, scale)
    label = _BY_LABEL.get(name)
    if label is not None:
        cell, percent = label
        if (percent and unit != "%") or (cell in _DIMENSIONED and not unit.strip()):
            return None
        return Target(cell, scale)
    instruction = _INSTRUCTION.match(name)
    if instruction is not None:
        cell = Field.FLOPS_OF_SMS if instruction[1] is None else Field.FLOPS
        return Target(cell, 2.0 if instruction[2] == "fma" else 1.0, adds=True)
    tensor = _TENSOR_OPERATIONS.match(name)
    if tensor is not None:
        cell = Field.TENSOR_FLOPS if tensor[1] is None else Field.TENSOR_FLOPS_BY_SPARSITY
        return Target(cell, 1.0, adds=True)
    return None


def put(row: list[float], to: Target, value: float) -> None:
    """Enter a value; the first statement of a quantity stands, and NaN states nothing."""
    cell = row[to.field]
    scaled = value * to.factor
    if math.isnan(scaled):
        return
    if math.isnan(cell):
        row[to.field] = scaled
    elif to.adds:
        row[to.field] = cell + scaled


def empty_row() -> list[float]:
    """A row in which nothing is stated."""
    return [NAN] * len(Field)
