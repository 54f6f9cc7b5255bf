"""Raw page: one line a kernel, one column a metric, units in the first line below the header.

Of a thousand columns a few dozen are wanted. Quotation marks are located for a whole block at once, and
only the wanted cells are cut out; lines with marks inside a field are parsed the ordinary way.
"""

from __future__ import annotations

import csv
import re
from contextlib import suppress

import numpy as np

from collectors.marks import phase_of
from collectors.ncu.cells import device_index, figure
from collectors.ncu.header import Header
from collectors.ncu.metrics import DEVICE_NAME, NAN, Field, Target, target
from collectors.ncu.table import KernelTable
from collectors.units import number
from heuristics.arrays import Array, Rows

QUOTE, NEWLINE = 34, 10
DIGITS = (48, 57)

LONGEST_NUMBER = 64

_GROUPED = re.compile(rb"\d{1,3}(?:,\d{3})+")


class WidePage:
    """Reads the rows below one header."""

    def __init__(self, header: Header, table: KernelTable) -> None:
        self.table = table
        self.header = header
        self.targets: list[tuple[int, Target]] | None = None
        self.described = [i for i in (header.device, header.at(DEVICE_NAME)) if i is not None]
        self.width = len(header.columns)

    def take(self, block: bytes) -> int:
        """Read whole lines; returns how many were damaged."""
        damaged = begin = 0
        while self.targets is None and begin < len(block):
            end = block.find(b"\n", begin)
            taken, sound = self._units(block[begin:end])
            damaged += not sound
            begin = end + 1 if taken else begin
        return damaged + (self._rows(block[begin:]) if begin < len(block) else 0)

    def close(self) -> int:
        """Nothing is held back on this page."""
        return 0

    def _rows(self, block: bytes) -> int:
        letters = np.frombuffer(block, np.uint8)
        quotes = np.flatnonzero(letters == QUOTE)
        line_ends = np.flatnonzero(letters == NEWLINE)
        quotes_before = np.concatenate([[0], np.searchsorted(quotes, line_ends)])
        regular = np.flatnonzero(np.diff(quotes_before) == 2 * self.width)
        numbered = letters[quotes[quotes_before[regular]] + 1]
        regular = regular[(numbered >= DIGITS[0]) & (numbered <= DIGITS[1])]
        first = quotes_before[regular]
        parsed, damaged = self._parsed(block, line_ends, np.delete(np.arange(line_ends.size), regular))
        order = np.argsort(np.concatenate([regular, np.array(list(parsed), np.intp)])).tolist()

        def column(index: int) -> list[bytes]:
            begin, end = quotes[first + 2 * index] + 1, quotes[first + 2 * index + 1]
            found = [block[b:e] for b, e in zip(begin.tolist(), end.tolist(), strict=True)]
            if not parsed:
                return found
            found += [cells[index].encode("utf-8", "replace") for cells in parsed.values()]
            return [found[place] for place in order]

        self._enter(len(order), {i: column(i) for i in self._wanted()})
        return damaged

    def _parsed(self, block: bytes, line_ends: Rows, lines: Rows) -> tuple[dict[int, list[str]], int]:
        """The cells of these lines, by line, as far as they are rows of the table, and how many are damaged."""
        found: dict[int, list[str]] = {}
        damaged = 0
        for line in lines.tolist():
            text = block[line_ends[line - 1] + 1 if line else 0 : line_ends[line]]
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

    def _wanted(self) -> list[int]:
        return sorted({self.header.name, *self.described, *self.header.nvtx, *(i for i, _ in self.targets or ())})

    def _enter(self, rows: int, cells: dict[int, list[bytes]]) -> None:
        if rows == 0:
            return
        columns: dict[Field, Array] = {}
        for index, to in self.targets or ():
            with np.errstate(over="ignore"):
                values = _numbers(cells[index]) * to.factor
            before = columns.get(to.field)
            if before is None:
                columns[to.field] = values
            elif to.adds:
                columns[to.field] = np.where(np.isnan(before), values, before + np.nan_to_num(values))
            else:
                columns[to.field] = np.where(np.isnan(before), values, before)
        at_device, at_display = self.header.device, self.header.at(DEVICE_NAME)
        devices = [_device(c) for c in cells[at_device]] if at_device is not None else [0] * rows
        if at_display is not None:
            for device, name in dict(zip(devices, cells[at_display], strict=True)).items():
                if name:
                    self.table.device_names[device] = name.decode("utf-8", "replace")
        texts = [b" ".join(cells[i][row] for i in self.header.nvtx) for row in range(rows)] if self.header.nvtx else []
        self.table.extend(
            [c.decode("utf-8", "replace") for c in cells[self.header.name]],
            devices,
            columns,
            [phase_of(t.decode("utf-8", "replace")) for t in texts] or [None] * rows,
        )


def _device(cell: bytes) -> int:
    return device_index(cell.decode("utf-8", "replace"))


def _numbers(cells: list[bytes]) -> Array:
    """Numbers of a column, NaN for what is none; together where all are plain, one by one otherwise."""
    plain = [c.replace(b",", b"") if b"," in c and _GROUPED.fullmatch(c) else c for c in cells]
    if max(map(len, plain), default=0) <= LONGEST_NUMBER:
        with suppress(ValueError):
            found: Array = np.array(plain, "S").astype(np.float64)
            return np.where(np.isfinite(found), found, NAN) if not np.isfinite(found).all() else found
    return np.array([figure(c.decode("utf-8", "replace")) for c in cells])
