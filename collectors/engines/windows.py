"""From snapshots to serving windows: differences of counters between scrapes of the same target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from collectors.engines.concepts import Concept
from collectors.engines.readings import models, readings
from collectors.engines.serving import serving
from collectors.engines.stretches import Computing, Stretch, curve, phases, stretches
from collectors.engines.table import ENGINES, Engine
from collectors.prometheus.exposition import Snapshot
from heuristics.observations import Observation, Serving

C = Concept

LONGEST_WINDOW_S = 86_400.0
SHORTEST_WINDOW_S = 0.5
"""Files whose times of writing lie closer or farther apart than this were copied, not scraped, then."""

UNSURE = 0.1
"""Part of a window by which its ends may be uncertain before that is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The longest run of snapshots of one engine over which its counters ran on, and what it served meanwhile."""

    engine: Engine
    run: tuple[Snapshot, ...]
    pieces: tuple[Stretch, ...]
    """The stretches between the snapshots, where there are several and their times are known."""
    whole: Serving
    remarks: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Where its snapshots came from."""
        return ", ".join(dict.fromkeys(shot.source for shot in self.run))


def targets(
    snapshots: Sequence[Snapshot], interval_s: float | None = None, computing: Computing | None = None
) -> list[Target]:
    """Every engine that the snapshots are of.

    ``interval_s`` is the time between the first and the last snapshot, where the user states it; ``computing`` is told
    by who watched the CPUs.
    """
    found = []
    for engine, shots in _targets(snapshots):
        runs = _runs(engine, _ordered(engine, shots))
        remarks = []
        if len(runs) > 1:
            remarks.append(f"{engine.name}: counters start anew between snapshots (a restart, or several servers)")
        run = max(runs, key=len)
        window, remark = _seconds(run, interval_s)
        if remark:
            remarks.append(remark)
        remarks += _slow(engine, run, window)
        pieces = stretches(engine, run, computing)
        whole = serving(engine, run, window, pieces)
        found.append(Target(engine=engine, run=tuple(run), pieces=tuple(pieces), whole=whole, remarks=tuple(remarks)))
    return found


def described(found: Sequence[Target]) -> tuple[list[Observation], list[str]]:
    """One serving window a target, from its first snapshot to its last; and what to warn of.

    Many snapshots also tell prefill from decode, and how the step grows with the batch.
    """
    every: list[Observation] = []
    for target in found:
        source, whole, pieces = target.source, target.whole, target.pieces
        every.append(Observation(source=source, payload=whole))
        every += [Observation(source=source, payload=part, phase=phase) for phase, part in phases(whole, pieces)]
        varied = curve(whole, pieces)
        if varied is not None:
            every.append(Observation(source=source, payload=varied))
    return every, [remark for target in found for remark in target.remarks]


def observations(
    snapshots: Sequence[Snapshot], interval_s: float | None = None, computing: Computing | None = None
) -> tuple[list[Observation], list[str]]:
    """What the targets of the snapshots are seen to do, and what to warn of."""
    return described(targets(snapshots, interval_s, computing))


def _targets(snapshots: Sequence[Snapshot]) -> list[tuple[Engine, list[Snapshot]]]:
    """Snapshots by the engine they are of, and by the model where they name one.

    The engine is the first of the table that has series in the snapshot.
    """
    targets: list[tuple[Engine, set[str], list[Snapshot]]] = []
    for shot in snapshots:
        engine = next((e for e in ENGINES if any(s.name.startswith(e.prefixes) for s in shot.samples)), None)
        if engine is None:
            continue
        named = set(models(shot))
        same = (t for t in targets if t[0] is engine and (not t[1] or not named or t[1] & named))
        target = next(same, None)
        if target is None:
            target = (engine, set(), [])
            targets.append(target)
        target[1].update(named)
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


def _slow(engine: Engine, run: Sequence[Snapshot], window_s: float | None) -> list[str]:
    """When a counter was looked at is known to half the time that the answer took."""
    unsure_s = 0.5 * (run[0].took_s + run[-1].took_s)
    if not window_s or unsure_s <= UNSURE * window_s:
        return []
    longest_s = max(run[0].took_s, run[-1].took_s)
    return [
        f"{engine.name} took {longest_s:.2g} s to state its counters: over {window_s:.2g} s its rates may be "
        f"{unsure_s / window_s:.0%} off; watch for longer"
    ]


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
