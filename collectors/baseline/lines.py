"""One line of a baseline: a verdict with a few fields on when it was added, or what is wrong with it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from collectors.verdict_json import ENVELOPE, NewerVerdict, load_of, session_of
from heuristics.errors import UnreadableDump
from heuristics.regression.loose import mapping
from heuristics.regression.session import Session

NAMED = re.compile(r"diagnose\.baseline/(\d{1,9})")
NUMBER = 1
"""The newest schema of what is kept beside a verdict that is understood."""

SCHEMA = f"diagnose.baseline/{NUMBER}"


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
    """A verdict as one line with its end: its workload is the user's name for it, and what it stated stands beside.

    Half a character stays the escape that it was, so that what is read back is what was written.
    """
    named = dict(verdict)
    if workload is not None:
        named["subject"] = {**mapping(verdict, "subject"), "workload": workload}
    named[ENVELOPE] = {"schema": SCHEMA, "added_at": added_at, "load": load_of(verdict)}
    told = json.dumps(named, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return told.encode("utf-8", "backslashreplace") + b"\n"


def parsed(path: str, number: int, raw: bytes) -> Line:
    """The session of a line, or its flaw."""
    try:
        verdict = json.loads(raw.decode("utf-8"))
        session = session_of(verdict, f"{path}:{number}")
        _understood(verdict, session.name)
    except NewerVerdict as error:
        return Line(path=path, number=number, raw=raw, flaw=Flaw.NEWER, reason=error.reason)
    except UnreadableDump as error:
        return Line(path=path, number=number, raw=raw, flaw=Flaw.DAMAGED, reason=error.reason)
    except (ValueError, RecursionError) as error:
        return Line(path=path, number=number, raw=raw, flaw=Flaw.DAMAGED, reason=f"no JSON: {_short(error)}")
    return Line(path=path, number=number, raw=raw, session=session)


def _understood(verdict: dict[str, Any], name: str) -> None:
    """Raises NewerVerdict where what stands beside the verdict is of a schema that is not known here."""
    schema = NAMED.fullmatch(str(mapping(verdict, ENVELOPE).get("schema")))
    if schema is not None and int(schema[1]) > NUMBER:
        raise NewerVerdict(name, f"it was kept by a newer diagnose ({schema[0]})", hint="update diagnose")


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:120]
