"""What a snapshot states, concept by concept, and the differences between two of them."""

from __future__ import annotations

from collections.abc import Sequence

from collectors.engines.concepts import AVERAGED, Concept, Readings
from collectors.engines.table import Engine
from collectors.prometheus.exposition import Sample, Snapshot
from collectors.units import number

C = Concept

REPLICA_LABELS = ("engine", "dp_rank", "ReplicaId", "WorkerId")
"""What tells data-parallel engines of one server apart."""
RANK_LABELS = ("tp_rank", "pp_rank", "moe_ep_rank")
"""What tells series apart that repeat each other."""
CACHE_CONFIGS = ("vllm:cache_config_info", "diagnose_demo:cache_config_info")
"""Series whose labels tell the size of the KV cache."""
MODEL_LABELS = ("model_name", "model")


def readings(engine: Engine, shot: Snapshot) -> dict[Concept, float]:
    """The concepts an engine states in a snapshot, its series joined; negative values stand for "off"."""
    found: dict[Concept, float] = {}
    for concept in engine.metrics:
        values = [s.value for s in series(engine, shot, concept) if s.value >= 0.0]
        if values:
            found[concept] = sum(values) / len(values) if concept in AVERAGED else sum(values)
    return found


def series(engine: Engine, shot: Snapshot, concept: Concept) -> list[Sample]:
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


def replicas_of(engine: Engine, shot: Snapshot, before: Snapshot | None = None) -> int:
    """Data-parallel engines behind one server: each takes steps of its own, with a batch of its own.

    Between two snapshots those count that took any: the others had no work.
    """
    for concept in (C.STEPS, C.RUNNING):
        found = series(engine, shot, concept)
        if found:
            now = {_replica(s): s.value for s in found}
            then = {_replica(s): s.value for s in series(engine, before, concept)} if before is not None else {}
            if concept is C.STEPS and then:
                moved = sum(value > then.get(replica, 0.0) for replica, value in now.items())
                return moved or len(now)
            return len(now)
    return 1


def _replica(sample: Sample) -> tuple[str | None, ...]:
    return tuple(sample.labels.get(label) for label in REPLICA_LABELS)


def computed(delta: Readings) -> float:
    """Prompt tokens without those that the prefix cache gave."""
    return max(0.0, delta.get(C.PROMPT_TOKENS, 0.0) - delta.get(C.CACHED_PROMPT_TOKENS, 0.0))


def differences(now: Readings, then: Readings | None) -> dict[Concept, float]:
    if then is None:
        return {c: v for c, v in now.items() if c.cumulative}
    return {c: v - then.get(c, 0.0) for c, v in now.items() if c.cumulative}


def batch_of(delta: Readings, every: Sequence[Readings], replicas: int) -> float | None:
    """Sequences in a step of one engine: counted over steps, else tokens over steps, else the requests running."""
    counted = ratio(delta, C.BATCH_STEPS, C.STEPS)
    if counted is not None:
        return counted
    accepted, drafts = delta.get(C.ACCEPTED), delta.get(C.DRAFTS)
    per_step = ratio(delta, C.GENERATION_TOKENS, C.STEPS)
    if per_step is not None and len(every) > 1:
        return per_step / (1.0 + accepted / drafts) if accepted and drafts else per_step
    running = level(C.RUNNING, every)
    return running / replicas if running else None


def capacity_of(values: Readings, shot: Snapshot) -> float | None:
    """Tokens that the KV caches hold, all engines together."""
    return values.get(C.KV_CAPACITY_TOKENS) or _stated_capacity(shot)


def _stated_capacity(shot: Snapshot) -> float | None:
    """Tokens that the KV caches hold, all engines together, from the labels of their configuration."""
    held = [_tokens_held(sample) for sample in shot.values(*CACHE_CONFIGS)]
    return sum(tokens for tokens in held if tokens is not None and tokens > 0) or None


def _tokens_held(config: Sample) -> float | None:
    stated = number(config.labels.get("kv_cache_size_tokens", ""))
    if stated is not None:
        return stated
    blocks, size = (number(config.labels.get(label, "")) for label in ("num_gpu_blocks", "block_size"))
    return None if blocks is None or size is None else blocks * size


def models(shot: Snapshot) -> dict[str, str]:
    """Served models by the names that labels give; Dynamo's front end writes one name in two cases."""
    for label in MODEL_LABELS:
        names = {s.labels[label].casefold(): s.labels[label] for s in shot.samples if s.labels.get(label)}
        if names:
            return names
    return {}


def ratio(delta: Readings, above: Concept, below: Concept) -> float | None:
    count = delta.get(below)
    return delta[above] / count if count and above in delta else None


def level(concept: Concept, every: Sequence[Readings]) -> float | None:
    """The mean of what the snapshots state."""
    values = [r[concept] for r in every if concept in r]
    return sum(values) / len(values) if values else None


def per(amount: float | None, window_s: float | None) -> float | None:
    return None if amount is None or not window_s else amount / window_s
