"""Two versions run in turns on one machine: what the host does to both cancels within a pair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from heuristics.regression.interval import Mean, mean_interval
from heuristics.regression.metrics import TIME_PER_OUTPUT_TOKEN, Metric
from heuristics.regression.outcome import Flip, Outcome, Why
from heuristics.regression.policy import PairedPolicy

FEWEST_PAIRS = 5


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
    flip: Flip | None = None,
) -> PairedCheck:
    """What pairs of positive values, shape (pairs,) each, come to: Student's interval of their log ratios.

    A change counts where the interval excludes none and the estimate exceeds the least effect. Where the interval is
    wider than the resolution either way, nothing can be told.
    """
    known = PairedCheck(
        outcome=Outcome.CANNOT_TELL,
        why=(Why.TOO_FEW_SESSIONS,),
        policy=policy,
        metric=metric,
        a=tuple(a),
        b=tuple(b),
        flip=flip,
    )
    if len(a) < 2:
        return known
    ratios = [math.log(after / before) for before, after in zip(a, b, strict=True)]
    found = mean_interval(ratios, policy.confidence)
    outcome, why = _outcome(found, metric, policy)
    if flip is not None and policy.flips_gate and outcome is not Outcome.REGRESSION and len(a) >= FEWEST_PAIRS:
        outcome, why = Outcome.REGRESSION, flip.why
    whys = (why, flip.why) if flip is not None and why is Why.SLOWER else (why,)
    return PairedCheck(
        outcome=outcome,
        why=whys,
        policy=policy,
        metric=metric,
        a=tuple(a),
        b=tuple(b),
        change=math.expm1(found.value),
        low=math.expm1(found.low),
        high=math.expm1(found.high),
        spread=found.deviation,
        p=found.p,
        flip=flip,
    )


def _outcome(found: Mean, metric: Metric, policy: PairedPolicy) -> tuple[Outcome, Why]:
    if found.count < FEWEST_PAIRS:
        return Outcome.CANNOT_TELL, Why.TOO_FEW_SESSIONS
    worse = metric.worsening(found.value)
    if found.p < 1.0 - policy.confidence and abs(worse) > math.log1p(policy.min_effect):
        return (Outcome.REGRESSION, Why.SLOWER) if worse > 0.0 else (Outcome.IMPROVEMENT, Why.FASTER)
    if (found.high - found.low) / 2.0 > math.log1p(policy.resolution):
        return Outcome.CANNOT_TELL, Why.TOO_NOISY
    return Outcome.PASS, Why.UNCHANGED
