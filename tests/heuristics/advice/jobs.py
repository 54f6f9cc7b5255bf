"""Judged jobs with invented figures, for what may be advised."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from heuristics.advice.job import Job, job_of
from heuristics.case import Case
from heuristics.gpus import part_named
from heuristics.judge import judge
from heuristics.model_shape import ModelShape
from heuristics.observations import Serving
from heuristics.operations import Load, Phase
from heuristics.roofs import datasheet_roofs
from heuristics.verdict import Judgement, PhaseJudgement
from heuristics.work import ModelWork
from tests.heuristics.cases import LLAMA_8B

LLAMA_2_7B = ModelShape(
    layers=32,
    hidden_size=4096,
    heads=32,
    kv_heads=32,
    head_dim=128,
    intermediate_size=11008,
    vocab_size=32000,
)

LLAMA_2_70B = ModelShape(
    layers=80,
    hidden_size=8192,
    heads=64,
    kv_heads=8,
    head_dim=128,
    intermediate_size=28672,
    vocab_size=32000,
)


def decode(
    *,
    gpu: str = "H100",
    shape: ModelShape = LLAMA_8B,
    batch: float = 1.0,
    context: float = 512.0,
    reached: float = 0.75,
    step_s: float | None = None,
    tensor_parallel: int = 1,
    weight_bits: float | None = None,
    served: dict[str, Any] | None = None,
    **changes: Any,
) -> Case:
    """Decode on a part of the table, by default at so much of the roof; ``served`` changes the engine's counters."""
    part = part_named(gpu)
    roofs = datasheet_roofs(part)
    work = ModelWork(shape=shape)
    if weight_bits is not None:
        work = work.with_weight_bits(weight_bits)
    load = Load(batch=batch, context_tokens=context, tensor_parallel=tensor_parallel)
    if step_s is None:
        bandwidth, peak = roofs.bandwidth_bytes_per_s or 0.0, roofs.flops_per_s or 0.0
        step_s = sum(op.roof_s(bandwidth, peak) for op in work.operations(load)) / reached
    serving = Serving(
        engine="an engine",
        busy=True,
        step_s=step_s,
        steps_per_s=1.0 / step_s,
        batch=batch,
        context_tokens=context,
        tokens_per_s=batch / step_s,
    )
    fields: dict[str, Any] = {
        "part": part,
        "roofs": roofs,
        "work": work,
        "load": load,
        "serving": replace(serving, **(served or {})),
    }
    return Case(**(fields | changes))


def judged(case: Case, phases: dict[Phase, PhaseJudgement] | None = None) -> Job:
    found = job_of(judge(case), phases or {})
    assert isinstance(found, Job), found
    return found


def in_phases(case: Case, prefill: Case, decode_part: float) -> tuple[Judgement, dict[Phase, PhaseJudgement]]:
    """The whole judged as decode, and both phases with their parts of the time."""
    return judge(case), {
        Phase.DECODE: PhaseJudgement(judgement=judge(case), time_fraction=decode_part),
        Phase.PREFILL: PhaseJudgement(judgement=judge(prefill), time_fraction=1.0 - decode_part),
    }
