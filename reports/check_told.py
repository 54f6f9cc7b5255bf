"""A check told in parts that every format lays out: the answer in three lines, a table, facts by title, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from heuristics.regression.likeness import TRAITS
from heuristics.regression.outcome import Check, Comparison, Outcome, Reason, Role, Why
from heuristics.regression.paired import PairedCheck
from reports.check_figures import beside, between, change, figure, probability, span
from reports.check_next import FOLDER, Step, gating, next_steps
from reports.check_words import (
    OUTCOMES,
    SHORT,
    WHYS,
    Answer,
    decisive,
    difference,
    flipped,
    guard,
    left_out,
    outside,
    place,
    settled,
    sign,
    state,
    turned,
    unconfirmed,
)
from reports.paired_told import compared as in_turns
from reports.paired_told import headline as paired_headline
from reports.paired_told import pairs
from reports.words import number, percent

HEAD = ("metric", "verdict", "change", "now", "before", "expected", "spread", "n", "p")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Sentences with texts from outside marked as ``check_words.outside`` does; cells have none."""

    outcome: Outcome
    headline: tuple[str, str, str]
    """By how much, in which figures, against what. The first without the word of the outcome."""
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    gates: Sequence[bool]
    """By row, whether it can fail a build."""
    sections: Sequence[tuple[str, Sequence[str]]]
    next: Sequence[Step]


def told(answer: Answer, baseline: str = FOLDER) -> Told:
    """``baseline``: the folder's name, for the commands that say what to run next."""
    if isinstance(answer, PairedCheck):
        seen = decisive(answer)
        head, rows = pairs(seen)
        return Told(
            outcome=answer.outcome,
            headline=paired_headline(answer, seen),
            title="Pairs",
            head=head,
            rows=rows,
            gates=[False] * len(rows),
            sections=[(title, facts) for title, facts in in_turns(answer, seen) if facts],
            next=next_steps(answer, baseline),
        )
    check = decisive(answer)
    return Told(
        outcome=answer.outcome,
        headline=_headline(answer, check),
        title="Metrics",
        head=HEAD,
        rows=[_row(c) for c in check.comparisons],
        gates=[c.role is Role.GATE for c in check.comparisons],
        sections=[(title, facts) for title, facts in _sections(answer, check) if facts],
        next=next_steps(answer, baseline),
    )


def _headline(answer: Check, check: Check) -> tuple[str, str, str]:
    gate = gating(check)
    if check.outcome is Outcome.CANNOT_TELL:
        first = [_lacking(why, check, gate) for why in check.why]
    else:
        moved = f"{gate.metric.label} {change(gate.change)}" if gate is not None and gate.change is not None else ""
        reasons = [_reason(why, check, moved) for why in check.why if why is not Why.UNCHANGED]
        first = reasons if any(text.startswith(moved) for text in reasons) else [*reasons, moved]
    if Why.NOT_CONFIRMED in answer.why:
        first.append(unconfirmed(answer.outcome))
    return "; ".join(filter(None, first)), _figures(check, gate), _expected(check, gate)


def _reason(why: Why, check: Check, moved: str) -> str:
    if why in (Why.REGIME_FLIP, Why.CAUSE_FLIP) and check.flip is not None:
        return turned(check.flip)
    if why is Why.FARTHER_FROM_ROOF:
        roof = next(c for c in check.comparisons if c.why is why)
        told_ = f"{roof.metric.label} {change(roof.change or 0.0)}"
        return told_ if Why.SLOWER in check.why else f"{told_}, {roof.metric.slower}"
    assert check.primary is not None
    return f"{moved}, {check.primary.slower if why is Why.SLOWER else check.primary.faster}"


def _lacking(why: Why, check: Check, gate: Comparison | None) -> str:
    """Why there is no answer, with the numbers."""
    wanted = check.policy.sessions
    if why is Why.TOO_FEW_SESSIONS:
        if len(check.sessions) >= wanted and gate is not None:
            return f"{gate.sessions} of {wanted} like sessions have {gate.metric.label}"
        since = any(left.reason is Reason.BEFORE_A_STEP for left in check.left_out)
        return f"{len(check.sessions)} of {wanted} like sessions{' since the level changed' if since else ''}"
    if why is Why.UNLIKE:
        apart = check.nearly_alike
        return f"no like session: {difference(apart[0])}{_more(len(apart) - 1)}"
    if why is Why.TOO_NOISY and gate is not None and gate.visible is not None:
        return f"{gate.metric.label} is too noisy: a slow-down of {percent(gate.visible)} could hide"
    if why is Why.SICK_HOST:
        return f"{WHYS[why]}: {sign(check.guards[0])}{_more(len(check.guards) - 1)}"
    if why is Why.OTHER_LOAD and check.batch is not None:
        return f"{WHYS[why]}: batch {number(check.batch[0])} before, {number(check.batch[1])} now"
    if why is Why.MISSING_METRIC:
        if check.primary is None and check.policy.metric is not None:
            return f"no metric is called {outside(check.policy.metric)}"
        return "no speed was measured" if check.primary is None else f"{check.primary.label} was not measured"
    return WHYS[why]


def _more(count: int) -> str:
    return f" (+{count} more)" if count else ""


