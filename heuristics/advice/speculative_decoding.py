"""Speculative decoding

What it changes: tokens a step. A draft proposes some, one step verifies all of them: it reads weights and cache once,
does the arithmetic of every proposed token, and keeps those that agree.

When it is offered: memory-bound decode at a small batch, where the arithmetic has room for the proposed tokens, and
where the engine does not speculate already.

Assumptions: 4 tokens are proposed and each is accepted with probability 0.7 (0.5 to 0.8), which gives
(1 - 0.7^5) / (1 - 0.7) = 2.8 tokens a step (Leviathan and others, 2023); proposing one takes 8 % of a step. Text
that is hard to guess gains less. The output is the same.

Example: an 8 billion model at 158 tokens/s on an H100 was measured at 244 and 373 with two published drafts.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from heuristics.advice.advice import Action, Advice, Withheld
from heuristics.advice.job import Job
from heuristics.vocabulary import Regime
from heuristics.whatif import Outcome, Prediction, Step, operations_of

NAME = "speculative_decoding"

PROPOSED = 4
ACCEPTED, LOW, HIGH = 0.7, 0.5, 0.8
DRAFT_PART = 0.08
MOST_BATCH = 16.0
"""Beyond it published gains fall faster than the roofs say: drafting itself grows, and accepted lengths differ."""


def advise(job: Job) -> Advice | Withheld:
    """Several tokens a step."""
    serving, load = job.serving, job.measured.step.load
    if not job.decodes or not job.on_gpu:
        reason = job.lacking if not job.decodes else "on a CPU the arithmetic has no room for proposed tokens"
        return Withheld(action=Action.SPECULATIVE_DECODING, reason=reason)
    if serving is not None and (serving.drafts or serving.accepted_tokens):
        return Withheld(action=Action.SPECULATIVE_DECODING, reason="the engine speculates already")
    if job.verdict.regime is not Regime.MEMORY:
        return Withheld(action=Action.SPECULATIVE_DECODING, reason="decode is not memory-bound")
    if load.batch > MOST_BATCH:
        return Withheld(
            action=Action.SPECULATIVE_DECODING, reason=f"batch {load.batch:.3g} is more than a few sequences"
        )
    return job.advised(
        Action.SPECULATIVE_DECODING,
        predicted(job),
        "speculative decoding, {proposed:count} tokens proposed a step",
        "a step reads all its bytes for {batch:number} token(s) and leaves the arithmetic idle",
        figures={"proposed": float(PROPOSED), "accepted": ACCEPTED, "batch": load.batch},
        assumptions=(
            f"each is accepted with probability {ACCEPTED} ({LOW} to {HIGH})",
            f"proposing one takes {DRAFT_PART:.0%} of a step",
        ),
    )


def predicted(job: Job) -> Prediction:
    """The speed-up over the range of acceptance."""
    likely, low, high = (
        job.measured.predict(partial(_speculated, accepted=accepted)) for accepted in (ACCEPTED, LOW, HIGH)
    )
    return likely.widened([low, high])


def tokens_a_step(accepted: float, proposed: int) -> float:
    """Expected tokens: (1 - a^(k+1)) / (1 - a)."""
    return float((1.0 - accepted ** (proposed + 1)) / (1.0 - accepted))


def _speculated(step: Step, accepted: float) -> Outcome:
    """A verifying step: the operations of every proposed token, the cache read once a sequence, and the draft."""
    wide = replace(step.load, batch=step.load.batch * (PROPOSED + 1))
    verifying = [
        replace(many, kv_bytes=one.kv_bytes)
        for many, one in zip(operations_of(step.work, wide), step.operations, strict=True)
    ]
    drafting_s = PROPOSED * DRAFT_PART * step.outcome().step_s
    return replace(step, latency_s=step.latency_s + drafting_s).outcome(
        operations=verifying, tokens=step.load.batch * tokens_a_step(accepted, PROPOSED)
    )
