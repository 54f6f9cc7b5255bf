"""DRAM activity

What it looks at: the fraction of cycles, or of peak bandwidth, in which the DRAM interface moved data
(GPM 10, DCGM 1005, Nsight Systems GPU metrics).

What it bounds and why: with u = activity ÷ achievable fraction, memory ≤ u ≤ memory + compute, because
memory-bound time runs at the achievable bandwidth and compute-bound time may use any part of it. So
latency ≤ 1 − u as well.

Blind spots: traffic served by caches does not count, so a kernel held by L2 looks idle here. The counter
covers the whole window: without word that requests were running, low activity may be a pause.

Example: DRAM active 0.85 at batch 1 is memory-bound, whatever SM activity and `mem` of nvidia-smi say.
"""

from __future__ import annotations

from heuristics.case import Case
from heuristics.claims import Saturation
from heuristics.evidence import Abstention, Evidence, Finding
from heuristics.observations import Activity
from heuristics.signals.common import COUNTER_WIDTH, OTHERS, beyond_peak
from heuristics.vocabulary import Quantity, Share

NAME = "dram_activity"


def weigh(case: Case) -> Finding:
    """Bound memory and latency by how busy DRAM was."""
    if case.activity is None or case.activity.dram_active is None:
        return Abstention(signal=NAME, reason="no DRAM activity counter in the input")
    if case.shared and case.operations:
        return Abstention(signal=NAME, missing=False, reason=OTHERS)
    active = case.activity.dram_active
    return Evidence(
        signal=NAME,
        source=case.source(Activity),
        quantity=Quantity.BANDWIDTH,
        claims=(Saturation(share=Share.MEMORY, peak_fraction=active, width=COUNTER_WIDTH),),
        sentence="DRAM was active {dram_active:percent}; work that DRAM bounds reaches {achievable:percent}",
        measured={"dram_active": active, "achievable": case.prior.bandwidth.typical},
        activity=active,
        impossible=beyond_peak("DRAM activity", active),
    )
