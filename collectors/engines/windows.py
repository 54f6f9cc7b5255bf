"""From snapshots to serving windows: differences of counters between scrapes of the same target."""

from __future__ import annotations

from collections.abc import Sequence

from collectors.engines.concepts import AVERAGED, Concept, Readings
from collectors.engines.table import ENGINES, Engine
from collectors.prometheus.exposition import Snapshot
from heuristics.observations import Observation, Serving

C = Concept

LONGEST_WINDOW_S = 86_400.0
SHORTEST_WINDOW_S = 0.5
"""Files whose times of writing lie closer or farther apart than this were copied, not scraped, then."""


ALWAYS_SOME = 1.0
"""Mean requests in the system from which on a window counts as busy throughout."""


def observations(snapshots: Sequence[Snapshot], interval_s: float | None = None) -> tuple[list[Observation], list[str]]:
    """One serving window a target, from its first snapshot to its last; and what to warn of.

    ``interval_s`` is the time between the first and the last snapshot, where the user states it.
    """
    found: list[Observation] = []
    warnings: list[str] = []
    for engine, shots in _targets(snapshots):
        ordered = sorted(shots, key=lambda shot: _order(engine, shot))
        runs = _runs(engine, ordered)
        if len(runs) > 1:
            warnings.append(f"{engine.name}: counters start anew between snapshots (a restart, or several servers)")
        run = max(runs, key=len)
        window, remark = _seconds(run, interval_s)
        if remark:
            warnings.append(remark)
        serving = _serving(engine, run[0] if len(run) > 1 else None, run[-1], window)
        sources = ", ".join(dict.fromkeys(shot.source for shot in run))
        found.append(Observation(source=sources, payload=serving))
    return found, warnings


def _targets(snapshots: Sequence[Snapshot]) -> list[tuple[Engine, list[Snapshot]]]:
    """Snapshots by the engine they are of; the first engine of the table that has series in it."""
    by_engine: dict[str, tuple[Engine, list[Snapshot]]] = {}
    for shot in snapshots:
        engine = next((e for e in ENGINES if any(s.name.startswith(e.prefixes) for s in shot.samples)), None)
        if engine is not None:
            by_engine.setdefault(engine.name, (engine, []))[1].append(shot)
    return list(by_engine.values())


def _order(engine: Engine, shot: Snapshot) -> tuple[float, float, float]:
    """By time where it is stated, else by how far the counters have come."""
    values = readings(engine, shot)
    progress = values.get(C.STEPS, 0.0) + values.get(C.GENERATION_TOKENS, 0.0) + values.get(C.PROMPT_TOKENS, 0.0)
    return (shot.process_start_s or 0.0, shot.taken_at_s or 0.0, progress)


def _runs(engine: Engine, shots: Sequence[Snapshot]) -> list[list[Snapshot]]:
    """Stretches of snapshots over which no counter runs backwards and the process stays the same."""
    runs: list[list[Snapshot]] = []
    for shot in shots:
        if runs and _continues(engine, runs[-1][-1], shot):
            runs[-1].append(shot)
        else:
            runs.append([shot])
    return runs


def _continues(engine: Engine, before: Snapshot, after: Snapshot) -> bool:
    started = (before.process_start_s, after.process_start_s)
    if None not in started and abs((started[0] or 0.0) - (started[1] or 0.0)) > 1.0:
        return False
    first, second = readings(engine, before), readings(engine, after)
    return all(second.get(c, v) >= v for c, v in first.items() if c.cumulative)


def _seconds(run: Sequence[Snapshot], interval_s: float | None) -> tuple[float | None, str | None]:
    """The time from the first to the last snapshot, and a remark where it had to be guessed."""
    if len(run) < 2:
        return None, None
    if interval_s is not None:
        return interval_s, None
    first, last = run[0], run[-1]
    if first.taken_at_s is not None and last.taken_at_s is not None and last.taken_at_s > first.taken_at_s:
        return last.taken_at_s - first.taken_at_s, None
    if first.saved_at_s is not None and last.saved_at_s is not None:
        apart = last.saved_at_s - first.saved_at_s
        if SHORTEST_WINDOW_S <= apart <= LONGEST_WINDOW_S:
            return apart, f"time between snapshots taken from the files' times of writing: {apart:.1f} s"
    return None, "the time between the snapshots is not known: rates are left out (give --interval SECONDS)"


def readings(engine: Engine, shot: Snapshot) -> dict[Concept, float]:
    """The concepts an engine states in a snapshot, its series joined; negative values stand for "off"."""
    found: dict[Concept, float] = {}
    for concept, names in engine.metrics.items():
        wanted = engine.labels.get(concept, {})
        series = [s for s in shot.values(*names) if all(s.labels.get(k, v).startswith(v) for k, v in wanted.items())]
        if engine.ranks:
            series = [s for s in series if s.labels.get("tp_rank", "0") == "0" and s.labels.get("pp_rank", "0") == "0"]
        values = [s.value for s in series if s.value >= 0.0]
        if values:
            found[concept] = sum(values) / len(values) if concept in AVERAGED else sum(values)
    return found


