"""From snapshots to serving windows: differences of counters between scrapes of the same target."""

from __future__ import annotations

from collections.abc import Sequence

from collectors.engines.concepts import AVERAGED, Concept, Readings
from collectors.engines.table import ENGINES, Engine
from collectors.prometheus.exposition import Sample, Snapshot
from collectors.units import number
from heuristics.observations import Observation, Serving

C = Concept

LONGEST_WINDOW_S = 86_400.0
SHORTEST_WINDOW_S = 0.5
"""Files whose times of writing lie closer or farther apart than this were copied, not scraped, then."""

REPLICA_LABELS = ("engine", "dp_rank", "ReplicaId", "WorkerId")
"""What tells data-parallel engines of one server apart."""
RANK_LABELS = ("tp_rank", "pp_rank", "moe_ep_rank")
"""What tells series apart that repeat each other."""
MODEL_LABELS = ("model_name", "model")

ENDED_PER_RUNNING = 10.0
"""Requests that must end in a window, for each that runs, before a counter that moves at their ends is trusted."""

ALWAYS_SOME = 1.0
"""Mean requests in the system from which on a window counts as busy throughout."""


def observations(snapshots: Sequence[Snapshot], interval_s: float | None = None) -> tuple[list[Observation], list[str]]:
    """One serving window a target, from its first snapshot to its last; and what to warn of.

    ``interval_s`` is the time between the first and the last snapshot, where the user states it.
    """
    found: list[Observation] = []
    warnings: list[str] = []
    for engine, shots in _targets(snapshots):
        runs = _runs(engine, _ordered(engine, shots))
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
    """Snapshots by the engine they are of, and by the model where they name one.

    The engine is the first of the table that has series in the snapshot.
    """
    targets: list[tuple[Engine, set[str], list[Snapshot]]] = []
    for shot in snapshots:
        engine = next((e for e in ENGINES if any(s.name.startswith(e.prefixes) for s in shot.samples)), None)
        if engine is None:
            continue
        models = set(_models(shot))
        same = (t for t in targets if t[0] is engine and (not t[1] or not models or t[1] & models))
        target = next(same, None)
        if target is None:
            target = (engine, set(), [])
            targets.append(target)
        target[1].update(models)
        target[2].append(shot)
    return [(engine, shots) for engine, _, shots in targets]


def _ordered(engine: Engine, shots: Sequence[Snapshot]) -> list[Snapshot]:
    """By the times that all of them state, else by how far the counters have come, else by the files' times."""
    started = all(shot.process_start_s is not None for shot in shots)
    timed = all(shot.taken_at_s is not None for shot in shots)

    def order(shot: Snapshot) -> tuple[float, float, float, float]:
        values = readings(engine, shot)
        progress = sum(values.get(c, 0.0) for c in (C.STEPS, C.GENERATION_TOKENS, C.PROMPT_TOKENS))
        start = shot.process_start_s if started else None
        return (start or 0.0, (shot.taken_at_s if timed else None) or 0.0, progress, shot.saved_at_s or 0.0)

    return sorted(shots, key=order)


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
    for concept in engine.metrics:
        values = [s.value for s in _series(engine, shot, concept) if s.value >= 0.0]
        if values:
            found[concept] = sum(values) / len(values) if concept in AVERAGED else sum(values)
    return found


def _series(engine: Engine, shot: Snapshot, concept: Concept) -> list[Sample]:
    """The series that state a concept, without the ranks that repeat another."""
    wanted = engine.labels.get(concept, {})
    found = [
        sample
        for sample in shot.values(*engine.metrics.get(concept, ()))
        if all(sample.labels.get(k, v).startswith(v) for k, v in wanted.items())
    ]
    if not engine.ranks:
        return found
    first: dict[tuple[tuple[str, str], ...], tuple[tuple[float, ...], Sample]] = {}
    for sample in found:
        rest = tuple(sorted((k, v) for k, v in sample.labels.items() if k not in RANK_LABELS))
        rank = tuple(number(sample.labels.get(label, "0")) or 0.0 for label in RANK_LABELS)
        if rest not in first or rank < first[rest][0]:
            first[rest] = (rank, sample)
    return [sample for _, sample in first.values()]


def _replicas(engine: Engine, shot: Snapshot) -> int:
    """Data-parallel engines behind one server: each takes steps of its own, with a batch of its own."""
    for concept in (C.STEPS, C.RUNNING):
        series = _series(engine, shot, concept)
        if series:
            return len({tuple(s.labels.get(label) for label in REPLICA_LABELS) for s in series})
    return 1


