"""What held a load back whose requests at once are known: the measured batch tells, not who was seen waiting.

Requests wait for their first step whenever a level begins, for as long as the machine takes: the mean of those that
the engine says wait is no measure of what it did not run together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from heuristics.operations import Phase
from heuristics.sweep import Sweep, SweepLevel
from heuristics.verdict import Diagnosis, Judgement, PhaseJudgement
from heuristics.vocabulary import Limit

Phases = Mapping[Phase, PhaseJudgement]


def limited_level(level: SweepLevel) -> SweepLevel:
    """The level with what held it back among its limits and its decode's, and without ``queue`` where nothing did.

    That is ``kv_capacity`` where a full KV cache was seen, else ``queue``. A level whose batch was not measured stays
    as it is.
    """
    if level.batch is None or level.judgement is None:
        return level
    limit = _cap(_of_level(level)) if level.capped else None
    return replace(level, judgement=_limited(level.judgement, limit), phases=_limited_phases(level.phases, limit))


def limited(found: Diagnosis, sweep: Sweep) -> Diagnosis:
    """The diagnosis of all levels together, likewise: one level that was held back is enough.

    Where the batch stopped by the curve alone its limits stay as they were judged.
    """
    capped = [level for level in sweep.levels if level.capped]
    if not capped and found.batch_fit is not None and found.batch_fit.cap_batch is not None:
        return found
    seen = [found.whole, *_of_phases(found.phases), *(j for level in capped for j in _of_level(level))]
    limit = _cap(seen) if capped else None
    return replace(
        found,
        whole=_limited(found.whole, limit),
        phases=_limited_phases(found.phases, limit),
        devices=tuple(_limited(device, limit) for device in found.devices),
    )


def _of_level(level: SweepLevel) -> list[Judgement]:
    return [*([level.judgement] if level.judgement is not None else []), *_of_phases(level.phases)]


def _of_phases(phases: Phases) -> list[Judgement]:
    return [part.judgement for part in phases.values()]


def _cap(seen: Iterable[Judgement]) -> Limit:
    """What a measured cap comes to: the engine's own limit, unless any verdict saw its KV cache full."""
    full = any(j.verdict is not None and Limit.KV_CAPACITY in j.verdict.limits for j in seen)
    return Limit.KV_CAPACITY if full else Limit.QUEUE


def _limited(judgement: Judgement, limit: Limit | None) -> Judgement:
    """With this limit; without ``queue`` where there is none."""
    verdict = judgement.verdict
    if verdict is None:
        return judgement
    limits = {*verdict.limits, limit} if limit is not None else {*verdict.limits} - {Limit.QUEUE}
    return replace(judgement, verdict=replace(verdict, limits=tuple(sorted(limits))))


def _limited_phases(phases: Phases, limit: Limit | None) -> Phases:
    """A batch that stopped is decode's; that nothing queued is said of every phase."""
    return {
        phase: replace(part, judgement=_limited(part.judgement, limit))
        if limit is None or phase is Phase.DECODE
        else part
        for phase, part in phases.items()
    }
