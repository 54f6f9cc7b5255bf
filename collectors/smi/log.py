"""Reader of nvidia-smi logs: tables of dmon, pmon and query, one or several in a file, in any order of columns."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from collectors.dump import Contents, Dump
from collectors.smi.columns import Column, column_of, scale_of
from collectors.units import number
from heuristics.arrays import Array
from heuristics.errors import UnreadableDump
from heuristics.observations import Activity, Observation, Samples
from heuristics.roofs import Device

KIND = "nvidia-smi log"

UNKNOWN = frozenset({"-", "n/a", "[n/a]", "[not supported]", "[unknown error]", "", "[gpu requires reset]"})
"""Not available, never zero; so is every other text in brackets."""

MOST_GPUS = 1024

_VALUE_WITH_UNIT = re.compile(r"^\s*(-?[\d.]+)\s*([A-Za-z%/]*)\s*$")
_HEADER_WITH_UNIT = re.compile(r"^\s*([\w.]+)\s*(?:\[(.*)\])?\s*$")
_QUERY_MARKS = (
    "utilization.",
    "power.draw",
    "clocks.",
    "temperature.gpu",
    "memory.used",
    "pci.bus_id",
    "power_w",
    "gpu_util",
)
_TIMES = ("%Y/%m/%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%d %H:%M:%S", "%H:%M:%S", "%Y%m%d %H:%M:%S")


def recognises(dump: Dump) -> bool:
    """A header of one of the tables anywhere in the beginning."""
    return any(_is_dmon(line) or _is_csv(line) for line in dump.head_text.splitlines())


def read(dump: Dump) -> Contents:
    """Samples of every GPU, and its hardware activity where GPM columns were logged.

    Raises:
        UnreadableDump: a header and no sample.
    """
    log = _Log()
    try:
        for line in dump.lines():
            log.take(line)
    except csv.Error as error:
        raise UnreadableDump(dump.path, f"not a log of nvidia-smi after all: {error}") from error
    log.close_pass()
    observations = log.observations(dump.path)
    if not observations:
        raise UnreadableDump(
            dump.path, "the log of nvidia-smi holds headers but no sample", hint="let it run while the job works"
        )
    warnings = [dump.cut_short] if dump.cut_short else []
    if log.damaged:
        warnings.append(f"{log.damaged} rows do not fit their header and were left out")
    return Contents(kind=KIND, observations=tuple(observations), warnings=tuple(warnings))


def _is_dmon(line: str) -> bool:
    if not line.lstrip().startswith("#"):
        return False
    words = line.replace("#", " ").replace(",", " ").lower().split()
    return "gpu" in words[:4] and bool({"sm", "pwr", "mclk", "fb", "rxpci", "sbecc", "pid", "pviol"} & set(words))


def _is_csv(line: str) -> bool:
    lowered = line.lower()
    if lowered.startswith("time,gpu,") and ",sm," in lowered:
        return True
    first = lowered.split(",", 1)[0]
    return (
        "," in line
        and any(mark in lowered for mark in _QUERY_MARKS)
        and re.match(r"^\s*[a-z_][\w.]*\s*(\[[^\]]*\])?\s*$", first) is not None
    )


@dataclass(slots=True)
class _Gpu:
    """What was logged of one GPU."""

    rows: list[dict[Column, float]] = field(default_factory=list)
    name: str | None = None
    uuid: str | None = None
    mig: bool = False


class _Log:
    """Tables one after another; every header changes what the rows below it mean."""

    def __init__(self) -> None:
        self.gpus: dict[int, _Gpu] = {}
        self.by_uuid: dict[str, int] = {}
        self.damaged = 0
        self.columns: list[tuple[Column | None, str]] = []
        self.names: list[str] = []
        self.separator: str | None = None
        self.awaiting_units = False
        self.processes: dict[tuple[int, float], dict[Column, float]] = {}

    def take(self, line: str) -> None:
        """One line of the file."""
        if _is_dmon(line):
            self._header(line.replace("#", " ").replace(",", " ").split(), None)
            self.awaiting_units = True
        elif line.lstrip().startswith("#"):
            if self.awaiting_units and self.separator is None:
                self._units(line.replace("#", " ").replace(",", " ").split())
            else:
                self._header([], None)
            self.awaiting_units = False
        elif _is_csv(line):
            cells = [_HEADER_WITH_UNIT.match(cell) for cell in line.split(",")]
            self._header([c[1] if c else "" for c in cells], ",", [c[2] or "" if c else "" for c in cells])
            self.awaiting_units = True
        elif self.columns and line.strip():
            self._row(line)

    def _header(self, names: list[str], separator: str | None, units: list[str] | None = None) -> None:
        self.close_pass()
        self.names, self.separator = names, separator
        self._units(units or [""] * len(names))

    def _units(self, units: list[str]) -> None:
        """The line below dmon's names; date and time have units that look like columns of their own."""
        padded = units + [""] * (len(self.names) - len(units))
        self.columns = [(column_of(n, u), u) for n, u in zip(self.names, padded, strict=False)]

    def _row(self, line: str) -> None:
        if self.separator is None:
            cells = line.replace(",", " ").split()
            extra = len(cells) - len(self.columns)
            if self.names[-1:] == ["command"] and (extra > 0 or extra == -1):
                cells = [*cells[: len(self.columns) - 1], ""]
        else:
            cells = [cell.strip() for cell in next(csv.reader([line]))]
            if self.awaiting_units and cells[:2] == ["s", "Idx"]:
                self._units(cells)
                self.awaiting_units = False
                return
        self.awaiting_units = False
        if len(cells) != len(self.columns):
            foreign = self.separator is None and number(cells[0] if cells else "") is None
            self.damaged += 0 if foreign or len(cells) == 1 else 1
            return
        self._enter(cells)

    def _enter(self, cells: list[str]) -> None:
        values: dict[Column, float] = {}
        texts: dict[Column, str] = {}
        for cell, (column, unit) in zip(cells, self.columns, strict=True):
            if column is None:
                continue
            texts[column] = cell
            value = _value(column, cell, unit)
            if value is not None and not (column is Column.POWER and column in values):
                values[column] = max(value, values.get(column, value)) if column in _SIGNS else value
        index = self._index(texts, values)
        if index is None:
            self.damaged += 1
            return
        gpu = self.gpus.setdefault(index, _Gpu())
        gpu.name = texts.get(Column.NAME) or gpu.name
        gpu.uuid = texts.get(Column.UUID) or gpu.uuid
        gpu.mig = gpu.mig or texts.get(Column.MIG_MODE, "").lower() == "enabled"
        if Column.PID in texts:
            self._process(index, values, gpu)
        else:
            gpu.rows.append(values)

    def _process(self, index: int, values: dict[Column, float], gpu: _Gpu) -> None:
        """pmon has a row a process: rows of one pass over the processes add up to the GPU's."""
        key = (index, values.get(Column.PID, -1.0))
        if key in self.processes:
            self.close_pass()
        self.processes[key] = values

    def close_pass(self) -> None:
        """Enter the processes of one pass of pmon."""
        for index in {index for index, _ in self.processes}:
            rows = [v for (i, _), v in self.processes.items() if i == index]
            total: dict[Column, float] = {}
            for row in rows:
                for column, value in row.items():
                    if column not in (Column.GPU, Column.PID):
                        total[column] = min(1.0, total.get(column, 0.0) + value)
            self.gpus[index].rows.append(total)
        self.processes = {}

    def _index(self, texts: dict[Column, str], values: dict[Column, float]) -> int | None:
        """The GPU of a row: by index, else by the order in which UUIDs appear, else the only one."""
        stated = values.get(Column.GPU)
        if stated is not None:
            return int(stated) if 0 <= stated < MOST_GPUS else None
        if Column.GPU in texts:
            return None
        uuid = texts.get(Column.UUID)
        return self.by_uuid.setdefault(uuid, len(self.by_uuid)) if uuid else 0

    def observations(self, source: str) -> list[Observation]:
        """One observation a GPU, and one more where GPM columns were logged."""
        found = []
        for index, gpu in sorted(self.gpus.items()):
            if not gpu.rows:
                continue
            device = _device(index, gpu)
            found.append(Observation(source=source, payload=_samples(gpu), device=device))
            activity = _activity(gpu)
            if activity is not None:
                found.append(Observation(source=source, payload=activity, device=device))
        return found


