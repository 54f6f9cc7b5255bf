"""From what was sent and what was watched meanwhile to the verdict on each level and on all of them together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from collectors.fold import fold
from collectors.load import engine_batch, observed, samples
from collectors.load.driver import Driven
from collectors.load.figures import Figures
from collectors.load.level import LevelLoad
from collectors.load.plan import Account, Plan, told
from collectors.record import Record
from collectors.watched import Watched
from diagnose.pipeline import diagnose_watched
from heuristics.advice.actions import advise_swept
from heuristics.assemble import Given
from heuristics.held_back import limited, limited_level
from heuristics.observations import Observation, Serving
from heuristics.sweep import Sweep, SweepLevel
from heuristics.verdict import Diagnosis

AGREES = 0.15
"""Part by which the engine's running requests may differ from the client's count."""
HALF = 0.5
SHORT = 0.9
"""Answers shorter than this part of what was asked are told."""
CACHED = 0.05
"""Of a prompt: what every prompt begins with, a template or a mark, is less."""
UNLIKE = 0.15
"""So far may prompts be from the length that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was watched: ``between`` gives the records between two of their own times, which count from ``origin_s``."""

    between: Callable[[float, float], list[Record]]
    origin_s: float
    overhead: Record

    def records(self, begin_s: float, end_s: float) -> list[Record]:
        """Those between two monotonic times."""
        return self.between(begin_s - self.origin_s, end_s - self.origin_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Level:
    """One level with what was watched meanwhile."""

    load: LevelLoad
    seen: Figures
    watched: Watched
    batch: float | None
    source: str | None
    running: float | None
    replicas: int

    @property
    def factor(self) -> float:
        """Of the measured batch over what the client counted."""
        return self.batch / self.seen.batch if self.batch is not None and self.seen.batch else 1.0


def judged(
    target: str, plan: Plan, driven: Driven, account: Account, watched: Seen, given: Given, *, served: str
) -> Diagnosis:
    """The diagnosis of a load that reached one level at least. ``served``: the model's name, as it may be told."""
    levels = [_level(load, seen, watched) for load, seen in driven.levels]
    name = next((level.watched.subject.engine for level in levels if level.watched.subject.engine), None)
    called = name or "an OpenAI-compatible server"
    rows = [limited_level(_row(level, given, called, served)) for level in levels]
    begin_s, end_s = driven.levels[0][0].begin_s or watched.origin_s, driven.levels[-1][0].end_s
    together = fold([*watched.records(begin_s, end_s), watched.overhead])
    whole = observed.pooled([level.seen for level in levels])
    batch = _pooled_batch(levels)
    every = observed.observations(together.observations, whole, batch=batch, name=called, model=served)
    varied = observed.curve(
        [
            observed.Counted(seen=level.seen, factor=level.factor, offered=level.load.offered / level.replicas)
            for level in levels
        ]
    )
    if varied is not None:
        every.append(Observation(source=observed.SOURCE, payload=varied))
    found = diagnose_watched(_with(together, every, end_s - begin_s), given)
    sweep = Sweep(
        target=target,
        levels=tuple(rows),
        prompt_tokens=whole.prompt_tokens,
        output_tokens=whole.output_tokens,
        requests=account.requests,
        tokens=account.tokens,
        wall_s=driven.wall_s,
        client_cpu_s=driven.cpu_s,
        failures=dict(account.failures),
        stopped=driven.stopped,
    )
    advice, withheld = advise_swept(sweep)
    limits = limited(found, sweep)
    latencies = samples.together(driven.levels)
    return replace(
        limits,
        whole=replace(limits.whole, measured={**limits.whole.measured, **latencies}),
        samples=samples.samples(driven.levels),
        workload=plan.workload(samples.measured_at(driven.levels)),
        engine=found.engine or name,
        model=found.model or served,
        warnings=(*_warnings(plan, driven, account, levels), *found.warnings),
        advice=advice,
        withheld=withheld,
        sweep=sweep,
    )


def _level(load: LevelLoad, seen: Figures, watched: Seen) -> _Level:
    records = watched.records(load.begin_s or load.started_s, load.end_s)
    meanwhile = fold([*records, watched.overhead])
    running = engine_batch.running(records, load.intervals, watched.origin_s, seen.step_s)
    served = (o.payload for o in meanwhile.observations if isinstance(o.payload, Serving) and o.phase is None)
    replicas = next((payload.replicas for payload in served), 1)
    batch, source = _batch(seen, load.offered, running, replicas)
    return _Level(
        load=load, seen=seen, watched=meanwhile, batch=batch, source=source, running=running, replicas=replicas
    )


