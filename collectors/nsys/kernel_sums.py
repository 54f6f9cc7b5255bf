"""Reader of ``nsys stats --report cuda_gpu_kern_sum --format csv``: time by kernel, without a timeline."""

from __future__ import annotations

import csv

from collectors.dump import Contents, Dump
from collectors.units import counted, number
from heuristics.errors import UnreadableDump
from heuristics.kernel_class import kernel_class
from heuristics.observations import KernelTotal, Observation
from heuristics.timeline import timeline_of_sums

KIND = "Nsight Systems kernel sums"

LONGEST_NS = 1e18
"""Thirty years: more time, and more launches, than any profile holds."""

NEEDED = {"Total Time (ns)", "Instances", "Name"}


def recognises(dump: Dump) -> bool:
    """The report's header."""
    return any(_is_header(line) for line in dump.head_text.splitlines()[:50])


def _is_header(line: str) -> bool:
    return "Name" in line and set(_cells(line)) >= NEEDED


def _is_head(row: list[str]) -> bool:
    """Whether a row heads a table of some report of nsys stats: its cells end in units."""
    return sum(cell.endswith(("(%)", "(ns)", "(MB)")) for cell in row) >= 2


def _cells(line: str) -> list[str]:
    """Cells of a row; none of a row that is no CSV."""
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        return []


def _amount(cell: str) -> float | None:
    """A time or a count; None for what is none."""
    value = number(cell)
    return value if value is not None and 0 <= value < LONGEST_NS else None


def read(dump: Dump) -> Contents:
    """Kernel sums as a timeline whose gaps are unknown.

    Raises:
        UnreadableDump: no kernel below the header.
    """
    columns: list[str] = []
    sums: dict[str, tuple[float, float]] = {}
    damaged = 0
    for line in dump.lines():
        row = _cells(line)
        if _is_head(row):
            columns = row if _is_header(line) else []
            continue
        if not columns or not line.strip():
            continue
        if len(row) != len(columns):
            damaged += 1
            continue
        cells = dict(zip(columns, row, strict=True))
        name, total, count = cells["Name"], _amount(cells["Total Time (ns)"]), _amount(cells["Instances"])
        if not name or total is None or not count:
            damaged += 1
            continue
        launches, spent = sums.get(name, (0.0, 0.0))
        sums[name] = launches + count, spent + total
    if not sums:
        raise UnreadableDump(dump.path, "the report of nsys stats names no kernel", hint="profile with -t cuda")
    warnings = ["sums by kernel: gaps between kernels are not in this report; nsys export --type sqlite has them"]
    if dump.cut_short:
        warnings.append(dump.cut_short)
    if damaged:
        warnings.append(f"{counted(damaged, 'row is damaged and was', 'rows are damaged and were')} left out")
    kernels = [
        KernelTotal(name=name, kind=kernel_class(name), launches=int(count), total_s=total / 1e9)
        for name, (count, total) in sums.items()
    ]
    observation = Observation(source=dump.path, payload=timeline_of_sums(kernels))
    return Contents(kind=KIND, observations=(observation,), warnings=tuple(warnings))
