"""Tables of nvidia-smi one after another, dmon, pmon and query: rows under headers, by GPU."""

from __future__ import annotations

import csv
import re
from array import array
from dataclasses import dataclass, field
from datetime import datetime, time
from functools import lru_cache
from itertools import count

import numpy as np

from collectors.smi.columns import FRACTIONS, Column, column_of, is_measured, rank_of, scale_of
from collectors.units import number
from heuristics.arrays import Array

UNKNOWN = frozenset({"-", "n/a", ""})
"""Not available, never zero; so is every text in brackets."""

MOST_GPUS = 1024

LARGEST = 1e15
"""More hertz, bytes, watts or seconds than any reading has."""

_VALUE_WITH_UNIT = re.compile(r"(-?[\d.]++)\s*+([A-Za-z%/]*+)")
_HEADER_CELL = re.compile(r"([A-Za-z_][\w.]*+)\s*+(?:\[([^\]]*+)\])?")


def is_dmon(line: str) -> bool:
    """Whether a line is the header of dmon or pmon."""
    if not line.lstrip().startswith("#"):
        return False
    words = line.replace("#", " ").replace(",", " ").lower().split()
    return "gpu" in words[:4] and bool({"sm", "pwr", "mclk", "fb", "rxpci", "sbecc", "pid", "pviol"} & set(words))


def csv_header(line: str) -> list[tuple[str, str]] | None:
    """(name, unit) of every column, blank where a cell is no name; None for a line that is no header."""
    if not line.lstrip()[:1].isalpha():
        return None
    found = [_HEADER_CELL.fullmatch(cell.strip()) for cell in line.split(",")]
    if found[0] is None or (len(found) == 1 and found[0][2] is None):
        return None
    cells = [(cell[1], cell[2] or "") if cell else ("", "") for cell in found]
    names = {name.lower() for name, _ in cells}
    return cells if {"gpu", "sm"} <= names or any(is_measured(name) for name in names) else None


@dataclass(slots=True)
class Gpu:
    """What was logged of one GPU: a column of numbers each, NaN in rows that do not state it."""

    rows: int = 0
    columns: dict[Column, array[float]] = field(default_factory=dict)
    name: str | None = None
    uuid: str | None = None

    def enter(self, values: dict[Column, float]) -> None:
        """One more row."""
        for column in values:
            if column not in self.columns:
                self.columns[column] = array("d", [np.nan]) * self.rows
        self.rows += 1
        for column, cells in self.columns.items():
            cells.append(values.get(column, np.nan))

    def of(self, *columns: Column) -> Array:
        """A column over the rows, the largest where several say the same; NaN where not stated."""
        found = [np.array(self.columns[c], np.float64) for c in columns if c in self.columns]
        return np.fmax.reduce(found) if found else np.full(self.rows, np.nan)


