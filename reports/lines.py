"""Lines of a terminal."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence


def bullet(text: str, columns: int) -> list[str]:
    """A fact, indented."""
    return wrapped(text, columns, "  ", "    ")


_TIED = re.compile(
    r"(?<=\d) (?=(?:%|±|x\b|[kMGTµmn]?(?:B|B/s|FLOPs?|FLOP/s|FLOP/B|FLOP/byte|W|s|Hz)\b))|(?<=[±≤≥]) (?=\d)"
)
"""Spaces that a line must not break at: between a number and its unit, a sign and its number."""


def wrapped(text: str, columns: int, first: str, others: str) -> list[str]:
    """Text in lines of at most so many columns; numbers stay with their units."""
    tied = _TIED.sub("\N{NO-BREAK SPACE}", text)
    lines = textwrap.wrap(
        tied, columns, initial_indent=first, subsequent_indent=others, break_long_words=True, break_on_hyphens=False
    )
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], columns: int, left: set[int]) -> list[str]:
    """Aligned columns; those on the right are left out where there is no room."""
    if not rows:
        return []
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    shown = len(head)
    while shown > 2 and sum(widths[:shown]) + 2 * shown > columns:
        shown -= 1

    def line(cells: Sequence[str]) -> str:
        laid = [c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return ("  " + "  ".join(laid[:shown])).rstrip()

    return [line(head), *map(line, rows)]


def bold(text: str, colour: bool) -> str:
    """Text that stands out, where the terminal has colours."""
    return painted(text, "1", colour)


def painted(text: str, code: str, colour: bool) -> str:
    """Text in a colour of the terminal, by the number of its escape sequence."""
    return f"\033[{code}m{text}\033[0m" if colour and text else text
