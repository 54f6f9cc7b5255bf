"""From the snapshots of one target to what it served: differences of counters, means of gauges, time with work."""

from __future__ import annotations

from collections.abc import Sequence

from collectors.engines.concepts import Concept, Readings
from collectors.engines.readings import (
    batch_of,
    capacity_of,
    computed,
    differences,
    level,
    models,
    per,
    ratio,
    readings,
    replicas_of,
    series,
)
from collectors.engines.stretches import MOVING, Stretch, frozen_s, whole_steps
from collectors.engines.table import Engine
from collectors.prometheus.exposition import Snapshot
from heuristics.observations import Serving

C = Concept

ENDED_PER_RUNNING = 10.0
"""Requests that must end in a window, for each that runs, before a counter that moves at their ends is trusted."""

ALWAYS_SOME = 1.0
"""Mean requests in the system from which on a window counts as busy throughout."""


def serving(engine: Engine, run: Sequence[Snapshot], window_s: float | None, pieces: Sequence[Stretch] = ()) -> Serving:
    """Differences from the first to the last snapshot; the lifetime's totals where there is only one.

    ``pieces`` are the stretches between the snapshots where their times are known.
    """
    now: Readings = readings(engine, run[-1])
    then: Readings | None = readings(engine, run[0]) if len(run) > 1 else None
    if engine.habit is not None:
        now, then = engine.habit(now, then)
    every = [readings(engine, shot) for shot in run]
    replicas = replicas_of(engine, run[-1], run[0] if len(run) > 1 else None)
    delta = differences(now, then)
    still = then is not None and not any(delta.get(c, 0.0) > 0.0 for c in MOVING)
    seem_to_run = engine.stale_when_idle and now.get(C.RUNNING, 0.0) > 0.0
    stale = still and (engine.late_gauges or seem_to_run)
    if then is not None and _is_late(engine, run[-1], delta, level(C.RUNNING, every)):
        del delta[C.GENERATION_TOKENS]
    all_steps = delta.get(C.STEPS)
    steps = None if all_steps is None else all_steps / replicas
    generated = delta.get(C.GENERATION_TOKENS)
    batch = batch_of(delta, every, replicas)
    if generated is None and all_steps and batch:
        generated = all_steps * batch
    full = [piece for piece in pieces if piece.full]
    busy = _busy(delta, every, window_s)
    prompt = delta.get(C.PROMPT_TOKENS)
    return Serving(
        engine=engine.name,
        model=_model(run[-1]),
        window_s=window_s,
        lifetime=then is None,
        requests_running=level(C.RUNNING, every),
        requests_waiting=level(C.WAITING, every),
        batch=batch,
        tokens_per_step=ratio(delta, C.STEP_TOKENS, C.STEPS),
        steps=steps,
        steps_per_s=per(steps, window_s),
        step_s=_step_s(delta, steps if busy else None, window_s, full),
        generation_tokens=generated,
        prompt_tokens=prompt,
        prompt_tokens_computed=None if prompt is None else computed(delta),
        requests=delta.get(C.FIRST_TOKEN_COUNT) or delta.get(C.REQUESTS),
        busy=busy and not stale,
        stale=stale,
        replicas=replicas,
        least_work=_part(full, pieces) if pieces and not stale else None,
        idle_fraction=_part([piece for piece in pieces if piece.idle], pieces) if pieces and not stale else None,
        frozen_s=0.0 if stale else frozen_s(pieces),
        tokens_per_s=per(generated, window_s) if then is not None else now.get(C.TOKEN_RATE),
        prompt_tokens_per_s=per(prompt, window_s),
        time_per_output_token_s=ratio(delta, C.TOKEN_LATENCY_SUM, C.TOKEN_LATENCY_COUNT),
        time_to_first_token_s=ratio(delta, C.FIRST_TOKEN_SUM, C.FIRST_TOKEN_COUNT),
        kv_cache_usage=level(C.KV_USAGE, every),
        kv_capacity_tokens=capacity_of(now, run[-1]),
        context_tokens=_context(every),
        preemptions=delta.get(C.PREEMPTIONS),
        flops=delta.get(C.FLOPS) or None,
        read_bytes=delta.get(C.READ_BYTES) or None,
        write_bytes=delta.get(C.WRITE_BYTES) or None,
        accepted_tokens=delta.get(C.ACCEPTED),
        drafts=delta.get(C.DRAFTS),
    )


def _context(every: Sequence[Readings]) -> float | None:
    """Mean tokens cached a running request, where the engine states them of each."""
    cached, running = level(C.CONTEXT_TOKENS, every), level(C.RUNNING, every)
    return cached / running if cached and running else None


def _part(some: Sequence[Stretch], pieces: Sequence[Stretch]) -> float:
    return sum(piece.window_s for piece in some) / sum(piece.window_s for piece in pieces)


def _is_late(engine: Engine, shot: Snapshot, delta: Readings, running: float | None) -> bool:
    """Whether the tokens counted are not those of the window, and follow better from steps and batch."""
    found = series(engine, shot, C.GENERATION_TOKENS)
    if not found or found[0].name not in engine.late_tokens or not delta.get(C.STEPS) or not running:
        return False
    return delta.get(C.REQUESTS, 0.0) < ENDED_PER_RUNNING * running


def _busy(delta: Readings, every: Sequence[Readings], window_s: float | None) -> bool:
    """Whether requests ran throughout: at every snapshot, or, by Little's law, one or more on average."""
    if len(every) < 2:
        return False
    if all(r.get(C.RUNNING, 0.0) > 0 for r in every):
        return True
    in_system = per(delta.get(C.REQUEST_SECONDS), window_s)
    return in_system is not None and in_system >= ALWAYS_SOME and len(every) == 2


def _step_s(delta: Readings, busy_steps: float | None, window_s: float | None, full: Sequence[Stretch]) -> float | None:
    """Time of a step: timed steps, else time over steps while requests run, else the time between tokens."""
    timed = ratio(delta, C.STEP_TIME_SUM, C.STEP_TIME_COUNT)
    if timed:
        return timed
    timed_steps = whole_steps(full)
    counted = sum(piece.steps or 0.0 for piece in timed_steps)
    if counted:
        return sum(piece.window_s for piece in timed_steps) / counted
    if busy_steps and window_s:
        return window_s / busy_steps
    accepted, drafts = delta.get(C.ACCEPTED), delta.get(C.DRAFTS)
    between = ratio(delta, C.TOKEN_LATENCY_SUM, C.TOKEN_LATENCY_COUNT)
    return between * (1.0 + accepted / drafts) if between and accepted and drafts else between


def _model(shot: Snapshot) -> str | None:
    """The served model's name; paths are cut to their last part."""
    names = list(models(shot).values())
    return names[0].rstrip("/").rsplit("/", 1)[-1] if len(names) == 1 else None
