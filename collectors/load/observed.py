"""What the client saw, as observations: beside the engine's own counters, or in their place where it has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from collectors.load.figures import Figures
from heuristics.observations import LARGEST_CHUNK, LoadCurve, Observation, Serving
from heuristics.operations import Phase

SOURCE = "the load's own client"

SURE = 0.5
"""Of a step for each prompt, the time from which on that of the prompts is told apart from that of the steps."""


def whole(engine: Serving | None, seen: Figures, name: str, model: str | None) -> Serving:
    """The engine's window with what it does not state; a window of the client's alone where it states nothing."""
    steps = seen.tokens_per_s * seen.window_s / seen.batch if seen.batch else None
    mine = Serving(
        engine=name,
        model=model,
        window_s=seen.window_s,
        requests_running=seen.in_flight,
        batch=seen.batch,
        steps=steps,
        steps_per_s=None if steps is None else steps / seen.window_s,
        step_s=None if steps is None else seen.window_s / steps,
        generation_tokens=seen.tokens_per_s * seen.window_s,
        prompt_tokens=seen.prompt_tokens_per_s * seen.window_s,
        prompt_tokens_computed=_computed(seen),
        requests=float(seen.prompts),
        busy=True,
        tokens_per_s=seen.tokens_per_s,
        prompt_tokens_per_s=seen.prompt_tokens_per_s,
        time_per_output_token_s=seen.between.p50_s if seen.between is not None else None,
        time_to_first_token_s=seen.first.p50_s if seen.first is not None else None,
        context_tokens=seen.context_tokens,
    )
    if engine is None or engine.stale or engine.lifetime:
        return mine
    lacking = {
        field: getattr(mine, field)
        for field in (
            "batch",
            "steps",
            "steps_per_s",
            "step_s",
            "generation_tokens",
            "tokens_per_s",
            "prompt_tokens",
            "prompt_tokens_computed",
            "prompt_tokens_per_s",
            "time_per_output_token_s",
            "time_to_first_token_s",
            "context_tokens",
        )
        if getattr(engine, field) is None
    }
    if engine.kv_cache_usage and engine.kv_capacity_tokens:
        lacking.pop("context_tokens", None)
    return replace(engine, **lacking)


def decoding(served: Serving, seen: Figures, batch: float | None) -> Serving | None:
    """Decoding alone; ``batch`` is that of one engine of several. None where it was not seen alone."""
    step_s = seen.step_s
    if step_s is None or batch is None:
        return None
    window_s = max(seen.alone_s, seen.window_s - seen.prefill_s)
    tokens_per_s = batch * served.replicas / step_s
    return replace(
        served,
        window_s=window_s,
        lifetime=False,
        busy=True,
        stale=False,
        batch=batch,
        tokens_per_step=None,
        step_s=step_s,
        steps=window_s / step_s,
        steps_per_s=1.0 / step_s,
        tokens_per_s=tokens_per_s,
        generation_tokens=tokens_per_s * window_s,
        prompt_tokens=0.0,
        prompt_tokens_computed=0.0,
        prompt_tokens_per_s=0.0,
        context_tokens=seen.context_tokens,
        flops=None,
        read_bytes=None,
        write_bytes=None,
    )


def taking_in(served: Serving, seen: Figures) -> Serving | None:
    """Prompts alone; None where no time was theirs. Its rate is left out where steps of decoding blur it."""
    tokens = seen.prompt_tokens - seen.cached_tokens
    if not seen.prompt_s or seen.step_s is None or tokens < 1.0:
        return None
    chunk = min(LARGEST_CHUNK, max(1.0, seen.together) * tokens)
    sure = seen.prompt_s >= SURE * seen.step_s
    return Serving(
        engine=served.engine,
        model=served.model,
        window_s=seen.prefill_s,
        busy=True,
        batch=chunk / tokens if chunk > tokens else 1.0,
        tokens_per_step=chunk,
        steps=seen.prompts * tokens / chunk,
        step_s=seen.prompt_s * chunk / tokens if sure else None,
        prompt_tokens=seen.prompts * tokens,
        prompt_tokens_computed=seen.prompts * tokens,
        prompt_tokens_per_s=tokens / seen.prompt_s if sure else None,
        requests_running=served.requests_running,
        requests_waiting=served.requests_waiting,
        time_to_first_token_s=seen.first.p50_s if seen.first is not None else None,
    )


def observations(
    every: Sequence[Observation], seen: Figures, *, batch: float | None, name: str, model: str | None
) -> list[Observation]:
    """What was observed otherwise, with the client's phases in place of those that the engine's counters tell apart."""
    engine = next((o for o in every if isinstance(o.payload, Serving) and o.phase is None), None)
    stated = engine.payload if engine is not None and isinstance(engine.payload, Serving) else None
    served = whole(stated, seen, name, model)
    source = engine.source if engine is not None else SOURCE
    apart = ((Phase.DECODE, decoding(served, seen, batch)), (Phase.PREFILL, taking_in(served, seen)))
    phases = [Observation(source=SOURCE, payload=part, phase=phase) for phase, part in apart if part is not None]
    kept = [
        o
        for o in every
        if not isinstance(o.payload, LoadCurve) and not (isinstance(o.payload, Serving) and (o.phase is None or phases))
    ]
    return [Observation(source=source, payload=served), *phases, *kept]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A level's figures, with what became of the client's count of sequences.

    ``factor``: the measured batch of one engine over what the client counted; ``offered``: requests at once, of one.
    """

    seen: Figures
    factor: float
    offered: float


def curve(levels: Sequence[Counted]) -> LoadCurve | None:
    """Every piece of decoding alone; None where there is none."""
    points = [
        (piece.batch * level.factor, piece.step_s, piece.context_tokens, level.offered)
        for level in levels
        for piece in level.seen.pieces
    ]
    if not points:
        return None
    batch, step_s, context, offered = (np.array(column) for column in zip(*points, strict=True))
    return LoadCurve(batch=batch, step_s=step_s, context_tokens=context, offered=offered)


def pooled(levels: Sequence[Figures]) -> Figures:
    """All levels as one stretch of time."""
    window_s = sum(seen.window_s for seen in levels)
    prompts = sum(seen.prompts for seen in levels)

    def by_time(name: str) -> float:
        return float(sum(getattr(seen, name) * seen.window_s for seen in levels) / window_s)

    timed = [(seen.prompt_s, seen.prompts) for seen in levels if seen.prompt_s is not None]
    weight = sum(count for _, count in timed)
    return Figures(
        window_s=window_s,
        tokens_per_s=by_time("tokens_per_s"),
        prompt_tokens_per_s=by_time("prompt_tokens_per_s"),
        prompts=prompts,
        prompt_tokens=by_time("prompt_tokens"),
        output_tokens=next((seen.output_tokens for seen in levels if seen.output_tokens is not None), None),
        cached_tokens=sum(seen.cached_tokens * seen.prompts for seen in levels) / prompts if prompts else 0.0,
        tokens_per_event=by_time("tokens_per_event"),
        first=None,
        between=None,
        pieces=tuple(piece for seen in levels for piece in seen.pieces),
        in_flight=by_time("in_flight"),
        together=prompts / sum(seen.prompts / seen.together for seen in levels) if prompts else 1.0,
        prompt_s=sum(s * count for s, count in timed) / weight if weight else next((s for s, _ in timed), None),
    )


def _computed(seen: Figures) -> float:
    """Prompt tokens without those that the prefix cache gave."""
    return max(0.0, seen.prompt_tokens_per_s * seen.window_s - seen.cached_tokens * seen.prompts)
