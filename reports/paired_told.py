"""Two versions run in turns, told: the answer in three lines, the pairs, and facts by title."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from heuristics.regression.likeness import TRAITS, Difference
from heuristics.regression.outcome import Outcome, Why
from heuristics.regression.paired import FEWEST_PAIRS, PairedCheck
from reports.check_figures import change, figure, like, probability
from reports.check_words import OUTCOMES, WHYS, flipped, outside, turned, unconfirmed
from reports.words import number, percent

MOST_PAIRS = 20


def headline(answer: PairedCheck, seen: PairedCheck) -> tuple[str, str, str]:
    """By how much, in which figures, with which certainty. ``seen``: the run that the outcome rests on."""
    return _first(answer, seen), _figures(seen), _interval(seen)


def pairs(check: PairedCheck) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """A pair a row, in the order in which they were run; the first of many."""
    unit = check.metric.unit
    usual = median(check.a) if check.a else 0.0
    rows = [
        [str(i + 1), like(a, usual, unit), like(b, usual, unit), change(b / a - 1.0)]
        for i, (a, b) in enumerate(zip(check.a, check.b, strict=True))
    ]
    return ("pair", "A", "B", "change"), rows[:MOST_PAIRS]


def compared(answer: PairedCheck, seen: PairedCheck) -> Iterator[tuple[str, Sequence[str]]]:
    """Titles with their facts."""
    more = len(seen.a) - MOST_PAIRS
    yield "More", [f"{more} more pairs"] if more > 0 else []
    yield "Regime", [_regime(seen)] if seen.flip is not None else []
    yield "Roof", [_roof(seen, seen.roof)] if seen.roof is not None and seen.roof.change is not None else []
    yield "Unlike", [_unlike(apart) for apart in seen.unlike]
    yield "Load", _load(seen)
    yield "Commands", [f"{side}: {outside(c)}" for side, c in zip("AB", answer.commands or (), strict=False)]
    yield "Confirmation", _confirmation(answer)
    yield "Mind", [outside(warning) for warning in answer.warnings]


def _first(answer: PairedCheck, seen: PairedCheck) -> str:
    moved = f"{seen.metric.label} {change(seen.change)} from A to B" if seen.change is not None else ""
    reasons = [_reason(why, seen, moved) for why in seen.why if why is not Why.UNCHANGED]
    if not any(text.startswith(moved) for text in reasons):
        reasons.append(moved)
    if Why.NOT_CONFIRMED in answer.why:
        reasons.append(unconfirmed(answer.outcome))
    return "; ".join(filter(None, reasons))


def _reason(why: Why, check: PairedCheck, moved: str) -> str:
    if why in (Why.REGIME_FLIP, Why.CAUSE_FLIP) and check.flip is not None:
        return turned(check.flip)
    if why is Why.FARTHER_FROM_ROOF and check.roof is not None:
        fell = f"{check.roof.metric.label} {change(check.roof.change or 0.0)}"
        return fell if Why.SLOWER in check.why else f"{fell}, {check.roof.metric.slower}"
    if why in (Why.SLOWER, Why.FASTER, Why.FARTHER_FROM_ROOF):
        return f"{moved}, {check.metric.faster if why is Why.FASTER else check.metric.slower}"
    if why is Why.UNLIKE and check.unlike:
        more = len(check.unlike) - 1
        return f"A and B are unlike: {_unlike(check.unlike[0])}{f' (+{more} more)' if more else ''}"
    if why is Why.ENDED_EARLY:
        return f"{WHYS[why]}, after {len(check.a)} of {check.policy.pairs} pairs"
    if why is Why.TOO_FEW_SESSIONS:
        return f"{len(check.a)} of {FEWEST_PAIRS} pairs"
    if why is Why.MISSING_METRIC:
        return f"{check.metric.label} was not measured"
    return WHYS[why]


def _figures(check: PairedCheck) -> str:
    if not check.a:
        return "No pair was measured"
    unit = check.metric.unit
    a, b = median(check.a), median(check.b)
    return f"A {figure(a, unit)}, B {figure(b, unit)}: medians of {len(check.a)} pairs run in turns on one machine"


def _interval(check: PairedCheck) -> str:
    if check.low is None or check.high is None:
        return f"From {FEWEST_PAIRS} pairs on it can be told"
    sure = percent(check.policy.confidence)
    return (
        f"Between {change(check.low)} and {change(check.high)} ({sure}), p {probability(check.p or 0.0)}, "
        f"spread {percent(check.spread or 0.0)}; counts from {percent(check.policy.min_effect)} on"
    )


def _regime(check: PairedCheck) -> str:
    assert check.flip is not None
    told = flipped(check.flip).replace(" now (", " in B (").replace(" before (", " in A (")
    return told if check.policy.flips_gate else f"{told}; told only (--no-flips)"


def _roof(check: PairedCheck, roof: PairedCheck) -> str:
    a, b = (figure(median(side), roof.metric.unit) for side in (roof.a, roof.b))
    told = f"A at {a} of it, B at {b}: {change(roof.change or 0.0)}, p {probability(roof.p or 0.0)}"
    return told if check.policy.roof_gates else f"{told}; told only (--no-roof)"


def _unlike(apart: Difference) -> str:
    a, b = (outside(side) if side is not None else "not stated" for side in (apart.baseline, apart.current))
    return f"{TRAITS.get(apart.trait, apart.trait)} {a} in A, {b} in B"


def _load(check: PairedCheck) -> list[str]:
    if check.batch is None:
        return []
    a, b = map(number, check.batch)
    return [f"batch {a} in A, {b} in B: this is another load, and speed follows the load"]


def _confirmation(answer: PairedCheck) -> list[str]:
    second = answer.confirmed_by
    if second is None:
        return []
    runs = (("first", Outcome.REGRESSION, answer.change), ("second", second.outcome, second.change))
    return [
        f"{which} run: {OUTCOMES[outcome]}" + ("" if moved is None else f", {answer.metric.label} {change(moved)}")
        for which, outcome, moved in runs
    ]
