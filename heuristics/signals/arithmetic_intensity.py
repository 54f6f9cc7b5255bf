"""Arithmetic intensity

What it looks at: FLOPs and bytes of each operation of a step, from the model's shape at the observed batch
and context, or the engine's own totals as one operation, against the ridge of the device.

What it bounds and why: operations below the ridge take their roof time from memory, those above it from
compute. That fixes compute : memory among the time at roofs, whatever the speed.

Blind spots: says nothing on latency. An engine's totals average over compute-bound and memory-bound
operations. Where the compute roof is unknown (emulated or unpacked arithmetic) so is the ridge.

Example: at batch 32 in BF16 every projection has an intensity near 32, a ninth of an H100's ridge of 295.
"""

from __future__ import annotations

import numpy as np

from heuristics.case import Case
from heuristics.claims import Proportion
from heuristics.evidence import Abstention, Evidence, Finding
from heuristics.observations import Serving
from heuristics.signals.bandwidth_saturation import cached
from heuristics.signals.common import causes_of
from heuristics.vocabulary import Quantity

NAME = "arithmetic_intensity"

OPERATIONS_WIDTH = 0.10
"""``tests/ground_truth/widths.py`` finds 0.08 likeliest, 0.07 to 0.09 with a family left out, and no better there."""

TOTALS_WIDTH = 0.18
"""One average intensity for everything: prefill and decode, projections and attention. Single operations alone were
captured: ``tests/ground_truth/widths.py`` finds 0.09 likeliest for those, and worse on families that are left out."""


def weigh(case: Case) -> Finding:
    """Fix the proportion of compute to memory."""
    roofs = case.roofs
    if roofs is None or roofs.bandwidth_bytes_per_s is None or roofs.flops_per_s is None:
        reason = "the ridge of the device is not known"
        return Abstention(signal=NAME, reason=reason, missing=case.serving is None and case.model is None)
    if cached(case):
        return Abstention(
            signal=NAME, missing=False, reason="what a step reads fits the last-level cache: its bandwidth is not known"
        )
    pairs = _flops_and_bytes(case)
    if not pairs:
        return Abstention(signal=NAME, reason="no FLOPs and bytes of the work in the input")
    flops = np.array([f for f, _ in pairs])
    moved = np.array([b for _, b in pairs])
    intensity = float(flops.sum() / moved.sum())
    ridge = roofs.flops_per_s / roofs.bandwidth_bytes_per_s
    return Evidence(
        signal=NAME,
        source=case.source(Serving) or "the model's shape",
        quantity=Quantity.INTENSITY,
        claims=(
            Proportion(
                byte_s=moved / roofs.bandwidth_bytes_per_s,
                flop_s=flops / roofs.flops_per_s,
                width=OPERATIONS_WIDTH if len(pairs) > 1 else TOTALS_WIDTH,
            ),
        ),
        sentence="{intensity_flops_per_byte:number} FLOP/byte against a ridge of {ridge_flops_per_byte:number}",
        measured={"intensity_flops_per_byte": intensity, "ridge_flops_per_byte": ridge},
        causes=causes_of(case.operations, roofs),
    )


def _flops_and_bytes(case: Case) -> list[tuple[float, float]]:
    if case.operations:
        return [(op.flops, op.bytes) for op in case.operations]
    serving = case.serving
    if serving is None or not serving.flops or not serving.read_bytes:
        return []
    return [(serving.flops, serving.read_bytes + (serving.write_bytes or 0.0))]
