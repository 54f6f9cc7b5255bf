"""The stretches between scrapes: which had work throughout, what prompts and steps cost, how step and batch vary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from collectors.engines.concepts import Concept, Readings
from collectors.engines.readings import batch_of, capacity_of, computed, differences, readings, replicas_of, series
from collectors.engines.table import Engine
from collectors.prometheus.exposition import Snapshot
from heuristics.observations import FULL_CACHE, LARGEST_CHUNK, LoadCurve, Serving
from heuristics.operations import Phase
from heuristics.phase_split import split

C = Concept

MOVING = (C.STEPS, C.GENERATION_TOKENS, C.PROMPT_TOKENS, C.STEP_TOKENS, C.LIVE_TOKENS)
"""Counters of which one moves whenever anything is done."""

FEWEST_POINTS = 4
FEWEST_STEPS = 5.0
"""Steps in a stretch from which on its mean batch and step time are worth a point."""

SURE = 0.3
"""Standard error of the prompts' time, relative to it, up to which their rate is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Between two scrapes. ``steps`` are those of one replica; ``batch`` is the mean of sequences in a step."""

    window_s: float
    full: bool
    """Requests ran at both ends, or the CPUs that run the model were busy with a step that ended later."""
    idle: bool
    """No request at either end, nothing moved, and nothing was computed either."""
    moved: bool
    steps: float | None
    generated: float
    prompt: float
    """Prompt tokens without those that the prefix cache gave."""
    batch: float | None
    prefill_s: float | None
    context_tokens: float | None
    capped: bool = False
    """Requests waited while the KV cache was full, or were put off for it."""


Computing = Callable[[float, float], bool]
"""Whether the CPUs that run the model were busy between two times of the snapshots' clock."""


def stretches(engine: Engine, run: Sequence[Snapshot], computing: Computing | None = None) -> list[Stretch]:
    """Every stretch of a run of three snapshots or more whose times are known; two give a window and no more.

    Engines count at the ends of their steps, and on a CPU a step may outlast several scrapes. ``computing`` tells
    such time from idle time.
    """
    if len(run) < 3 or any(shot.taken_at_s is None for shot in run):
        return []
    every = [readings(engine, shot) for shot in run]
    replicas = replicas_of(engine, run[-1], run[0])
    capacity = capacity_of(every[-1], run[-1])
    counted = series(engine, run[-1], C.GENERATION_TOKENS)
    late = bool(counted) and counted[0].name in engine.late_tokens
    found: list[Stretch] = []
    ends: list[tuple[float, float]] = []
    for place in range(1, len(run)):
        window_s = (run[place].taken_at_s or 0.0) - (run[place - 1].taken_at_s or 0.0)
        if window_s > 0.0:
            found.append(_stretch(engine, every[place - 1], every[place], window_s, replicas, capacity, late=late))
            ends.append((run[place - 1].taken_at_s or 0.0, run[place].taken_at_s or 0.0))
    return found if computing is None else _within_steps(found, [computing(*times) for times in ends])


def _within_steps(pieces: list[Stretch], computing: Sequence[bool]) -> list[Stretch]:
    """Time in which the CPUs worked on what was counted only later is time with work, whatever the gauges said."""
    found = list(pieces)
    counted = False
    for place in range(len(found) - 1, -1, -1):
        piece = found[place]
        counted = piece.moved or (counted and computing[place])
        if computing[place]:
            found[place] = replace(piece, full=piece.full or counted, idle=False)
    return found


def whole_steps(pieces: Sequence[Stretch]) -> list[Stretch]:
    """The full stretches; where steps outlast them, only those from one movement of the counters to another."""
    full = [piece for piece in pieces if piece.full]
    moves = [place for place, piece in enumerate(full) if piece.moved]
    if len(moves) in (0, len(full)):
        return full
    trimmed = full[moves[0] + 1 : moves[-1] + 1]
    return trimmed if any(piece.steps for piece in trimmed) else full


def _stretch(
    engine: Engine,
    before: Readings,
    after: Readings,
    window_s: float,
    replicas: int,
    capacity: float | None,
    *,
    late: bool,
) -> Stretch:
    """One of them. ``late``: tokens are counted when requests end, and are not those of so short a time."""
    now, then = (after, before) if engine.habit is None else engine.habit(after, before)
    delta = differences(now, then)
    if late:
        delta.pop(C.GENERATION_TOKENS, None)
    ends = before.get(C.RUNNING, 0.0), after.get(C.RUNNING, 0.0)
    moved = any(delta.get(concept, 0.0) > 0.0 for concept in MOVING)
    steps = delta.get(C.STEPS)
    usage = [r[C.KV_USAGE] for r in (before, after) if C.KV_USAGE in r]
    running = 0.5 * sum(ends)
    crowded = bool(usage) and max(usage) >= FULL_CACHE and after.get(C.WAITING, 0.0) > 0
    context = None
    if usage and capacity and running > 0:
        context = sum(usage) / len(usage) * capacity / running
    return Stretch(
        window_s=window_s,
        full=min(ends) > 0,
        idle=max(ends) <= 0 and not moved,
        moved=moved,
        steps=None if steps is None else steps / replicas,
        generated=delta.get(C.GENERATION_TOKENS, 0.0),
        prompt=computed(delta),
        batch=batch_of(delta, [before, after], replicas),
        prefill_s=delta.get(C.PREFILL_SECONDS),
        context_tokens=context,
        capped=crowded or delta.get(C.PREEMPTIONS, 0.0) > 0.0,
    )


