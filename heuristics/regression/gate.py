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

from heuristics.regression.choosing import choose
from heuristics.regression.flips import flip
from heuristics.regression.health import guards
from heuristics.regression.interval import holm, prediction
from heuristics.regression.metrics import METRICS, ROOF, Metric
from heuristics.regression.outcome import Check, Comparison, Outcome, Role, Why
from heuristics.regression.policy import Policy
from heuristics.regression.session import Session, roof_fraction
from heuristics.vocabulary import Regime

OTHER_LOAD = 0.2
"""A batch that differs by more than this part is another load."""


def check(current: Session, records: Sequence[Session], policy: Policy) -> Check:
    """The gate's answer, whatever is lacking: then it cannot tell, and says why."""
    chosen = choose(current, records, policy)
    sessions, primary = chosen.sessions, chosen.primary
    comparisons = _compared(current, sessions, primary, policy)
    found = Check(
        outcome=Outcome.CANNOT_TELL,
        why=(),
        current=current,
        policy=policy,
        sessions=sessions,
        primary=primary,
        comparisons=tuple(comparisons),
        flip=flip(current, sessions, policy),
        guards=tuple(guards(current, sessions)),
        left_out=chosen.left_out,
        batch=other_load(current, sessions),
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


def _compared(
    current: Session, sessions: Sequence[Session], primary: Metric | None, policy: Policy
) -> list[Comparison]:
    """Every metric that a side has, the primary first; those that are only told are corrected for their number."""
    found = []
    reference = max((current, *sessions), key=lambda s: s.peaks.get("bandwidth_bytes_per_s", 0.0))
    for metric in METRICS:
        logs = [math.log(value) for s in sessions if (value := _value(metric, s, reference)) is not None]
        if metric is primary or current.figure(metric.name) is not None or logs:
            gates = metric is primary or (metric.name == ROOF and policy.roof_gates)
            role = Role.GATE if gates else Role.REPORT
            found.append(_comparison(metric, role, current, _value(metric, current, reference), logs, policy))
    others = [c for c in found if c.metric is not primary and c.p is not None]
    adjusted = dict(zip(map(id, others), holm([c.p for c in others if c.p is not None]), strict=True))
    found = [replace(c, p_holm=adjusted[id(c)]) if id(c) in adjusted else c for c in found]
    found = [_settled(c, policy) if c.p_holm is not None else c for c in found]
    return sorted(found, key=lambda c: c.metric is not primary)


def _value(metric: Metric, session: Session, reference: Session) -> float | None:
    """The session's figure; of the roof as a fraction of the reference's peaks, where both state theirs."""
    return roof_fraction(session, of=reference) if metric.name == ROOF else session.figure(metric.name)


def _comparison(
    metric: Metric, role: Role, current: Session, value: float | None, logs: list[float], policy: Policy
) -> Comparison:
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
    if found.current.stalled:
        return Outcome.CANNOT_TELL, (Why.STALLED,)
    if found.guards and not policy.allow_noisy:
        return Outcome.CANNOT_TELL, (Why.SICK_HOST,)
    if found.primary is None or (not sessions and found.current.figure(found.primary.name) is None):
        return Outcome.CANNOT_TELL, (Why.MISSING_METRIC,)
    if len(sessions) < policy.sessions:
        unlike = any(left.differences for left in found.left_out)
        return Outcome.CANNOT_TELL, (Why.UNLIKE if unlike and not sessions else Why.TOO_FEW_SESSIONS,)
    flipped = [found.flip.why] if found.flip is not None and policy.flips_gate else []
    if found.batch is not None:
        return (Outcome.REGRESSION, tuple(flipped)) if flipped else (Outcome.CANNOT_TELL, (Why.OTHER_LOAD,))
    gates = [c for c in found.comparisons if c.role is Role.GATE]
    primary = next((c for c in gates if c.metric is found.primary), None)
    faster = primary is not None and primary.outcome is Outcome.IMPROVEMENT
    failed = [c.why for c in gates if c.outcome is Outcome.REGRESSION and not (faster and c.metric.name == ROOF)]
    if failed or flipped:
        return Outcome.REGRESSION, (*failed, *flipped)
    assert primary is not None
    if found.current.regime is None:
        return Outcome.CANNOT_TELL, (Why.NO_VERDICT,)
    if any(c.why is Why.MISSING_METRIC and c.sessions >= policy.sessions for c in gates):
        return Outcome.CANNOT_TELL, (Why.MISSING_METRIC,)
    return primary.outcome, (primary.why,)


def other_load(current: Session, sessions: Sequence[Session]) -> tuple[float, float] | None:
    """Sequences in a step before, their median, and now, where that is beyond all that was before."""
    now = current.batch
    before = [s.batch for s in sessions if s.batch is not None]
    if now is None or not before:
        return None
    within = min(before) / (1.0 + OTHER_LOAD) <= now <= max(before) * (1.0 + OTHER_LOAD)
    return None if within else (median(before), now)
