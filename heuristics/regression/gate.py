"""The nightly gate: one session against the like ones before it.

The unit is the session, not the sample: repeats inside one run share its luck, and a test that counts them as
independent calls a third of healthy nights a regression. A session is one number a metric, and the next one is
expected within the prediction interval of those before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, median, stdev

from heuristics.regression.flips import flip
from heuristics.regression.health import guards, unwell
from heuristics.regression.interval import holm, prediction
from heuristics.regression.likeness import Difference, differences
from heuristics.regression.metrics import METRICS, PRIMARY, ROOF, Metric, metric_named
from heuristics.regression.outcome import Check, Comparison, LeftOut, Outcome, Role, Why
from heuristics.regression.policy import Policy
from heuristics.regression.session import Session
from heuristics.vocabulary import Regime

OTHER_LOAD = 0.2
"""A batch that differs by more than this part is another load."""


def check(current: Session, records: Sequence[Session], policy: Policy) -> Check:
    """The gate's answer, whatever is lacking: then it cannot tell, and says why."""
    sessions, left_out = chosen(current, records, policy)
    primary = _primary(current, sessions, policy)
    comparisons = _compared(current, sessions, primary, policy)
    found = Check(
        outcome=Outcome.CANNOT_TELL,
        why=(),
        current=current,
        policy=policy,
        sessions=tuple(sessions),
        primary=primary,
        comparisons=tuple(comparisons),
        flip=flip(current, sessions, policy),
        guards=tuple(guards(current, sessions)),
        left_out=tuple(left_out),
        batch=_batch(current, sessions),
    )
    outcome, why = _outcome(found)
    return replace(found, outcome=outcome, why=why)


def confirmed(first: Check, second: Check) -> Check:
    """A regression counts if a second, fresh session shows one too; else the second one's word stands."""
    if second.outcome is Outcome.REGRESSION:
        return replace(first, confirmed_by=second)
    return replace(
        first, outcome=second.outcome, why=(*second.why, Why.NOT_CONFIRMED), confirmed_by=second, flip=second.flip
    )


def most_usual(found: Check) -> Session | None:
    """Of the like sessions, the one that is nearest to their median in the metric that gates."""
    metric = found.primary
    known = [] if metric is None else [(value, s) for s in found.sessions if (value := s.figure(metric.name))]
    if not known:
        return found.sessions[-1] if found.sessions else None
    centre = median(math.log(value) for value, _ in known)
    return min(known, key=lambda pair: abs(math.log(pair[0]) - centre))[1]


def chosen(current: Session, records: Sequence[Session], policy: Policy) -> tuple[list[Session], list[LeftOut]]:
    """The newest like and healthy sessions, oldest first; and the others, counted by reason."""
    left: list[LeftOut] = []
    distinct: dict[str, Session] = {}
    for record in records:
        distinct.setdefault(record.data, record)
    if len(distinct) < len(records):
        left.append(LeftOut(count=len(records) - len(distinct), reason="told twice"))
    if distinct.pop(current.data, None) is not None:
        left.append(LeftOut(count=1, reason="the current session itself"))
    unlike: dict[tuple[Difference, ...], int] = {}
    alike = []
    for session in distinct.values():
        if apart := tuple(differences(session, current, policy.across)):
            unlike[apart] = unlike.get(apart, 0) + 1
        else:
            alike.append(session)
    left += [LeftOut(count=count, reason="unlike", differences=apart) for apart, count in unlike.items()]
    well = [session for session in alike if not unwell(session, alike)]
    if len(well) < len(alike):
        left.append(LeftOut(count=len(alike) - len(well), reason="a host that was throttled or shared"))
    well.sort(key=lambda s: s.created_at or "")
    if len(well) > policy.latest:
        left.append(LeftOut(count=len(well) - policy.latest, reason="older"))
    return well[-policy.latest :], left


def _primary(current: Session, sessions: Sequence[Session], policy: Policy) -> Metric | None:
    """The metric that was asked for, else the first of the usual ones that anybody measured."""
    if policy.metric is not None:
        return metric_named(policy.metric)
    every = (current, *sessions)
    return next((m for m in PRIMARY if any(s.figure(m.name) is not None for s in every)), None)


def _compared(
    current: Session, sessions: Sequence[Session], primary: Metric | None, policy: Policy
) -> list[Comparison]:
    """Every metric that a side has, the primary first; those that are only told are corrected for their number."""
    found = []
    for metric in METRICS:
        logs = [math.log(value) for s in sessions if (value := s.figure(metric.name)) is not None]
        if metric is primary or current.figure(metric.name) is not None or logs:
            gates = metric is primary or (metric.name == ROOF and policy.roof_gates)
            found.append(_comparison(metric, Role.GATE if gates else Role.REPORT, current, logs, policy))
    others = [c for c in found if c.metric is not primary and c.p is not None]
    adjusted = dict(zip(map(id, others), holm([c.p for c in others if c.p is not None]), strict=True))
    found = [replace(c, p_holm=adjusted[id(c)]) if id(c) in adjusted else c for c in found]
    found = [_settled(c, policy) if c.p_holm is not None else c for c in found]
    return sorted(found, key=lambda c: c.metric is not primary)


