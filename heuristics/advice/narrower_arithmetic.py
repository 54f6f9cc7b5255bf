"""Narrower arithmetic

What it changes: products in FP8 in place of 16 bits: the arithmetic roof doubles, and the weights halve with it.

When it is offered: compute is the largest share, the arithmetic has 16 bits, and the part has FP8 units.

Assumptions: the quality holds. FP8 products reach 0.85 (0.7 to 1) of the part of their peak that the present ones reach
of theirs: scaling and unfused conversions take the rest.

Example: prompts at 70 % compute on an H100: 1.4 times as fast with FP8 weights and activations.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from heuristics.advice.advice import Action, Advice, Withheld
from heuristics.advice.job import Job
from heuristics.vocabulary import Dtype, Share
from heuristics.whatif import Outcome, Step, operations_of

NAME = "narrower_arithmetic"

EIGHT = 8.0
REACHED, LOW, HIGH = 0.85, 0.7, 1.0


def advise(job: Job) -> Advice | Withheld:
    """FP8 where the part has it."""
    roofs, part = job.case.roofs, job.case.part
    if not job.explained:
        return Withheld(action=Action.NARROWER_ARITHMETIC, reason=job.lacking)
    if roofs is None or part is None:
        return Withheld(action=Action.NARROWER_ARITHMETIC, reason="the device is not in the table of parts")
    if job.share(Share.COMPUTE) < max(job.share(Share.MEMORY), job.share(Share.LATENCY)):
        return Withheld(action=Action.NARROWER_ARITHMETIC, reason="compute is not the largest share")
    if roofs.dtype not in (Dtype.BF16, Dtype.FP16) or Dtype.FP8 not in part.dense_flops_per_s:
        return Withheld(
            action=Action.NARROWER_ARITHMETIC, reason=f"{part.name} has nothing narrower than {roofs.dtype.value} here"
        )
    faster = part.dense_flops_per_s[Dtype.FP8] / part.dense_flops_per_s[roofs.dtype]
    likely, low, high = (
        job.measured.predict(partial(_at, faster=faster, reached=reached)) for reached in (REACHED, LOW, HIGH)
    )
    return job.advised(
        Action.NARROWER_ARITHMETIC,
        likely.widened([low, high]),
        "FP8 weights and activations",
        "products take {compute:percent} of the time, and FP8 runs {faster:number} times as fast",
        figures={"compute": job.share(Share.COMPUTE), "faster": faster},
        assumptions=("the quality holds", f"FP8 reaches {REACHED:.0%} as much of its peak"),
    )


def _at(step: Step, faster: float, reached: float) -> Outcome:
    """Products with weights, the linear layers, at the other rate; attention stays."""
    work = step.work.with_weight_bits(min(EIGHT, step.work.weight_bits))
    operations = [
        replace(op, flops=op.flops / (faster * reached)) if op.weight_bytes > 0.0 else op
        for op in operations_of(work, step.load)
    ]
    return step.outcome(operations=operations)
