"""Two versions run in turns on one machine: what the host does to both cancels within a pair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from heuristics.regression.beside import Beside
from heuristics.regression.interval import Mean, mean_interval
from heuristics.regression.likeness import Difference
from heuristics.regression.metrics import ROOF, ROOF_FRACTION, TIME_PER_OUTPUT_TOKEN, Metric
from heuristics.regression.outcome import Flip, Outcome, Why
from heuristics.regression.policy import PairedPolicy

FEWEST_PAIRS = 5

LARGEST_RATIO = math.log(1e6)
"""Changes are told up to this size: ends of intervals of a few wild pairs are beyond all numbers."""

FORBIDDING = frozenset({Why.NO_WORK, Why.STALLED, Why.UNLIKE, Why.OTHER_LOAD})
"""What more pairs would not change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedCheck:
    """B against A. ``change`` with ``low`` and ``high`` are fractions of A: +0.05 is a twentieth more."""

    outcome: Outcome
    why: tuple[Why, ...]
    policy: PairedPolicy
    metric: Metric
    a: tuple[float, ...]
    b: tuple[float, ...]
    change: float | None = None
    low: float | None = None
    high: float | None = None
    spread: float | None = None
    """Deviation of the log ratios between pairs."""
    p: float | None = None
    flip: Flip | None = None
    roof: PairedCheck | None = None
    """The same of the fraction of the roof, where every verdict states one."""
    unlike: tuple[Difference, ...] = ()
    """Traits of A and of B, in which they may not differ."""
    batch: tuple[float, float] | None = None
    """Sequences in a step of A and of B, where the load was another one."""
    confirmed_by: PairedCheck | None = None
    commands: tuple[str, str] | None = None
    """Of A and of B, as they were given."""
    warnings: tuple[str, ...] = ()


def compare_pairs(
    a: Sequence[float],
    b: Sequence[float],
    policy: PairedPolicy,
    *,
    metric: Metric = TIME_PER_OUTPUT_TOKEN,
    beside: Beside | None = None,
) -> PairedCheck:
    """What pairs of positive values, shape (pairs,) each, come to: Student's interval of their log ratios.

    A change counts where the interval excludes none and the estimate exceeds the least effect. Where the interval is
    wider than the resolution either way, nothing can be told. ``beside``: what verdicts say beside these values.
    """
    also = beside or Beside()
    known = PairedCheck(
        outcome=Outcome.CANNOT_TELL,
        why=(Why.TOO_FEW_SESSIONS,),
        policy=policy,
        metric=metric,
        a=tuple(a),
        b=tuple(b),
        flip=also.flip,
        roof=_roof(also, metric, policy),
        unlike=also.unlike,
        batch=also.batch,
    )
    if len(a) >= 2:
        ratios = [math.log(after / before) for before, after in zip(a, b, strict=True)]
        found = mean_interval(ratios, policy.confidence)
        outcome, why = _speed(found, metric, policy)
        known = replace(
            known,
            outcome=outcome,
            why=(why,),
            change=_change(found.value),
            low=_change(found.low),
            high=_change(found.high),
            spread=found.deviation,
            p=found.p,
        )
    outcome, whys = _outcome(known, also)
    return replace(known, outcome=outcome, why=whys)


def ended_early(found: PairedCheck) -> PairedCheck:
    """The same where the user ended the runs before the last pair: what was seen may fail, and never passes."""
    told = replace(found, warnings=(*found.warnings, f"ended early: {len(found.a)} of {found.policy.pairs} pairs"))
    if found.outcome is Outcome.REGRESSION or FORBIDDING.intersection(found.why):
        return told
    return replace(told, outcome=Outcome.CANNOT_TELL, why=(Why.ENDED_EARLY,))


def _roof(also: Beside, metric: Metric, policy: PairedPolicy) -> PairedCheck | None:
    if not also.roof or metric.name == ROOF:
        return None
    return compare_pairs([a for a, _ in also.roof], [b for _, b in also.roof], policy, metric=ROOF_FRACTION)


def _change(ratio: float) -> float:
    return math.expm1(max(-LARGEST_RATIO, min(ratio, LARGEST_RATIO)))


def _outcome(found: PairedCheck, also: Beside) -> tuple[Outcome, tuple[Why, ...]]:
    """First what forbids an answer, then what fails, then what lacks."""
    if also.no_measure is not None:
        return Outcome.CANNOT_TELL, (also.no_measure,)
    if found.unlike:
        return Outcome.CANNOT_TELL, (Why.UNLIKE,)
    if len(found.a) < FEWEST_PAIRS:
        return found.outcome, found.why
    flipped = (found.flip.why,) if found.flip is not None and found.policy.flips_gate else ()
    if found.batch is not None:
        return (Outcome.REGRESSION, flipped) if flipped else (Outcome.CANNOT_TELL, (Why.OTHER_LOAD,))
    slower = found.why if found.outcome is Outcome.REGRESSION else ()
    if failed := (*slower, *_farther(found), *flipped):
        return Outcome.REGRESSION, failed
    return found.outcome, found.why


def _farther(found: PairedCheck) -> tuple[Why, ...]:
    """A job that got faster is not held to its roof: it may have less to move."""
    if found.roof is None or not found.policy.roof_gates or found.outcome is Outcome.IMPROVEMENT:
        return ()
    return found.roof.why if found.roof.outcome is Outcome.REGRESSION else ()


def _speed(found: Mean, metric: Metric, policy: PairedPolicy) -> tuple[Outcome, Why]:
    if found.count < FEWEST_PAIRS:
        return Outcome.CANNOT_TELL, Why.TOO_FEW_SESSIONS
    worse = metric.worsening(found.value)
    if found.p < 1.0 - policy.confidence and abs(worse) > math.log1p(policy.min_effect):
        slower = Why.FARTHER_FROM_ROOF if metric.name == ROOF else Why.SLOWER
        return (Outcome.REGRESSION, slower) if worse > 0.0 else (Outcome.IMPROVEMENT, Why.FASTER)
    if (found.high - found.low) / 2.0 > math.log1p(policy.resolution):
        return Outcome.CANNOT_TELL, Why.TOO_NOISY
    return Outcome.PASS, Why.UNCHANGED