def _serving(engine: Engine, before: Snapshot | None, after: Snapshot, window_s: float | None) -> Serving:
    """Differences where there are two snapshots, the lifetime's totals where there is one."""
    now = readings(engine, after)
    then = readings(engine, before) if before is not None else None
    if engine.habit is not None:
        now, then = dict(engine.habit(now, then)), dict(engine.habit(then, None)) if then is not None else None
    delta = _differences(now, then)
    steps = delta.get(C.STEPS)
    generated = delta.get(C.GENERATION_TOKENS)
    batch = _batch(delta, now, then)
    if generated is None and steps and batch:
        generated = steps * batch
    busy = _busy(delta, now, then, window_s)
    step_s = _step_s(delta, busy, window_s)
    prompt = delta.get(C.PROMPT_TOKENS)
    return Serving(
        engine=engine.name,
        model=_model(after),
        window_s=window_s,
        lifetime=then is None,
        requests_running=_level(C.RUNNING, now, then),
        requests_waiting=_level(C.WAITING, now, then),
        batch=batch,
        tokens_per_step=_ratio(delta, C.STEP_TOKENS, C.STEPS),
        steps=steps,
        steps_per_s=_per(steps, window_s),
        step_s=step_s,
        generation_tokens=generated,
        prompt_tokens=prompt,
        prompt_tokens_computed=None if prompt is None else max(0.0, prompt - delta.get(C.CACHED_PROMPT_TOKENS, 0.0)),
        busy=busy,
        tokens_per_s=_per(generated, window_s) if then is not None else now.get(C.TOKEN_RATE),
        prompt_tokens_per_s=_per(prompt, window_s),
        time_per_output_token_s=_ratio(delta, C.TOKEN_LATENCY_SUM, C.TOKEN_LATENCY_COUNT),
        time_to_first_token_s=_ratio(delta, C.FIRST_TOKEN_SUM, C.FIRST_TOKEN_COUNT),
        kv_cache_usage=_level(C.KV_USAGE, now, then),
        kv_capacity_tokens=now.get(C.KV_CAPACITY_TOKENS) or _vllm_capacity(after),
        preemptions=delta.get(C.PREEMPTIONS),
        flops=delta.get(C.FLOPS) or None,
        read_bytes=delta.get(C.READ_BYTES) or None,
        write_bytes=delta.get(C.WRITE_BYTES) or None,
        accepted_tokens=delta.get(C.ACCEPTED),
        drafts=delta.get(C.DRAFTS),
    )


def _differences(now: Readings, then: Readings | None) -> dict[Concept, float]:
    if then is None:
        return {c: v for c, v in now.items() if c.cumulative}
    return {c: v - then.get(c, 0.0) for c, v in now.items() if c.cumulative}


def _level(concept: Concept, now: Readings, then: Readings | None) -> float | None:
    """The mean of what both snapshots state."""
    values = [r[concept] for r in (now, then or {}) if concept in r]
    return sum(values) / len(values) if values else None


def _ratio(delta: Readings, above: Concept, below: Concept) -> float | None:
    count = delta.get(below)
    return delta[above] / count if count and above in delta else None


def _per(amount: float | None, window_s: float | None) -> float | None:
    return None if amount is None or not window_s else amount / window_s


def _batch(delta: Readings, now: Readings, then: Readings | None) -> float | None:
    """Sequences in a step: counted over steps, else tokens over steps, else the requests running."""
    counted = _ratio(delta, C.BATCH_STEPS, C.STEPS)
    if counted is not None:
        return counted
    accepted, drafts = delta.get(C.ACCEPTED), delta.get(C.DRAFTS)
    per_step = _ratio(delta, C.GENERATION_TOKENS, C.STEPS)
    if per_step is not None and then is not None:
        return per_step / (1.0 + accepted / drafts) if accepted and drafts else per_step
    return _level(C.RUNNING, now, then) or None


def _busy(delta: Readings, now: Readings, then: Readings | None, window_s: float | None) -> bool:
    """Whether requests ran throughout: at both ends, or, by Little's law, one or more on average."""
    if then is None:
        return False
    if now.get(C.RUNNING, 0.0) > 0 and then.get(C.RUNNING, 0.0) > 0:
        return True
    in_system = _per(delta.get(C.REQUEST_SECONDS), window_s)
    return in_system is not None and in_system >= ALWAYS_SOME


def _step_s(delta: Readings, busy: bool, window_s: float | None) -> float | None:
    """Time of a step: timed steps, else the window over its steps while requests run, else the time between tokens."""
    timed = _ratio(delta, C.STEP_TIME_SUM, C.STEP_TIME_COUNT)
    if timed:
        return timed
    if busy and window_s and delta.get(C.STEPS):
        return window_s / delta[C.STEPS]
    accepted, drafts = delta.get(C.ACCEPTED), delta.get(C.DRAFTS)
    between = _ratio(delta, C.TOKEN_LATENCY_SUM, C.TOKEN_LATENCY_COUNT)
    return between * (1.0 + accepted / drafts) if between and accepted and drafts else between


def _model(shot: Snapshot) -> str | None:
    """The served model's name as a label; paths are cut to their last part."""
    names = {s.labels["model_name"] for s in shot.samples if s.labels.get("model_name")}
    return names.pop().rstrip("/").rsplit("/", 1)[-1] if len(names) == 1 else None


def _vllm_capacity(shot: Snapshot) -> float | None:
    """Tokens that vLLM's KV cache holds, from the labels of its configuration."""
    for sample in shot.values("vllm:cache_config_info"):
        stated = sample.labels.get("kv_cache_size_tokens", "")
        if stated.isdigit():
            return float(stated)
        blocks, size = sample.labels.get("num_gpu_blocks", ""), sample.labels.get("block_size", "")
        if blocks.isdigit() and size.isdigit():
            return float(blocks) * float(size)
    return None
