"""Lines of a terminal."""

from __future__ import annotations

import re
import textwrap


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
