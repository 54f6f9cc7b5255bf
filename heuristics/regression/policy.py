"""What a check demands before it fails a build, and what it takes for enough."""

from __future__ import annotations

from dataclasses import dataclass

FEWEST_SESSIONS = 8
"""Below so many like sessions nothing fails a build: Student's t has heavy tails, and sessions differ by days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Thresholds of a check; fractions, not percents.

    ``min_effect``: a smaller change is never a regression. ``confidence``: of the prediction interval, two-sided.
    ``resolution``: where a slow-down of this size could not be seen, the check cannot tell. ``metric``: the one that
    gates, None for the first that the sessions have. ``flip_confidence``: of both verdicts, from which on another
    regime or cause is a flip. ``across``: traits that may differ. ``latest``: so many like sessions count, the newest.
    """

    min_effect: float = 0.03
    confidence: float = 0.99
    resolution: float = 0.20
    sessions: int = FEWEST_SESSIONS
    latest: int = 30
    metric: str | None = None
    roof_gates: bool = True
    flips_gate: bool = True
    flip_confidence: float = 0.80
    across: frozenset[str] = frozenset()
    allow_noisy: bool = False
    """Guards of the host's health are told and do not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedPolicy:
    """Of two commands run in turns: ``pairs`` of them, ``resolution`` the half width that is still an answer."""

    pairs: int = 10
    min_effect: float = 0.03
    confidence: float = 0.99
    resolution: float = 0.05
    flip_confidence: float = 0.80
    flips_gate: bool = True
    roof_gates: bool = True
