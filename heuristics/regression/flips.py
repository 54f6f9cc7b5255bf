"""Another regime or another cause than before, with both sides sure of theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

from heuristics.regression.outcome import Flip, Why
from heuristics.regression.policy import Policy
from heuristics.regression.session import Session
from heuristics.vocabulary import Regime

AGREEING = 0.75
"""Of the sessions, so many must be sure of the same word: else it was never settled, and nothing can flip."""

BOUND = frozenset({Regime.MEMORY, Regime.COMPUTE, Regime.LATENCY})


def flip(current: Session, sessions: Sequence[Session], policy: Policy) -> Flip | None:
    """The flip of regime, else of cause; none where one side is not sure, or the word was seen among the sessions."""
    return _flipped(
        Why.REGIME_FLIP, current, sessions, policy, {id(s): _regime(s, policy) for s in (current, *sessions)}
    ) or _flipped(Why.CAUSE_FLIP, current, sessions, policy, {id(s): _cause(s, policy) for s in (current, *sessions)})


def _flipped(
    why: Why, current: Session, sessions: Sequence[Session], policy: Policy, words: dict[int, str | None]
) -> Flip | None:
    now = words[id(current)]
    told = Counter(word for s in sessions if (word := words[id(s)]) is not None)
    if now is None or not told or now in told or len(sessions) < policy.sessions:
        return None
    before, agreeing = told.most_common(1)[0]
    if agreeing < AGREEING * len(sessions):
        return None
    return Flip(
        why=why,
        baseline=before,
        current=now,
        baseline_confidence=median(s.confidence for s in sessions if words[id(s)] == before),
        current_confidence=current.confidence,
        agreeing=agreeing,
        sessions=len(sessions),
    )


def _regime(session: Session, policy: Policy) -> str | None:
    sure = session.regime in BOUND and session.confidence >= policy.flip_confidence
    return session.regime.value if sure and session.regime is not None else None


def _cause(session: Session, policy: Policy) -> str | None:
    """With its regime before it: a cause that changes with the regime is the regime's flip."""
    regime = _regime(session, policy)
    return f"{regime}: {session.cause.value}" if regime is not None and session.cause is not None else None
