"""Printed ``key_averages().table()`` with rows of our own invention, in the layout of the text that torch prints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

COLUMNS = (
    "Self CPU %",
    "Self CPU",
    "CPU total %",
    "CPU total",
    "CPU time avg",
    "Self CUDA",
    "Self CUDA %",
    "CUDA total",
    "CUDA time avg",
    "# of Calls",
)
WIDTH = 12


@dataclass(frozen=True, kw_only=True)
class Row:
    """An operator or a kernel: its own time on either side, microseconds."""

    name: str
    host_us: float = 0.0
    device_us: float = 0.0
    calls: int = 1


def table(rows: Iterable[Row], *, host_us: float | None = None, device_us: float | None = None) -> str:
    """The table and the totals below it, which are sums unless stated."""
    listed = list(rows)
    host = sum(row.host_us for row in listed) if host_us is None else host_us
    device = sum(row.device_us for row in listed) if device_us is None else device_us
    width = max(len(row.name) for row in listed)
    rule = "  ".join(["-" * width, *("-" * WIDTH for _ in COLUMNS)]) + "  "

    def line(name: str, cells: Iterable[str]) -> str:
        return "  ".join([name.rjust(width), *(cell.rjust(WIDTH) for cell in cells)]) + "  "

    def cells(row: Row) -> tuple[str, ...]:
        shares = (f"{100 * row.host_us / (host or 1.0):.2f}%", f"{100 * row.device_us / (device or 1.0):.2f}%")
        mine = (shared(row.host_us), shares[0], shared(row.host_us), shared(row.host_us / row.calls))
        theirs = (shared(row.device_us), shares[1], shared(row.device_us), shared(row.device_us / row.calls))
        return (shares[0], *mine, *theirs, str(row.calls))

    return "\n".join(
        [rule, line("Name", COLUMNS), rule]
        + [line(row.name, cells(row)) for row in listed]
        + [rule, f"Self CPU time total: {shared(host)}", f"Self CUDA time total: {shared(device)}", ""]
    )


def shared(us: float) -> str:
    """A time as torch prints it, in the unit that fits."""
    if us >= 1e6:
        return f"{us / 1e6:.3f}s"
    return f"{us / 1e3:.3f}ms" if us >= 1e3 else f"{us:.3f}us"
