"""Numbers, changes and names of a comparison, as people read them."""

from __future__ import annotations

from collections.abc import Callable

from heuristics.kernel_class import short_name
from heuristics.regression.likeness import TRAITS, Difference
from heuristics.regression.moved import (
    Answer,
    Basis,
    Change,
    Circumstance,
    Measure,
    Reason,
)
from reports.sweep_text import NAMES
from reports.words import FORMATS, filled, percent, printable

LONGEST_OUTSIDE = 60
"""Letters of a text from outside that are shown."""

PER = {
    Basis.STEP: "a step",
    Basis.OUTPUT_TOKEN: "an output token",
    Basis.TOKEN: "a token of all sequences",
    Basis.KERNELS: "in kernels",
    Basis.RECORDING: "recorded",
}

TITLES = {
    Basis.STEP: "A step by share, as judged",
    Basis.OUTPUT_TOKEN: "An output token by share, as judged",
    Basis.TOKEN: "A token of all sequences by share, as judged",
    Basis.KERNELS: "Time in kernels by share, as judged",
    Basis.RECORDING: "The time recorded by share, as judged",
}

MEASURES = {
    Measure.STEP: "a step",
    Measure.RECORDING: "in the whole recording",
    Measure.ROOF: "a step at the achievable roof: what is due, not what was measured",
}


def outside(text: str) -> str:
    """A text from outside in one line, not too long."""
    plain = printable(text)
    return plain if len(plain) <= LONGEST_OUTSIDE else f"{plain[: LONGEST_OUTSIDE - 1]}…"


Quote = Callable[[str], str]
"""How a text from outside is shown: names of kernels, devices, models, files."""


def told_apart(difference: Difference, quote: Quote = outside) -> str:
    """``device A100 → H100``."""
    word = TRAITS.get(difference.trait, difference.trait)
    return f"{word} {quote(difference.baseline or '')} → {quote(difference.current or '')}"


def reason_text(reason: Reason, quote: Quote = outside) -> str:
    """A reason with the share that it moves."""
    told = filled(reason.sentence, reason.figures)
    if reason.subject is not None:
        told = f"{quote(short_name(reason.subject))}: {told}"
    return told if reason.share is None else f"{reason.share.value}: {told}"


def circumstance_text(circumstance: Circumstance, quote: Quote = outside) -> str:
    """``batch 8 → 16``."""
    told = [
        quote(value) if isinstance(value, str) else FORMATS[circumstance.unit or "number"](value)
        for value in (circumstance.before, circumstance.after)
    ]
    plain = circumstance.label.replace(" ", "").replace(",", "").replace("/", "")
    label = outside(circumstance.label) if plain.isalnum() else quote(circumstance.label)
    return f"{label} {' → '.join(told)}"


def regime_text(answer: Answer) -> str:
    """``memory-bound, weights (97 %)``."""
    return f"{named(answer)} ({sure(answer)})" if answer.regime is not None else "nothing measured"


def named(answer: Answer) -> str:
    """``memory-bound, weights``."""
    if answer.regime is None:
        return "nothing measured"
    cause = f", {answer.cause.value.replace('_', ' ')}" if answer.cause is not None else ""
    return f"{NAMES[answer.regime]}{cause}"


def sure(answer: Answer) -> str:
    """The confidence."""
    return "?" if answer.confidence is None else percent(answer.confidence)


def arrow(change: Change) -> str:
    """``4.1 ms → 5.3 ms``, or the one value where nothing changed."""
    if change.unchanged:
        return told(change, change.after)
    return f"{told(change, change.before)} → {told(change, change.after)}"


def told(change: Change, value: float | None) -> str:
    """A value in the figure's own unit."""
    return "" if value is None else FORMATS[change.unit](value)


def signed(change: Change) -> str:
    """The change with its sign, ``=`` where there is none."""
    if change.by is None:
        return ""
    if change.unchanged:
        return "="
    size = abs(change.by)
    return sign(change.by) + (f"{100.0 * size:.3g} points" if change.unit == "percent" else told(change, size))


def sign(value: float) -> str:
    """Plus, or a minus as wide as it."""
    return "−" if value < 0.0 else "+"


def relative(change: Change) -> str:
    """The change as a part of what was before, signed."""
    if change.relative is None or change.unchanged:
        return ""
    if abs(change.relative) >= 9.995:
        return f"{change.relative + 1.0:,.0f}x"
    return f"{sign(change.relative)}{percent(abs(change.relative))}"
