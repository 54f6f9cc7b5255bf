"""Host time

What it looks at: the time that the job's threads spent on CPUs and waiting for one, throttling by its cgroup's
quota, and how long no thread of it ran at all.

What it bounds and why: where the CPU itself runs the model, time in which no thread ran is latency or idleness,
latency + idle ≥ asleep; time in which the busiest thread was ready and had no CPU, or the quota held the job, is
latency. Where a GPU runs the model these only name the cause of latency that others show.

Blind spots: a thread that is on a CPU may compute or spin: a hundred percent of a core proves nothing, and neither
does a high load. Spinning schedulers wait in the run queue without loss, so only the busiest thread's wait counts.

Example: a decoding loop that sleeps 30 ms of every 40 for its tokeniser: asleep 0.75, whatever the model's size.
"""

from __future__ import annotations

from heuristics.case import Case
from heuristics.claims import Bound, Claim, WallBound
from heuristics.evidence import Abstention, Evidence, Finding
from heuristics.observations import Host
from heuristics.vocabulary import Cause, Quantity, Relation, Share

NAME = "host_time"

ASLEEP_WIDTH = 0.08
"""Slices of 50 ms against a clock that the kernel advances every few milliseconds. Seven captures, one of which sleeps:
none strains it, so ``tests/ground_truth/widths.py`` finds no likeliest value."""
HELD_WIDTH = 0.10
"""Waiting for a CPU delays the step only where the other threads wait for that one; they mostly do. Not fitted: no
capture was held up."""

NOTABLE = 0.05

ASLEEP, ASLEEP_CERTAINTY = 0.96, 0.80
"""A job that nothing else tells of and that slept nearly all the time had no work, or hangs."""


def weigh(case: Case) -> Finding:
    """Bound latency by the time in which the host kept the job from computing."""
    host = case.host
    if host is None:
        return Abstention(signal=NAME, reason="the job's threads were not watched")
    asleep, held = host.asleep_fraction, max(host.wait_fraction or 0.0, host.throttled_fraction or 0.0)
    if asleep is None:
        return Abstention(signal=NAME, missing=False, reason="the threads' times could not be read")
    claims: list[Claim] = []
    causes: dict[Cause, float] = {}
    if host.computes:
        claims.append(WallBound(share=Share.LATENCY, fraction=min(1.0, 1.0 - asleep), width=ASLEEP_WIDTH))
        if held > NOTABLE:
            claims.append(Bound(share=Share.LATENCY, relation=Relation.AT_LEAST, value=held, width=HELD_WIDTH))
        causes[Cause.HOST] = max(asleep, held) if case.serving is not None else held
    elif (delayed := _delayed(host)) > NOTABLE:
        causes[Cause.HOST] = delayed
    measured = {"asleep_fraction": asleep, "threads": float(host.threads)}
    sentence = "no thread ran in {asleep_fraction:percent} of the time"
    if host.busy_cores is not None:
        measured["busy_cores"] = host.busy_cores
        sentence += ", {busy_cores:number} cores were busy"
        if host.cores is not None:
            measured["cores"] = host.cores
            sentence = sentence.replace("cores were busy", "of {cores:number} cores were busy")
    if host.wait_fraction is not None:
        measured["wait_fraction"] = host.wait_fraction
        sentence += ", the busiest thread waited for a CPU in {wait_fraction:percent} of the time it wanted one"
    if (host.throttled_fraction or 0.0) > NOTABLE:
        measured["throttled_fraction"] = host.throttled_fraction or 0.0
        sentence += ", the quota held the job back in {throttled_fraction:percent}"
    return Evidence(
        signal=NAME,
        source=case.source(Host),
        quantity=Quantity.HOST,
        claims=tuple(claims),
        sentence=sentence,
        measured=measured,
        causes=causes,
        warnings=_warnings(host),
        no_work=ASLEEP_CERTAINTY if host.computes and case.serving is None and asleep >= ASLEEP else None,
    )


def _delayed(host: Host) -> float:
    """The part of the window in which the busiest thread waited for a CPU, or the quota held the job.

    A thread that hardly ever wants a CPU may wait for one half of those times, and delays nothing.
    """
    waiting, running = host.wait_fraction or 0.0, host.busiest_thread_fraction or 0.0
    wanted = min(1.0, running / (1.0 - waiting)) if waiting < 1.0 else 1.0
    return max(waiting * wanted, host.throttled_fraction or 0.0)


def _warnings(host: Host) -> tuple[str, ...]:
    found = []
    if (host.throttled_fraction or 0.0) > NOTABLE:
        found.append(f"the cgroup's CPU quota held the job back in {host.throttled_fraction:.0%} of the time")
    if (host.memory_pressure or 0.0) > NOTABLE:
        found.append(f"the host was short of memory in {host.memory_pressure:.0%} of the time")
    return tuple(found)