def _comparison(metric: Metric, role: Role, current: Session, logs: list[float], policy: Policy) -> Comparison:
    value = current.figure(metric.name)
    figure = current.figures.get(metric.name)
    windows = figure.windows if figure is not None else ()
    known = Comparison(
        metric=metric,
        role=role,
        outcome=Outcome.CANNOT_TELL,
        why=Why.TOO_FEW_SESSIONS,
        sessions=len(logs),
        current=value,
        windows=len(windows),
        within=stdev(windows) / fmean(windows) if len(windows) > 1 and fmean(windows) > 0.0 else None,
    )
    if value is None:
        return replace(known, why=Why.MISSING_METRIC, baseline=math.exp(fmean(logs)) if logs else None)
    if len(logs) < 2:
        return replace(known, baseline=math.exp(logs[0]) if logs else None)
    now = math.log(value)
    expected = prediction(logs, policy.confidence)
    floor = max(math.log1p(policy.min_effect), 2.0 * expected.least)
    worst = max(metric.worsening(edge - expected.centre) for edge in (expected.low, expected.high))
    known = replace(
        known,
        baseline=math.exp(expected.centre),
        low=math.exp(expected.low),
        high=math.exp(expected.high),
        change=math.expm1(now - expected.centre),
        spread=expected.deviation,
        floor=math.expm1(floor),
        visible=math.expm1(max(floor, worst)),
        p=expected.tail(now),
        drift=expected.slope,
    )
    return _settled(known, policy)


def _settled(known: Comparison, policy: Policy) -> Comparison:
    """What the numbers of one metric come to: beyond the floor and beyond the interval, or within sight, or neither."""
    assert known.change is not None
    assert known.floor is not None
    assert known.visible is not None
    if known.sessions < policy.sessions:
        return known
    worse = known.metric.worsening(math.log1p(known.change))
    p = known.p if known.p_holm is None else known.p_holm
    if p is not None and p < 1.0 - policy.confidence and abs(worse) > math.log1p(known.floor):
        slower = worse > 0.0
        return replace(
            known,
            outcome=Outcome.REGRESSION if slower else Outcome.IMPROVEMENT,
            why=(Why.FARTHER_FROM_ROOF if known.metric.name == ROOF else Why.SLOWER) if slower else Why.FASTER,
        )
    if known.visible > max(policy.resolution, policy.min_effect):
        return replace(known, outcome=Outcome.CANNOT_TELL, why=Why.TOO_NOISY)
    return replace(known, outcome=Outcome.PASS, why=Why.UNCHANGED)


def _outcome(found: Check) -> tuple[Outcome, tuple[Why, ...]]:
    """First what forbids an answer, then what fails, then what lacks."""
    policy, sessions = found.policy, found.sessions
    if found.current.regime is Regime.IDLE:
        return Outcome.CANNOT_TELL, (Why.NO_WORK,)
    if found.guards and not policy.allow_noisy:
        return Outcome.CANNOT_TELL, (Why.SICK_HOST,)
    if len(sessions) < policy.sessions:
        unlike = any(left.differences for left in found.left_out)
        return Outcome.CANNOT_TELL, (Why.UNLIKE if unlike and not sessions else Why.TOO_FEW_SESSIONS,)
    failed = [c.why for c in found.comparisons if c.role is Role.GATE and c.outcome is Outcome.REGRESSION]
    if found.flip is not None and policy.flips_gate:
        failed.append(found.flip.why)
    if failed:
        return Outcome.REGRESSION, tuple(failed)
    gate = next((c for c in found.comparisons if c.metric is found.primary), None)
    if gate is None:
        return Outcome.CANNOT_TELL, (Why.MISSING_METRIC,)
    return gate.outcome, (gate.why,)


def _batch(current: Session, sessions: Sequence[Session]) -> tuple[float, float] | None:
    """Mean batch before and now, where they are far apart."""
    before = [float(value) for s in sessions if (value := s.verdict.get("measured", {}).get("batch"))]
    now = current.verdict.get("measured", {}).get("batch")
    if not before or not now:
        return None
    usual = fmean(before)
    return (usual, float(now)) if abs(math.log(now / usual)) > math.log1p(OTHER_LOAD) else None
