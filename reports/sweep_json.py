"""A sweep as JSON: the field ``sweep`` of a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from heuristics.operations import Phase
from heuristics.sweep import Spread, Sweep, SweepLevel
from heuristics.verdict import PhaseJudgement, Verdict
from reports.words import rounded

Json = dict[str, Any]
Phases = Mapping[Phase, PhaseJudgement]


def sweep_of(sweep: Sweep, verdict: Callable[[Verdict | None], Json | None], phases: Callable[[Phases], Json]) -> Json:
    """The field. ``verdict`` and ``phases`` write these parts as they stand elsewhere in the object."""
    return {
        "target": sweep.target,
        "prompt_tokens": rounded(sweep.prompt_tokens),
        "output_tokens": rounded(sweep.output_tokens),
        "requests": sweep.requests,
        "tokens": sweep.tokens,
        "wall_s": rounded(sweep.wall_s),
        "client_cpu_s": rounded(sweep.client_cpu_s),
        "failures": [{"reason": reason, "count": count} for reason, count in sweep.failures.items()],
        "ended_early": sweep.stopped,
        "fastest_at_once": sweep.fastest.offered,
        "levels": [_level(level, verdict, phases) for level in sweep.levels],
    }


def _level(
    level: SweepLevel, verdict: Callable[[Verdict | None], Json | None], phases: Callable[[Phases], Json]
) -> Json:
    judgement = level.judgement
    return {
        "at_once": level.offered,
        "batch": rounded(level.batch),
        "batch_source": level.batch_source,
        "capped": level.capped,
        "engine_running": rounded(level.engine_running),
        "complete": level.complete,
        "window_s": rounded(level.window_s),
        "requests": level.requests,
        "failed": level.failed,
        "tokens_per_s": rounded(level.tokens_per_s),
        "prompt_tokens_per_s": rounded(level.prompt_tokens_per_s),
        "decode_tokens_per_s": rounded(level.decode_tokens_per_s),
        "decode_only_s": rounded(level.decode_only_s),
        "step_s": rounded(level.step_s),
        "context_tokens": rounded(level.context_tokens),
        "tokens_per_event": rounded(level.tokens_per_event),
        "time_to_first_token_s": _spread(level.first_token),
        "inter_token_latency_s": _spread(level.between_tokens),
        "verdict": verdict(judgement.verdict if judgement is not None else None),
        "phases": phases(level.phases),
    }


def _spread(spread: Spread | None) -> Json | None:
    if spread is None:
        return None
    return {"p50": rounded(spread.p50_s), "p95": rounded(spread.p95_s), "count": spread.count}
