"""A sweep: say what will be sent, watch the server, load it level by level, and judge each level and the whole."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from collectors.dump import Interrupt
from collectors.load.completions import models
from collectors.load.driver import Driver, in_thread
from collectors.load.endpoint import MODELS
from collectors.load.exchange import Failure, Peer, fetched
from collectors.load.plan import Plan
from collectors.redaction import model_name
from diagnose.elsewhere import Elsewhere
from diagnose.live import LiveJob, Look
from diagnose.sweep_judging import Seen, judged
from diagnose.sweep_target import Target, check_consent, target_of, watcher, withheld
from diagnose.watching import Store
from heuristics.assemble import Given
from heuristics.errors import DiagnoseError
from heuristics.verdict import Diagnosis

Tell = Callable[[str], None]

SETTLE_S = 0.5
"""For the sources to find what they read before the load begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How to sweep, beside the plan. ``yes``: the user agrees to load a server that is not on this machine."""

    look: Look
    served: str | None = None
    yes: bool = False


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
    look, words = withheld(place, terms.look)
    if words is not None:
        tell(words)
    peer = Peer(address=place.address, credential=terms.look.credential)
    served, owner = _served(peer, terms.served)
    store = Store()
    job = watcher(place, look, owner, store)
    driver = Driver(
        plan,
        peer,
        served=served,
        seed=int.from_bytes(os.urandom(6), "big"),
        ended=lambda: _ended(interrupt, job),
        tell=tell,
    )
    job.start()
    try:
        if place.pid is not None:
            time.sleep(SETTLE_S)
        driven = driver.run()
    finally:
        job.stop()
    if driven.failure is not None:
        raise _error(place, driven.failure)
    if not driven.levels:
        raise DiagnoseError(
            f"{place.address.base}: nothing was measured: {driven.stopped}",
            hint="let it reach its first level; --timeout 300 --level-seconds 30 where the server is slow",
        )
    seen = Seen(between=store.between, origin_s=job.watch.begun_s, overhead=job.watch.overhead())
    return judged(place.address.base, plan, driven, driver.account, seen, given, served=model_name(served))


def _ended(interrupt: Interrupt, job: LiveJob | Elsewhere) -> str | None:
    """What ends the load from outside."""
    if interrupt.requested:
        return "interrupted"
    return "the server's process ended" if job.ended else None


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
