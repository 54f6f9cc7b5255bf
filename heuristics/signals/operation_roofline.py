"""Operation roofline

What it looks at: operations of a trace whose FLOPs and bytes follow from their recorded shapes, with the
device time their kernels took, against the roofs of the device.

What it bounds and why: each operation counts at the roof it is nearer to, for as long as that roof would
take. What the traced operations need is needed at least: memory ≥ Σ, compute ≥ Σ over the window.

Blind spots: operations without shapes, custom and fused kernels, and everything launched from a CUDA graph
are not in the sums, so these are lower bounds only. Inputs that stay in a cache are counted as moved, unless
more would have moved than DRAM can; then nothing is said of that operation's bytes.

Example: aten::mm of 4096² by 32 tokens in 12 µs on an H100 reads 34 MB at 84 % of the bandwidth roof.
"""

from __future__ import annotations

import numpy as np

from heuristics.case import Case
from heuristics.claims import Pieces, Split
from heuristics.evidence import Abstention, Evidence, Finding
from heuristics.observations import Timeline
from heuristics.signals.common import IMPOSSIBLE_FRACTION, beyond_peak
from heuristics.vocabulary import Cause, Quantity

NAME = "operation_roofline"

WIDTH = 0.08
"""Inputs may partly stay in cache, and intermediate results may move more than once. Not fitted: no trace of
``tests/data/ground_truth`` has shapes."""


def weigh(case: Case) -> Finding:
    """Bound memory and compute from below by operations with known shapes."""
    timeline, roofs = case.timeline, case.roofs
    if timeline is None:
        return Abstention(signal=NAME, reason="no kernel timeline in the input")
    known = [op for op in timeline.operations if op.device_s > 0]
    if not known:
        return Abstention(
            signal=NAME,
            missing=not timeline.recorded_shapes,
            reason="no operation with recorded shapes (record with record_shapes=True)",
        )
    if roofs is None or roofs.bandwidth_bytes_per_s is None or roofs.flops_per_s is None:
        return Abstention(signal=NAME, missing=False, reason="shapes are recorded but the device's roofs are not known")
    device_s = np.array([op.device_s for op in known])
    bandwidth = np.array([op.bytes for op in known]) / device_s / roofs.bandwidth_bytes_per_s
    arithmetic = np.array([op.flops for op in known]) / device_s / roofs.flops_per_s
    cached = bandwidth > IMPOSSIBLE_FRACTION
    bandwidth[cached] = 0.0
    pieces = Pieces(weight=device_s / timeline.window_s, bandwidth_fraction=bandwidth, arithmetic_fraction=arithmetic)
    covered = float(device_s.sum()) / timeline.window_s
    return Evidence(
        signal=NAME,
        source=case.source(Timeline),
        quantity=Quantity.OPERATION_SPLIT,
        claims=(Split(pieces=pieces, width=WIDTH, complete=False),),
        sentence="operations with recorded shapes fill {covered_fraction:percent} of the window; in it they reach "
        "{arithmetic_fraction:percent} of the arithmetic and {bandwidth_fraction:percent} of the bandwidth peak",
        measured={
            "covered_fraction": covered,
            "arithmetic_fraction": float(np.average(arithmetic, weights=device_s)),
            "bandwidth_fraction": float(np.average(bandwidth, weights=device_s)),
        },
        causes={Cause.TENSOR: float(np.minimum(1.0, arithmetic) @ pieces.weight)},
        warnings=_warnings(float(device_s[cached].sum()) / timeline.window_s),
        impossible=beyond_peak("arithmetic of the traced operations", float(np.average(arithmetic, weights=device_s))),
    )


def _warnings(cached_fraction: float) -> tuple[str, ...]:
    if cached_fraction == 0.0:
        return ()
    return (
        f"operations in {cached_fraction:.1%} of the window read more than DRAM could deliver: a cache served them, "
        "and their bytes are not weighed",
    )
