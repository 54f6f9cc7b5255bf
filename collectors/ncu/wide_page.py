"""Raw page: one line a kernel, one column a metric, units in the first line below the header.

Of a thousand columns a few dozen are wanted. Quotation marks are located for a whole block at once, and
only the wanted cells are cut out; lines with marks inside a field are parsed the ordinary way.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass

import numpy as np

from collectors.marks import phase_of
from collectors.ncu.cells import figure
from collectors.ncu.figures import device_indices, figures_at, joined
from collectors.ncu.header import NINE, QUOTE, ZERO, Header
from collectors.ncu.lines import Lines
from collectors.ncu.metrics import DEVICE_NAME, NAN, OF_THE_DEVICE, Field, Target, target
from collectors.ncu.table import KernelTable
from collectors.units import number
from heuristics.arrays import Array, Bytes, Index, Rows


class WidePage:
    """Reads the rows below one header."""

    def __init__(self, header: Header, table: KernelTable) -> None:
        self.table = table
        self.header = header
        self.targets: list[tuple[int, Target]] | None = None
        self.width = len(header.columns)

    def take(self, lines: Lines) -> int:
        """Read whole lines; returns how many were damaged."""
        damaged = first = 0
        while self.targets is None and first < len(lines):
            taken, sound = self._units(lines.text[lines.begins[first] : lines.begins[first + 1] - 1])
            damaged += not sound
            first += taken
        return damaged + (self._rows(lines.part(first)) if first < len(lines) else 0)

    def close(self) -> int:
        """Nothing is held back on this page."""
        return 0

    def _rows(self, lines: Lines) -> int:
        letters = lines.letters
        quotes = np.flatnonzero(letters == QUOTE)
        quotes_before = np.searchsorted(quotes, lines.begins)
        regular = np.flatnonzero(np.diff(quotes_before) == 2 * self.width)
        numbered = letters[quotes[quotes_before[regular]] + 1]
        regular = regular[(numbered >= ZERO) & (numbered <= NINE)]
        parsed, damaged = self._parsed(lines, np.delete(np.arange(len(lines)), regular))
        order = np.argsort(np.concatenate([regular, np.array(list(parsed), np.intp)]))
        if order.size:
            cells = _Cells(lines.text, letters, quotes, quotes_before[regular], list(parsed.values()), order)
            self._enter(cells, order.size)
        return damaged

    def _parsed(self, lines: Lines, some: Rows) -> tuple[dict[int, list[str]], int]:
        """The cells of these lines, by line, as far as they are rows of the table, and how many are damaged."""
        found: dict[int, list[str]] = {}
        damaged = 0
        for line in some.tolist():
            text = lines.text[lines.begins[line] : lines.begins[line + 1] - 1]
            if self._is_row(text):
                cells = self._split(text)
                if cells is None or len(cells) < self.width or number(cells[0]) is None:
                    damaged += 1
                else:
                    found[line] = cells
        return found, damaged

    def _units(self, line: bytes) -> tuple[bool, bool]:
        """Learn the units from a line below the header: whether it is used up, and whether it is sound.

        The application may print before it; a kernel's line is left for later, and units stay unknown.
        """
        if not self._is_row(line):
            return True, True
        cells = self._split(line)
        if cells is None or len(cells) < self.width:
            return True, False
        is_units = not cells[0]
        units = cells if is_units else [""] * self.width
        self.targets = [
            (i, to) for i, name in enumerate(self.header.columns) if (to := target(name, units[i])) is not None
        ]
        return is_units, True

    def _is_row(self, line: bytes) -> bool:
        """Whether a line belongs to the table; the application's belong to nobody."""
        return line.startswith(b'"') if self.header.quoted else line.count(b",") >= self.width - 1

    def _split(self, line: bytes) -> list[str] | None:
        try:
            return next(csv.reader([line.decode("utf-8", "replace")], strict=True), None)
        except csv.Error:
            return None

    def _enter(self, cells: _Cells, rows: int) -> None:
        columns: dict[Field, Array] = {}
        targets = [(i, to) for i, to in self.targets or [] if to.field not in OF_THE_DEVICE]
        for (_, to), stated in zip(targets, cells.figures([i for i, _ in targets]), strict=True):
            with np.errstate(over="ignore"):
                columns[to.field] = joined(columns.get(to.field), stated, to)
        devices = np.zeros(rows, np.int32)
        if self.header.device is not None:
            devices = device_indices(cells.figures([self.header.device])[0])
        self._describe(cells, devices)
        nvtx = zip(*(cells.texts(i) for i in self.header.nvtx), strict=True)
        phases = [phase_of(" ".join(ranges)) for ranges in nvtx]
        names = [self.table.index_of(name) for name in cells.texts(self.header.name)]
        self.table.extend(names, devices.tolist(), columns, phases)

    def _describe(self, cells: _Cells, devices: Index) -> None:
        """What the rows state of their devices, by the first row of each."""
        attributes = [(i, to) for i, to in self.targets or [] if to.field in OF_THE_DEVICE]
        at_name = self.header.at(DEVICE_NAME)
        present, first = np.unique(devices, return_index=True)
        for device, row in zip(present.tolist(), first.tolist(), strict=True):
            chosen = np.array([row])
            for (_, to), value in zip(attributes, cells.figures([i for i, _ in attributes], chosen), strict=True):
                self.table.describe(device, to.field, float(value[0]) * to.factor)
            name = cells.texts(at_name, chosen)[0] if at_name is not None else ""
            if name:
                self.table.device_names[device] = name


@dataclass(frozen=True, slots=True)
class _Cells:
    """The rows of one block, in their order: most by where their quotation marks are, some split already."""

    block: bytes
    letters: Bytes
    quotes: Rows
    first: Rows
    """Where the marks of each regular row begin."""
    parsed: list[list[str]]
    order: Rows

    def figures(self, columns: list[int], rows: Rows | None = None) -> Array:
        """Numbers of these columns, shape (columns, rows), of all rows or some; NaN where a cell holds none."""
        places = self.order if rows is None else self.order[rows]
        regular = places < self.first.size
        marks = self.first[places[regular]] + 2 * np.array(columns, np.intp)[:, None]
        begin, end = self.quotes[marks] + 1, self.quotes[marks + 1]
        found = figures_at(self.letters, begin.ravel(), end.ravel()).reshape(marks.shape)
        if regular.all():
            return found
        whole = np.full((len(columns), places.size), NAN)
        whole[:, regular] = found
        for place in np.flatnonzero(~regular).tolist():
            cells = self.parsed[places[place] - self.first.size]
            whole[:, place] = [figure(cells[i]) for i in columns]
        return whole

    def texts(self, column: int, rows: Rows | None = None) -> list[str]:
        """The cells of a column, or of some of its rows."""
        places = self.order if rows is None else self.order[rows]
        regular = places[places < self.first.size]
        marks = self.first[regular] + 2 * column
        begin, end = (self.quotes[marks] + 1).tolist(), self.quotes[marks + 1].tolist()
        found = iter([self.block[b:e].decode("utf-8", "replace") for b, e in zip(begin, end, strict=True)])
        if regular.size == places.size:
            return list(found)
        whole = self.first.size
        return [next(found) if place < whole else self.parsed[place - whole][column] for place in places.tolist()]
