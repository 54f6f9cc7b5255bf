"""Larger batch

What it changes: more sequences a step. Weights are streamed once whatever the batch, the latency of a step is paid once
for all, and only the cache, the activations and the arithmetic grow.

When it is offered: decode, while a larger batch gains and the memory has room: up to the batch at which the step turns
compute-bound, to what the memory (or the engine's own cache) holds, or to where another doubling gains little. Not
where the KV cache is full. Where no request waits, the requests are what is missing, not a setting. After a sweep only
beyond its largest level, and only where that was clearly the fastest and ran together as it was sent.

Assumptions: the new sequences are as long as those that run; a step's latency does not grow with the batch, which is
believed for eight times the sequences where latency is the largest share; each sequence gets its tokens as the longer
step lets it. Where larger batches were measured beside this one (a probe, a load that varied), their speed is
told in place of a prediction.

Example: 7 billion parameters in BF16 at batch 1 on an H100: two hundred and more sequences cost hardly more than one.
"""

from __future__ import annotations

import math
from dataclasses import replace

from heuristics.advice.advice import Action, Advice, Withheld
from heuristics.advice.job import Job
from heuristics.crossover import step_crossover
from heuristics.step import Fit, fitting
from heuristics.vocabulary import Limit, Share
from heuristics.whatif import Outcome, Prediction, Step

NAME = "larger_batch"

LEAST_GROWTH = 1.2
WORTH_DOUBLING = 1.15
"""A doubling that gains less trades waiting for little throughput."""
MOST_DOUBLINGS = 12
MOST_ON_LATENCY = 8.0
"""The host's work for a step is mostly the step's own, and beyond some growth each sequence's."""
CROSSOVER = "the crossover"
NOTABLY_STARVED = 0.25
ROUNDING = 1e-9

LEAST_LEVELS = 2
NEARLY = 0.9
"""Of the measured batches the smallest that comes so near to the fastest: more only makes each sequence wait."""
SCATTER = 0.1
"""Of step times, where no batch was measured twice."""


def advise(job: Job) -> Advice | Withheld:
    """A larger batch, up to the first of its limits."""
    step = job.measured.step
    if not job.decodes:
        return Withheld(action=Action.LARGER_BATCH, reason=job.lacking)
    if Limit.KV_CAPACITY in job.limits:
        return Withheld(action=Action.LARGER_BATCH, reason="the KV cache is full: more sequences do not fit")
    if job.starved > NOTABLY_STARVED:
        reason = "the processors that compute are others' for much of the time: more sequences would wait as well"
        return Withheld(action=Action.LARGER_BATCH, reason=reason)
    if job.sweep is not None and job.sweep.enough is not None:
        return Withheld(action=Action.LARGER_BATCH, reason=job.sweep.enough)
    batch, room = step.load.batch, _room(job, step)
    if (seen := _measured(job, batch)) is not None:
        return seen
    bounds = {CROSSOVER: _crossover(step), "more gains little": _knee(step)}
    if room.batch is not None:
        bounds["as many as fit"] = float(room.batch)
    if job.share(Share.LATENCY) >= max(job.share(Share.MEMORY), job.share(Share.COMPUTE)):
        bounds["beyond it latency may grow"] = MOST_ON_LATENCY * batch
    limit = min(bounds, key=lambda name: (bounds[name], name))
    target = float(math.floor(bounds[limit] * (1.0 + ROUNDING)))
    if target < LEAST_GROWTH * batch:
        return Withheld(
            action=Action.LARGER_BATCH, reason=f"batch {batch:.3g} is already near the largest that pays ({limit})"
        )
    prediction = job.measured.predict(lambda s: at_batch(s, target))
    assumptions = ["they are as long as the present ones"]
    if room.batch is None:
        assumptions.insert(0, "the memory holds so many, which is not known")
    if job.sweep is not None:
        assumptions.insert(0, "the engine runs so many together, which was not swept")
    found = job.advised(
        Action.LARGER_BATCH,
        prediction,
        f"{_lead(job)}: {{target_batch:count}} sequences a step, now {{batch:number}} ({limit})",
        "all of them share the weights and the latency of a step, which takes {then_step_s:seconds} then, "
        "{step_s:seconds} now",
        figures={
            "batch": batch,
            "target_batch": target,
            "step_s": step.outcome().step_s,
            "then_step_s": prediction.outcome.step_s,
        },
        assumptions=tuple(assumptions),
    )
    if isinstance(found, Advice) and limit == CROSSOVER:
        return replace(found, then_bound_by=Share.COMPUTE)
    return found


