"""Shorter context

What it changes: tokens that each sequence has cached, to half: shorter prompts, trimmed histories, a sliding window.

When it is offered: decode in which the cache is a third of the bytes or more, or in which it is full.

Assumptions: the answers stay good enough without what is cut. Where the cache is full and requests wait, twice as
many run.

Example: at 32,000 tokens of context eight sequences of Llama-3-8B read twice as much cache as weights; half saves a
third of the bytes.
"""

from __future__ import annotations

from dataclasses import replace

from heuristics.advice.advice import Action, Advice, Withheld
from heuristics.advice.job import Job
from heuristics.advice.larger_batch import at_batch
from heuristics.vocabulary import Limit
from heuristics.whatif import Outcome, Step

NAME = "shorter_context"

LEAST_PART = 1.0 / 3.0
KEPT = 0.5


def advise(job: Job) -> Advice | Withheld:
    """Half the context."""
    full = Limit.KV_CAPACITY in job.limits
    context = job.measured.step.load.context_tokens
    part = job.cache_part()
    if not job.decodes:
        return Withheld(action=Action.SHORTER_CONTEXT, reason=job.lacking)
    if not context or not part:
        return Withheld(action=Action.SHORTER_CONTEXT, reason="no cache is known to be read")
    if part < LEAST_PART and not full:
        return Withheld(action=Action.SHORTER_CONTEXT, reason=f"the cache is only {part:.0%} of the bytes of a step")
    more = 1.0 / KEPT if job.wants_room else 1.0
    return job.advised(
        Action.SHORTER_CONTEXT,
        job.measured.predict(lambda step: _shortened(step, more)),
        "half the context: {then_context_tokens:count} tokens a sequence, now {context_tokens:count}",
        job.cache_why,
        figures={"context_tokens": context, "then_context_tokens": KEPT * context, "part": part, "more": more},
        assumptions=("the answers do not need what is cut", *job.to_fill),
    )


def _shortened(step: Step, more: float) -> Outcome:
    shorter = replace(step, load=replace(step.load, context_tokens=KEPT * step.load.context_tokens))
    return at_batch(shorter, step.load.batch * more)
