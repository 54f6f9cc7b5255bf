"""Reader of printed key_averages().table() text: sums by operator and kernel, without a timeline.

The host's self times add up over one thread, waits included, so a host total above the device's shows time
in which the device was not fed; with a smaller one the gaps stay unknown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from collectors.dump import Contents, Dump
from collectors.units import factor, number
from heuristics.errors import UnreadableDump
from heuristics.kernel_class import kernel_class
from heuristics.observations import KernelTotal, Observation
from heuristics.timeline import timeline_of_sums

KIND = "key_averages table"

MOST_CALLS = 1e12
LONGEST_S = 1e6

_COLUMN_GAP = re.compile(r"\s{2,}")
_RULE = re.compile(r"-{5,}(?:\s+-{3,})+\s*")
_TOTAL = re.compile(r"^\s*Self (\w+) time total:\s*([\d.,]+)\s*(\w+)")
_DURATION = re.compile(r"^([\d.,]+)\s*(ns|us|ms|s)$")
_DEVICE_COLUMN = re.compile(r"^Self (?!CPU)\w+$")
_PROFILER_ROWS = frozenset({"Activity Buffer Request", "[pytorch|profiler]", "Buffer Flush", "Instrumentation"})
"""The profiler's own time, listed like an operator's."""

_HOST_NAMES = re.compile(
    r"^(aten::|cuda[A-Z]|cu[A-Z]|hip[A-Z]|autograd::|torch::|c10::|ProfilerStep|\[memory\]|\w+::\w+$)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One line of a table, self times in seconds."""

    name: str
    host_s: float
    device_s: float
    calls: int


@dataclass(slots=True, kw_only=True)
class _Table:
    """One printed table. ``spans`` are where its columns stand, by the ruled line above the header."""

    columns: dict[str, int]
    spans: list[tuple[int, int]]
    rows: list[_Row] = field(default_factory=list)
    totals: dict[str, float] = field(default_factory=dict)

    def take(self, line: str) -> None:
        """Add the row or the total that a line holds, if any."""
        total = _TOTAL.match(line)
        if total:
            seconds = _seconds(f"{total[2]}{total[3]}")
            if seconds is not None:
                self.totals["host" if total[1] == "CPU" else "device"] = seconds
            return
        cells = self._cells(line)
        calls = number(cells[self.columns["# of Calls"]]) if cells else None
        if calls is None or not 1.0 <= calls <= MOST_CALLS or not cells[0]:
            return
        device = next((name for name in self.columns if _DEVICE_COLUMN.match(name)), None)
        self.rows.append(
            _Row(
                name=cells[0],
                host_s=_seconds(cells[self.columns["Self CPU"]]) or 0.0,
                device_s=0.0 if device is None else _seconds(cells[self.columns[device]]) or 0.0,
                calls=int(calls),
            )
        )

    def _cells(self, line: str) -> list[str]:
        """Cells by position; by gaps where a value is wider than its column. Empty for what is no row."""
        ends = [end for _, end in self.spans[:-1]]
        if len(self.spans) == len(self.columns) and not any(line[end : end + 2].strip() for end in ends):
            return [line[start:end].strip() for start, end in self.spans]
        cells = _COLUMN_GAP.split(line.strip())
        surplus = len(cells) - len(self.columns)
        return ["  ".join(cells[: surplus + 1]), *cells[surplus + 1 :]] if surplus >= 0 else []

    @property
    def device_s(self) -> float:
        """The device's total as printed, or that of the listed kernels if it is more."""
        return max(self.totals.get("device", 0.0), sum(kernel.total_s for kernel in self.kernels()))

    @property
    def host_s(self) -> float | None:
        """The host's total without the profiler's own rows; None where it is not printed."""
        own = sum(row.host_s for row in self.rows if row.name in _PROFILER_ROWS)
        return max(0.0, self.totals["host"] - own) if "host" in self.totals else None

    def kernels(self) -> list[KernelTotal]:
        """Rows of the device. Where none is listed, operators with the time of the kernels that they launched.

        An annotation is listed twice, once with the host's time and once like a kernel.
        """
        on_host = {row.name for row in self.rows if row.host_s > 0.0}
        timed = [row for row in self.rows if row.device_s > 0.0 and row.name not in _PROFILER_ROWS]
        rows = [row for row in timed if row.name not in on_host and not _HOST_NAMES.match(row.name)]
        return [
            KernelTotal(name=row.name, kind=kernel_class(row.name), launches=row.calls, total_s=row.device_s)
            for row in rows or [row for row in timed if row.host_s > 0.0]
        ]


def recognises(dump: Dump) -> bool:
    """The header of the table between two ruled lines."""
    text = dump.head_text[:65536]
    return "Self CPU %" in text and "# of Calls" in text and bool(re.search(r"(?m)^" + _RULE.pattern, text))


def read(dump: Dump) -> Contents:
    """Kernel sums of the device column, and the totals below the table.

    Raises:
        UnreadableDump: the header cannot be read.
    """
    tables = _tables(dump)
    if not tables:
        raise UnreadableDump(
            dump.path,
            "looks like a key_averages() table but its header cannot be read",
            hint="write it to the file as it is printed: print(prof.key_averages().table(), file=stream)",
        )
    table = max(tables, key=lambda table: table.device_s)
    if table.device_s <= 0.0:
        return Contents(
            kind=KIND,
            observations=(),
            warnings=(
                *([dump.cut_short] if dump.cut_short else []),
                "no GPU activity recorded: the table has no device time",
            ),
        )
    warnings = ["a table of sums: gaps between kernels and overlap are not in it"]
    if dump.cut_short:
        warnings.insert(0, dump.cut_short)
    if len(tables) > 1:
        warnings.append(f"{len(tables)} tables: only the one with the longest device time is judged")
    timeline = timeline_of_sums(
        table.kernels(), device_s=table.device_s, window_s=table.host_s, shapes="Input Shapes" in table.columns
    )
    observation = Observation(source=dump.path, payload=timeline)
    return Contents(kind=KIND, observations=(observation,), warnings=tuple(warnings))


def _tables(dump: Dump) -> list[_Table]:
    tables: list[_Table] = []
    spans: list[tuple[int, int]] = []
    for line in dump.lines():
        if _RULE.fullmatch(line):
            spans = [found.span() for found in re.finditer(r"-+", line)]
            continue
        names = _COLUMN_GAP.split(line.strip()) if "# of Calls" in line else []
        if "# of Calls" in names and "Self CPU" in names and len(set(names)) == len(names):
            tables.append(_Table(columns={name: i for i, name in enumerate(names)}, spans=spans))
        elif tables:
            tables[-1].take(line)
    return tables


def _seconds(cell: str) -> float | None:
    found = _DURATION.match(cell)
    scale, value = (factor(found[2]), number(found[1])) if found else (None, None)
    if scale is None or value is None or not 0.0 <= value * scale <= LONGEST_S:
        return None
    return value * scale
