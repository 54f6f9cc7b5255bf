"""Narrower KV cache

What it changes: bits of a cached key or value, 16 to 8. A step reads fewer bytes; and where the cache is full, as many
more sequences fit.

When it is offered: decode in which the cache is a fifth of the bytes or more, or in which it is full.

Assumptions: the quality holds; attention reads the narrower cache at the same rate. Where the cache is full and
requests wait, twice as many run.

Example: a full cache with preemptions at 8 bits holds twice the sequences, and each step reads no more than before.
"""

from __future__ import annotations

from dataclasses import replace

from heuristics.advice.advice import Action, Advice, Withheld
from heuristics.advice.job import Job
from heuristics.advice.larger_batch import at_batch
from heuristics.vocabulary import Limit
from heuristics.whatif import Outcome, Step

NAME = "quantise_kv_cache"

LEAST_PART = 0.2
EIGHT, WIDE = 8.0, 12.0


def advise(job: Job) -> Advice | Withheld:
    """A cache of 8 bits."""
    bits = kv_bits(job.measured.step)
    full = Limit.KV_CAPACITY in job.limits
    if not job.decodes:
        return Withheld(action=Action.QUANTISE_KV_CACHE, reason=job.lacking)
    if bits is None:
        return Withheld(action=Action.QUANTISE_KV_CACHE, reason="no cache is known to be read")
    if bits < WIDE:
        return Withheld(action=Action.QUANTISE_KV_CACHE, reason=f"the cache has {bits:.3g} bits already")
    part = job.cache_part()
    if part < LEAST_PART and not full:
        return Withheld(action=Action.QUANTISE_KV_CACHE, reason=f"the cache is only {part:.0%} of the bytes of a step")
    more = bits / EIGHT if job.wants_room else 1.0
    return job.advised(
        Action.QUANTISE_KV_CACHE,
        job.measured.predict(lambda step: _narrowed(step, more)),
        "a KV cache of 8 bits, now {bits:number}",
        job.cache_why,
        figures={"bits": bits, "part": part, "more": more},
        assumptions=("the quality holds", *job.to_fill),
    )


def _narrowed(step: Step, more: float) -> Outcome:
    return at_batch(replace(step, work=step.work.with_kv_bits(EIGHT)), step.load.batch * more)


def kv_bits(step: Step) -> float | None:
    """Bits of a cached number, by what half the width changes; None where no cache is counted."""
    now, at_eight = (
        sum(op.kv_bytes for op in work.operations(step.load)) for work in (step.work, step.work.with_kv_bits(EIGHT))
    )
    return EIGHT * now / at_eight if at_eight > 0.0 else None
