"""Markdown that stays what it is, whatever text from outside stands in it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from reports.words import printable


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """A table, and the empty line after it; a bar in a cell ends no cell."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(printable(cell).replace("|", "\\|") for cell in cells) + " |"

    return [line(head), line(["---"] * len(head)), *(line(row) for row in body), ""]


def code(text: str) -> str:
    """Text in which nothing is markup: no HTML, link or mention. It is fenced by more backticks than stand in it."""
    shown = printable(text)
    if not shown.strip():
        return "(blank)"
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def folded(title: str, body: Sequence[str]) -> list[str]:
    """Lines behind a title that opens them, as GitHub and GitLab show it. ``title`` is ours."""
    return ["<details>", f"<summary>{title}</summary>", "", *body, "", "</details>", ""]
