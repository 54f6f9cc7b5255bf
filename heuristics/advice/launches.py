"""Fewer launches, less host work

What it changes: the time in which the device waits for the host. Where kernels are launched one by one, CUDA graphs,
compiled or fused kernels take it away; where they are not, or where nothing shows launches, the host's work between
steps is what is left to shorten; and where the job is ready but has no CPU, it needs one.

When it is offered: a timeline in which the device ran dry before late launches; or evidence that the host is the cause
of most of the latency. CUDA graphs only on a GPU, and only while few kernels come from graphs already.

Assumptions: nothing else slows down. The gain is the part of the time that launches, or the host, were seen to
take; what recording itself added is in the range.

Example: a device that stood dry for 38 % of the time before late launches would be 1.6 times faster without them.
"""

from __future__ import annotations

from dataclasses import replace

from heuristics.advice.advice import Action, Advice, Withheld
from heuristics.advice.job import Job
from heuristics.observations import Host, Timeline
from heuristics.signals.kernel_timeline import width_of
from heuristics.vocabulary import Cause, Share
from heuristics.whatif import Outcome, Prediction, Step

NAME = "launches"

LEAST_PART = 0.05
FROM_GRAPHS = 0.5
"""Where so many kernels come from graphs, the launches that are left are not the kernels'."""
MOST_GAIN = 20.0
"""A device that hardly worked: the gain is at least so large, and its size is not known."""


def advise(job: Job) -> Advice | Withheld:
    """Take away what the device waits for the host."""
    timeline = job.whole.timeline
    if timeline is not None and timeline.host_gap_s is not None and timeline.window_s > 0:
        return _launches(job, timeline, timeline.host_gap_s / timeline.window_s)
    if timeline is not None:
        return Withheld(action=Action.CUDA_GRAPHS, reason="the timeline does not tell whose the gaps are")
    if job.verdict.cause is not Cause.HOST:
        return Withheld(action=Action.CUDA_GRAPHS, reason="nothing shows that the device waits for launches")
    latency = job.share(Share.LATENCY)
    seen = min(latency, job.cause(Cause.HOST))
    low, high = job.judgement.latency_range or (latency, latency)
    sentence, why = _held(job.whole.host, on_gpu=job.on_gpu)
    return job.advised(
        Action.LESS_HOST_WORK,
        _without(job, seen, min(seen, low), max(seen, high)),
        sentence,
        why,
        figures={"host_part": seen},
        assumptions=("nothing else takes its place",),
        of_job=True,
    )


def _held(host: Host | None, *, on_gpu: bool) -> tuple[str, str]:
    """What to do about a host that holds the job, and why: the job has no CPU, or it works or waits itself."""
    asleep = host.asleep_fraction or 0.0 if host is not None else 0.0
    if host is not None and (host.throttled_fraction or 0.0) > max(asleep, host.wait_fraction or 0.0):
        return "a larger CPU quota", "the job's quota of CPU time held it for {host_part:percent} of the time"
    if host is not None and (host.wait_fraction or 0.0) > asleep:
        return "CPUs that nobody else uses", "the job was ready and had no CPU for {host_part:percent} of the time"
    return (
        "less host work: CUDA graphs where it launches kernel by kernel, else the scheduler's"
        if on_gpu
        else "less host work between steps (scheduler, tokeniser, waits), or overlap it",
        "the host held the job for {host_part:percent} of the time",
    )


def _launches(job: Job, timeline: Timeline, part: float) -> Advice | Withheld:
    if part < LEAST_PART:
        return Withheld(action=Action.CUDA_GRAPHS, reason=f"late launches took only {part:.1%} of the time")
    width = width_of(timeline)
    prediction = _without(
        job, part, max(0.0, part - width), min(part + width, 1.0 - timeline.roof_busy_s / timeline.window_s)
    )
    from_graphs = timeline.graph_launched / timeline.launches if timeline.launches else 0.0
    figures = {"host_gap_part": part, "from_graphs": from_graphs, "launches": float(timeline.launches)}
    why = "the device stood dry for {host_gap_part:percent} of the time before late launches"
    if from_graphs >= FROM_GRAPHS or not job.on_gpu:
        return job.advised(
            Action.LESS_HOST_WORK,
            prediction,
            "less host work between launches (scheduler, sampling), or overlap it",
            why + ("; {from_graphs:percent} of the kernels come from graphs already" if from_graphs > 0 else ""),
            figures=figures,
            assumptions=("nothing else takes its place",),
            of_job=True,
        )
    return job.advised(
        Action.CUDA_GRAPHS,
        prediction,
        "CUDA graphs, or fewer and larger kernels (compile, fuse)",
        why,
        figures=figures,
        assumptions=("every launch can be captured", "the profiler slowed the host no more than usual"),
        of_job=True,
    )


def _without(job: Job, likely: float, low: float, high: float) -> Prediction:
    """Steps without a part of their time, which is latency."""

    def gone(part: float) -> Prediction:
        return job.measured.predict(lambda step: _shorter(step, part))

    found = gone(likely)
    others = [gone(low), gone(max(likely, high))]
    # The part is measured: what the shares leave open does not widen it.
    return replace(found, low=min(p.speedup for p in others), high=max(p.speedup for p in others))


def _shorter(step: Step, part: float) -> Outcome:
    whole_s = step.outcome().step_s
    shortest = whole_s / MOST_GAIN
    left_s = max(0.0, step.latency_s - part * whole_s)
    at_roofs_s = whole_s - step.latency_s
    return replace(step, latency_s=max(left_s, shortest - at_roofs_s)).outcome()
