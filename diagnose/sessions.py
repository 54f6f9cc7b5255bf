"""What is compared: a verdict's JSON as it was written, or any dump, which is then judged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any, Protocol

from collectors.dump import Dump
from diagnose.given import Path
from heuristics.errors import UnreadableDump

MARK = '"diagnose.verdict/'
MOST_BYTES = 1 << 27
_HINT = "diagnose attach PID --format json -o verdict.json"


class Told(Protocol):
    """What the façade returns: a ``Result``, or one of a probe."""

    def to_dict(self) -> dict[str, Any]: ...


Source = Path | Told | Mapping[str, Any]


def verdict_of(source: Source, **options: Any) -> dict[str, Any]:
    """The verdict's JSON of a file, of a result, or as it is; arguments and errors are those of ``opened``."""
    found = opened(source, **options)
    return dict(found) if isinstance(found, Mapping) else found.to_dict()


def opened(source: Source, **options: Any) -> Told | Mapping[str, Any]:
    """What there is to a source: a verdict's JSON, or the result of judging a dump.

    A file is a verdict that was written as JSON, of several lines the last one (``attach --watch --format json``), or a
    dump, which ``analyze`` then judges with ``options``.

    Raises:
        UnreadableDump: it is missing, empty, damaged, or no dump at all.
    """
    if not isinstance(source, str | PathLike):
        return source
    path = fspath(source)
    dump = Dump(path=path)
    try:
        if not dump.head.strip():
            raise UnreadableDump(path, "the file is empty", hint=_HINT)
        if MARK not in dump.head_text or not dump.head_text.lstrip().startswith("{"):
            from diagnose.api import analyze

            return analyze(path, **options)
        text = b"".join(_bounded(dump)).decode("utf-8", "replace").strip()
    finally:
        dump.close()
    return _last(path, text)


def _bounded(dump: Dump) -> list[bytes]:
    found, size = [], 0
    for chunk in dump.utf8():
        size += len(chunk)
        if size > MOST_BYTES:
            raise UnreadableDump(dump.path, f"larger than {MOST_BYTES:,} bytes: no verdict", hint=_HINT)
        found.append(chunk)
    return found


def _last(path: str, text: str) -> dict[str, Any]:
    for candidate in (text, text.rpartition("\n")[2]):
        try:
            found = json.loads(candidate)
        except (ValueError, RecursionError) as error:
            wrong = error
            continue
        if isinstance(found, dict):
            return found
    raise UnreadableDump(path, f"damaged: {str(wrong).splitlines()[0][:120]}", hint=_HINT)
