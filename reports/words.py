"""Numbers and units as people read them, and the sentences of evidence filled with them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

from heuristics.claims import Bound, RatioBound
from heuristics.vocabulary import Relation

_PLACE = re.compile(r"\{(\w+):(\w+)\}")

CAUSES: Mapping[str, str] = {
    "weights": "streaming weights",
    "kv_cache": "reading the KV cache",
    "activations": "moving activations",
    "cache": "on-chip caches, not DRAM",
    "tensor": "matrix products",
    "dequantization": "unpacking weights",
    "host": "waiting for the host",
    "underfill": "kernels too small for the device",
    "communication": "waiting for other devices",
    "transfer": "copies to or from the host",
}
"""What a regime is made of, in words."""


def scaled(value: float, unit: str, base: float = 1000.0) -> str:
    """Three significant digits with a decimal prefix: 3.35 TB/s."""
    for prefix in ("", "k", "M", "G", "T", "P"):
        if abs(value) < base or prefix == "P":
            return f"{value:.3g} {prefix}{unit}"
        value /= base
    raise AssertionError("the last prefix takes any value")


def seconds(value: float) -> str:
    """From nanoseconds to minutes: 3.75 µs, 12.7 ms, 1.23 s."""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if abs(value) * factor >= 1.0:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e9:.3g} ns" if value else "0 s"


def joules(value: float) -> str:
    """From microjoules up: 85 µJ, 1.25 J, 3.2 kJ."""
    for factor, prefix in ((1.0, ""), (1e3, "m"), (1e6, "µ")):
        if abs(value) * factor >= 1.0:
            return scaled(value * factor, f"{prefix}J")
    return f"{value * 1e6:.3g} µJ"


def percent(fraction: float) -> str:
    """Whole percents, tenths under ten."""
    value = 100.0 * fraction
    return f"{value:.0f} %" if abs(value) >= 9.95 else f"{value:.1f} %"


def printable(text: str) -> str:
    """Text from outside in one line, with a space in place of each character that would steer a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def part_of_time(fraction: float) -> str:
    """Whole percents: parts of a time that add up to a hundred; what is less than one but not nothing, says so."""
    return f"{100.0 * fraction:.0f} %" if fraction >= 0.005 or fraction <= 0.0 else "<1 %"


def count(value: float) -> str:
    """Grouped by thousands."""
    return f"{value:,.0f}"


def number(value: float) -> str:
    """Three significant digits, no exponent where it can be helped."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


FORMATS: Mapping[str, Callable[[float], str]] = {
    "percent": percent,
    "seconds": seconds,
    "count": count,
    "number": number,
    "bytes_per_s": lambda v: scaled(v, "B/s"),
    "flops_per_s": lambda v: scaled(v, "FLOP/s"),
    "flops": lambda v: scaled(v, "FLOP"),
    "bytes": lambda v: scaled(v, "B"),
    "hertz": lambda v: scaled(v, "Hz"),
    "watts": lambda v: f"{v:.0f} W",
    "joules": joules,
}


def filled(sentence: str, measured: Mapping[str, float]) -> str:
    """A sentence with its ``{name:unit}`` places filled."""
    return _PLACE.sub(lambda place: FORMATS[place[2]](measured[place[1]]), sentence)


def inequality(bound: Bound | RatioBound) -> str:
    """``latency ≥ 0.39 ± 0.03``, spelled out."""
    if isinstance(bound, RatioBound):
        return f"{bound.share.value} : {bound.to.value} = {bound.value:.2f} ± {bound.width:.2f}"
    sign = "≤" if bound.relation is Relation.AT_MOST else "≥"
    return f"{bound.share.value} {sign} {bound.value:.2f} ± {bound.width:.2f}"


def conclusion(bounds: Sequence[Bound | RatioBound]) -> str:
    """What follows from evidence: its bounds spelled out, ``excludes nothing``, or nothing where it has none."""
    told = [inequality(b) for b in bounds if telling(b)]
    if told:
        return f" → {', '.join(told)}"
    return " → excludes nothing" if bounds else ""


def telling(bound: Bound | RatioBound) -> bool:
    """Whether a bound excludes anything at all."""
    if isinstance(bound, RatioBound):
        return True
    return bound.value < 1.0 if bound.relation is Relation.AT_MOST else bound.value > 0.0


def rounded(value: float | None) -> float | int | None:
    """Six significant digits: more than any source has, and the same on every machine."""
    if value is None or not math.isfinite(value):
        return None
    short = float(f"{value:.6g}")
    return int(short) if short.is_integer() and abs(short) >= 1000 else short
