"""Narrower weights

What it changes: bits of a stored weight, to half: 32 to 16, 16 to 8, or 8 to 4 with their scales. A step streams fewer
bytes; the arithmetic stays in its type.

When it is offered: memory-bound steps in which weights are most of the bytes. What 4 bits would come to stands beside
8, with a warning where arithmetic would bind: their crossover comes at a quarter of the batch, and unpacking costs.

Assumptions: the quality holds. Kernels that unpack stream at 0.85 (0.65 to 1) of the present rate at 8 bits and at 0.75
(0.5 to 1) at 4; the head keeps its width. Those are what published tables of gpt-fast and llama.cpp span.

Example: 7 billion parameters at 105 tokens/s on an A100: 8 bits were measured to give 1.48 times that, 4 bits 1.88.
A 4-bit kernel that is 2.4 times as fast as 16 bits at batch 1 was measured to be 5.6 times slower at 64.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from heuristics.advice.advice import Action, Advice, Withheld
from heuristics.advice.job import Job
from heuristics.case import WEIGHT_ONLY_BITS
from heuristics.simplex import UNKNOWN_ARITHMETIC_CEILING
from heuristics.vocabulary import Dtype, Share
from heuristics.whatif import Measured, Outcome, Prediction, Step, operations_of

NAME = "quantise_weights"

LEAST_PART = 0.5
SIXTEEN, EIGHT, FOUR = 16.0, 8.0, 4.5
"""Four bits with a scale of 16 bits to every 32 weights."""
STREAMED = {SIXTEEN: (1.0, 0.9, 1.0), EIGHT: (0.85, 0.65, 1.0), FOUR: (0.75, 0.5, 1.0)}
"""Likely, low and high part of the bandwidth reached before that kernels for such weights reach."""
UNPACKED = 0.5
"""Good kernels unpack twice as fast as the middle of what has been seen."""
FELT = 0.10
"""Part of a step bound by arithmetic from which on unpacking is felt."""


def advise(job: Job) -> Advice | Withheld:
    """Weights of half the width."""
    step = job.measured.step
    bits = step.work.weight_bits
    if not job.explained:
        return Withheld(action=Action.QUANTISE_WEIGHTS, reason=job.lacking)
    if job.share(Share.MEMORY) < max(job.share(Share.COMPUTE), job.share(Share.LATENCY)):
        return Withheld(action=Action.QUANTISE_WEIGHTS, reason="memory is not the largest share")
    if job.weight_part() < LEAST_PART:
        return Withheld(action=Action.QUANTISE_WEIGHTS, reason="weights are the smaller part of the bytes")
    if bits <= FOUR + 1.0:
        return Withheld(action=Action.QUANTISE_WEIGHTS, reason=f"the weights have {bits:.3g} bits already")
    to = next(width for width in STREAMED if bits > width + 1.0)
    prediction = predicted(job.measured, to)
    figures = {"bits": bits, "to_bits": to, "weight_part": job.weight_part()}
    why = "weights are {weight_part:percent} of the bytes of a step"
    if to == EIGHT:
        at_four = predicted(job.measured, FOUR)
        figures["speedup_at_4_bits"] = at_four.speedup
        if _unpacking_is_felt(at_four):
            why += "; at this batch unpacking 4 bits costs as much as it saves, or more"
        else:
            why += "; 4 bits might give {speedup_at_4_bits:number}x"
    assumptions = ["the quality holds", f"its kernels stream {STREAMED[to][0]:.0%} as fast as the present ones"]
    if to == FOUR and _unpacking_is_felt(prediction):
        assumptions.append("kernels unpack well: at this batch the arithmetic is nearly as long")
    return job.advised(
        Action.QUANTISE_WEIGHTS,
        prediction,
        f"weights of {int(to)} bits, now {{bits:number}}",
        why,
        figures=figures,
        assumptions=tuple(assumptions),
    )


def predicted(measured: Measured, bits: float) -> Prediction:
    """The speed-up with weights of so many bits, over the rates at which they may stream."""
    likely, low, high = (measured.predict(partial(_at, bits=bits, streamed=part)) for part in STREAMED[bits])
    return likely.widened([low, high])


def _at(step: Step, bits: float, streamed: float) -> Outcome:
    """The step with narrower weights: those operations stream at that part of the reach, others as before."""
    work = step.work.with_weight_bits(bits)
    narrow = [
        replace(new, weight_bytes=new.weight_bytes / streamed) if new.weight_bytes < old.weight_bytes else new
        for new, old in zip(operations_of(work, step.load), step.operations, strict=True)
    ]
    reach = step.reach
    if bits <= WEIGHT_ONLY_BITS and step.roofs.dtype is not Dtype.FP4:
        reach = replace(reach, arithmetic=min(reach.arithmetic, UNKNOWN_ARITHMETIC_CEILING.typical / UNPACKED))
    return replace(step, work=work, reach=reach).outcome(operations=narrow)


def _unpacking_is_felt(found: Prediction) -> bool:
    """Whether narrow weights leave arithmetic as what binds some of the step: a crossover that comes early."""
    return found.outcome.compute_s > FELT * found.outcome.step_s
