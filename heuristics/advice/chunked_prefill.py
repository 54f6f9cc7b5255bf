"""Chunked prefill

What it changes: prompts, taken in by steps of their own so far, share the steps of decode in chunks. Decode's step
streams the weights anyway, and its arithmetic has room for prompt tokens.

When it is offered: prefill and decode are told apart, prefill takes a tenth of the time with work or more, decode is
memory-bound, and the engine is not one of those that mix prompts into decode's steps anyway (vLLM, TensorRT-LLM, TGI,
llama.cpp).

Assumptions: prompts come as they do now and are spread evenly over the steps; the chunks run at the same part of the
arithmetic as decode's products would.

Example: decode at batch 16 and prompts that take a third of the time: the arithmetic of both fits decode's steps.
"""

from __future__ import annotations

from dataclasses import replace

from heuristics.advice.advice import Action, Advice, Withheld
from heuristics.advice.job import Job
from heuristics.observations import Serving
from heuristics.vocabulary import Regime
from heuristics.whatif import Outcome, Step

NAME = "chunked_prefill"

LEAST_PART = 0.10
MIXING = frozenset({"vLLM", "TensorRT-LLM", "TGI", "llama.cpp"})
"""Engines whose steps of decode take in prompt tokens unless they are told otherwise."""


def advise(job: Job) -> Advice | Withheld:
    """Prompts within decode's steps."""
    prompts = job.prefill.serving if job.prefill is not None else None
    if not job.decodes or job.part is None or prompts is None:
        return Withheld(action=Action.CHUNKED_PREFILL, reason="prefill and decode are not told apart")
    part = 1.0 - job.part
    if part < LEAST_PART:
        return Withheld(action=Action.CHUNKED_PREFILL, reason=f"prefill takes only {part:.0%} of the time")
    if job.verdict.regime is not Regime.MEMORY:
        return Withheld(action=Action.CHUNKED_PREFILL, reason="decode is not memory-bound: it has no room for prompts")
    chunk = _prompt_tokens_a_step(job, prompts)
    if chunk is None:
        return Withheld(action=Action.CHUNKED_PREFILL, reason="the prompt tokens of a step of decode are not known")
    if prompts.engine in MIXING:
        return Withheld(
            action=Action.CHUNKED_PREFILL, reason=f"{prompts.engine} mixes prompts into steps of decode anyway"
        )
    decode_s = job.measured.step.outcome().step_s
    apart_s = decode_s * part / (1.0 - part)

    def together(step: Step) -> Outcome:
        return replace(step, load=replace(step.load, prefill_tokens=chunk)).outcome()

    prediction = job.measured.predict(together)
    stretched = (decode_s + apart_s) / decode_s
    return job.advised(
        Action.CHUNKED_PREFILL,
        replace(
            prediction,
            speedup=prediction.speedup * stretched,
            low=prediction.low * stretched,
            high=prediction.high * stretched,
        ),
        "chunked prefill: prompts within decode's steps, {chunk:count} tokens each",
        "prefill stops decode for {part:percent} of the time",
        figures={"chunk": chunk, "part": part},
        assumptions=("prompts are spread evenly over the steps",),
        of_job=True,
    )


def _prompt_tokens_a_step(job: Job, prompts: Serving) -> float | None:
    """Prompt tokens that came in for every step of decode."""
    decode = job.case.serving
    came = prompts.prompt_tokens_computed or prompts.prompt_tokens
    return came / decode.steps if came and decode is not None and decode.steps else None
