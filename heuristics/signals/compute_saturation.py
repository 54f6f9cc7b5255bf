"""Compute saturation by arithmetic

What it looks at: the useful FLOPs of a job, from the engine's own estimate or from the model's shape, batch
and context, over the time they took, against the device's dense peak.

What it bounds and why: with u = useful FLOPs ÷ time ÷ achievable FLOP/s, latency ≤ 1 − u firmly. The upper
bound compute ≤ u × (executed ÷ useful) holds only with that factor, which is at least 1 and marginalised:
tile padding executes more than is useful at small batch.

Blind spots: where the device emulates the arithmetic, or unpacks narrow weights first, the compute roof is
unknown until seen, and a low fraction of the datasheet's peak shows nothing.

Example: 8 billion parameters at 2,000 tokens/s use 32 TFLOP/s, 3 % of an H100's 989 dense.
"""

from __future__ import annotations

from heuristics.case import Case
from heuristics.claims import UNFUSED, Saturation
from heuristics.evidence import Abstention, Evidence, Finding
from heuristics.observations import Serving
from heuristics.signals.common import ARITHMETIC_WIDTH, beyond_peak
from heuristics.vocabulary import Cause, Quantity, Share

NAME = "compute_saturation"


def weigh(case: Case) -> Finding:
    """Bound latency by the arithmetic the job does at least."""
    roofs = case.roofs
    if case.serving is None:
        return Abstention(signal=NAME, reason="no serving engine's counters in the input")
    useful = flops_per_s(case)
    if useful is None:
        return Abstention(
            signal=NAME,
            missing=False,
            reason="the FLOPs of a step, or its time, are not known: see bandwidth_saturation",
        )
    if roofs is None or roofs.flops_per_s is None:
        return Abstention(
            signal=NAME, missing=False, reason="the device's arithmetic peak is not known: give --gpu or --tflops"
        )
    fraction = useful / roofs.flops_per_s
    return Evidence(
        signal=NAME,
        source=case.source(Serving),
        quantity=Quantity.ARITHMETIC,
        rank=2,
        claims=(
            Saturation(
                share=Share.COMPUTE,
                peak_fraction=fraction,
                width=ARITHMETIC_WIDTH,
                traffic=UNFUSED,
                of_work=True,
            ),
        ),
        sentence="the job does {useful_flops_per_s:flops_per_s} of useful arithmetic, "
        "{compute_fraction:percent} of the dense peak",
        measured={"useful_flops_per_s": useful, "compute_fraction": fraction},
        causes={Cause.DEQUANTIZATION: fraction} if case.dequantised else {},
        impossible=beyond_peak("arithmetic", fraction, roofs.ceilings.arithmetic),
    )


def flops_per_step(case: Case) -> float | None:
    """Useful FLOPs of a step on one device: the engine's own count of what it did, else the model's arithmetic."""
    serving = case.serving
    if serving is not None and serving.flops is not None and serving.steps:
        return serving.flops / serving.steps
    return sum(op.flops for op in case.operations) if case.operations else None


def flops_per_s(case: Case) -> float | None:
    """Useful FLOPs a second on one device."""
    per_step = flops_per_step(case)
    if per_step is None or case.serving is None or case.serving.step_s is None:
        return None
    return per_step / case.serving.step_s