_SIGNS = frozenset({Column.POWER_LIMITED, Column.THERMALLY_LIMITED})


def _value(column: Column, cell: str, unit: str) -> float | None:
    """A cell in SI; None where it is not available."""
    lowered = cell.strip().lower()
    if lowered in UNKNOWN or lowered.startswith("["):
        return None
    if column is Column.TIME:
        return _time(cell)
    if column in _SIGNS:
        return {"active": 1.0, "not active": 0.0}.get(lowered)
    found = _VALUE_WITH_UNIT.match(cell)
    if found is None:
        return None
    value = number(found[1])
    return None if value is None else value * scale_of(column, found[2] or unit)


def _time(cell: str) -> float | None:
    plain = number(cell)
    if plain is not None:
        return plain
    for form in _TIMES:
        try:
            return datetime.strptime(cell.strip(), form).timestamp()
        except ValueError:
            continue
    return None


def _array(gpu: _Gpu, *columns: Column) -> Array:
    """A column over the samples, the largest where several say the same; NaN where not stated."""
    found = np.array([[row.get(c, np.nan) for c in columns] for row in gpu.rows], np.float64)
    highest = np.full(len(gpu.rows), np.nan)
    stated = ~np.isnan(found).all(axis=1)
    highest[stated] = np.nanmax(found[stated], axis=1)
    return highest


