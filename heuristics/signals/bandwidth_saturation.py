"""Bandwidth saturation by arithmetic

What it looks at: the bytes a job must move, from the engine's own estimate or from the model's shape, batch
and context, over the time it took, against the device's bandwidth.

What it bounds and why: with u = needed bytes ÷ time ÷ achievable bandwidth, latency ≤ 1 − u firmly. The
upper bound memory ≤ u × (moved ÷ needed) holds only with that factor, which is at least 1 and marginalised:
near 1 for fused weight streaming, wide for unfused code.

Blind spots: weights that fit the last-level cache are not streamed from DRAM; a cache is no slower, so there
only the upper bound on memory is left.
Speculative decoding, experts and the wrong variant of a GPU make the fraction impossible rather than wrong.

Example: 14 GB of weights a step and 12.7 ms between tokens need 1.10 TB/s: 33 % of an H100's bandwidth.
"""

from __future__ import annotations

from heuristics.case import Case
from heuristics.claims import STREAMED, UNFUSED, Bound, Saturation
from heuristics.evidence import Abstention, Evidence, Finding
from heuristics.observations import Serving
from heuristics.signals.common import ARITHMETIC_WIDTH, beyond_peak, causes_of, faster_than_roofs
from heuristics.vocabulary import Cause, Quantity, Relation, Share

NAME = "bandwidth_saturation"

CACHED_WIDTH = 0.10
"""Unfused code may read the same bytes more than once. Not fitted: four captures in three families, none strains it
(``tests/ground_truth/widths.py``)."""


def weigh(case: Case) -> Finding:
    """Bound latency by the bandwidth the job needs at least."""
    serving, roofs = case.serving, case.roofs
    if serving is None:
        return Abstention(signal=NAME, reason="no serving engine's counters in the input")
    needed = bytes_per_s(case)
    if needed is None:
        return Abstention(signal=NAME, missing=False, reason=_lacking(case))
    if roofs is None or roofs.bandwidth_bytes_per_s is None:
        return Abstention(
            signal=NAME, missing=False, reason="the device's bandwidth is not known: give --gpu or --bandwidth-gb-s"
        )
    fraction = needed / roofs.bandwidth_bytes_per_s
    if cached(case):
        return _cached(case, needed, fraction)
    return Evidence(
        signal=NAME,
        source=case.source(Serving),
        quantity=Quantity.BANDWIDTH,
        rank=2,
        claims=(
            Saturation(
                share=Share.MEMORY,
                peak_fraction=fraction,
                width=ARITHMETIC_WIDTH,
                traffic=UNFUSED if case.dequantised else STREAMED,
                of_work=True,
            ),
        ),
        sentence="the job needs at least {needed_bytes_per_s:bytes_per_s}, {bandwidth_fraction:percent} of the peak; "
        "{achievable:percent} is achievable",
        measured={
            "needed_bytes_per_s": needed,
            "bandwidth_fraction": fraction,
            "achievable": case.prior.bandwidth.typical,
        },
        causes=causes_of(case.operations, roofs),
        impossible=beyond_peak("bandwidth", fraction, roofs.ceilings.bandwidth)
        or faster_than_roofs(case.operations, roofs, serving.step_s),
    )


def cached(case: Case) -> bool:
    """Whether all that a step reads fits the last-level cache, and comes from there the next time."""
    per_step = bytes_per_step(case)
    cache = case.roofs.last_level_cache_bytes if case.roofs is not None else None
    return per_step is not None and cache is not None and per_step <= cache


def _cached(case: Case, needed: float, fraction: float) -> Evidence:
    """What a cache serves takes no longer than DRAM would: that bounds memory from above and nothing else."""
    return Evidence(
        signal=NAME,
        source=case.source(Serving),
        quantity=Quantity.BANDWIDTH,
        rank=2,
        claims=(Bound(share=Share.MEMORY, relation=Relation.AT_MOST, value=min(1.0, fraction), width=CACHED_WIDTH),),
        sentence="a step's {step_bytes:bytes} fit the last-level cache of {cache_bytes:bytes}: not streamed from DRAM, "
        "which would take {bandwidth_fraction:percent} of the time at its peak",
        measured={
            "step_bytes": bytes_per_step(case) or 0.0,
            "cache_bytes": (case.roofs.last_level_cache_bytes if case.roofs is not None else None) or 0.0,
            "needed_bytes_per_s": needed,
            "bandwidth_fraction": fraction,
        },
        causes={Cause.CACHE: min(1.0, fraction)},
    )


def bytes_per_step(case: Case) -> float | None:
    """Bytes a step must move on one device: the engine's own count of what it did, else the model's arithmetic."""
    serving = case.serving
    if serving is not None and serving.read_bytes is not None and serving.steps:
        return (serving.read_bytes + (serving.write_bytes or 0.0)) / serving.steps
    return sum(op.bytes for op in case.operations) if case.operations else None


def bytes_per_s(case: Case) -> float | None:
    """Bytes a second, of time with work, that the job must move on one device."""
    per_step = bytes_per_step(case)
    if per_step is None or case.serving is None or case.serving.step_s is None:
        return None
    return per_step / case.serving.step_s


def _lacking(case: Case) -> str:
    if case.serving is not None and case.serving.lifetime:
        return "one snapshot has no rates: take a second one some seconds later"
    if case.serving is not None and case.serving.step_s is None:
        return "the engine exports nothing from which the time of a step follows"
    return "the bytes of a step are not known: give --model, or start the engine with its FLOP and byte counters"
