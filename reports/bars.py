"""The three shares as a bar of cells, and colour."""

from __future__ import annotations

from collections.abc import Mapping

from heuristics.simplex import SHARES
from heuristics.vocabulary import Share

FILL = {Share.MEMORY: "█", Share.COMPUTE: "▒", Share.LATENCY: "·"}
COLOUR = {Share.MEMORY: "34", Share.COMPUTE: "33", Share.LATENCY: "35"}


def bar(shares: Mapping[Share, float], whole: int, colour: bool) -> str:
    """So many cells, largest remainders first."""
    exact = {share: shares[share] * whole for share in SHARES}
    cells = {share: int(exact[share]) for share in SHARES}
    for share in sorted(SHARES, key=lambda s: cells[s] - exact[s])[: whole - sum(cells.values())]:
        cells[share] += 1
    return "".join(painted(FILL[share] * cells[share], COLOUR[share], colour) for share in SHARES)


def bold(text: str, colour: bool) -> str:
    """Text in bold, where there is colour at all."""
    return painted(text, "1", colour)


def painted(text: str, code: str, colour: bool) -> str:
    """Text in a terminal's colour."""
    return f"\033[{code}m{text}\033[0m" if colour and text else text
