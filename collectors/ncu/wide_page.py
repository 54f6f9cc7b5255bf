"""Raw page: one line a kernel, one column a metric, units in the first line below the header.

Of a thousand columns a few dozen are wanted. Quotation marks are located for a whole block at once, and
only the wanted cells are cut out; lines with marks inside a field are parsed the ordinary way.
"""

from __future__ import annotations

import csv

import numpy as np

from collectors.marks import phase_of
from collectors.ncu.header import Header
from collectors.ncu.long_page import device_index
from collectors.ncu.metrics import DEVICE_NAME, NAN, Field, Target, target
from collectors.ncu.table import KernelTable
from collectors.units import number
from heuristics.arrays import Array

QUOTE, NEWLINE = 34, 10


class WidePage:
    """Reads the rows below one header."""

    def __init__(self, header: Header, table: KernelTable) -> None:
        self.table = table
        self.header = header
        self.targets: list[tuple[int, Target]] | None = None
        self.name = header.columns.index("Kernel Name")
        self.described = [i for i in (header.at("Device"), header.at(DEVICE_NAME)) if i is not None]
        self.width = len(header.columns)

    def take(self, block: bytes) -> int:
        """Read whole lines; returns how many were damaged."""
        if self.targets is None:
            block = block[self._units(block[: block.find(b"\n")]) :]
        if not block:
            return 0
        letters = np.frombuffer(block, np.uint8)
        quotes = np.flatnonzero(letters == QUOTE)
        line_ends = np.flatnonzero(letters == NEWLINE)
        ends = np.searchsorted(quotes, line_ends)
        begins = np.concatenate([[0], ends[:-1]])
        regular = ends - begins == 2 * self.width
        self._cut(block, quotes, begins[regular])
        line_begins = np.concatenate([[0], line_ends[:-1] + 1])
        others = [block[line_begins[i] : line_ends[i]] for i in np.flatnonzero(~regular)]
        return sum(not self._parsed(line) for line in others)

    def close(self) -> int:
        """Nothing is held back on this page."""
        return 0

    def _units(self, line: bytes) -> int:
        """Learn the units from the first line below the header; its length, or 0 if it is a kernel's already."""
        cells = self._split(line) or [""]
        is_units = not cells[0] and len(cells) >= self.width
        units = cells if is_units else [""] * self.width
        self.targets = [
            (i, to) for i, name in enumerate(self.header.columns) if (to := target(name, units[i])) is not None
        ]
        return len(line) + 1 if is_units else 0

    def _cut(self, data: bytes, quotes: np.ndarray, first: np.ndarray) -> None:
        """Rows whose quotation marks begin at ``quotes[first]``: cut the wanted cells out."""

        def column(index: int) -> list[bytes]:
            begin, end = quotes[first + 2 * index] + 1, quotes[first + 2 * index + 1]
            return [data[b:e] for b, e in zip(begin.tolist(), end.tolist(), strict=True)]

        self._enter(len(first), {i: column(i) for i in self._wanted()})

    def _parsed(self, line: bytes) -> bool:
        """One row the ordinary way; False if it is damaged, not if it is no row at all."""
        if not line.startswith(b'"') and line.count(b",") < self.width - 1:
            return True
        return self._enter_cells(self._split(line))

    def _enter_cells(self, cells: list[str] | None) -> bool:
        if cells is None or len(cells) < self.width:
            return False
        self._enter(1, {i: [cells[i].encode("utf-8", "replace")] for i in self._wanted()})
        return True

    def _split(self, line: bytes) -> list[str] | None:
        try:
            return next(csv.reader([line.decode("utf-8", "replace")]), None)
        except csv.Error:
            return None

    def _wanted(self) -> list[int]:
        return sorted({self.name, *self.described, *self.header.nvtx, *(i for i, _ in self.targets or ())})

    def _enter(self, rows: int, cells: dict[int, list[bytes]]) -> None:
        if rows == 0:
            return
        columns: dict[Field, Array] = {}
        for index, to in self.targets or ():
            values = _numbers(cells[index]) * to.factor
            before = columns.get(to.field)
            if before is None:
                columns[to.field] = values
            elif to.adds:
                columns[to.field] = np.where(np.isnan(before), values, before + np.nan_to_num(values))
            else:
                columns[to.field] = np.where(np.isnan(before), values, before)
        at_device, at_display = self.header.at("Device"), self.header.at(DEVICE_NAME)
        devices = [device_index(c.decode()) for c in cells[at_device]] if at_device is not None else [0] * rows
        if at_display is not None:
            for device, name in dict(zip(devices, cells[at_display], strict=True)).items():
                if name:
                    self.table.device_names[device] = name.decode("utf-8", "replace")
        texts = [b" ".join(cells[i][row] for i in self.header.nvtx) for row in range(rows)] if self.header.nvtx else []
        self.table.extend(
            [c.decode("utf-8", "replace") for c in cells[self.name]],
            devices,
            columns,
            [phase_of(t.decode("utf-8", "replace")) for t in texts] or [None] * rows,
        )


def _numbers(cells: list[bytes]) -> Array:
    """Numbers of a column, NaN for what is none; together where all are plain, one by one otherwise."""
    try:
        found: Array = np.array([c.replace(b",", b"") for c in cells], "S").astype(np.float64)
    except ValueError:
        pass
    else:
        return np.where(np.isfinite(found), found, NAN)
    return np.array([NAN if (v := number(c.decode("utf-8", "replace"))) is None else v for c in cells])
