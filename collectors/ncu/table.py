"""Kernel rows as they grow, and the profile made of them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from collectors.ncu.cells import Kernel
from collectors.ncu.metrics import NAN, OF_THE_DEVICE, Field
from heuristics.arrays import Array, Rows, median
from heuristics.kernel_class import UNNAMED
from heuristics.observations import KernelProfile
from heuristics.operations import Phase
from heuristics.roofs import Device

PENDING_ROWS = 512

LONGEST_S = 1e5
"""A kernel that runs for a day."""
MOST = 1e21
"""More bytes, FLOPs or hertz than any kernel has; products of two of them are still numbers."""

LEAST_FRACTION = 0.05
"""DRAM throughputs under this are too coarsely rounded to derive a peak from."""


class KernelTable:
    """Columns of kernels, a device index each. A quantity that no kernel states takes no memory."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.name_index = array("i")
        self.device = array("i")
        self.labels: dict[int, str] = {}
        self.phases: dict[int, Phase] = {}
        self.cells: dict[Field, array[float]] = {}
        self.device_names: dict[int, str] = {}
        self.device_figures: dict[tuple[int, Field], float] = {}
        self.pending: list[tuple[Kernel, list[float], str]] = []
        self.entered = 0

    def __len__(self) -> int:
        return self.entered + len(self.pending)

    def add(self, kernel: Kernel, row: list[float], label: str) -> None:
        """One kernel, or one row of a summary."""
        self.pending.append((kernel, row, label))
        if len(self.pending) >= PENDING_ROWS:
            self._flush()

    def extend(
        self,
        names: Sequence[int],
        devices: Sequence[int],
        columns: Mapping[Field, Array],
        phases: Sequence[Phase | None] = (),
        labels: Sequence[str] = (),
    ) -> None:
        """Many kernels at once, names by index; quantities not in ``columns`` are not stated."""
        self._flush()
        self._append(names, devices, columns, phases, labels)

    def index_of(self, name: str) -> int:
        """The index under which kernels of this name are entered."""
        return self.names.setdefault(name, len(self.names))

    def describe(self, device: int, field: Field, value: float) -> None:
        """A quantity of a device; the first statement stands, and NaN states nothing."""
        if 0.0 <= value <= MOST:
            self.device_figures.setdefault((device, field), value)

    def _flush(self) -> None:
        if not self.pending:
            return
        kernels, rows, labels = zip(*self.pending, strict=True)
        self.pending = []
        block = np.array(rows)
        stated = np.flatnonzero(~np.isnan(block).all(axis=0)).tolist()
        columns = {Field(i): block[:, i] for i in stated}
        names, devices, phases, launches = zip(*kernels, strict=True)
        if any(count is not None for count in launches):
            columns[Field.INVOCATIONS] = np.array(launches, np.float64)
        self._append([self.index_of(name) for name in names], devices, columns, phases, labels)

    def _append(
        self,
        names: Sequence[int],
        devices: Sequence[int],
        columns: Mapping[Field, Array],
        phases: Sequence[Phase | None],
        labels: Sequence[str],
    ) -> None:
        before, rows = self.entered, len(names)
        self.name_index.extend(names)
        self.device.extend(devices)
        self.phases |= {before + i: phase for i, phase in enumerate(phases) if phase is not None}
        self.labels |= {before + i: label for i, label in enumerate(labels) if label}
        for field in OF_THE_DEVICE & columns.keys():
            for row in np.flatnonzero(~np.isnan(columns[field])).tolist():
                self.describe(devices[row], field, float(columns[field][row]))
        columns = {to: _plausible(to, values) for to, values in columns.items() if to not in OF_THE_DEVICE}
        for field in columns.keys() - self.cells.keys():
            self.cells[field] = array("d", [NAN]) * before
        blank = array("d", [NAN]) * rows
        for field, cells in self.cells.items():
            cells.extend(array("d", columns[field].tobytes()) if field in columns else blank)
        self.entered += rows

    def _cells(self, rows: Rows | None) -> dict[Field, Array]:
        """The chosen rows by quantity, with what follows: time from cycles, bytes from directions or from the rate."""
        cell: dict[Field, Array] = {}
        for field, cells in self.cells.items():
            whole = np.frombuffer(cells)
            cell[field] = whole if rows is None else whole[rows]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for field, needed, follows in _FOLLOWING:
                if all(n in cell for n in needed):
                    _fill(cell, field, follows(*(cell[n] for n in needed)))
        if Field.TENSOR_FLOPS in cell:
            cell[Field.FLOPS] = cell[Field.FLOPS] + np.nan_to_num(cell[Field.TENSOR_FLOPS])
        absent = np.broadcast_to(np.array(NAN), (len(self) if rows is None else rows.size,))
        return {field: cell.get(field, absent) for field in Field}

    def by_device(self) -> list[tuple[Device, KernelProfile]]:
        """A profile a device, with what the dump states about the device."""
        self._flush()
        devices = np.frombuffer(self.device, np.int32)
        present = np.flatnonzero(np.bincount(devices)).tolist() if devices.size else []
        found = []
        for index in present:
            rows = None if len(present) == 1 else np.flatnonzero(devices == index)
            cells = self._cells(rows)
            found.append((self._device(index, cells), self._profile(rows, cells)))
        return found

    def _profile(self, rows: Rows | None, cells: dict[Field, Array]) -> KernelProfile:
        launches = cells[Field.INVOCATIONS]
        index = np.frombuffer(self.name_index, np.int32)
        place = range(len(self)) if rows is None else rows.tolist()
        return KernelProfile(
            names=tuple(name or UNNAMED for name in self.names),
            name_index=index if rows is None else index[rows],
            launches=np.where(np.isnan(launches), 1.0, launches),
            duration_s=cells[Field.DURATION],
            memory_throughput=cells[Field.MEMORY],
            compute_throughput=cells[Field.COMPUTE],
            dram_throughput=cells[Field.DRAM],
            tensor_active=cells[Field.TENSOR],
            dram_bytes=cells[Field.DRAM_BYTES],
            flops=cells[Field.FLOPS],
            waves_per_sm=cells[Field.WAVES],
            ncu_label=tuple(self.labels.get(i, "") for i in place) if self.labels else (),
            phase=tuple(self.phases.get(i) for i in place) if self.phases else (),
        )

    def _device(self, index: int, cells: dict[Field, Array]) -> Device:
        """Attributes from the dump's own columns; the bandwidth also from bytes/s over percent of peak."""

        def stated(field: Field) -> float | None:
            return self.device_figures.get((index, field))

        sms, bus = stated(Field.SM_COUNT), stated(Field.BUS_WIDTH)
        clock = stated(Field.MEMORY_CLOCK)
        peak = None
        if clock is None or bus is None:
            fraction, rate = cells[Field.DRAM], cells[Field.DRAM_RATE]
            if np.isnan(rate).all():
                with np.errstate(divide="ignore", invalid="ignore"):
                    rate = cells[Field.DRAM_BYTES] / cells[Field.DURATION]
            usable = (fraction > LEAST_FRACTION) & (rate > 0) & np.isfinite(rate)
            peak = median(rate[usable] / fraction[usable])
        return Device(
            index=index,
            name=self.device_names.get(index),
            vendor="NVIDIA",
            sm_count=int(sms) if sms else None,
            bus_width_bits=int(bus) if bus else None,
            memory_clock_hz=clock,
            max_sm_clock_hz=stated(Field.SM_CLOCK),
            bandwidth_bytes_per_s=peak,
            bandwidth_source="DRAM bytes/s over their percentage of peak" if peak else None,
            last_level_cache_bytes=stated(Field.L2_BYTES),
        )


