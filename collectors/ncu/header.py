"""The header line of an ncu table: which columns this era has."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

WORD = b"Kernel Name"

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


def headers_in(block: bytes) -> Iterator[tuple[int, int, Header]]:
    """(begin, end, header) of every header line in a block of whole lines."""
    at = block.find(WORD)
    while at >= 0:
        begin, end = block.rfind(b"\n", 0, at) + 1, block.find(b"\n", at)
        header = Header.of(block[begin:end])
        if header is not None:
            yield begin, end, header
        at = block.find(WORD, end)
