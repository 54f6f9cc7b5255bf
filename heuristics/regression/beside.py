"""What the verdicts of two versions say beside their speed: whether they may be compared, and what else moved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from heuristics.regression.flips import flip_between
from heuristics.regression.gate import OTHER_LOAD
from heuristics.regression.likeness import Difference, differences
from heuristics.regression.loose import positive
from heuristics.regression.metrics import ROOF
from heuristics.regression.outcome import Flip, Why
from heuristics.regression.policy import PairedPolicy
from heuristics.regression.session import Session, roof_fraction
from heuristics.vocabulary import Regime

UNDER_TEST = frozenset({"engine", "engine_version", "model", "dtype", "parallelism", "driver"})
"""Traits in which two versions may differ: they are what is compared."""

WHERE_STATED = frozenset({"workload", "load"})
"""Traits that count only where both sides state them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """``batch``: mean sequences in a step of A and of B, where the load was another one.

    ``roof``: the fractions of B's roof, a pair each; empty unless every verdict states one.
    """

    no_measure: Why | None = None
    """Why one of them says nothing of the speed."""
    unlike: tuple[Difference, ...] = ()
    batch: tuple[float, float] | None = None
    flip: Flip | None = None
    roof: tuple[tuple[float, float], ...] = ()


def no_measure(session: Session) -> Why | None:
    """Why a session says nothing of the job's speed; None where it does."""
    if session.regime is Regime.IDLE:
        return Why.NO_WORK
    return Why.STALLED if session.stalled else None


def beside(pairs: Sequence[tuple[Session, Session]], policy: PairedPolicy) -> Beside:
    """Of pairs of sessions, A first. What the host does to both sides of a pair is no difference between them."""
    a, b = [before for before, _ in pairs], [after for _, after in pairs]
    roofs = [(positive(roof_fraction(before, of=after)), positive(after.figure(ROOF))) for before, after in pairs]
    known = tuple((before, after) for before, after in roofs if before is not None and after is not None)
    return Beside(
        no_measure=next((why for session in (*a, *b) if (why := no_measure(session)) is not None), None),
        unlike=tuple(dict.fromkeys(apart for pair in pairs for apart in _apart(*pair))),
        batch=_batch(a, b),
        flip=flip_between(a, b, policy.flip_confidence),
        roof=known if len(known) == len(pairs) else (),
    )


def _apart(a: Session, b: Session) -> list[Difference]:
    return [
        apart
        for apart in differences(a, b, UNDER_TEST)
        if apart.trait not in WHERE_STATED or (apart.baseline is not None and apart.current is not None)
    ]


def _batch(a: Sequence[Session], b: Sequence[Session]) -> tuple[float, float] | None:
    before, now = ([s.batch for s in side if s.batch is not None] for side in (a, b))
    if not before or not now:
        return None
    means = fmean(before), fmean(now)
    return means if abs(math.log(means[1] / means[0])) > math.log1p(OTHER_LOAD) else None
