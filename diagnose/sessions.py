"""A session from what a user has: a verdict that was written as JSON, or anything that gives one."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from typing import Any

from collectors.baseline.lines import ENVELOPE
from collectors.dump import Dump
from collectors.verdict_json import session_of
from heuristics.errors import UnreadableDump

MARK = '"diagnose.verdict/'
MOST_BYTES = 1 << 26
"""Of one verdict: it has tens of kilobytes."""

_AGAIN = "diagnose analyze FILE... --format json -o verdict.json"


def verdict_of(path: str, **analyze_options: Any) -> dict[str, Any]:
    """The verdict's JSON of a file, ``-`` for standard input.

    A verdict is read back; of several, one a line as ``attach --watch --format json`` writes them, it is the last.
    Anything else is judged by ``analyze`` with its options. Only one verdict is held in memory.

    Raises:
        UnreadableDump: the file is missing, empty, no JSON, of a newer schema, or no dump.
        DiagnoseError: as of ``analyze``.
    """
    dump = Dump(path=path)
    try:
        if MARK in dump.head_text:
            return _read_back(dump)
    finally:
        dump.close()
    if path == "-" or (os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode)):
        hint = "diagnose analyze - --format json, and give its result" if dump.head else _AGAIN
        reason = "no verdict came through this pipe; dumps must be files" if dump.head else "is empty"
        raise UnreadableDump(path, reason, hint=hint)
    from diagnose.api import analyze

    return analyze([path], **analyze_options).to_dict()


def _read_back(dump: Dump) -> dict[str, Any]:
    number, last = _last_document(dump.lines(), dump.path)
    try:
        verdict = json.loads(last, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        where = f" ({dump.cut_short})" if dump.cut_short else ""
        raise UnreadableDump(
            dump.path, f"is no whole JSON: {str(error).splitlines()[0]}{where}", line=number, hint=_AGAIN
        ) from error
    session_of(verdict, dump.path)
    verdict.pop(ENVELOPE, None)
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
