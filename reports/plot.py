"""Series drawn with characters: a plot of several rows, and a line of blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median

DOT, LEVEL = "•", "─"
BLOCKS = "▁▂▃▄▅▆▇█"
MOST_APART = 4
"""Columns from one point to the next where there is room for more."""


def columns_of(count: int, room: int) -> list[int]:
    """The column of each of so many points: evenly apart, several in one where there is no room."""
    if count <= room:
        apart = max(1, min(MOST_APART, room // max(1, count)))
        return [apart * i for i in range(count)]
    return [i * room // count for i in range(count)]


def plot(
    points: Mapping[int, Sequence[float]],
    levels: Mapping[int, float],
    *,
    width: int,
    rows: int,
    told: Callable[[float], str],
) -> list[str]:
    """Points by their column, levels drawn behind them, and an axis with three labels; ``rows`` is odd."""
    every = [value for values in points.values() for value in values] + list(levels.values())
    low, high = min(every), max(every)
    if high - low <= 1e-9 * abs(high):
        low, high = low - 0.01 * abs(low or 1.0), high + 0.01 * abs(high or 1.0)

    def row(value: float) -> int:
        return round((high - value) / (high - low) * (rows - 1))

    cells = [[" "] * width for _ in range(rows)]
    for column, value in levels.items():
        cells[row(value)][column] = LEVEL
    for column, values in points.items():
        for value in values:
            cells[row(value)][column] = DOT
    labels = {0: told(high), rows // 2: told(0.5 * (low + high)), rows - 1: told(low)}
    room = max(map(len, labels.values()))
    return [
        f"  {labels.get(i, ''):>{room}} {'┤' if i in labels else '│'}{''.join(line).rstrip()}"
        for i, line in enumerate(cells)
    ]


def marks(at: Mapping[int, str], width: int) -> str:
    """Marks by their column; where two meet, the first stays."""
    return "".join(at.get(column, " ") for column in range(width)).rstrip()


def spark(values: Sequence[float], width: int) -> str:
    """A line of blocks, each the median of its points."""
    cells: dict[int, list[float]] = {}
    for place, value in enumerate(values):
        cells.setdefault(place if len(values) <= width else place * width // len(values), []).append(value)
    heights = [median(cell) for cell in cells.values()]
    low, high = min(heights), max(heights)
    if high - low <= 1e-9 * abs(high):
        return BLOCKS[len(BLOCKS) // 2] * len(heights)
    return "".join(BLOCKS[min(len(BLOCKS) - 1, int((h - low) / (high - low) * len(BLOCKS)))] for h in heights)
