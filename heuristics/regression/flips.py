"""Another regime or another cause than before, with both sides sure of theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from heuristics.regression.loose import mapping, positive
from heuristics.regression.outcome import Flip, Why
from heuristics.regression.policy import Policy
from heuristics.regression.session import Session
from heuristics.vocabulary import Cause, Regime

AGREEING = 0.75
"""Of the sessions, so many must be sure of the same word: else it was never settled, and nothing can flip."""

CLEARLY = 1.25
"""Times as many bytes that make a clear cause of memory traffic."""

TRAFFIC = frozenset({Cause.WEIGHTS, Cause.KV_CACHE})
BOUND = frozenset({Regime.MEMORY, Regime.COMPUTE, Regime.LATENCY})


def flip_between(a: Sequence[Session], b: Sequence[Session], confidence: float) -> Flip | None:
    """The flip from one set of sessions to another, both sure of their word; of its regime, else of its cause."""
    for why, word in WORDS.items():
        before, now = (_settled([word(s, confidence) for s in side]) for side in (a, b))
        if before is not None and now is not None and before[0] != now[0]:
            return Flip(
                why=why,
                baseline=before[0],
                current=now[0],
                baseline_confidence=median(s.confidence for s in a),
                current_confidence=median(s.confidence for s in b),
                agreeing=before[1],
                sessions=len(a),
            )
    return None


def _settled(words: Sequence[str | None]) -> tuple[str, int] | None:
    """The word that enough of the sessions are sure of, and how many."""
    told = Counter(word for word in words if word is not None)
    if not told:
        return None
    word, agreeing = told.most_common(1)[0]
    return (word, agreeing) if agreeing >= AGREEING * len(words) else None


def flip(current: Session, sessions: Sequence[Session], policy: Policy) -> Flip | None:
    """The flip of regime, else of cause; none where one side is not sure, or the word was seen among the sessions."""
    if len(sessions) < policy.sessions:
        return None
    for why, word in WORDS.items():
        now, told = word(current, policy.flip_confidence), [word(s, policy.flip_confidence) for s in sessions]
        settled = _settled(told)
        if now is None or settled is None or now in told:
            continue
        before, agreeing = settled
        agree = [s.confidence for s, said in zip(sessions, told, strict=True) if said == before]
        return Flip(
            why=why,
            baseline=before,
            current=now,
            baseline_confidence=median(agree),
            current_confidence=current.confidence,
            agreeing=agreeing,
            sessions=len(sessions),
        )
    return None


def _regime(session: Session, confidence: float) -> str | None:
    sure = session.regime in BOUND and session.confidence >= confidence
    return session.regime.value if sure and session.regime is not None else None


def _cause(session: Session, confidence: float) -> str | None:
    """With its regime before it: a cause that changes with the regime is the regime's flip.

    None where weights and KV cache move nearly as many bytes: the larger of two equals is chance.
    """
    regime = _regime(session, confidence)
    if session.cause in TRAFFIC and _torn(session):
        return None
    return f"{regime}: {session.cause.value}" if regime is not None and session.cause is not None else None


def _torn(session: Session) -> bool:
    measured = mapping(session.verdict, "measured")
    weights, cache = (positive(measured.get(f"{name}_bytes_per_step")) for name in ("weight", "kv"))
    return weights is not None and cache is not None and max(weights, cache) < CLEARLY * min(weights, cache)


WORDS: Mapping[Why, Callable[[Session, float], str | None]] = {Why.REGIME_FLIP: _regime, Why.CAUSE_FLIP: _cause}
"""What may flip, with the word of a session that is sure of it: its regime first."""
