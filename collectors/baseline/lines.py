"""One line of a baseline: a verdict with a few fields on when it was added, or what is wrong with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from collectors.verdict_json import NewerVerdict, session_of
from heuristics.errors import UnreadableDump
from heuristics.regression.loose import mapping
from heuristics.regression.session import Session

ENVELOPE = "baseline"
SCHEMA = "diagnose.baseline/1"


class Flaw(StrEnum):
    """Why a line gives no session. It stays where it is all the same."""

    DAMAGED = "damaged"
    NEWER = "newer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a file, by its number from 1. ``raw`` has no line end. One of ``session`` and ``flaw`` is None."""

    path: str
    number: int
    raw: bytes
    session: Session | None = None
    flaw: Flaw | None = None
    reason: str | None = None

    @property
    def place(self) -> str:
        """Where it stands: ``file.jsonl, line 3``."""
        return f"{self.path}, line {self.number}"


def written(verdict: dict[str, Any], *, workload: str | None, added_at: str) -> bytes:
    """A verdict as one line with its end, and with the workload that the user gave it."""
    named = dict(verdict)
    if workload is not None:
        named["subject"] = {**mapping(verdict, "subject"), "workload": workload}
    named[ENVELOPE] = {"schema": SCHEMA, "added_at": added_at}
    return (
        json.dumps(named, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
    )


def parsed(path: str, number: int, raw: bytes) -> Line:
    """The session of a line, or its flaw."""
    try:
        verdict = json.loads(raw.decode("utf-8"))
        session = session_of(verdict, f"{path}:{number}")
    except NewerVerdict as error:
        return Line(path=path, number=number, raw=raw, flaw=Flaw.NEWER, reason=error.reason)
    except UnreadableDump as error:
        return Line(path=path, number=number, raw=raw, flaw=Flaw.DAMAGED, reason=error.reason)
    except (ValueError, RecursionError) as error:
        return Line(path=path, number=number, raw=raw, flaw=Flaw.DAMAGED, reason=f"no JSON: {_short(error)}")
    return Line(path=path, number=number, raw=raw, session=session)


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:120]