def _figures(check: Check, gate: Comparison | None) -> str:
    if gate is None:
        return f"No metric to compare, {_like(len(check.sessions))} before"
    now = "not measured" if gate.current is None else figure(gate.current, gate.metric.unit)
    if gate.baseline is None:
        return f"{now} now, nothing to compare with before"
    before = figure(gate.baseline, gate.metric.unit)
    return f"{now} now, {before} before: the median of {_like(gate.sessions)}"


def _expected(check: Check, gate: Comparison | None) -> str:
    if gate is None or gate.current is None:
        return "Nothing can be said of the speed of this session"
    if gate.low is None or gate.high is None or gate.floor is None or gate.visible is None:
        return f"From {check.policy.sessions} like sessions on it can be told what is expected"
    expected = f"Expected {between(gate.low, gate.high, gate.metric.unit)} ({percent(check.policy.confidence)})"
    if gate.outcome is Outcome.PASS:
        return f"{expected}; a slow-down of {percent(gate.visible)} would have been seen"
    at_least = (
        f"counts from {percent(gate.floor)} on" if gate.sessions >= check.policy.sessions else "too few to judge by"
    )
    return f"{expected}, p {probability(gate.p or 0.0)}, spread {percent(gate.spread or 0.0)}; {at_least}"


def _like(count: int) -> str:
    return f"{count} like session{'' if count == 1 else 's'}"


def _row(c: Comparison) -> list[str]:
    unit = c.metric.unit
    scale = c.current if c.current is not None else c.baseline
    p = c.p if c.p_holm is None else c.p_holm
    interval = c.low is not None and c.high is not None and scale is not None
    return [
        SHORT.get(c.metric.name, c.metric.label),
        settled(c.outcome, c.why),
        "" if c.change is None else change(c.change),
        "" if c.current is None else figure(c.current, unit),
        _before(c),
        span(c.low, c.high, scale, unit) if interval and c.low is not None and c.high is not None and scale else "",
        "" if c.spread is None else percent(c.spread),
        str(c.sessions),
        "" if p is None else probability(p),
    ]


def _before(c: Comparison) -> str:
    """In the unit of what stands beside it, which alone says it."""
    if c.baseline is None:
        return ""
    return figure(c.baseline, c.metric.unit) if c.current is None else beside(c.baseline, c.current, c.metric.unit)


def _sections(answer: Check, check: Check) -> Iterator[tuple[str, Sequence[str]]]:
    yield "Regime", _regime(check)
    yield "Host", [*map(guard, check.guards), *_allowed(check)]
    yield "Load", _load(check)
    yield "Drift", _drift(check)
    yield "Compared", _compared(check)
    yield "Left out", [left_out(left) for left in check.left_out]
    yield "Confirmation", _confirmation(answer)
    yield "Mind", [outside(warning) for warning in dict.fromkeys((*answer.warnings, *check.warnings))]


def _regime(check: Check) -> list[str]:
    if check.flip is not None:
        gates = "" if check.policy.flips_gate else "; told only (--no-flips)"
        return [f"{flipped(check.flip)}{gates}"]
    now = check.current.regime
    if now is None:
        return ["not judged in this session"]
    cause = f"{now.value}: {check.current.cause.value}" if check.current.cause is not None else now.value
    agree = sum(s.regime is now for s in check.sessions)
    before = f"; {agree} of {_like(len(check.sessions))} say the same" if check.sessions else ""
    return [f"{state(cause)} ({percent(check.current.confidence)} confidence){before}"]


def _allowed(check: Check) -> list[str]:
    return ["told only (--allow-noisy)"] if check.guards and check.policy.allow_noisy else []


def _load(check: Check) -> list[str]:
    if check.batch is None:
        return []
    before, now = map(number, check.batch)
    return [f"batch {before} before, {now} now: this is another load, and speed follows the load"]


def _drift(check: Check) -> list[str]:
    return [
        f"{c.metric.label} moved by {change(c.drift)} a session by itself; what is expected follows it"
        for c in check.comparisons
        if c.drift is not None and c.role is Role.GATE
    ]


def _compared(check: Check) -> list[str]:
    days = sorted(s.created_at[:10] for s in check.sessions if s.created_at)
    when = f" of {outside(days[0])} to {outside(days[-1])}" if days else ""
    like = [f"{_like(len(check.sessions))}{when}"] if check.sessions else []
    this = [f"this session: {outside(check.current.name)}"]
    free = " and ".join(TRAITS.get(trait, outside(trait)) for trait in sorted(check.policy.across))
    across = [f"{free} may differ (--across)"] if free else []
    return [*filter(None, (place(check),)), *this, *like, *across]


def _confirmation(answer: Check) -> list[str]:
    second = answer.confirmed_by
    if second is None:
        return []
    return [
        f"first session: {OUTCOMES[Outcome.REGRESSION]}, {_moved(answer)}",
        f"second session: {OUTCOMES[second.outcome]}, {_moved(second)}",
    ]


def _moved(check: Check) -> str:
    gate = gating(check)
    if gate is None or gate.change is None:
        return "no figure"
    return f"{gate.metric.label} {change(gate.change)}"
