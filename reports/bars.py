"""The three shares as a bar of cells, and colour."""

from __future__ import annotations

from collections.abc import Mapping

from heuristics.simplex import SHARES
from heuristics.vocabulary import Share
from reports.lines import painted

FILL = {Share.MEMORY: "█", Share.COMPUTE: "▒", Share.LATENCY: "·"}
COLOUR = {Share.MEMORY: "34", Share.COMPUTE: "33", Share.LATENCY: "35"}


def bar(shares: Mapping[Share, float], whole: int, colour: bool) -> str:
    """So many cells, largest remainders first."""
    exact = {share: shares[share] * whole for share in SHARES}
    cells = {share: int(exact[share]) for share in SHARES}
    for share in sorted(SHARES, key=lambda s: cells[s] - exact[s])[: whole - sum(cells.values())]:
        cells[share] += 1
    return "".join(painted(FILL[share] * cells[share], COLOUR[share], colour) for share in SHARES)
