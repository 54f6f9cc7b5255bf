"""Link traffic

What it looks at: bytes over NVLink and PCIe a second, against what the links can carry.

What it bounds and why: a link busy for a fraction of the time carried data for at least that long, and most engines
compute nothing meanwhile: latency is at least half of it. It names the cause: communication between the devices of
one model, transfers to and from the host otherwise.

Blind spots: small collectives are held by latency and hardly show as bytes; kernels that wait for another device spin
at full utilisation. Overlapped copies cost nothing, hence the half and the width.

Example: tensor parallelism over PCIe 4.0 with 18 of 32 GB/s in use: at least a quarter of the time is communication.
"""

from __future__ import annotations

from heuristics.case import Case
from heuristics.claims import Bound
from heuristics.evidence import Abstention, Evidence, Finding
from heuristics.observations import Board
from heuristics.vocabulary import Cause, Quantity, Relation, Share

NAME = "link_traffic"

ACHIEVABLE = 0.80
"""Of a link's rate, headers and turnarounds taken off."""
EXPOSED = 0.5
WIDTH = 0.15
"""Not fitted: one capture copies over PCIe, and none has several devices (``tests/ground_truth/widths.py``)."""
NOTABLE = 0.02


def weigh(case: Case) -> Finding:
    """Bound latency by the time the links were busy."""
    board = case.board
    if board is None:
        return Abstention(signal=NAME, reason="no counters of NVLink or PCIe in the input")
    nvlink = _busy(board.nvlink_rx_bytes_per_s, board.nvlink_tx_bytes_per_s, board.nvlink_peak_bytes_per_s)
    pcie = _busy(board.pcie_rx_bytes_per_s, board.pcie_tx_bytes_per_s, board.pcie_peak_bytes_per_s)
    if nvlink is None and pcie is None:
        return Abstention(signal=NAME, missing=False, reason="the links' traffic, or their rate, is not stated")
    busiest = max(nvlink or 0.0, pcie or 0.0)
    together = case.load is not None and case.load.devices > 1
    cause = Cause.COMMUNICATION if (nvlink or 0.0) >= (pcie or 0.0) or together else Cause.TRANSFER
    measured = {
        name: value for name, value in (("nvlink_fraction", nvlink), ("pcie_fraction", pcie)) if value is not None
    }
    parts = [f"{{{name}:percent}} of {link}" for name, link in _LINKS.items() if name in measured]
    return Evidence(
        signal=NAME,
        source=case.source(Board),
        quantity=Quantity.LINKS,
        claims=(
            (Bound(share=Share.LATENCY, relation=Relation.AT_LEAST, value=min(1.0, EXPOSED * busiest), width=WIDTH),)
            if busiest > NOTABLE
            else ()
        ),
        sentence=f"traffic takes {' and '.join(parts)}",
        measured=measured,
        causes={cause: busiest} if busiest > NOTABLE else {},
    )


_LINKS = {"nvlink_fraction": "NVLink", "pcie_fraction": "PCIe"}


def _busy(rx: float | None, tx: float | None, peak: float | None) -> float | None:
    """The busier direction, as a fraction of what one direction can carry."""
    stated = [rate for rate in (rx, tx) if rate is not None]
    return min(1.0, max(stated) / (ACHIEVABLE * peak)) if stated and peak else None
