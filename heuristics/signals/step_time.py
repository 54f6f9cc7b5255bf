"""Step time

What it looks at: the time of a step by the host's clock, by the device's own with all launches queued ahead of it, and
where it was captured as a CUDA graph, of its replay: all of the same step, measured in turns and without a profiler.

What it bounds and why: time that is gone once the launches are waiting in the queue, or replayed from a graph, was
spent waiting for the host. latency ≥ 1 − the shortest of them ÷ the host's time.

Blind spots: what happens inside kernels, and the gaps of a microsecond between those that are queued. A step of more
launches than the queue holds, about a thousand, waits for some of them after all, and so does one that reads results
back: then the device's time is too long and the bound too low. On a CPU the host is the device.

Example: 22 ms a step eagerly, 9 ms on the device, 9 ms as a graph: at least 0.59 of the time is launching.
"""

from __future__ import annotations

from heuristics.case import Case
from heuristics.claims import Bound
from heuristics.evidence import Abstention, Evidence, Finding
from heuristics.observations import StepTimes
from heuristics.vocabulary import Cause, Quantity, Relation, Share

NAME = "step_time"

WIDTH = 0.04
"""Medians of rounds on two clocks; spread beyond that widens the bound. Not fitted: what it compares, a step and its
graph, is how the captures' own latency was found."""


def weigh(case: Case) -> Finding:
    """Bound latency by what queueing ahead, or a graph, takes off the step."""
    times = case.step_times
    if times is None:
        return Abstention(signal=NAME, reason="no step was timed by the device's own clock")
    shorter = [t for t in (times.device_s, times.graph_s) if t is not None]
    if not shorter or times.step_s <= 0.0:
        return Abstention(signal=NAME, missing=False, reason="the host is the device")
    lost = max(0.0, 1.0 - min(shorter) / times.step_s)
    measured = {"step_s": times.step_s, "launch_fraction": lost}
    parts = []
    if times.device_s is not None:
        measured["device_s"] = times.device_s
        parts.append("{device_s:seconds} on the device with its launches queued ahead")
    if times.graph_s is not None:
        measured["graph_s"] = times.graph_s
        parts.append("{graph_s:seconds} replayed from a graph")
    return Evidence(
        signal=NAME,
        source=case.source(StepTimes),
        quantity=Quantity.TIMELINE,
        rank=1,
        claims=(
            Bound(share=Share.LATENCY, relation=Relation.AT_LEAST, value=lost, width=max(WIDTH, times.spread or 0.0)),
        ),
        sentence="{step_s:seconds} a step, " + " and ".join(parts),
        measured=measured,
        causes={Cause.HOST: lost} if lost > 0.0 else {},
    )
