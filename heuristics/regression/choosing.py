"""Which sessions of a baseline the current one is held against: like ones, healthy ones, at the present level."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from heuristics.regression.health import unwell
from heuristics.regression.likeness import Difference, differences
from heuristics.regression.metrics import PRIMARY, Metric, metric_named
from heuristics.regression.outcome import LeftOut, Reason
from heuristics.regression.policy import Policy
from heuristics.regression.session import Session, distinct
from heuristics.regression.steps import present_level


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """``sessions`` oldest first; ``primary`` is the metric that gates, None where nobody has any."""

    sessions: tuple[Session, ...]
    left_out: tuple[LeftOut, ...]
    primary: Metric | None


def choose(current: Session, records: Iterable[Session], policy: Policy) -> Chosen:
    """The sessions that count, and the others by reason."""
    every = list(records)
    once = distinct(every)
    others = [s for s in once if s.data != current.data]
    left = [
        LeftOut(count=len(every) - len(once), reason=Reason.TWICE),
        LeftOut(count=len(once) - len(others), reason=Reason.CURRENT),
    ]
    unlike: dict[tuple[Difference, ...], int] = {}
    alike = []
    for session in others:
        if apart := tuple(differences(session, current, policy.across)):
            unlike[apart] = unlike.get(apart, 0) + 1
        else:
            alike.append(session)
    left += [LeftOut(count=count, reason=Reason.UNLIKE, differences=apart) for apart, count in unlike.items()]
    primary = _primary(current, alike, policy)
    well = [session for session in alike if not unwell(session, alike)]
    left.append(LeftOut(count=len(alike) - len(well), reason=Reason.UNWELL))
    measured = [s for s in well if primary is None or s.figure(primary.name) is not None]
    left.append(LeftOut(count=len(well) - len(measured), reason=Reason.WITHOUT_METRIC))
    measured.sort(key=lambda s: s.created_at or "")
    newest = measured[-policy.latest :]
    left.append(LeftOut(count=len(measured) - len(newest), reason=Reason.OLDER))
    level = 0
    if primary is not None:
        logs = [math.log(value) for s in newest if (value := s.figure(primary.name)) is not None]
        level = present_level(logs, math.log1p(policy.min_effect))
    left.append(LeftOut(count=level, reason=Reason.BEFORE_A_STEP))
    return Chosen(sessions=tuple(newest[level:]), left_out=tuple(x for x in left if x.count), primary=primary)


def _primary(current: Session, alike: Sequence[Session], policy: Policy) -> Metric | None:
    """The metric that was asked for, else the first usual one that enough sessions have; then tonight must have it too.

    Where no metric has enough yet, the first that the current session has, or anybody.
    """
    if policy.metric is not None:
        return metric_named(policy.metric)
    for metric in PRIMARY:
        if sum(s.figure(metric.name) is not None for s in alike) >= policy.sessions:
            return metric
    for some in ([current], alike):
        for metric in PRIMARY:
            if any(s.figure(metric.name) is not None for s in some):
                return metric
    return None
