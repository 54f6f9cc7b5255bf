"""A baseline's history in words: which group, what changed when, and what of the files could not be read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from heuristics.regression.change_points import Change, Kind
from heuristics.regression.history import Event, Group, Stretch, Trend
from heuristics.regression.likeness import TRAITS
from heuristics.regression.metrics import PRIMARY, Metric
from heuristics.regression.policy import FEWEST_SESSIONS
from heuristics.regression.session import Session
from reports.words import FORMATS, percent, printable

UNNAMED = "no workload name"
NEAR = 1
"""Sessions that a version may be away from a change that it explains."""


TOGETHER = 2
"""Sessions that the changes of two metrics may be apart and still be told together."""


class Files(NamedTuple):
    """Of a baseline: its folder, and lines that are no sessions or are there twice."""

    directory: str
    sessions: int
    damaged: int = 0
    newer: int = 0
    twice: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """A change or an event: the session that it begins at by its place in the group, and the words for it."""

    place: int
    text: str
    trend: Trend | None = None
    change: Change | None = None

    @property
    def worse(self) -> bool | None:
        """None for an event."""
        if self.trend is None or self.change is None:
            return None
        return self.trend.metric.worsening(self.change.size) > 0.0

    def goes_with(self, other: Happening) -> bool:
        """Whether another metric changed in the same way at about the same time."""
        if self.change is None or other.change is None or self.trend is other.trend:
            return False
        return (
            self.change.kind is other.change.kind
            and self.worse is other.worse
            and abs(self.place - other.place) <= TOGETHER
        )


def title(group: Group) -> str:
    """What the user calls it."""
    return printable(group.workload or UNNAMED)


def identity(group: Group) -> str:
    """The traits that the sessions share, after the name."""
    known = group.identity
    device = known.get("devices") or known.get("gpu") or known.get("host")
    host = known.get("host") if known.get("host") != device else None
    told = [load_of(known), device, *(known.get(t) for t in ("engine", "model", "dtype", "parallelism")), host]
    return printable(", ".join([*filter(None, told), f"measured by {known.get('measured_by') or 'unknown means'}"]))


def load_of(identity: Mapping[str, str | None]) -> str | None:
    """What was stated of the load, where the workload has another name."""
    return identity.get("load") if identity.get("load") != identity.get("workload") else None


def moment(session: Session, group: Group) -> str:
    """The day, with the time where a day has several sessions."""
    days = [(s.created_at or "")[:10] for s in group.sessions]
    when = session.created_at or "no date"
    return printable(when[:10] if len(set(days)) == len(days) else when[:16].replace("T", " "))


def ready(group: Group) -> str:
    """Whether the gate has enough to answer."""
    if not any(trend.metric in PRIMARY for trend in group.trends):
        return "no speed that the gate could compare"
    if not group.missing:
        return "enough for the gate"
    versions = " of its versions" if group.events else ""
    sessions = "1 more session" if group.missing == 1 else f"{group.missing} more sessions"
    return f"the gate needs {sessions} like the newest{versions} ({FEWEST_SESSIONS} in all)"


def value(metric: Metric, found: float) -> str:
    """A value with its unit, where the metric's label does not hold it."""
    return FORMATS[metric.unit](found)


def signed(log_ratio: float) -> str:
    """A relative change: +5.1 %."""
    change = math.expm1(log_ratio)
    return f"{'+' if change >= 0 else '−'}{percent(abs(change))}"


def happenings(group: Group) -> list[Happening]:
    """What changed, in the order of the sessions, the metrics' changes before versions."""
    found = [Happening(place=e.place, text=event(e)) for e in group.events]
    for trend in group.trends:
        for change in trend.changes:
            place = trend.places[change.first]
            near = [event(e) for e in group.events if change.kind is Kind.STEP and abs(e.place - place) <= NEAR]
            beside = f", with {' and '.join(near)}" if near else ""
            text = f"{trend.metric.label} {changed(trend.metric, change, group, trend)}{beside}"
            found.append(Happening(place=place, text=text, trend=trend, change=change))
    return sorted(found, key=lambda h: (h.place, h.trend is None))


def changed(metric: Metric, change: Change, group: Group, trend: Trend) -> str:
    """``+5.1 % (slower), 95 % +4.0 % to +6.2 %, p 0.0002``."""
    word = metric.slower if metric.worsening(change.size) > 0.0 else metric.faster
    until = ""
    if change.kind is Kind.DRIFT:
        count = change.last - change.first
        last = moment(group.sessions[trend.places[change.last]], group)
        until = f" in a drift until {last}, {signed(change.size / count)} a session"
    between = f"95 % {signed(change.low)} to {signed(change.high)}"
    return f"{signed(change.size)} ({word}){until}; {between}, p\N{NO-BREAK SPACE}{change.p:.4f}"


def event(found: Event) -> str:
    """``driver 550.54 → 560.28``."""
    return printable(f"{TRAITS[found.trait]} {found.before} → {found.after}")


def regime(found: Stretch | Session) -> str:
    """``memory: weights``."""
    if found.regime is None:
        return "no regime"
    return found.regime.value + (f": {found.cause.value}" if found.cause is not None else "")


def flaws(files: Files) -> Iterator[str]:
    """A line for each kind of line that gave no session."""
    for count, one, several in (
        (files.damaged, "line is damaged", "lines are damaged"),
        (files.newer, "line is of a newer diagnose", "lines are of a newer diagnose"),
    ):
        if count:
            yield f"{count:,} {one if count == 1 else several}, left out here and kept in the file"
    if files.twice:
        yield f"{files.twice:,} {'session is' if files.twice == 1 else 'sessions are'} there twice, counted once"
