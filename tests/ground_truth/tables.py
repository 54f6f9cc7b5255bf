"""Tables of Markdown, and rates with their intervals."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt


def interval(hits: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % interval of a rate (E. B. Wilson, 1927)."""
    if count == 0:
        return 0.0, 1.0
    p = hits / count
    middle = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z * sqrt(p * (1 - p) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def rate(hits: int, count: int) -> str:
    """So many of so many, with the 95 % interval of the rate."""
    low, high = interval(hits, count)
    return f"{hits} of {count} ({low:.2f} to {high:.2f})"


def table(rows: Iterable[list[str]]) -> str:
    """Rows as a table of Markdown, the first being its head."""
    head, *rest = rows
    lines = [head, ["---"] * len(head), *rest]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
