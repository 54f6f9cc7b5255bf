"""SM activity

What it looks at: the fraction of SMs that had at least one warp resident (GPM 2, DCGM 1002), averaged over
the window.

What it bounds and why: an SM without a warp computes nothing and asks DRAM for nothing, so latency ≥
1 − max(SM activity, u), u being the bandwidth in use: a few SMs can keep DRAM busy, none can compute for
the others.

Blind spots: a high value bounds nothing, because stalled warps count as active. The counter covers the
whole window: without word that requests were running, low activity may be a pause.

Example: SM active 0.95 beside DRAM 0.20 and tensor 0.05 is a stalled GPU, not a computing one.
"""

from __future__ import annotations

from heuristics.case import Case
from heuristics.claims import WallBound
from heuristics.evidence import Abstention, Evidence, Finding
from heuristics.observations import Activity
from heuristics.vocabulary import Cause, Quantity, Share

NAME = "sm_activity"

WIDTH = 0.08
"""Soft: at the end of a kernel SMs run dry one by one although the kernel as a whole is at its roof.
``tests/ground_truth/widths.py`` finds 0.04 likeliest, not clearly better on families that are left out."""


def weigh(case: Case) -> Finding:
    """Bound latency from below by the SMs that had nothing to do."""
    activity = case.activity
    if activity is None or activity.sm_active is None:
        return Abstention(signal=NAME, reason="no SM activity counter in the input")
    used = (activity.dram_active or 0.0) / case.prior.bandwidth.typical
    fraction = min(1.0, max(activity.sm_active, used))
    engine = activity.engine_active
    underfilled = max(0.0, engine - activity.sm_active) if engine is not None else 0.0
    return Evidence(
        signal=NAME,
        source=case.source(Activity),
        quantity=Quantity.SM_ACTIVITY,
        claims=(WallBound(share=Share.LATENCY, fraction=fraction, width=WIDTH),),
        sentence="{sm_active:percent} of the SMs had a warp; the rest had nothing to run",
        measured={"sm_active": activity.sm_active},
        activity=activity.sm_active,
        causes={Cause.UNDERFILL: underfilled} if underfilled else {},
    )
