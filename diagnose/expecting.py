"""What a test expects of a job, and the verdict with its words where it is not so."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from collectors.verdict_json import session_of
from diagnose.checking import check
from diagnose.sessions import Told, opened, verdict_of
from heuristics.budget import DECIDED
from heuristics.errors import DiagnoseError
from heuristics.regression.metrics import ROOF
from heuristics.regression.outcome import Outcome
from heuristics.regression.session import Session
from heuristics.vocabulary import Cause, Regime
from reports.check_text import brief
from reports.words import percent


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A verdict with its session, and its report in words. ``to_dict()`` is its JSON."""

    session: Session
    report: str
    _verdict: Mapping[str, Any] = field(repr=False)

    @property
    def regime(self) -> str | None:
        """``memory``, ``compute``, ``latency``, ``idle``, ``inconclusive``; None where nothing was measured."""
        return None if self.session.regime is None else self.session.regime.value

    @property
    def confidence(self) -> float:
        """Of the regime, 0 to 1."""
        return self.session.confidence

    @property
    def roof(self) -> float | None:
        """The fraction of the peak that the job is nearest to."""
        return self.session.figure(ROOF)

    def to_dict(self) -> dict[str, Any]:
        """The verdict's JSON."""
        return dict(self._verdict)

    def __str__(self) -> str:
        return self.report


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a job must be; None asks nothing."""

    regime: str | None = None
    cause: str | None = None
    roof: float | None = None
    confidence: float = DECIDED

    def failures(self, found: Judged) -> list[str]:
        """A sentence for each thing that is not as expected."""
        told = []
        if self.regime is not None and found.regime != self.regime:
            sure = f" ({percent(found.confidence)})" if found.regime is not None else ""
            told.append(f"expected {self.regime}-bound, found {found.regime or 'nothing measured'}{sure}")
        elif self.regime is not None and found.confidence < self.confidence:
            told.append(
                f"expected {self.regime}-bound with {percent(self.confidence)} confidence, found "
                f"{percent(found.confidence)}"
            )
        cause = found.session.cause.value if found.session.cause is not None else None
        if self.cause is not None and cause != self.cause:
            told.append(f"expected cause {self.cause}, found {cause or 'none'}")
        if self.roof is not None and (found.roof is None or found.roof < self.roof):
            reached = "is not known" if found.roof is None else f"is {percent(found.roof)}"
            told.append(f"expected {percent(self.roof)} of the nearest roof or more; what was reached {reached}")
        return told


def unknown(expected: Mapping[str, Any]) -> str | None:
    """What of a marker's keywords makes no sense."""
    names = [f.name for f in fields(Expected)] + ["workload"]
    for name in expected:
        if name not in names:
            return f"no keyword {name!r}; there are {', '.join(names)}"
    for name, words in (("regime", Regime), ("cause", Cause)):
        value = expected.get(name)
        if value is not None and value not in [w.value for w in words]:
            return f"{name} {value!r} is none of {', '.join(w.value for w in words)}"
    for name in ("roof", "confidence"):
        value = expected.get(name)
        if value is not None and not 0.0 < value <= 1.0:
            return f"{name} must lie between 0 and 1, not {value}"
    return None


def judge(source: Any, workload: str, options: Mapping[str, Any]) -> Judged:
    """The verdict on a step function, a pid, dumps, or what is a verdict already.

    Raises:
        DiagnoseError: it cannot be judged.
    """
    told = _told(source, options)
    verdict = told if isinstance(told, Mapping) else verdict_of(told)
    session = session_of(verdict, "the job under test", workload=workload)
    return Judged(session=session, report=_report(told, session), _verdict=verdict)


def compare(found: Judged, baseline: str, workload: str, *, add: bool, strict: bool) -> tuple[str, str, bool]:
    """A line on the comparison with a baseline, the whole report, and whether the test fails by it."""
    result = check(found.to_dict(), baseline=baseline, workload=workload, add=add)
    bad = result.check.outcome is Outcome.REGRESSION or (strict and result.check.outcome is Outcome.CANNOT_TELL)
    kept = "; added to the baseline" if result.added is not None else ""
    return f"{brief(result.check)}{kept}", str(result), bad


def _told(source: Any, options: Mapping[str, Any]) -> Told | Mapping[str, Any]:
    from diagnose import analyze, attach, probe

    if isinstance(source, bool):
        raise DiagnoseError(f"{source} cannot be judged", hint="a step function, a pid, or paths of dumps")
    if isinstance(source, int):
        return attach(source, **options)
    if isinstance(source, str | os.PathLike):
        return opened(source, **options)
    if isinstance(source, Mapping):
        return source
    if isinstance(source, list | tuple):
        return analyze(source, **options)
    if hasattr(source, "to_dict"):
        found: Told = source
        return found
    if callable(source):
        return probe(source, **options)
    raise DiagnoseError(f"{source!r} cannot be judged", hint="a step function, a pid, or paths of dumps")


def _report(told: Told | Mapping[str, Any], session: Session) -> str:
    """The report of a result; of a bare verdict its answer and the evidence that it has."""
    if not isinstance(told, Mapping):
        return str(told)
    shares = ", ".join(f"{share.value} {percent(value)}" for share, value in (session.shares or {}).items())
    cause = f": {session.cause.value}" if session.cause is not None else ""
    regime = session.regime.value if session.regime is not None else "nothing measured"
    texts = [str(e.get("text")) for e in told.get("evidence") or () if isinstance(e, dict) and e.get("text")]
    return "\n".join([f"{regime}{cause}, confidence {percent(session.confidence)}", shares, *texts])