class Tables:
    """Tables one after another; every header changes what the rows below it mean."""

    def __init__(self) -> None:
        self.gpus: dict[int, Gpu] = {}
        self.index_of: dict[str, int] = {}
        self.damaged = 0
        self.names: list[str] = []
        self.wanted: list[tuple[int, Column, str]] = []
        self.worded: list[tuple[int, Column]] = []
        self.of_processes = self.indexed = False
        self.separator: str | None = None
        self.awaiting_units = False
        self.processes: dict[float, dict[Column, float]] = {}
        self.of_pass: tuple[int, float | None] = (0, None)

    def take(self, line: str) -> None:
        """One line of the file."""
        if not line:
            return
        if line.lstrip().startswith("#"):
            words = line.replace("#", " ").replace(",", " ").split()
            if is_dmon(line):
                self._header(words, [], None)
            elif self.awaiting_units and self.separator is None:
                self._units(words)
            else:
                self._header([], [], None)
        elif (cells := csv_header(line)) is not None:
            self._header([name for name, _ in cells], [unit for _, unit in cells], ",")
        elif self.names and line.strip():
            self._row(line)

    def _header(self, names: list[str], units: list[str], separator: str | None) -> None:
        self.close_pass()
        self.names, self.separator = names, separator
        self._units(units)
        self.awaiting_units = True

    def _units(self, units: list[str]) -> None:
        """What each column means; the best of several that state the same comes first."""
        padded = units + [""] * (len(self.names) - len(units))
        found = [
            (place, column, unit)
            for place, (name, unit) in enumerate(zip(self.names, padded, strict=False))
            if (column := column_of(name, unit)) is not None
        ]
        self.wanted = sorted(found, key=lambda cell: rank_of(self.names[cell[0]]))
        self.worded = [(place, column) for place, column, _ in self.wanted if column in _WORDED]
        self.of_processes = any(column is Column.PID for _, column, _ in self.wanted)
        self.indexed = any(column is Column.GPU for _, column, _ in self.wanted)
        self.awaiting_units = False

    def _row(self, line: str) -> None:
        cells = self._cells(line)
        if self.awaiting_units and "Idx" in cells:
            self._units(cells)
            return
        self.awaiting_units = False
        if len(cells) != len(self.names):
            foreign = self.separator is None and number(cells[0] if cells else "") is None
            self.damaged += 0 if foreign or len(cells) == 1 else 1
            return
        self._enter(cells)

    def _cells(self, line: str) -> list[str]:
        if self.separator is not None:
            try:
                return [cell.strip() for cell in next(csv.reader([line]))]
            except csv.Error:
                return line.split()
        cells = line.replace(",", " ").split()
        wider = len(cells) - len(self.names)
        if self.names[-1] == "command" and (wider > 0 or wider == -1):
            return [*cells[: len(self.names) - 1], ""]
        return cells

    def _enter(self, cells: list[str]) -> None:
        values: dict[Column, float] = {}
        for place, column, unit in self.wanted:
            value = _value(column, cells[place], unit)
            if value is not None and (column not in values or column in _SIGN):
                values[column] = max(value, values.get(column, value))
        texts = {column: cells[place] for place, column in reversed(self.worded) if _stated(cells[place])}
        index = self._index(texts, values)
        if index is None:
            self.damaged += 1
            return
        gpu = self.gpus.setdefault(index, Gpu())
        gpu.name = texts.get(Column.NAME) or gpu.name
        gpu.uuid = texts.get(Column.UUID) or gpu.uuid
        if self.of_processes:
            self._process(index, values)
        else:
            gpu.enter(values)

    def _process(self, index: int, values: dict[Column, float]) -> None:
        """pmon has a row a process: rows of one pass over the processes add up to the GPU's."""
        pid = values.get(Column.PID)
        of_pass = (index, values.get(Column.TIME))
        if pid is None or pid in self.processes or of_pass != self.of_pass:
            self.close_pass()
        self.of_pass = of_pass
        self.processes[-1.0 if pid is None else pid] = values
        if pid is None:
            self.close_pass()

    def close_pass(self) -> None:
        """Enter the processes of one GPU in one pass of pmon."""
        if not self.processes:
            return
        index, time = self.of_pass
        total: dict[Column, float] = {} if time is None else {Column.TIME: time}
        for values in self.processes.values():
            for column, value in values.items():
                if column in FRACTIONS:
                    total[column] = min(1.0, total.get(column, 0.0) + value)
        self.gpus[index].enter(total)
        self.processes = {}

    def _index(self, texts: dict[Column, str], values: dict[Column, float]) -> int | None:
        """The GPU of a row: by index, else by the order in which UUIDs or bus ids appear, else the only one."""
        identity = texts.get(Column.UUID) or texts.get(Column.BUS)
        if self.indexed:
            stated = values.get(Column.GPU, -1.0)
            if not 0 <= stated < MOST_GPUS:
                return None
            if identity is not None:
                self.index_of.setdefault(identity, int(stated))
            return int(stated)
        if identity is None:
            return 0
        if identity not in self.index_of:
            if len(self.index_of) >= MOST_GPUS:
                return None
            taken = set(self.index_of.values())
            self.index_of[identity] = next(i for i in count() if i not in taken)
        return self.index_of[identity]


_SIGN = frozenset({Column.POWER_LIMITED, Column.THERMALLY_LIMITED})
_WORDED = frozenset({Column.NAME, Column.UUID, Column.BUS})


def _stated(cell: str) -> bool:
    return cell.lower() not in UNKNOWN and not cell.startswith("[")


@lru_cache(maxsize=1 << 14)
def _value(column: Column, cell: str, unit: str) -> float | None:
    """A cell in SI; None where it is no reading."""
    if not _stated(cell):
        return None
    if column is Column.TIME:
        return _time(cell)
    if column in _SIGN:
        return {"active": 1.0, "not active": 0.0}.get(cell.lower())
    found = _VALUE_WITH_UNIT.fullmatch(cell)
    value = None if found is None else number(found[1])
    if found is None or value is None:
        return None
    value *= scale_of(column, found[2] or unit)
    return value if abs(value) < LARGEST and (column not in FRACTIONS or 0.0 <= value <= 1.0) else None


def _time(cell: str) -> float | None:
    """Seconds of a number, a date with a time, or a time alone."""
    plain = number(cell)
    if plain is not None:
        return plain if abs(plain) < LARGEST else None
    try:
        return datetime.fromisoformat(cell.replace("/", "-")).timestamp()
    except (ValueError, OverflowError):
        pass
    try:
        alone = time.fromisoformat(cell)
    except ValueError:
        return None
    return alone.hour * 3600.0 + alone.minute * 60.0 + alone.second + alone.microsecond / 1e6
