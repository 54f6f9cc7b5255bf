"""Tensor and FP pipe activity

What it looks at: the fraction of cycles in which the tensor pipe (GPM 5, DCGM 1004), the FP64, FP32 and FP16 pipes
(GPM 11-13, DCGM 1006-1008) or the integer pipe (GPM 4, DCGM 1016) were active.

What it bounds and why: the busiest pipe sets u = activity ÷ achievable fraction, and compute ≤ u ≤
memory + compute: compute-bound time keeps a pipe at its achievable rate.

Blind spots: tensor activity alone misses the other pipes; then compute may be up to a few times what the
tensor pipe shows, and the bound is widened accordingly. Unpacking of weights is integer work: where the integer pipe is
not stated, kernels may be busy with what no counter shows, as INT4 products at batch 64 on an H100 were.

Example: tensor 0.04 beside DRAM 0.85 is decoding at batch 1; tensor 0.70 is a large matrix product.
"""

from __future__ import annotations

from heuristics.case import Case
from heuristics.claims import MEASURED, UNFUSED, Saturation, Traffic
from heuristics.evidence import Abstention, Evidence, Finding
from heuristics.observations import Activity
from heuristics.signals.common import COUNTER_WIDTH, OTHERS, beyond_peak
from heuristics.vocabulary import Cause, Quantity, Share

NAME = "tensor_activity"

TENSOR_LED = 0.5
"""The tensor pipe names the cause when it is at least this part of the busiest pipe."""

REACHED = 0.9
"""The best kernels keep DRAM, or a pipe, active for so much of the time: 0.91 and 0.94 on an H100."""

COUNTED = 0.01
MOST_UNSEEN = 20.0
UNSEEN_WEIGHT = 0.85
"""How much of the activity that nothing explains is held for work of a pipe that is not stated."""


def weigh(case: Case) -> Finding:
    """Bound compute and latency by the busiest arithmetic pipe."""
    activity = case.activity
    if activity is None or activity.tensor_active is None:
        return Abstention(signal=NAME, reason="no tensor or FP pipe activity counter in the input")
    if case.shared and case.operations:
        return Abstention(signal=NAME, missing=False, reason=OTHERS)
    floating = [p for p in (activity.fp64_active, activity.fp32_active, activity.fp16_active) if p is not None]
    integer = activity.integer_active
    busiest = max([activity.tensor_active, *floating, integer or 0.0])
    led_by_tensor = activity.tensor_active >= TENSOR_LED * busiest
    return Evidence(
        signal=NAME,
        source=case.source(Activity),
        quantity=Quantity.ARITHMETIC,
        claims=(
            Saturation(
                share=Share.COMPUTE,
                peak_fraction=busiest,
                width=COUNTER_WIDTH,
                traffic=UNFUSED if not floating else MEASURED if integer is not None else _unseen(activity, busiest),
            ),
        ),
        sentence="the busiest arithmetic pipe was active {pipe_active:percent} (tensor {tensor_active:percent})",
        measured={"pipe_active": busiest, "tensor_active": activity.tensor_active},
        causes={Cause.TENSOR: busiest}
        if led_by_tensor
        else {Cause.DEQUANTIZATION: busiest}
        if busiest == integer
        else {},
        activity=busiest,
        impossible=beyond_peak("pipe activity", busiest),
    )


def _unseen(activity: Activity, busiest: float) -> Traffic:
    """Work of pipes that are not stated: the likelier, the more SMs had warps while neither DRAM nor a pipe was active.

    Stalled warps look the same, so it is never more than likely.
    """
    explained = (busiest + (activity.dram_active or 0.0)) / REACHED
    unexplained = max(0.0, (activity.sm_active or 0.0) - explained)
    return Traffic(spread=COUNTED, tail=UNSEEN_WEIGHT * unexplained, most=MOST_UNSEEN)