def _samples(gpu: _Gpu) -> Samples:
    times = _array(gpu, Column.TIME)
    steps = np.diff(times[~np.isnan(times)])
    positive = steps[steps > 0]
    power_limited = _array(gpu, Column.POWER_LIMITED, Column.POWER_VIOLATION)
    return Samples(
        interval_s=float(np.median(positive)) if positive.size else None,
        sm=_array(gpu, Column.SM),
        memory=_array(gpu, Column.MEMORY),
        video=_array(gpu, Column.ENCODER, Column.DECODER, Column.JPEG, Column.OPTICAL_FLOW),
        power_w=_array(gpu, Column.POWER),
        sm_clock_hz=_array(gpu, Column.SM_CLOCK),
        memory_clock_hz=_array(gpu, Column.MEMORY_CLOCK),
        power_limited=power_limited,
        thermally_limited=_array(gpu, Column.THERMALLY_LIMITED, Column.THERMAL_VIOLATION),
    )


def _device(index: int, gpu: _Gpu) -> Device:
    """Highest limits seen, and clocks under load: an idle board lowers them."""

    def highest(*columns: Column) -> float | None:
        values = _array(gpu, *columns)
        values = values[~np.isnan(values)]
        return float(values.max()) if values.size else None

    return Device(
        index=index,
        uuid=gpu.uuid,
        name=gpu.name,
        vendor="NVIDIA",
        memory_bytes=highest(Column.MEMORY_TOTAL),
        memory_clock_hz=highest(Column.MAX_MEMORY_CLOCK) or _under_load(gpu, Column.MEMORY_CLOCK),
        max_sm_clock_hz=highest(Column.MAX_SM_CLOCK),
        sm_clock_hz=_under_load(gpu, Column.SM_CLOCK),
        power_limit_w=highest(Column.POWER_LIMIT),
        mig_profile=None,
    )


def _under_load(gpu: _Gpu, column: Column) -> float | None:
    """The median of a clock over the samples in which a kernel ran."""
    clock = _array(gpu, column)
    loaded = clock[(np.nan_to_num(_array(gpu, Column.SM)) > 0) & ~np.isnan(clock)]
    return float(np.median(loaded)) if loaded.size else None


def _activity(gpu: _Gpu) -> Activity | None:
    """Means of the GPM columns over the samples that state them; None where there are none."""

    def mean(column: Column) -> float | None:
        values = _array(gpu, column)
        values = values[~np.isnan(values)]
        return float(values.mean()) if values.size else None

    found = Activity(
        window_s=None,
        engine_active=mean(Column.ENGINE_ACTIVE),
        sm_active=mean(Column.SM_ACTIVE),
        sm_occupancy=mean(Column.SM_OCCUPANCY),
        tensor_active=mean(Column.TENSOR_ACTIVE),
        dram_active=mean(Column.DRAM_ACTIVE),
        fp64_active=mean(Column.FP64_ACTIVE),
        fp32_active=mean(Column.FP32_ACTIVE),
        fp16_active=mean(Column.FP16_ACTIVE),
    )
    counters = (found.sm_active, found.tensor_active, found.dram_active, found.engine_active)
    return found if any(v is not None for v in counters) else None
