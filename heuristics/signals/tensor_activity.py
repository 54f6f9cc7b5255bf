"""Tensor and FP pipe activity

What it looks at: the fraction of cycles in which the tensor pipe (GPM 5, DCGM 1004) or the FP64, FP32 and
FP16 pipes (GPM 11-13, DCGM 1006-1008) were active.

What it bounds and why: the busiest pipe sets u = activity ÷ achievable fraction, and compute ≤ u ≤
memory + compute: compute-bound time keeps a pipe at its achievable rate.

Blind spots: tensor activity alone misses the other pipes; then compute may be up to a few times what the
tensor pipe shows, and the bound is widened accordingly. Integer work (dequantisation) shows in none of them.

Example: tensor 0.04 beside DRAM 0.85 is decoding at batch 1; tensor 0.70 is a large matrix product.
"""

from __future__ import annotations

from heuristics.case import Case
from heuristics.claims import MEASURED, UNFUSED, Saturation
from heuristics.evidence import Abstention, Evidence, Finding
from heuristics.observations import Activity
from heuristics.signals.common import COUNTER_WIDTH, OTHERS, beyond_peak
from heuristics.vocabulary import Cause, Quantity, Share

NAME = "tensor_activity"

TENSOR_LED = 0.5
"""The tensor pipe names the cause when it is at least this part of the busiest pipe."""


def weigh(case: Case) -> Finding:
    """Bound compute and latency by the busiest arithmetic pipe."""
    activity = case.activity
    if activity is None or activity.tensor_active is None:
        return Abstention(signal=NAME, reason="no tensor or FP pipe activity counter in the input")
    if case.shared and case.operations:
        return Abstention(signal=NAME, missing=False, reason=OTHERS)
    others = [p for p in (activity.fp64_active, activity.fp32_active, activity.fp16_active) if p is not None]
    busiest = max([activity.tensor_active, *others])
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
                traffic=MEASURED if others else UNFUSED,
            ),
        ),
        sentence="the busiest arithmetic pipe was active {pipe_active:percent} (tensor {tensor_active:percent})",
        measured={"pipe_active": busiest, "tensor_active": activity.tensor_active},
        causes={Cause.TENSOR: busiest} if led_by_tensor else {},
        activity=busiest,
        impossible=beyond_peak("pipe activity", busiest),
    )
