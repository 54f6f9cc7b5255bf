"""A baseline's sessions over time: put together by what makes them alike, with what changed when.

Another driver or engine version starts no new group, unlike in the gate: it is marked, so that a step at an upgrade is
explained.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median, stdev

from heuristics.regression.change_points import Change, change_points
from heuristics.regression.choosing import choose
from heuristics.regression.likeness import TRAITS, differences
from heuristics.regression.metrics import METRICS, PRIMARY, Metric
from heuristics.regression.policy import Policy
from heuristics.regression.session import Session, distinct
from heuristics.vocabulary import Cause, Regime

VERSIONS = frozenset({"engine_version", "driver"})
"""Traits that are marked where they change; all others part the groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """One metric over a group's sessions, in SI units.

    ``places``: of the sessions that have it, among the group's; ``values``: theirs. ``spread``: relative deviation
    between sessions, None for a single one. ``changes`` count by these values, not by the group's sessions.
    """

    metric: Metric
    places: tuple[int, ...]
    values: tuple[float, ...]
    median: float
    spread: float | None
    changes: tuple[Change, ...]

    @property
    def last_against_median(self) -> float:
        """Of the newest session: +0.1 is a tenth more than the median of all."""
        return self.values[-1] / self.median - 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Another version from the session at ``place`` on."""

    place: int
    trait: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Sessions ``first`` to ``last`` with one regime and cause."""

    first: int
    last: int
    regime: Regime | None
    cause: Cause | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Alike sessions, oldest first. ``identity``: their traits without the versions. ``missing``: sessions like the
    newest one that the gate still needs.
    """

    identity: Mapping[str, str | None]
    sessions: tuple[Session, ...]
    trends: tuple[Trend, ...]
    events: tuple[Event, ...]
    regimes: tuple[Stretch, ...]
    missing: int

    @property
    def workload(self) -> str | None:
        """What the user calls it."""
        return self.identity.get("workload")

    @property
    def primary(self) -> Trend | None:
        """The trend of the metric that gates unless told otherwise."""
        trends = {trend.metric: trend for trend in self.trends}
        return next((trends[metric] for metric in PRIMARY if metric in trends), None)


def grouped(sessions: Sequence[Session]) -> list[list[Session]]:
    """Alike sessions together, each group oldest first, the groups by their first session.

    Where a session does not state a trait that the others need not state either, it goes to the first group that it
    fits.
    """
    groups: list[list[Session]] = []
    known: list[Session] = []
    for session in sorted(sessions, key=lambda s: s.created_at or ""):
        place = next((i for i, of in enumerate(known) if not differences(of, session, VERSIONS)), None)
        if place is None:
            groups.append([session])
            known.append(session)
            continue
        groups[place].append(session)
        told = {t: v for t, v in session.identity.items() if v is not None and known[place].identity.get(t) is None}
        if told:
            known[place] = replace(known[place], identity={**known[place].identity, **told})
    return groups


def history(
    sessions: Sequence[Session], *, workload: str | None = None, metric: Metric | None = None, changes: bool = True
) -> list[Group]:
    """The groups of ``sessions``, all of them or those of a workload, with all metrics or one.

    ``changes``: whether change points are looked for, which takes most of the time.
    """
    wanted = [s for s in distinct(sessions) if workload is None or s.identity.get("workload") == workload]
    return [_group(group, METRICS if metric is None else (metric,), changes) for group in grouped(wanted)]


def _group(sessions: Sequence[Session], metrics: Sequence[Metric], changes: bool) -> Group:
    trends = (_trend(sessions, metric, changes) for metric in metrics)
    identity = {t: next((v for s in sessions if (v := s.identity.get(t))), None) for t in TRAITS if t not in VERSIONS}
    return Group(
        identity=identity,
        sessions=tuple(sessions),
        trends=tuple(trend for trend in trends if trend is not None),
        events=tuple(_events(sessions)),
        regimes=tuple(_regimes(sessions)),
        missing=_missing(sessions),
    )


def _missing(sessions: Sequence[Session]) -> int:
    """For a next session that is like the newest one."""
    policy = Policy()
    found = choose(replace(sessions[-1], data=""), sessions, policy)
    return policy.sessions if found.primary is None else max(0, policy.sessions - len(found.sessions))


def _trend(sessions: Sequence[Session], metric: Metric, changes: bool) -> Trend | None:
    found = [(i, value) for i, s in enumerate(sessions) if (value := s.figure(metric.name)) is not None]
    if not found:
        return None
    places, values = zip(*found, strict=True)
    logs = [math.log(value) for value in values]
    return Trend(
        metric=metric,
        places=places,
        values=values,
        median=median(values),
        spread=stdev(logs) if len(logs) > 1 else None,
        changes=tuple(change_points(logs)) if changes else (),
    )


def _events(sessions: Sequence[Session]) -> Iterable[Event]:
    for trait in (t for t in TRAITS if t in VERSIONS):
        before: str | None = None
        for place, session in enumerate(sessions):
            now = session.identity.get(trait)
            if before is not None and now is not None and now != before:
                yield Event(place=place, trait=trait, before=before, after=now)
            before = now or before


def _regimes(sessions: Sequence[Session]) -> list[Stretch]:
    found: list[Stretch] = []
    for place, session in enumerate(sessions):
        if found and (found[-1].regime, found[-1].cause) == (session.regime, session.cause):
            found[-1] = replace(found[-1], last=place)
        else:
            found.append(Stretch(first=place, last=place, regime=session.regime, cause=session.cause))
    return found
