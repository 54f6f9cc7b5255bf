"""A baseline's history as plain values: JSON, and a row for each session and metric."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from heuristics.regression.change_points import Change
from heuristics.regression.history import Event, Group, Stretch, Trend
from heuristics.regression.metrics import Better
from heuristics.regression.session import Session
from reports.history_words import Files
from reports.words import rounded

SCHEMA = "diagnose.history/1"
UNITS = {"seconds": "s", "percent": "fraction", "joules": "J", "number": "tokens/s"}

Json = dict[str, Any]

COLUMNS = (
    "workload",
    "created_at",
    "metric",
    "value",
    "unit",
    "regime",
    "confidence",
    "gpu",
    "driver",
    "engine_version",
    "id",
)
"""Of ``rows``."""


def render(groups: Sequence[Group], files: Files, *, series: bool = True) -> str:
    """One indented JSON object and a line end."""
    return json.dumps(to_dict(groups, files, series=series), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_dict(groups: Sequence[Group], files: Files, *, series: bool = True) -> Json:
    """All groups; without ``series`` only what a list of them tells."""
    return {
        "schema": SCHEMA,
        "directory": files.directory,
        "sessions": files.sessions,
        "damaged": files.damaged,
        "newer": files.newer,
        "twice": files.twice,
        "groups": [_group(group, series) for group in groups],
    }


def rows(groups: Sequence[Group]) -> list[Json]:
    """A row for each session and metric, in the order of the groups; values in SI units."""
    found = []
    for group in groups:
        for trend in group.trends:
            for place, value in zip(trend.places, trend.values, strict=True):
                found.append(_row(group.sessions[place], trend, value))
    return found


def summaries(groups: Sequence[Group]) -> list[Json]:
    """A row for each group, of plain values."""
    return [_summary(group) | {f"median_{t.metric.name}": rounded(t.median) for t in group.trends} for group in groups]


def _row(session: Session, trend: Trend, value: float) -> Json:
    known = session.identity
    cells = (
        known.get("workload"),
        session.created_at,
        trend.metric.name,
        rounded(value),
        UNITS[trend.metric.unit],
        session.regime.value if session.regime is not None else None,
        rounded(session.confidence),
        known.get("gpu"),
        known.get("driver"),
        known.get("engine_version"),
        session.data,
    )
    return dict(zip(COLUMNS, cells, strict=True))


def _summary(group: Group) -> Json:
    last = group.sessions[-1]
    return {
        **group.identity,
        "sessions": len(group.sessions),
        "first": group.sessions[0].created_at,
        "last": last.created_at,
        "missing": group.missing,
        "regime": last.regime.value if last.regime is not None else None,
        "cause": last.cause.value if last.cause is not None else None,
        "confidence": rounded(last.confidence),
    }


def _group(group: Group, series: bool) -> Json:
    found = _summary(group)
    found["metrics"] = {trend.metric.name: _trend(group, trend, series) for trend in group.trends}
    if series:
        found["events"] = [_event(group, e) for e in group.events]
        found["regimes"] = [_stretch(group, s) for s in group.regimes]
    return found


def _trend(group: Group, trend: Trend, series: bool) -> Json:
    found: Json = {
        "unit": UNITS[trend.metric.unit],
        "better": trend.metric.better.value,
        "median": rounded(trend.median),
        "spread": rounded(trend.spread),
        "last": rounded(trend.values[-1]),
        "last_against_median": rounded(trend.last_against_median),
    }
    if series:
        found["series"] = [
            {"created_at": group.sessions[place].created_at, "value": rounded(value), "id": group.sessions[place].data}
            for place, value in zip(trend.places, trend.values, strict=True)
        ]
        found["changes"] = [_change(group, trend, c) for c in trend.changes]
    return found


def _change(group: Group, trend: Trend, change: Change) -> Json:
    worse = (change.size > 0.0) is (trend.metric.better is Better.LOWER)
    return {
        "kind": change.kind.value,
        "worse": worse,
        "first": group.sessions[trend.places[change.first]].created_at,
        "last": group.sessions[trend.places[change.last]].created_at,
        "change": rounded(math.expm1(change.size)),
        "low": rounded(math.expm1(change.low)),
        "high": rounded(math.expm1(change.high)),
        "p": rounded(change.p),
    }


def _event(group: Group, event: Event) -> Json:
    return {
        "created_at": group.sessions[event.place].created_at,
        "trait": event.trait,
        "before": event.before,
        "after": event.after,
    }


def _stretch(group: Group, stretch: Stretch) -> Json:
    return {
        "regime": stretch.regime.value if stretch.regime is not None else None,
        "cause": stretch.cause.value if stretch.cause is not None else None,
        "first": group.sessions[stretch.first].created_at,
        "last": group.sessions[stretch.last].created_at,
        "sessions": stretch.last - stretch.first + 1,
    }
