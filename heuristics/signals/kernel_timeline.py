"""Kernel timeline

What it looks at: when kernels and copies ran (Kineto, Nsight Systems), as a union over streams of each
device, within the time in which the job had work.

What it bounds and why: time in which no kernel ran, or only communication or a copy to or from the host,
reaches no roof of this device: latency ≥ 1 − busy. Kernels that are not products, convolutions or
attention cannot reach the arithmetic roof, and a grid smaller than the device can only use its part of it:
compute ≤ the time of capable kernels, each at the fraction of the SMs it fills.

Blind spots: what happens inside a kernel; that needs counters. Recording slows the host, the more so with
stacks, shapes or memory, which widens the bound. Without launch records a gap has no author.

Example: kernels cover 36 % of the window and the host launched late before most gaps: latency, cause host.
"""

from __future__ import annotations

from heuristics.case import Case
from heuristics.claims import Bound, Claim
from heuristics.evidence import Abstention, Evidence, Finding
from heuristics.observations import Timeline
from heuristics.vocabulary import Cause, Quantity, Relation, Share

NAME = "kernel_timeline"

WIDTH = 0.03
"""No capture strains it (``tests/ground_truth/widths.py``). Recording does widen the gaps, by 0.06 (root mean square)
and up to 0.15, but where many launches make it do so small kernels lose more than that, which is latency as well."""
STACKS_WIDTH = 0.10
"""Recording Python stacks multiplies the host's time per operation. Not fitted: all captures are without."""
SHAPES_WIDTH = 0.05
"""Not fitted: all captures are without shapes and memory."""
SUMS_WIDTH = 0.12
"""Sums by kernel say nothing of overlap between streams, and the host's total holds the profiler's own time. Not
fitted: all captures have every kernel."""

WORTH_TELLING = 0.01

LEAST_LAUNCHES = 20
FRAGMENT_WIDTH = 1.00
"""Fewer events than that are a fragment, not a job: what it shows may be its edges. Not fitted: a choice."""


def weigh(case: Case) -> Finding:
    """Bound latency by the time without work at a roof, compute by the time of kernels capable of it."""
    timeline = case.timeline
    if timeline is None:
        return Abstention(signal=NAME, reason="no kernel timeline in the input")
    if timeline.launches == 0 or timeline.window_s <= 0:
        return Abstention(signal=NAME, missing=False, reason="no GPU activity recorded")
    width = width_of(timeline)
    claims: list[Claim] = []
    capable = min(1.0, timeline.capable_s / timeline.window_s)
    claims.append(Bound(share=Share.COMPUTE, relation=Relation.AT_MOST, value=capable, width=width))
    measured = {"capable_fraction": capable, "window_s": timeline.window_s, "launches": float(timeline.launches)}
    sentence = "kernels that could reach the arithmetic roof fill {capable_fraction:percent}"
    if timeline.gaps_known:
        at_roof = timeline.roof_busy_s / timeline.window_s
        lost = _lost(timeline)
        claims.insert(0, Bound(share=Share.LATENCY, relation=Relation.AT_LEAST, value=1.0 - at_roof, width=width))
        measured |= {"busy_fraction": timeline.busy_s / timeline.window_s, "at_work_fraction": at_roof} | lost
        listed = ", ".join(f"{_LOST[name]} {{{name}:percent}}" for name in lost)
        at_work = "the device was at work in {at_work_fraction:percent} of {window_s:seconds}"
        sentence = f"{at_work}{f' ({listed})' if listed else ''}; {sentence}"
    else:
        sentence += " of {window_s:seconds}"
    return Evidence(
        signal=NAME,
        source=case.source(Timeline),
        quantity=Quantity.TIMELINE,
        claims=tuple(claims),
        sentence=sentence,
        measured=measured | _delay(timeline),
        activity=timeline.busy_s / timeline.window_s,
        causes=_causes(timeline),
        warnings=_warnings(timeline),
    )


def width_of(timeline: Timeline) -> float:
    """How far the recording itself may have moved the gaps."""
    width = WIDTH
    if timeline.recorded_shapes or timeline.recorded_memory:
        width = SHAPES_WIDTH
    if timeline.recorded_stacks:
        width = STACKS_WIDTH
    if timeline.launches < LEAST_LAUNCHES:
        width = FRAGMENT_WIDTH
    return max(width, SUMS_WIDTH) if timeline.of_sums else width


_LOST = {
    "communication_fraction": "communication alone",
    "transfer_fraction": "copies to or from the host alone",
    "host_gap_fraction": "waiting for a late launch",
    "other_gap_fraction": "idle otherwise",
}


def _lost(timeline: Timeline) -> dict[str, float]:
    """Fractions of the window in which nothing was at a roof, by what went on instead; those that matter."""
    window = timeline.window_s
    found = {
        "communication_fraction": timeline.communication_s / window,
        "transfer_fraction": timeline.transfer_s / window,
        "host_gap_fraction": (timeline.host_gap_s or 0.0) / window,
    }
    found["other_gap_fraction"] = max(0.0, 1.0 - timeline.roof_busy_s / window - sum(found.values()))
    return {name: fraction for name, fraction in found.items() if fraction >= WORTH_TELLING}


def _delay(timeline: Timeline) -> dict[str, float]:
    return {} if timeline.launch_delay_s is None else {"launch_delay_s": timeline.launch_delay_s}


def _causes(timeline: Timeline) -> dict[Cause, float]:
    """Fractions of the window by author; the memory causes only by the time of their kernels."""
    found: dict[Cause, float] = {
        Cause.COMMUNICATION: timeline.communication_s / timeline.window_s,
        Cause.TRANSFER: timeline.transfer_s / timeline.window_s,
        Cause.UNDERFILL: timeline.underfill_s / timeline.window_s,
    }
    if timeline.host_gap_s is not None:
        found[Cause.HOST] = timeline.host_gap_s / timeline.window_s
    for kernel in timeline.kernels:
        if not kernel.kind.moves_no_device_memory:
            cause = kernel.kind.memory_cause
            found[cause] = found.get(cause, 0.0) + kernel.total_s / timeline.window_s
    return {cause: fraction for cause, fraction in found.items() if fraction > 0.0}


def _warnings(timeline: Timeline) -> tuple[str, ...]:
    found = []
    if timeline.launches < LEAST_LAUNCHES:
        found.append(f"only {timeline.launches} device events: a fragment, not a job")
    if timeline.excluded_s > 0.05 * (timeline.window_s + timeline.excluded_s):
        found.append(
            f"{timeline.excluded_s:.3g} s in which neither host nor device did anything are left out of the window"
        )
    return tuple(found)
