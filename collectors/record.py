"""What is observed live, as plain data: a record a fact, the same in memory and in a recording."""

from __future__ import annotations

from typing import Any, Protocol

SCHEMA = "diagnose.recording/1"

KIND = "diagnose recording"

Record = dict[str, Any]
"""``t_s``: seconds since the start; ``what``: its kind; the rest by kind, SI units in the names, nothing for None."""


class Source(Protocol):
    """A tool that is asked periodically. It never raises: what fails becomes a ``missing`` or ``event`` record."""

    @property
    def name(self) -> str: ...

    @property
    def period_s(self) -> float: ...

    def start(self) -> list[Record]: ...

    def sample(self, t_s: float) -> list[Record]: ...

    def close(self) -> None: ...


def record(what: str, t_s: float = 0.0, **fields: Any) -> Record:
    """A record without the fields that are None."""
    return {"t_s": t_s, "what": what, **{name: value for name, value in fields.items() if value is not None}}


def missing(source: str, reason: str, unlock: str | None = None, t_s: float = 0.0) -> Record:
    """A source that is not there, why, and what would unlock it."""
    return record("missing", t_s, source=source, reason=reason, unlock=unlock)
