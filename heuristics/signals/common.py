"""What several signals share."""

from __future__ import annotations

from collections.abc import Sequence

from heuristics.operations import Operation
from heuristics.roofs import Roofs
from heuristics.simplex import Ceiling
from heuristics.vocabulary import Cause, Share

IMPOSSIBLE_FRACTION = 1.02
"""Above this fraction of a peak an input is wrong: rounding and boost clocks explain two percent."""

OTHERS = "other processes share the device, and its counters do not tell whose work it was"

COUNTER_WIDTH = 0.05
"""Hardware counters agree with bytes ÷ time to a few percent; the rest is sampling."""

ARITHMETIC_WIDTH = 0.05
"""Needed bytes or useful FLOPs over measured time: the error of the step time and of the shapes."""


def beyond_peak(what: str, fraction: float, ceiling: Ceiling | None = None) -> str | None:
    """Why a fraction cannot be, or None when it can. ``ceiling`` says how far a measured roof may be passed."""
    if fraction <= max(IMPOSSIBLE_FRACTION, ceiling.high if ceiling is not None else 0.0):
        return None
    return (
        f"{what} comes out at {fraction:.2f} of the peak, which cannot be. Usual reasons: speculative decoding "
        "(several tokens a step), experts counted as if all were read, another variant of the GPU, another width "
        "of the weights, or a rate of all sequences taken for the rate of steps"
    )


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
