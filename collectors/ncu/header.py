"""The header line of an ncu table: which columns this era has."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cached_property

WORD = b"Kernel Name"

_STARTS = (b'"ID",', b'"Process ID",', b"ID,", b"Process ID,")

_NVTX_COLUMN = re.compile(r"Push/Pop_Range|Start/Stop_Range")


def is_header(line: bytes) -> bool:
    """Whether a line names the columns of a table of kernels."""
    return line.startswith(_STARTS) and WORD in line


def headers_in(block: bytes) -> list[tuple[int, int]]:
    """(begin, end) of every header line in a block of whole lines."""
    found = []
    at = block.find(WORD)
    while at >= 0:
        begin, end = block.rfind(b"\n", 0, at) + 1, block.find(b"\n", at)
        if is_header(block[begin:end]):
            found.append((begin, end))
        at = block.find(WORD, end)
    return found


@dataclass(frozen=True)
class Header:
    """Columns by name. A long page has one row a metric, a wide one a column a metric."""

    columns: tuple[str, ...]

    @classmethod
    def of(cls, line: str) -> Header:
        """Parse a header line."""
        return cls(tuple(next(csv.reader([line]))))

    def at(self, name: str) -> int | None:
        """The index of a column, None if this era lacks it."""
        return self.columns.index(name) if name in self.columns else None

    @cached_property
    def long(self) -> bool:
        """One row a metric."""
        return "Metric Name" in self.columns

    @cached_property
    def nvtx(self) -> tuple[int, ...]:
        """Columns that hold NVTX ranges."""
        return tuple(i for i, name in enumerate(self.columns) if _NVTX_COLUMN.search(name))
