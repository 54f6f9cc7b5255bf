"""What several signals share."""

from __future__ import annotations

from collections.abc import Sequence

from heuristics.operations import Operation, step_roof_s
from heuristics.roofs import Roofs
from heuristics.simplex import Ceiling
from heuristics.vocabulary import Cause, Share

IMPOSSIBLE_FRACTION = 1.02
"""Above this fraction of a peak an input is wrong: rounding and boost clocks explain two percent."""

OTHERS = "other processes share the device, and its counters do not tell whose work it was"

COUNTER_WIDTH = 0.05
"""Hardware counters agree with bytes ÷ time to 0.015 on one card; the rest is for sampling and other cards. No capture
strains it, and ``tests/ground_truth/widths.py`` finds no likeliest value above the least that it tries, 0.03."""

ARITHMETIC_WIDTH = 0.05
"""Needed bytes or useful FLOPs over measured time: the error of the step time and of the shapes. Captures know both
exactly, and ``tests/ground_truth/widths.py`` finds the least that it tries likeliest, 0.03; users state
rounder ones."""


def beyond_peak(what: str, fraction: float, ceiling: Ceiling | None = None) -> str | None:
    """Why a fraction cannot be, or None when it can. ``ceiling`` says how far a measured roof may be passed."""
    if fraction <= max(IMPOSSIBLE_FRACTION, ceiling.high if ceiling is not None else 0.0):
        return None
    return (
        f"{what} comes out at {fraction:.2f} of the peak, which cannot be. Usual reasons: speculative decoding "
        "(several tokens a step), experts counted as if all were read, another variant of the GPU, another width "
        "of the weights, or a rate of all sequences taken for the rate of steps"
    )


def faster_than_roofs(operations: Sequence[Operation], roofs: Roofs, step_s: float | None) -> str | None:
    """Why a step cannot have taken ``step_s``: its operations, one after another, take longer at the peaks.

    None where the arithmetic alone does: that is told apart.
    """
    least_s = step_roof_s(operations, roofs)
    if least_s is None or not step_s or not roofs.flops_per_s or roofs.unproven:
        return None
    if beyond_peak("arithmetic", sum(op.flops for op in operations) / step_s / roofs.flops_per_s):
        return None
    highest = max((roofs.ceilings.bandwidth, roofs.ceilings.arithmetic), key=lambda c: c.high)
    return beyond_peak("a step's operations one after another", least_s / step_s, highest)


def causes_of(operations: Sequence[Operation], roofs: Roofs | None) -> dict[Cause, float]:
    """Each cause's part of the step's roof time."""
    if roofs is None or roofs.bandwidth_bytes_per_s is None or roofs.flops_per_s is None or not operations:
        return {}
    bandwidth, arithmetic = roofs.bandwidth_bytes_per_s, roofs.flops_per_s
    total = sum(op.roof_s(bandwidth, arithmetic) for op in operations)
    found: dict[Cause, float] = {}
    for op in operations:
        cause = op.cause if op.bound(arithmetic / bandwidth) is Share.MEMORY else Cause.TENSOR
        found[cause] = found.get(cause, 0.0) + op.roof_s(bandwidth, arithmetic) / total
    return found