def frozen_s(pieces: Sequence[Stretch]) -> float:
    """For how long, up to the end, nothing moved although requests ran."""
    still = 0.0
    for piece in reversed(pieces):
        if piece.moved or not piece.full:
            break
        still += piece.window_s
    return still


def curve(whole: Serving, pieces: Sequence[Stretch]) -> LoadCurve | None:
    """Batch against step time over the stretches without prompts; None where they are few."""
    import numpy as np

    chosen = [
        (p.batch, p.window_s / p.steps, p.context_tokens, p.capped)
        for p in pieces
        if p.full and p.prompt == 0 and p.steps and p.steps >= FEWEST_STEPS and p.batch
    ]
    if len(chosen) < FEWEST_POINTS:
        return None
    batch, step_s, context, capped = (
        np.array([np.nan if v is None else v for v in column]) for column in zip(*chosen, strict=True)
    )
    return LoadCurve(batch=batch, step_s=step_s, context_tokens=context, capped=capped > 0)


def phases(whole: Serving, pieces: Sequence[Stretch]) -> list[tuple[Phase, Serving]]:
    """Prefill and decode apart, each with the time it took; nothing where they cannot be told apart."""
    full = [piece for piece in whole_steps(pieces) if piece.steps is not None]
    busy_s = sum(piece.window_s for piece in full)
    prompt = sum(piece.prompt for piece in full)
    steps = sum(piece.steps or 0.0 for piece in full)
    if not full or not steps or whole.window_s is None:
        return []
    timed = _prefill_s(full, prompt, busy_s)
    if timed is None:
        return []
    prefill_s, sure = timed
    found = []
    decode_s = busy_s - prefill_s
    scale = sum(piece.window_s for piece in pieces) / whole.window_s if whole.window_s else 1.0
    if decode_s > 0.0:
        alone = replace(
            whole,
            window_s=decode_s / scale,
            busy=True,
            step_s=decode_s / steps,
            tokens_per_step=_decode_tokens(whole),
            prompt_tokens=0.0,
            prompt_tokens_computed=0.0,
            prompt_tokens_per_s=0.0,
            flops=None,
            read_bytes=None,
            write_bytes=None,
        )
        found.append((Phase.DECODE, alone))
    if prompt > 0.0 and prefill_s > 0.0:
        chunk = min(LARGEST_CHUNK, prompt / whole.requests if whole.requests else LARGEST_CHUNK)
        found.append(
            (
                Phase.PREFILL,
                Serving(
                    engine=whole.engine,
                    model=whole.model,
                    window_s=prefill_s / scale,
                    busy=True,
                    batch=1.0,
                    tokens_per_step=chunk,
                    steps=prompt / chunk,
                    step_s=prefill_s * chunk / prompt if sure else None,
                    prompt_tokens=prompt,
                    prompt_tokens_computed=prompt,
                    prompt_tokens_per_s=prompt / prefill_s if sure else None,
                    requests_running=whole.requests_running,
                    requests_waiting=whole.requests_waiting,
                ),
            )
        )
    return found


def _decode_tokens(whole: Serving) -> float | None:
    """Tokens that pass through a step of decode: one a sequence, and those that were drafted and accepted."""
    if whole.batch is None or not whole.accepted_tokens or not whole.drafts:
        return whole.batch
    return whole.batch * (1.0 + whole.accepted_tokens / whole.drafts)


def _prefill_s(full: Sequence[Stretch], prompt: float, busy_s: float) -> tuple[float, bool] | None:
    """Time in prompts, and whether it is known well enough for a rate.

    None at all without prompts, else by how the stretches vary, else as the engine times it.
    """
    import numpy as np

    if prompt == 0.0:
        return 0.0, True
    found = split(
        np.array([piece.window_s for piece in full]),
        np.array([piece.steps or 0.0 for piece in full]),
        np.array([piece.prompt for piece in full]),
    )
    if found is not None:
        return found.prefill_s, found.error * busy_s <= SURE * found.prefill_s
    stated = [piece.prefill_s for piece in full if piece.prefill_s is not None]
    return (min(busy_s, sum(stated)), len(full) > FEWEST_POINTS) if stated and sum(stated) > 0.0 else None