def _serving(engine: Engine, before: Snapshot | None, after: Snapshot, window_s: float | None) -> Serving:
    """Differences where there are two snapshots, the lifetime's totals where there is one."""
    now: Readings = readings(engine, after)
    then: Readings | None = readings(engine, before) if before is not None else None
    if engine.habit is not None:
        now, then = engine.habit(now, then)
    replicas = _replicas(engine, after)
    delta = _differences(now, then)
    if then is not None and _is_late(engine, after, delta, _level(C.RUNNING, now, then)):
        del delta[C.GENERATION_TOKENS]
    all_steps = delta.get(C.STEPS)
    steps = None if all_steps is None else all_steps / replicas
    generated = delta.get(C.GENERATION_TOKENS)
    batch = _batch(delta, now, then, replicas)
    if generated is None and all_steps and batch:
        generated = all_steps * batch
    busy = _busy(delta, now, then, window_s)
    step_s = _step_s(delta, steps if busy else None, window_s)
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


def _is_late(engine: Engine, shot: Snapshot, delta: Readings, running: float | None) -> bool:
    """Whether the tokens counted are not those of the window, and follow better from steps and batch."""
    series = _series(engine, shot, C.GENERATION_TOKENS)
    if not series or series[0].name not in engine.late_tokens or not delta.get(C.STEPS) or not running:
        return False
    return delta.get(C.REQUESTS, 0.0) < ENDED_PER_RUNNING * running


def _level(concept: Concept, now: Readings, then: Readings | None) -> float | None:
    """The mean of what both snapshots state."""
    values = [r[concept] for r in (now, then or {}) if concept in r]
    return sum(values) / len(values) if values else None


def _ratio(delta: Readings, above: Concept, below: Concept) -> float | None:
    count = delta.get(below)
    return delta[above] / count if count and above in delta else None


def _per(amount: float | None, window_s: float | None) -> float | None:
    return None if amount is None or not window_s else amount / window_s


def _batch(delta: Readings, now: Readings, then: Readings | None, replicas: int) -> float | None:
    """Sequences in a step of one engine: counted over steps, else tokens over steps, else the requests running."""
    counted = _ratio(delta, C.BATCH_STEPS, C.STEPS)
    if counted is not None:
        return counted
    accepted, drafts = delta.get(C.ACCEPTED), delta.get(C.DRAFTS)
    per_step = _ratio(delta, C.GENERATION_TOKENS, C.STEPS)
    if per_step is not None and then is not None:
        return per_step / (1.0 + accepted / drafts) if accepted and drafts else per_step
    running = _level(C.RUNNING, now, then)
    return running / replicas if running else None


def _busy(delta: Readings, now: Readings, then: Readings | None, window_s: float | None) -> bool:
    """Whether requests ran throughout: at both ends, or, by Little's law, one or more on average."""
    if then is None:
        return False
    if now.get(C.RUNNING, 0.0) > 0 and then.get(C.RUNNING, 0.0) > 0:
        return True
    in_system = _per(delta.get(C.REQUEST_SECONDS), window_s)
    return in_system is not None and in_system >= ALWAYS_SOME


def _step_s(delta: Readings, busy_steps: float | None, window_s: float | None) -> float | None:
    """Time of a step: timed steps, else the window over its steps while requests run, else the time between tokens."""
    timed = _ratio(delta, C.STEP_TIME_SUM, C.STEP_TIME_COUNT)
    if timed:
        return timed
    if busy_steps and window_s:
        return window_s / busy_steps
    accepted, drafts = delta.get(C.ACCEPTED), delta.get(C.DRAFTS)
    between = _ratio(delta, C.TOKEN_LATENCY_SUM, C.TOKEN_LATENCY_COUNT)
    return between * (1.0 + accepted / drafts) if between and accepted and drafts else between


def _models(shot: Snapshot) -> dict[str, str]:
    """Served models by the names that labels give; Dynamo's front end writes one name in two cases."""
    for label in MODEL_LABELS:
        names = {s.labels[label].casefold(): s.labels[label] for s in shot.samples if s.labels.get(label)}
        if names:
            return names
    return {}


def _model(shot: Snapshot) -> str | None:
    """The served model's name; paths are cut to their last part."""
    names = list(_models(shot).values())
    return names[0].rstrip("/").rsplit("/", 1)[-1] if len(names) == 1 else None


def _vllm_capacity(shot: Snapshot) -> float | None:
    """Tokens that vLLM's KV caches hold, all engines together, from the labels of their configuration."""
    held = [_tokens_held(sample) for sample in shot.values("vllm:cache_config_info")]
    return sum(tokens for tokens in held if tokens is not None and tokens > 0) or None


def _tokens_held(config: Sample) -> float | None:
    stated = number(config.labels.get("kv_cache_size_tokens", ""))
    if stated is not None:
        return stated
    blocks, size = (number(config.labels.get(label, "")) for label in ("num_gpu_blocks", "block_size"))
    return None if blocks is None or size is None else blocks * size
