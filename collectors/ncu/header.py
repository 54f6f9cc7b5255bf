"""The header line of an ncu table: which columns this era has."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from collectors.ncu.lines import Lines

WORD = b"Kernel Name"
QUOTE, ZERO, NINE = 34, 48, 57

_OPENING = re.compile(rb'("(?:Process )?ID",)|\A(?:\xef\xbb\xbf)?((?:Process )?ID,)')
"""A program's last words without a line end may stand before a quoted header, and a byte order mark before any."""

_NVTX_COLUMN = re.compile(r"Push/Pop_Range|Start/Stop_Range")

_OF_A_ROW = frozenset(
    [
        "Section Name",
        "Body Item Label",
        "Metric Name",
        "Metric Unit",
        "Metric Value",
        "Minimum",
        "Maximum",
        "Average",
        "Rule Name",
        "Rule Type",
        "Rule Description",
        "Estimated Speedup Type",
        "Estimated Speedup",
    ]
)
"""Columns of a long page that differ between the rows of one kernel."""


@dataclass(frozen=True)
class Header:
    """Columns by name. A long page has one row a metric, a wide one a column a metric."""

    columns: tuple[str, ...]
    quoted: bool = True
    """As ncu writes it; else another program rewrote the file and quotes only what it must."""

    @classmethod
    def of(cls, line: bytes) -> Header | None:
        """Parse a header line; None if it is none, or lacks a column that its page cannot be read without."""
        opening = _OPENING.search(line) if WORD in line else None
        if opening is None:
            return None
        text = line[opening.start(opening.lastindex or 0) :].decode("utf-8", "replace")
        try:
            columns = next(csv.reader([text]))
        except csv.Error:
            return None
        header = cls(tuple(columns), quoted=text.startswith('"'))
        return header if header._complete() else None

    def _complete(self) -> bool:
        needed = {"Kernel Name"}
        if self.long:
            needed |= {"Metric Unit", self.value}
        return needed <= set(self.columns)

    def at(self, name: str) -> int | None:
        """The index of a column, None if this era lacks it."""
        return self.columns.index(name) if name in self.columns else None

    @cached_property
    def long(self) -> bool:
        """One row a metric."""
        return "Metric Name" in self.columns

    @cached_property
    def value(self) -> str:
        """The column of a long page that holds the metric's value: of a summary the average."""
        return "Metric Value" if "Metric Value" in self.columns else "Average"

    @cached_property
    def name(self) -> int:
        """The index of the kernel's name."""
        return self.columns.index("Kernel Name")

    @cached_property
    def device(self) -> int | None:
        """The index of the device's number."""
        return self.at("Device")

    @cached_property
    def invocations(self) -> int | None:
        """The index of a summary's count of launches."""
        return self.at("Invocations")

    @cached_property
    def nvtx(self) -> tuple[int, ...]:
        """Columns that hold NVTX ranges."""
        return tuple(i for i, name in enumerate(self.columns) if _NVTX_COLUMN.search(name))

    @cached_property
    def of_the_kernel(self) -> tuple[int, ...]:
        """Columns of a long page that are the same in all rows of a kernel, and tell it from the next."""
        return tuple(i for i, name in enumerate(self.columns) if name not in _OF_A_ROW)

    @cached_property
    def as_written(self) -> bool:
        """Whether a long page's header is ncu's own: quoted, the kernel's columns before the metric's."""
        first = len(self.of_the_kernel)
        name, unit, value = (self.columns.index(c) for c in ("Metric Name", "Metric Unit", self.value))
        return self.quoted and self.of_the_kernel == tuple(range(first)) and first <= name < unit < value


def is_header(line: bytes) -> bool:
    """Whether a line names the columns of a table of kernels."""
    return Header.of(line) is not None


def headers_in(lines: Lines, *, of_a_page: bool) -> Iterator[tuple[int, Header]]:
    """(line, header) of every line that is one. ``of_a_page``: lines that begin as a page's rows do are rows."""
    if of_a_page and _all_rows(lines):
        return
    text = lines.text
    at = text.find(WORD)
    while at >= 0:
        line = int(np.searchsorted(lines.begins, at, side="right")) - 1
        header = Header.of(text[lines.begins[line] : lines.begins[line + 1] - 1])
        if header is not None:
            yield line, header
        at = text.find(WORD, lines.begins[line + 1])


def _all_rows(lines: Lines) -> bool:
    """Whether every line begins with a quoted number."""
    letters, begins = lines.letters, lines.begins[:-1]
    digits = letters[np.minimum(begins + 1, letters.size - 1)]
    return bool(((letters[begins] == QUOTE) & (digits >= ZERO) & (digits <= NINE)).all())
