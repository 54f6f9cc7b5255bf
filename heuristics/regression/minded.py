"""What to mind of a check beside its answer: what the session itself warns of, and another ``diagnose`` than before."""

from __future__ import annotations

from collections.abc import Sequence

from heuristics.regression.loose import text, words
from heuristics.regression.session import Session

MOST = 3
"""Of a verdict's own warnings, so many are told again."""


def minded(current: Session, sessions: Sequence[Session]) -> list[str]:
    """Sentences on the current session and the like ones that it is held against."""
    return [*_versions(current, sessions), *words(current.verdict, "warnings")[:MOST]]


def _versions(current: Session, sessions: Sequence[Session]) -> list[str]:
    """Another version may count or time differently, so that what it changed looks like a change of the job."""
    now = text(current.verdict.get("tool_version"))
    others = [then for s in sessions if (then := text(s.verdict.get("tool_version"))) not in (None, now)]
    if now is None or not others:
        return []
    which = "the sessions" if len(others) == len(sessions) else f"{len(others)} of {len(sessions)} sessions"
    return [f"measured by diagnose {now}, {which} by {', '.join(sorted(set(map(str, others))))}"]
