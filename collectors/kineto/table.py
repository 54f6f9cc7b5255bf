"""Reader of printed key_averages().table() text: sums by operator and kernel, without a timeline.

The host's self times add up over one thread, waits included, so a host total above the device's shows time
in which the device was not fed; with a smaller one the gaps stay unknown.
"""

from __future__ import annotations

import re

from collectors.dump import Contents, Dump
from collectors.units import factor, number
from heuristics.errors import UnreadableDump
from heuristics.kernel_class import kernel_class
from heuristics.observations import KernelTotal, Observation
from heuristics.timeline import timeline_of_sums

KIND = "key_averages table"

_COLUMN_GAP = re.compile(r"\s{2,}")
_TOTAL = re.compile(r"^\s*Self (CPU|CUDA|XPU|HIP|PrivateUse1|\w+) time total:\s*([\d.,]+)\s*(\w+)")
_QUANTITY = re.compile(r"^([\d.,]+)\s*(ns|us|ms|s|m?KB|[kKMG]?b)$")
_PROFILER_ROWS = frozenset({"Activity Buffer Request", "[pytorch|profiler]", "Buffer Flush", "Instrumentation"})
"""The profiler's own time, listed like an operator's."""

_HOST_NAMES = re.compile(
    r"^(aten::|cuda[A-Z]|cu[A-Z]|hip[A-Z]|autograd::|torch::|c10::|ProfilerStep|\[memory\]|\w+::\w+$)"
)


def recognises(dump: Dump) -> bool:
    """The header of the table between two ruled lines."""
    text = dump.head_text[:65536]
    return "Self CPU %" in text and "# of Calls" in text and bool(re.search(r"(?m)^-{5,}(\s+-{3,})+", text))


def read(dump: Dump) -> Contents:
    """Kernel sums of the device column, and the totals below the table.

    Raises:
        UnreadableDump: no row of the table can be read.
    """
    columns: dict[str, int] = {}
    kernels: list[KernelTotal] = []
    totals: dict[str, float] = {}
    profiler_s = 0.0
    for line in dump.lines():
        found = _TOTAL.match(line)
        if found:
            scale, value = factor(found[3]), number(found[2])
            if scale is not None and value is not None:
                totals["host" if found[1] == "CPU" else "device"] = value * scale
            continue
        cells = _COLUMN_GAP.split(line.strip())
        if "# of Calls" in cells:
            columns = {name: i for i, name in enumerate(cells)}
            continue
        if not columns or len(cells) < len(columns):
            continue
        surplus = len(cells) - len(columns)
        cells = ["  ".join(cells[: surplus + 1]), *cells[surplus + 1 :]]
        device_s = _seconds(cells, columns, "Self CUDA", "Self XPU", "Self HIP", "Self Device", "Self PrivateUse1")
        host_s = _seconds(cells, columns, "Self CPU")
        calls = number(cells[columns["# of Calls"]])
        if cells[0] in _PROFILER_ROWS:
            profiler_s += host_s
        if device_s and not host_s and not _HOST_NAMES.match(cells[0]):
            name = cells[0]
            kernels.append(KernelTotal(name=name, kind=kernel_class(name), launches=int(calls or 0), total_s=device_s))
    if "host" in totals:
        totals["host"] = max(0.0, totals["host"] - profiler_s)
    if not columns:
        raise UnreadableDump(dump.path, "looks like a key_averages() table but its header cannot be read")
    device_total = totals.get("device", sum(k.total_s for k in kernels))
    if device_total <= 0.0:
        return Contents(
            kind=KIND, observations=(), warnings=("no GPU activity recorded: the table has no device time",)
        )
    warnings = ("a table of sums: gaps between kernels and overlap are not in it",)
    timeline = timeline_of_sums(
        kernels, device_s=device_total, window_s=totals.get("host"), shapes="Input Shapes" in columns
    )
    return Contents(kind=KIND, observations=(Observation(source=dump.path, payload=timeline),), warnings=warnings)


def _seconds(cells: list[str], columns: dict[str, int], *names: str) -> float:
    for name in names:
        index = columns.get(name)
        if index is not None and index < len(cells):
            found = _QUANTITY.match(cells[index])
            if found:
                scale, value = factor(found[2]), number(found[1])
                if scale is not None and value is not None:
                    return value * scale
    return 0.0