def _batch(seen: Figures, offered: int, running: float | None, replicas: int) -> tuple[float | None, str | None]:
    """Sequences in a step of one engine. The engine's word counts; the client's count is finer where the two agree."""
    if seen.batch is None:
        return None, None
    if not running:
        return seen.batch, "the client's count of streams that decode"
    if (1.0 - AGREES) * seen.batch - HALF <= running <= (1.0 + AGREES) * offered + HALF:
        return seen.batch / replicas, "the client's count of streams that decode, which the engine's agrees with"
    return running / replicas, "the requests that the engine says it runs"


def _pooled_batch(levels: list[_Level]) -> float | None:
    steps = [(sum(p.steps for p in level.seen.pieces), level.batch) for level in levels]
    total = sum(count for count, batch in steps if batch is not None)
    return sum(count * batch for count, batch in steps if batch is not None) / total if total else None


def _with(watched: Watched, every: list[Observation], window_s: float) -> Watched:
    subject = replace(watched.subject, window_s=window_s, sources=tuple(dict.fromkeys(o.source for o in every)))
    return replace(watched, observations=tuple(every), subject=subject, windows=())


def _row(level: _Level, given: Given, name: str, model: str) -> SweepLevel:
    seen, load = level.seen, level.load
    every = observed.observations(level.watched.observations, seen, batch=level.batch, name=name, model=model)
    found = diagnose_watched(_with(level.watched, every, seen.window_s), given)
    return SweepLevel(
        offered=load.offered,
        window_s=seen.window_s,
        requests=load.sent,
        failed=load.failed,
        tokens_per_s=seen.tokens_per_s,
        prompt_tokens_per_s=seen.prompt_tokens_per_s,
        tokens_per_event=seen.tokens_per_event,
        batch=level.batch,
        batch_source=level.source,
        step_s=seen.step_s,
        decode_only_s=seen.alone_s,
        context_tokens=seen.context_tokens,
        engine_running=level.running,
        first_token=seen.first,
        between_tokens=seen.between,
        judgement=found.whole,
        phases=found.phases,
        complete=load.whole,
    )


def _warnings(plan: Plan, driven: Driven, account: Account, levels: list[_Level]) -> list[str]:
    """What to know of the load itself."""
    found = []
    if account.failures:
        found.append(f"failed requests: {told(account.failures)}")
    others = [str(x.load.offered) for x in levels if x.running is not None and x.batch and x.factor > 1.0 + AGREES]
    if others:
        found.append(f"the engine ran more requests than were sent at {', '.join(others)} at once: it has other users")
    if all(level.running is None for level in levels):
        found.append(
            "the engine's own batch could not be read: the batch is the client's count of the streams that decode"
        )
    blind = [str(level.load.offered) for level in levels if level.seen.batch is None]
    if blind:
        found.append(
            f"at {', '.join(blind)} at once no five steps passed without a prompt: no batch and no step time there "
            "(--output-tokens 512, --level-seconds 30)"
        )
    counted = [level.seen.output_tokens for level in levels if level.seen.output_tokens is not None]
    if counted and min(counted) < SHORT * plan.output_tokens:
        found.append(f"answers ended after {min(counted):.0f} tokens, {plan.output_tokens} were asked for")
    if driven.endpoint is not None and driven.answer is not None and driven.answer.usage.output_tokens is None:
        found.append("the server does not count tokens (usage): each event of the stream is taken for one")
    prompt = levels[-1].seen.prompt_tokens
    if abs(prompt - plan.prompt_tokens) > UNLIKE * plan.prompt_tokens:
        found.append(f"prompts had {prompt:.0f} tokens, {plan.prompt_tokens} were asked for")
    several = max(level.seen.tokens_per_event for level in levels)
    if several > 1.0 + AGREES:
        found.append(f"an event holds {several:.2g} tokens: the time between them is an event's, divided evenly")
    cached = max(level.seen.cached_tokens / max(1.0, level.seen.prompt_tokens) for level in levels)
    if cached > CACHED:
        found.append(f"a prefix cache gave {cached:.0%} of the prompts although no two of them were alike")
    return found
