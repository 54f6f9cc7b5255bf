"""A verdict from whatever the user has: the JSON of one, or dumps and recordings that are judged first."""

from __future__ import annotations

import json
from typing import Any

HEAD_BYTES = 4096
_MARK = b'"diagnose.verdict/'


def verdict_of(path: str, **analyze_options: Any) -> dict[str, Any]:
    """The verdict's JSON of a file, as plain values. ``analyze_options`` are of ``diagnose.analyze``, for dumps.

    Raises:
        UnreadableDump: it is missing, damaged, or neither a verdict nor a dump.
        DiagnoseError: an option's value makes no sense.
    """
    from heuristics.errors import UnreadableDump

    if _is_verdict(path):
        try:
            with open(path, "rb") as stream:
                found = json.load(stream)
        except (ValueError, RecursionError) as error:
            reason = f"a verdict that is damaged: {str(error).splitlines()[0][:120]}"
            hint = "diagnose analyze FILE... --format json -o verdict.json"
            raise UnreadableDump(path, reason, hint=hint) from error
        if isinstance(found, dict):
            return found
    from diagnose.api import analyze

    return analyze(path, **analyze_options).to_dict()


def _is_verdict(path: str) -> bool:
    try:
        with open(path, "rb") as stream:
            return _MARK in stream.read(HEAD_BYTES)
    except (OSError, ValueError):
        return False
