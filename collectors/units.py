"""Unit strings of the tools, as factors to SI. ncu counts in powers of ten: it prints 1,024 bytes as 1.02 Kbyte."""

from __future__ import annotations

import re

_PREFIX = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}

_TIME = {
    "nsecond": 1e-9,
    "ns": 1e-9,
    "usecond": 1e-6,
    "us": 1e-6,
    "µs": 1e-6,
    "msecond": 1e-3,
    "ms": 1e-3,
    "second": 1.0,
    "s": 1.0,
    "minute": 60.0,
    "hour": 3600.0,
}


def counted(count: int, one: str, several: str) -> str:
    """A count with its noun: ``counted(1, "row is", "rows are")``."""
    return f"{count:,} {one if count == 1 else several}"


def factor(unit: str) -> float | None:
    """The factor to SI of a unit as a tool prints it; None for a unit that is not known.

    ``%`` gives a fraction. Counts (inst, cycle, warp, block and the like) have factor 1, alone or per something.
    """
    unit = unit.strip().lower()
    if unit == "%":
        return 0.01
    upper, _, lower = unit.partition("/")
    scale = _simple(upper)
    if scale is None or not lower:
        return scale
    below = _simple(lower)
    return None if below is None else scale / below


def _simple(unit: str) -> float | None:
    if unit in _TIME:
        return _TIME[unit]
    for word in ("bytes", "byte", "hz", "w", "watt", "b"):
        if unit.endswith(word) and unit[: -len(word)] in _PREFIX:
            return _PREFIX[unit[: -len(word)]]
    if unit in ("kib", "kibibyte"):
        return 1024.0
    if unit in ("mib", "mb_binary"):
        return float(1 << 20)
    if unit == "gib":
        return float(1 << 30)
    return 1.0 if unit in _COUNTS or unit == "" else None


_COUNTS = frozenset(
    [
        "inst",
        "cycle",
        "cycles",
        "warp",
        "warps",
        "thread",
        "threads",
        "block",
        "blocks",
        "cluster",
        "sector",
        "request",
        "requests",
        "branch",
        "branches",
        "sm",
        "pass",
        "register",
        "registers",
        "element",
        "instruction",
        "instructions",
        "wave",
        "waves",
    ]
)


_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?")
_LOCALISED = re.compile(r"[+-]?(?:\d+,\d+|\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:\.\d{3}){2,})")


def number(text: str) -> float | None:
    """A number as the tools print it: ``9,589,248``, ``0.40``, and where it is clear also ``9.589.248`` and ``0,40``.

    ``1,024`` and ``1.024`` are read as English has them. None for words and what is not finite.
    """
    try:
        value = float(text)
    except ValueError:
        stripped = text.strip()
        if _GROUPED.fullmatch(stripped):
            value = float(stripped.replace(",", ""))
        elif _LOCALISED.fullmatch(stripped):
            value = float(stripped.replace(".", "").replace(",", "."))
        else:
            return None
    return value if abs(value) < float("inf") else None
