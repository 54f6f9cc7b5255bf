"""The time of day as it is written into verdicts and baselines."""

from __future__ import annotations

from datetime import UTC, datetime


def now_text() -> str:
    """ISO 8601, to the second, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
