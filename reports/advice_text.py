"""What would help, for people: a line or two each, the largest predicted gain first."""

from __future__ import annotations

import math

from heuristics.advice.advice import Advice
from heuristics.verdict import Diagnosis
from reports.words import filled

TELLING_RANGE = 0.05
"""A range narrower than this part of the prediction is not worth its place."""


def title(diagnosis: Diagnosis) -> str:
    """The section's; of a sweep it is about the fastest level."""
    sweep = diagnosis.sweep
    return "What would help" if sweep is None else f"What would help at {sweep.fastest.offered} at once"


def told(diagnosis: Diagnosis) -> list[str]:
    """One text each."""
    return [f"{_gain(item)} {filled(item.sentence, item.figures)}{_then(item)}{_if(item)}" for item in diagnosis.advice]


HEAD = ("predicted", "what", "then bound by", "why", "assumed")


def cells(diagnosis: Diagnosis) -> list[list[str]]:
    """The same as rows under ``HEAD``, with reasons and all assumptions."""
    return [
        [
            _gain(item).rstrip(":"),
            filled(item.sentence, item.figures),
            item.then_bound_by.value if item.then_bound_by is not None else "",
            filled(item.why, item.figures),
            "; ".join(item.assumptions),
        ]
        for item in diagnosis.advice
    ]


def _gain(item: Advice) -> str:
    if item.predicted_speedup is None or item.speedup_range is None:
        return "some gain:"
    likely = _factor(item.predicted_speedup)
    low, high = (_factor(x) for x in item.speedup_range)
    whose = f" of {item.phase.value}" if item.phase is not None else ""
    wide = item.speedup_range[1] - item.speedup_range[0] > TELLING_RANGE * item.predicted_speedup
    spread = f" ({low} to {high})" if wide and low != high else ""
    return f"{likely}x{spread}{whose}:"


def _factor(value: float) -> str:
    """Two digits: no prediction is better than that."""
    if value < 9.95:
        return f"{value:.1f}"
    digits = math.floor(math.log10(value)) - 1
    return f"{round(value, -digits):.0f}"


def _if(item: Advice) -> str:
    """The assumption that matters most; the others stand in the JSON and the Markdown."""
    return f", if {item.assumptions[0]}" if item.assumptions else ""


def _then(item: Advice) -> str:
    return "" if item.then_bound_by is None else f"; then {item.then_bound_by.value}-bound"
