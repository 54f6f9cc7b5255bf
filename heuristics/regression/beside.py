"""What the verdicts of two versions say beside their speed: whether they may be compared, and what else moved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from heuristics.regression.flips import flip_between
from heuristics.regression.gate import OTHER_LOAD
from heuristics.regression.likeness import Difference, differences
from heuristics.regression.loose import mapping, positive
from heuristics.regression.metrics import ROOF
from heuristics.regression.outcome import Flip
from heuristics.regression.policy import PairedPolicy
from heuristics.regression.session import Session
from heuristics.vocabulary import Regime

UNDER_TEST = frozenset({"engine", "engine_version", "model", "dtype", "parallelism", "driver"})
"""Traits in which two versions may differ: they are what is compared."""

WHERE_STATED = frozenset({"workload", "load"})
"""Traits that count only where both sides state them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """``batch``: mean sequences in a step of A and of B, where the load was another one.

    ``roof``: the fractions of the roof, a pair each; empty unless every verdict states one.
    """

    idle: bool = False
    unlike: tuple[Difference, ...] = ()
    batch: tuple[float, float] | None = None
    flip: Flip | None = None
    roof: tuple[tuple[float, float], ...] = ()


def beside(pairs: Sequence[tuple[Session, Session]], policy: PairedPolicy) -> Beside:
    """Of pairs of sessions, A first. What the host does to both sides of a pair is no difference between them."""
    a, b = [before for before, _ in pairs], [after for _, after in pairs]
    roofs = [(positive(before.figure(ROOF)), positive(after.figure(ROOF))) for before, after in pairs]
    known = tuple((before, after) for before, after in roofs if before is not None and after is not None)
    return Beside(
        idle=any(session.regime is Regime.IDLE for session in (*a, *b)),
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
    before, now = _batches(a), _batches(b)
    if not before or not now:
        return None
    means = fmean(before), fmean(now)
    return means if abs(math.log(means[1] / means[0])) > math.log1p(OTHER_LOAD) else None


def _batches(sessions: Sequence[Session]) -> list[float]:
    found = [positive(mapping(session.verdict, "measured").get("batch")) for session in sessions]
    return [batch for batch in found if batch is not None]
