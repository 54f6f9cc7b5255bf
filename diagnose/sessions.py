"""What is compared: a verdict that was written as JSON, a result, or any dump, which is then judged."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from os import PathLike, fspath
from typing import Any, Protocol

from collectors.dump import Dump
from collectors.verdict_json import FAMILY, alike, session_of
from diagnose.given import Path
from heuristics.errors import DiagnoseError, UnreadableDump
from heuristics.vocabulary import Regime

MARK = f'"{FAMILY}'
MOST_BYTES = 1 << 26
"""Of one verdict: it has tens of kilobytes."""

SHORT = 64
"""Bytes: no trace and no verdict is as short."""

_WATCH = "diagnose attach PID --for 30 --format json -o verdict.json"
_AGAIN = "diagnose analyze FILE... --format json -o verdict.json"


class Told(Protocol):
    """What the façade returns: a ``Result``, or one of a probe."""

    def to_dict(self) -> dict[str, Any]: ...


Source = Path | Told | Mapping[str, Any]


def verdict_of(source: Source, **options: Any) -> dict[str, Any]:
    """The verdict's JSON of a file, of a result, or as it is; arguments and errors are those of ``opened``."""
    found = opened(source, **options)
    return dict(found) if isinstance(found, Mapping) else found.to_dict()


def workload_named(name: str | None) -> str | None:
    """The name that the user gives to what was run, as it is kept.

    Raises:
        DiagnoseError: it says nothing.
    """
    if name is not None and not name.strip():
        raise DiagnoseError("the workload's name is empty", hint="--workload chat-70b")
    return None if name is None else alike(name)


def settled(verdict: dict[str, Any], name: str) -> dict[str, Any]:
    """The verdict, if it is a session that others may be compared with.

    Raises:
        DiagnoseError: it is provisional, idle, or nothing was measured.
    """
    watched(verdict, name)
    if verdict.get("verdict") is None:
        raise DiagnoseError(f"{name}: nothing was measured, so it is no session", hint=_WATCH)
    if session_of(verdict, name).regime is Regime.IDLE:
        raise DiagnoseError(f"{name}: the job was idle, which says nothing of its speed", hint=_WATCH)
    return verdict


def watched(verdict: dict[str, Any], name: str) -> dict[str, Any]:
    """The verdict, if it is of as much time as was asked for.

    Raises:
        DiagnoseError: it is provisional.
    """
    if verdict.get("provisional"):
        raise DiagnoseError(f"{name}: is provisional: it saw less time than was asked for", hint=_WATCH)
    return verdict


def opened(source: Source, **options: Any) -> Told | Mapping[str, Any]:
    """What there is to a source: a verdict's JSON, or the result of judging a dump. ``-`` is standard input.

    A verdict is read back; of several, one a line as ``attach --watch --format json`` writes them, it is the last.
    Anything else is judged by ``analyze`` with its ``options``. Only one verdict is held in memory.

    Raises:
        UnreadableDump: the file is missing, empty, no JSON, of a newer schema, or no dump.
        DiagnoseError: as of ``analyze``.
    """
    if not isinstance(source, str | PathLike):
        return source
    path = fspath(source)
    dump = Dump(path=path)
    try:
        if not dump.head.strip():
            raise UnreadableDump(path, "the file is empty", hint=_AGAIN)
        if MARK in dump.head_text and dump.head_text.lstrip().startswith("{"):
            return _read_back(dump)
        if dump.head_text.lstrip().startswith("{") and len(dump.head) < SHORT:
            raise UnreadableDump(path, "JSON, and neither a verdict nor a trace: perhaps cut off", hint=_AGAIN)
    finally:
        dump.close()
    if path == "-" or not stat.S_ISREG(os.stat(path).st_mode):
        raise UnreadableDump(
            path,
            "no verdict came through this pipe; dumps must be files",
            hint="diagnose analyze - --format json, and give its result",
        )
    from diagnose.api import analyze

    return analyze([path], **options)


def _read_back(dump: Dump) -> dict[str, Any]:
    number, last = _last_document(dump.lines(), dump.path)
    try:
        verdict = json.loads(last, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        where = f" ({dump.cut_short})" if dump.cut_short else ""
        raise UnreadableDump(
            dump.path, f"damaged, no whole JSON: {str(error).splitlines()[0]}{where}", line=number, hint=_AGAIN
        ) from error
    session_of(verdict, dump.path)
    return dict(verdict)


def _last_document(lines: Iterator[str], path: str) -> tuple[int | None, str]:
    """The last line, with its number, where each is a whole verdict; else all of them together."""
    first = next((line for line in lines if line.strip()), "")
    if not _whole(first):
        parts, size = [first], len(first)
        for line in lines:
            parts.append(line)
            size += len(line) + 1
            if size > MOST_BYTES:
                raise UnreadableDump(path, "is larger than a verdict would be", hint=_AGAIN)
        return None, "\n".join(parts)
    number, last = 1, first
    for at, line in enumerate(lines, 2):
        if line.strip():
            number, last = at, line
    return number if number > 1 else None, last


def _whole(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _refused(word: str) -> float:
    raise ValueError(f"{word} is no number")