def _measured(job: Job, batch: float) -> Advice | Withheld | None:
    """What larger batches came to that were measured beside this one; None where none was."""
    fit = job.judgement.batch_fit
    if fit is None or len(fit.levels) < LEAST_LEVELS:
        return None
    here = min(fit.levels, key=lambda level: abs(math.log(level.batch / batch)))
    larger = [level for level in fit.levels if level.batch >= LEAST_GROWTH * here.batch]
    if not larger or not 1.0 / LEAST_GROWTH < here.batch / batch < LEAST_GROWTH:
        return None
    most = max(level.tokens_per_s for level in fit.levels)
    enough = next(level for level in fit.levels if level.tokens_per_s >= NEARLY * most)
    if enough.batch < LEAST_GROWTH * here.batch:
        return Withheld(action=Action.LARGER_BATCH, reason="larger batches were measured and gained too little")
    gain = enough.tokens_per_s / here.tokens_per_s
    scatter = fit.parts.scatter if fit.parts is not None and fit.parts.scatter is not None else SCATTER
    outcome = at_batch(job.measured.step, enough.batch)
    return job.advised(
        Action.LARGER_BATCH,
        Prediction(speedup=gain, low=gain / (1.0 + scatter), high=gain * (1.0 + scatter), outcome=outcome),
        f"{_lead(job)}: {{target_batch:number}} sequences a step, now {{batch:number}} (measured)",
        "so many took {then_step_s:seconds} a step, where the present batch takes {step_s:seconds}",
        figures={
            "batch": here.batch,
            "target_batch": enough.batch,
            "step_s": here.step_s,
            "then_step_s": enough.step_s,
        },
    )


def at_batch(step: Step, batch: float) -> Outcome:
    """The step with another batch; prompts that share it come as often a sequence as before."""
    grown = batch / step.load.batch
    return replace(
        step, load=replace(step.load, batch=batch, prefill_tokens=step.load.prefill_tokens * grown)
    ).outcome()


def _lead(job: Job) -> str:
    if job.sweep is not None:
        return f"more at once than the {job.sweep.levels[-1].offered} of the largest level swept"
    if (job.waiting or 0.0) >= 1.0:
        return "let more requests run at once (max_num_seqs or its like)"
    if job.waiting is not None:
        return "more requests at once on this engine (fewer replicas)"
    return "a larger batch"


def _room(job: Job, step: Step) -> Fit:
    """By the engine's own cache where it states it, else by the device's memory."""
    serving, context = job.serving, step.load.context_tokens
    if serving is not None and serving.kv_capacity_tokens and context:
        return Fit(batch=int(serving.kv_capacity_tokens / context))
    return fitting(step.work, step.load, job.memory_bytes)


def _crossover(step: Step) -> float:
    """Where the whole step's intensity meets the ridge of what is reached; without end where it never does."""
    ridge = (step.roofs.ridge_flops_per_byte or 0.0) * step.reach.arithmetic / step.reach.bandwidth
    return step_crossover(step.work, step.load, ridge).batch or float("inf")


def _knee(step: Step) -> float:
    """The first doubling of the present batch after which another one gains little."""
    batch, here = step.load.batch, at_batch(step, step.load.batch)
    for _ in range(MOST_DOUBLINGS):
        doubled = at_batch(step, 2.0 * batch)
        if doubled.speedup_over(here) < WORTH_DOUBLING:
            break
        batch, here = 2.0 * batch, doubled
    return batch
