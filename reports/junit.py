"""A check as JUnit XML: a suite a check, a case a gate and a case a metric that is only told.

What counts is how the readers of the format show it. Jenkins, GitLab and GitHub's actions take a ``failure`` and an
``error`` for red and a ``skipped`` for neither. A regression is a failure. A check that cannot tell ends with exit code
3 and is an error of the type ``cannot_tell``: were it skipped, a gate that has not worked for weeks would look well. A
metric that is only told never fails: worse, it says so in its output.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from statistics import median

from heuristics.regression.outcome import Check, Comparison, Outcome, Role, Why
from heuristics.regression.paired import PairedCheck
from reports.check_json import expectation
from reports.check_next import FOLDER, gating
from reports.check_text import brief
from reports.check_text import render as render_text
from reports.check_words import WHYS, Answer, decisive, flipped, plain
from reports.words import rounded

ROOT = "diagnose"

FLIPS = (Why.REGIME_FLIP, Why.CAUSE_FLIP)
UNFIT = {Why.SICK_HOST, Why.NO_WORK}
"""Where no figure of the session means anything."""


class _State(StrEnum):
    PASSED = "passed"
    FAILURE = "failure"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """Names are the same night after night: readers tell by them what is new and what is fixed."""

    name: str
    state: _State = _State.PASSED
    kind: str = ""
    message: str = ""
    properties: Mapping[str, object] = field(default_factory=dict)
    says: str = ""


def render(answer: Answer, *, baseline: str = FOLDER, report: str | None = None) -> str:
    """The document, well-formed whatever the names in it are.

    ``report``: the body of what is red, the report for a terminal unless stated; ``baseline``: the folder's name in it.
    """
    text = report if report is not None else render_text(answer, baseline=baseline)
    if isinstance(answer, PairedCheck):
        name, created_at, cases = "paired", None, list(_paired(answer, decisive(answer)))
    else:
        seen = decisive(answer)
        name, created_at = seen.current.identity.get("workload") or "check", seen.current.created_at
        cases = list(_sessions(answer, seen))
    suite = _suite(answer, f"{ROOT}.{name}", created_at, cases, text)
    root = ET.Element("testsuites", {"name": ROOT, **_counts(cases)})
    root.append(suite)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _sessions(answer: Check, seen: Check) -> Iterator[_Case]:
    if gating(seen) is None:
        case = _Case(name=_name("a metric that gates", Role.GATE))
        yield _cannot_tell(case, answer) if answer.outcome is Outcome.CANNOT_TELL else _skipped(case, "not measured")
    for comparison in seen.comparisons:
        yield _metric(answer, seen, comparison)
    yield _regime(answer, seen)


def _metric(answer: Check, seen: Check, c: Comparison) -> _Case:
    case = _Case(name=_name(c.metric.label, c.role), properties=_figures(c), says=f"{c.outcome}: {WHYS[c.why]}")
    if answer.outcome is Outcome.REGRESSION and c.role is Role.GATE and c.outcome is Outcome.REGRESSION:
        return _failed(case, answer, c.why)
    if answer.outcome is Outcome.CANNOT_TELL and c.metric is seen.primary:
        return _cannot_tell(case, answer)
    if c.outcome is Outcome.CANNOT_TELL:
        return _skipped(case, WHYS[c.why])
    return _skipped(case, brief(answer)) if UNFIT & set(answer.why) else case


def _paired(answer: PairedCheck, seen: PairedCheck) -> Iterator[_Case]:
    case = _Case(name=_name(seen.metric.label, Role.GATE), properties=_pair_figures(seen), says=brief(answer))
    roof = seen.roof
    speed = [why for why in answer.why if why not in FLIPS and (roof is None or why is not Why.FARTHER_FROM_ROOF)]
    if answer.outcome is Outcome.REGRESSION and speed:
        yield _failed(case, answer, speed[0])
    else:
        yield _cannot_tell(case, answer) if answer.outcome is Outcome.CANNOT_TELL else case
    if roof is not None:
        told = _Case(
            name=_name(roof.metric.label, Role.GATE if seen.policy.roof_gates else Role.REPORT),
            properties=_pair_figures(roof),
            says=f"{roof.outcome}: {WHYS[roof.why[0]]}",
        )
        if answer.outcome is Outcome.REGRESSION and Why.FARTHER_FROM_ROOF in answer.why:
            yield _failed(told, answer, Why.FARTHER_FROM_ROOF)
        else:
            yield _skipped(told, brief(answer)) if answer.outcome is Outcome.CANNOT_TELL else told
    yield _regime(answer, seen)


def _regime(answer: Answer, seen: Answer) -> _Case:
    case = _Case(
        name=_name("regime", Role.GATE if seen.policy.flips_gate else Role.REPORT),
        says=plain(flipped(seen.flip)) if seen.flip is not None else "no flip",
    )
    if seen.flip is not None and answer.outcome is Outcome.REGRESSION and seen.flip.why in answer.why:
        return _failed(case, answer, seen.flip.why)
    return _skipped(case, brief(answer)) if answer.outcome is Outcome.CANNOT_TELL else case


def _failed(case: _Case, answer: Answer, why: Why) -> _Case:
    return replace(case, state=_State.FAILURE, kind=why.value, message=brief(answer))


def _cannot_tell(case: _Case, answer: Answer) -> _Case:
    return replace(case, state=_State.ERROR, kind=Outcome.CANNOT_TELL.value, message=brief(answer))


def _skipped(case: _Case, message: str) -> _Case:
    return replace(case, state=_State.SKIPPED, message=message)


def _name(label: str, role: Role) -> str:
    return f"{label} ({'gate' if role is Role.GATE else 'told'})"


def _figures(c: Comparison) -> Mapping[str, object]:
    return {
        "metric": c.metric.name,
        "verdict": c.outcome.value,
        "why": c.why.value,
        "n": c.sessions,
        **expectation(c),
    }


def _pair_figures(check: PairedCheck) -> Mapping[str, object]:
    return {
        "metric": check.metric.name,
        "verdict": check.outcome.value,
        "n": len(check.a),
        "current": rounded(median(check.b)) if check.b else None,
        "baseline": rounded(median(check.a)) if check.a else None,
        "change": rounded(check.change),
        "change_low": rounded(check.low),
        "change_high": rounded(check.high),
        "spread": rounded(check.spread),
        "p": rounded(check.p),
    }


def _suite(answer: Answer, name: str, created_at: str | None, cases: list[_Case], text: str) -> ET.Element:
    stamp = {"timestamp": _legal(created_at[:19])} if created_at else {}
    suite = ET.Element("testsuite", {"name": _legal(name), **_counts(cases), **stamp})
    _properties(suite, {"outcome": answer.outcome.value, "exit_code": answer.outcome.exit_code})
    for case in cases:
        element = ET.SubElement(suite, "testcase", {"classname": _legal(name), "name": case.name, "time": "0"})
        _properties(element, case.properties)
        if case.state is not _State.PASSED:
            found = ET.SubElement(element, case.state.value, {"message": _legal(case.message)})
            if case.state is not _State.SKIPPED:
                found.set("type", case.kind)
                found.text = _legal(text)
        if case.says:
            ET.SubElement(element, "system-out").text = _legal(case.says)
    if not any(case.state in (_State.FAILURE, _State.ERROR) for case in cases):
        ET.SubElement(suite, "system-out").text = _legal(text)
    return suite


def _counts(cases: list[_Case]) -> dict[str, str]:
    states = [case.state for case in cases]
    return {
        "tests": str(len(cases)),
        "failures": str(states.count(_State.FAILURE)),
        "errors": str(states.count(_State.ERROR)),
        "skipped": str(states.count(_State.SKIPPED)),
        "time": "0",
    }


def _properties(of: ET.Element, known: Mapping[str, object]) -> None:
    told = {name: value for name, value in known.items() if value is not None}
    if told:
        listed = ET.SubElement(of, "properties")
        for name, value in told.items():
            ET.SubElement(listed, "property", {"name": name, "value": _legal(str(value))})


def _legal(text: str) -> str:
    """Without the characters that XML 1.0 cannot hold, not even as references."""
    return "".join(c if _is_legal(ord(c)) else "\N{REPLACEMENT CHARACTER}" for c in text)


def _is_legal(code: int) -> bool:
    return code in (0x9, 0xA) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or 0x10000 <= code <= 0x10FFFF