def _plausible(field: Field, values: Array) -> Array:
    """Values without those that no kernel can have: NaN in their place."""
    most = LONGEST_S if field is Field.DURATION else MOST
    found: Array = np.where((values >= 0.0) & (values <= most), values, NAN)
    return found


def _fill(cell: dict[Field, Array], field: Field, found: Array) -> None:
    """Where a quantity is not stated, what follows for it, unless that is no number (a division by zero)."""
    stated = cell.get(field)
    if stated is None:
        cell[field] = np.where(np.isfinite(found), found, NAN)
        return
    unstated = np.isnan(stated)
    if unstated.any():
        cell[field] = np.where(unstated & np.isfinite(found), found, stated)


_FOLLOWING: tuple[tuple[Field, tuple[Field, ...], Callable[..., Array]], ...] = (
    (Field.WAVES, (Field.RULE_WAVES,), lambda waves: waves),
    (Field.FLOPS, (Field.FLOPS_OF_SMS,), lambda flops: flops),
    (Field.TENSOR_FLOPS, (Field.TENSOR_FLOPS_BY_SPARSITY,), lambda flops: flops),
    (Field.FLOPS, (Field.TENSOR_FLOPS,), lambda flops: np.where(np.isnan(flops), NAN, 0.0)),
    (
        Field.DURATION,
        (Field.CYCLES, Field.CYCLE_RATE),
        lambda cycles, rate: _plausible(Field.DURATION, cycles / rate),
    ),
    (Field.DRAM_BYTES, (Field.DRAM_READ, Field.DRAM_WRITE), lambda read, written: read + written),
    (Field.DRAM_BYTES, (Field.DRAM_RATE, Field.DURATION), lambda rate, seconds: rate * seconds),
)
"""What follows from what, in this order."""
