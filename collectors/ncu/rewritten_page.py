"""A long page that some other program has saved anew: fields quoted as needed, columns in any order."""

from __future__ import annotations

import csv

from collectors.ncu.cells import RULE, RULE_WAVES, figure, kernel_of, rule_reading
from collectors.ncu.header import Header
from collectors.ncu.lines import Lines
from collectors.ncu.metrics import empty_row, put, target
from collectors.ncu.table import KernelTable
from collectors.units import number


class RewrittenPage:
    """Reads the rows below one header, each by itself."""

    def __init__(self, header: Header, table: KernelTable) -> None:
        self.header = header
        self.table = table
        names = ("Metric Name", "Metric Unit", header.value)
        self.metric, self.unit, self.value = (header.columns.index(name) for name in names)
        self.least = 1 + max(self.metric, self.unit, self.value, *header.of_the_kernel)
        self._begin([])

    def _begin(self, cells: list[str]) -> None:
        self.cells = cells
        self.row = empty_row()
        self.label = ""

    def take(self, lines: Lines) -> int:
        """Read whole lines; returns how many were damaged."""
        return sum(not self._line(line) for line in lines.text[:-1].split(b"\n"))

    def close(self) -> int:
        """Enter the last kernel; nothing is held back."""
        if self.cells:
            self.table.add(kernel_of(self.header, self.cells), self.row, self.label)
        self._begin([])
        return 0

    def _line(self, line: bytes) -> bool:
        """One line; False if it is damaged, not if the application printed it."""
        try:
            cells = next(csv.reader([line.decode("utf-8", "replace")], strict=True), [])
        except csv.Error:
            return False
        if not cells or number(cells[0]) is None:
            return True
        if len(cells) < self.least:
            return False
        if not self.cells or any(cells[i] != self.cells[i] for i in self.header.of_the_kernel):
            self.close()
            self._begin(cells)
        to = target(cells[self.metric], cells[self.unit])
        if to is not None:
            put(self.row, to, figure(cells[self.value]))
        elif RULE in cells and not self.label:
            self.label, waves = rule_reading(" ".join(cells[cells.index(RULE) :]).encode())
            put(self.row, RULE_WAVES, waves)
        return True
