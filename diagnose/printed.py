"""What one run of a command printed, read as what is compared: a verdict, a JSON object with figures, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from collectors.verdict_json import FAMILY, session_of
from diagnose.running import Run
from diagnose.sessions import watched
from heuristics.errors import DiagnoseError
from heuristics.regression.beside import no_measure
from heuristics.regression.loose import positive
from heuristics.regression.metrics import METRICS, PRIMARY, Better, Metric
from heuristics.regression.session import Session

WALL = Metric(name="wall_s", label="wall time of the command", better=Better.LOWER, unit="seconds")
MOST_NAMES, LONGEST_NAME = 8, 40
_HINT = (
    'print a verdict (diagnose ... --format json), or a JSON object such as {"step_s": 0.02}; '
    "--metric wall_s takes the time of the commands, whatever they print"
)


class Kind(StrEnum):
    """Of what was printed, in words."""

    VERDICT = "a verdict"
    FIGURES = "a JSON object of figures"
    NOTHING = "no JSON object"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one run of a command came to; ``value`` is None only of a verdict on an idle job."""

    kind: Kind
    metric: Metric | None
    value: float | None
    session: Session | None = None

    @property
    def idle(self) -> bool:
        """The job did nothing while it was watched, so that there is no figure of it."""
        return self.session is not None and no_measure(self.session) is not None


def reading(done: Run, wanted: Metric | None, before: Kind | None) -> Reading:
    """The figure of a run. ``wanted``: the metric of the runs before, or the one that was asked for.

    ``before``: what those runs printed.

    Raises:
        DiagnoseError: it prints something else than the runs before, no figure of the metric, broken JSON, or a
            provisional verdict.
        UnreadableDump: its verdict cannot be read.
    """
    told = done.last_object()
    session = session_of(watched(told, done.command), done.command) if told is not None and _is_verdict(told) else None
    kind = Kind.NOTHING if told is None else Kind.FIGURES if session is None else Kind.VERDICT
    if before is not None and kind is not before:
        raise DiagnoseError(f"{done.command}: prints {kind}, and a run before it {before}", hint=_HINT)
    if told is None and (broken := done.broken_object()) is not None:
        raise DiagnoseError(f"{done.command}: prints no JSON: {broken[:LONGEST_NAME]}", hint=_HINT)
    if told is None and wanted in (None, WALL):
        return Reading(kind=kind, metric=WALL, value=done.wall_s)
    values = _values(told or {}, session)
    chosen = wanted or next((metric for metric in (*PRIMARY, *METRICS) if metric.name in values), None)
    found = Reading(
        kind=kind, metric=chosen, value=None if chosen is None else values.get(chosen.name), session=session
    )
    if found.value is None and not found.idle:
        raise DiagnoseError(f"{done.command}: {_lacking(chosen, told, session)}", hint=_HINT)
    return found


def _is_verdict(told: Mapping[str, Any]) -> bool:
    return str(told.get("schema")).startswith(FAMILY)


def _values(told: Mapping[str, Any], session: Session | None) -> dict[str, float]:
    """Numbers above zero by the names of metrics."""
    found = {m.name: positive(told.get(m.name) if session is None else session.figure(m.name)) for m in METRICS}
    return {name: value for name, value in found.items() if value is not None}


def _lacking(metric: Metric | None, told: Mapping[str, Any] | None, session: Session | None) -> str:
    what = "a metric that is known" if metric is None else f"its {metric.label} ({metric.name})"
    if told is None:
        return f"does not tell {what}: it prints no JSON object"
    names = list(told if session is None else session.figures)
    listed = ", ".join(_named(told, name) if session is None else name for name in names[:MOST_NAMES]) or "nothing"
    return f"does not tell {what}: it has {listed}{' ...' if len(names) > MOST_NAMES else ''}"


def _named(told: Mapping[str, Any], name: str) -> str:
    """With its value, where that is what is wrong with it."""
    known = any(metric.name == name for metric in METRICS)
    short = name[:LONGEST_NAME]
    return f"{short} {str(told[name])[:LONGEST_NAME]}" if known else short
