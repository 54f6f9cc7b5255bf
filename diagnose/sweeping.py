"""A sweep: say what will be sent, watch the server, load it level by level, and judge each level and the whole."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from collectors.dump import Interrupt
from collectors.fold import fold
from collectors.load import engine_batch, observed
from collectors.load.completions import models
from collectors.load.driver import Driven, Driver, in_thread
from collectors.load.endpoint import MODELS
from collectors.load.exchange import Failure, Peer, fetched
from collectors.load.figures import Figures
from collectors.load.level import LevelLoad
from collectors.load.plan import Account, Plan, told
from collectors.record import Record
from collectors.redaction import model_name
from collectors.watched import Watched
from diagnose.elsewhere import Elsewhere
from diagnose.live import LiveJob, Look
from diagnose.pipeline import diagnose_watched
from diagnose.sweep_target import Target, check_consent, target_of, watcher
from diagnose.watching import Store
from heuristics.assemble import Given
from heuristics.errors import DiagnoseError
from heuristics.observations import Observation, Serving
from heuristics.sweep import Sweep, SweepLevel
from heuristics.verdict import Diagnosis

Tell = Callable[[str], None]

SETTLE_S = 0.5
"""For the sources to find what they read before the load begins."""

AGREES = 0.15
"""Part by which the engine's running requests may differ from the client's count."""
HALF = 0.5
SHORT = 0.9
"""Answers shorter than this part of what was asked are told."""
UNLIKE = 0.15
"""So far may prompts be from the length that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How to sweep, beside the plan. ``yes``: the user agrees to load a server that is not on this machine."""

    look: Look
    served: str | None = None
    yes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Level:
    """One level with what was watched meanwhile."""

    load: LevelLoad
    seen: Figures
    watched: Watched
    batch: float | None
    source: str | None
    running: float | None

    @property
    def factor(self) -> float:
        """Of the measured batch over what the client counted."""
        return self.batch / self.seen.batch if self.batch is not None and self.seen.batch else 1.0


def statement(target: Target, plan: Plan, *, credential: bool) -> list[str]:
    """What will be sent, before anything is."""
    process = "" if target.pid is None else f" (process {target.pid})"
    return plan.statement(f"{target.address.base}/v1{process}", credential=credential)


def stated(target: str, plan: Plan, *, credential: bool) -> list[str]:
    """The same for a target as typed; nothing is sent.

    Raises:
        DiagnoseError: it cannot be swept.
    """
    return statement(target_of(target), plan.checked(), credential=credential)


def sweep(target: str, plan: Plan, terms: Terms, given: Given, *, interrupt: Interrupt, tell: Tell) -> Diagnosis:
    """Load the server and judge what was seen.

    Raises:
        DiagnoseError: the target or the plan makes no sense, or the server does not do what is asked.
    """
    place = target_of(target)
    plan = plan.checked()
    for line in statement(place, plan, credential=terms.look.credential is not None):
        tell(line)
    check_consent(place, yes=terms.yes)
    peer = Peer(address=place.address, credential=terms.look.credential)
    served, owner = _served(peer, terms.served)
    store = Store()
    job = watcher(place, terms.look, owner, store)
    driver = Driver(
        plan,
        peer,
        served=served,
        seed=int.from_bytes(os.urandom(6), "big"),
        interrupted=lambda: interrupt.requested or job.ended,
        tell=tell,
    )
    job.start()
    try:
        time.sleep(SETTLE_S)
        driven = driver.run()
    finally:
        job.stop()
    if driven.failure is not None:
        raise _error(place, driven.failure)
    if not driven.levels:
        raise DiagnoseError(
            f"{place.address.base}: {driven.stopped or 'nothing could be measured'}",
            hint="diagnose sweep ... --timeout 300 --level-seconds 30, where the server is slow; else see its log",
        )
    return _judged(place, plan, driven, driver.account, store, job, given, served)


def _served(peer: Peer, stated_name: str | None) -> tuple[str, str | None]:
    """The model to ask for, and who says to own it."""
    answer = in_thread(fetched(peer, MODELS))
    listed = [] if isinstance(answer, Failure) else models(answer)
    if stated_name is not None:
        return stated_name, next((owner for name, owner in listed if name == stated_name), None)
    if isinstance(answer, Failure):
        hint = answer.hint or "--served-model NAME, where it does not list its models"
        raise DiagnoseError(f"{peer.address.base}{MODELS}: {answer.reason}", hint=hint)
    if not listed:
        raise DiagnoseError(f"{peer.address.base}{MODELS} lists no model", hint="--served-model NAME")
    return listed[0]


def _error(place: Target, failure: Failure) -> DiagnoseError:
    hint = failure.hint or "see the server's log; --dry-run shows what is sent"
    return DiagnoseError(f"{place.address.base}: {failure.reason}", hint=hint)


def _judged(
    place: Target,
    plan: Plan,
    driven: Driven,
    account: Account,
    store: Store,
    job: LiveJob | Elsewhere,
    given: Given,
    served: str,
) -> Diagnosis:
    overhead = job.watch.overhead()
    origin_s = job.watch.begun_s
    levels = [_level(load, seen, store, origin_s, overhead) for load, seen in driven.levels]
    name = next((level.watched.subject.engine for level in levels if level.watched.subject.engine), None)
    called = name or "an OpenAI-compatible server"
    model = model_name(served)
    rows = [_row(level, given, called, model) for level in levels]
    begin_s, end_s = driven.levels[0][0].begin_s or origin_s, driven.levels[-1][0].end_s
    watched = fold([*store.between(begin_s - origin_s, end_s - origin_s), overhead])
    whole = observed.pooled([level.seen for level in levels])
    batch = _pooled_batch(levels)
    every = observed.observations(watched.observations, whole, batch=batch, name=called, model=model)
    varied = observed.curve([(level.seen, level.factor) for level in levels])
    if varied is not None:
        every.append(Observation(source=observed.SOURCE, payload=varied))
    found = diagnose_watched(_with(watched, every, end_s - begin_s), given)
    return replace(
        found,
        engine=found.engine or name,
        model=found.model or model,
        warnings=(*_warnings(plan, driven, account, levels), *found.warnings),
        sweep=Sweep(
            target=place.address.base,
            levels=tuple(rows),
            prompt_tokens=whole.prompt_tokens,
            output_tokens=whole.output_tokens,
            requests=account.requests,
            tokens=account.tokens,
            wall_s=driven.wall_s,
            client_cpu_s=driven.cpu_s,
            failures=dict(account.failures),
            stopped=driven.stopped,
        ),
    )


def _level(load: LevelLoad, seen: Figures, store: Store, origin_s: float, overhead: Record) -> _Level:
    begin_s = load.begin_s or load.started_s
    records = store.between(begin_s - origin_s, load.end_s - origin_s)
    watched = fold([*records, overhead])
    running = engine_batch.running(records, load.intervals, origin_s)
    served = (o.payload for o in watched.observations if isinstance(o.payload, Serving) and o.phase is None)
    replicas = next((payload.replicas for payload in served), 1)
    batch, source = _batch(seen, load.offered, running, replicas)
    return _Level(load=load, seen=seen, watched=watched, batch=batch, source=source, running=running)


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
    return replace(watched, observations=tuple(every), subject=subject)


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
    cached = sum(level.seen.cached_tokens * level.seen.prompts for level in levels)
    if cached > 0:
        found.append(f"the prefix cache gave {cached:,.0f} prompt tokens although no two prompts were alike")
    return found
