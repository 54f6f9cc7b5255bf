"""What became of a baseline's lines, for a terminal: added, or removed."""

from __future__ import annotations

from collections.abc import Sequence

from heuristics.regression.session import Session
from reports.history_words import UNNAMED, regime
from reports.words import percent, printable


def added(items: Sequence[tuple[Session, str, bool]]) -> str:
    """A line a verdict of (session, file, known already)."""
    return "".join(f"{_added(*item)}\n" for item in items)


def pruned(sessions: Sequence[Session], *, left: int, dry_run: bool) -> str:
    """How many were removed of which workload, and how many are left."""
    counts: dict[str, list[str]] = {}
    for session in sessions:
        counts.setdefault(session.identity.get("workload") or UNNAMED, []).append((session.created_at or "-")[:10])
    word = "would be removed" if dry_run else "removed"
    lines = [
        f"{printable(name)}: {_lines(len(days))} {word}, {min(days)} to {max(days)}" for name, days in counts.items()
    ]
    return (
        "\n".join([*lines, f"{_lines(len(sessions)) if sessions else 'nothing'} {word}; {left:,} sessions left"]) + "\n"
    )


def _lines(count: int) -> str:
    return f"{count:,} {'line' if count == 1 else 'lines'}"


def _added(session: Session, path: str, known: bool) -> str:
    name = session.identity.get("workload") or UNNAMED
    answer = f"{regime(session)} {percent(session.confidence)}"
    when = f"of {session.created_at}" if session.created_at else "without a date"
    if known:
        return printable(f"known already: {name}, {when} ({path})")
    lacking = "" if session.figures else "; it has no figure that is compared, only its regime"
    return printable(f"added: {name}, {when}, {answer} ({path}){lacking}")
