"""Figures of one metric side by side: in one unit, with three digits each."""

from __future__ import annotations

import math
from collections.abc import Mapping

from reports.words import percent

_SCALES: Mapping[str, tuple[tuple[float, float, str], ...]] = {
    "seconds": ((1.0, 1.0, " s"), (1e-3, 1e-3, " ms"), (1e-6, 1e-6, " µs"), (0.0, 1e-9, " ns")),
    "joules": ((1e3, 1e3, " kJ"), (1.0, 1.0, " J"), (1e-3, 1e-3, " mJ"), (0.0, 1e-6, " µJ")),
    "percent": ((0.0, 1e-2, " %"),),
    "number": ((1e6, 1e6, " M"), (1e4, 1e3, " k"), (0.0, 1.0, "")),
}
"""By unit: from which value on, divided by what, with which suffix."""


def figure(value: float, unit: str) -> str:
    """A figure with its unit: 22.0 ms, 53.0 %, 12.3 k."""
    factor, suffix = _scale(value, unit)
    return f"{_three(value / factor)}{suffix}"


def like(value: float, other: float, unit: str) -> str:
    """A figure in the unit of ``other``, with it."""
    return f"{beside(value, other, unit)}{_scale(other, unit)[1]}"


def beside(value: float, other: float, unit: str) -> str:
    """A figure in the unit of ``other``, without it."""
    return _three(value / _scale(other, unit)[0])


def span(low: float, high: float, other: float, unit: str) -> str:
    """Both ends of an interval in the unit of ``other``, without it: 19.4-20.6."""
    return f"{beside(low, other, unit)}-{beside(high, other, unit)}"


def between(low: float, high: float, unit: str) -> str:
    """Both ends of an interval: 19.4 to 20.6 ms."""
    return f"{beside(low, high, unit)} to {figure(high, unit)}"


def change(fraction: float) -> str:
    """With its sign: +10 %, −0.8 %, and 0.0 % for none."""
    if abs(fraction) < 0.0005:
        return percent(0.0)
    return f"{'+' if fraction > 0.0 else '−'}{percent(abs(fraction))}"


def probability(p: float) -> str:
    """Two digits, and no more than a reader believes."""
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _scale(value: float, unit: str) -> tuple[float, str]:
    for least, factor, suffix in _SCALES[unit]:
        if abs(value) >= least:
            return factor, suffix
    raise AssertionError("the last scale takes any value")


def _three(value: float) -> str:
    if value == 0.0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 6)}f}"
