"""What an OpenAI-compatible server says: an event of its stream, its list of models, its errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collectors.load.sse import Event

DONE = b"[DONE]"
LONGEST_MESSAGE = 160


class Garbage(Exception):
    """An event that is not the JSON of a completion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the server counts them; None where it does not."""

    prompt_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One event: whether it brings tokens, ends the answer, counts, or complains."""

    token: bool = False
    finish: str | None = None
    usage: Usage | None = None
    error: str | None = None
    done: bool = False


def said(event: Event) -> Said:
    """One event understood.

    Raises:
        Garbage: it is not what a completion streams.
    """
    if event.data.strip() == DONE:
        return Said(done=True)
    content = _object(event.data)
    if content is None:
        raise Garbage
    if content.get("error") or event.name == "error":
        return Said(error=message(content))
    choices = content.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    finish = choice.get("finish_reason")
    return Said(
        token=_brings_token(choice),
        finish=finish if isinstance(finish, str) else None,
        usage=usage(content.get("usage")),
    )


def usage(stated: Any) -> Usage | None:
    """The counts of an answer."""
    if not isinstance(stated, dict):
        return None
    details = stated.get("prompt_tokens_details")
    return Usage(
        prompt_tokens=_whole(stated.get("prompt_tokens")),
        output_tokens=_whole(stated.get("completion_tokens")),
        cached_tokens=_whole(details.get("cached_tokens")) if isinstance(details, dict) else None,
    )


def models(body: bytes) -> list[tuple[str, str | None]]:
    """Names of the models a server lists, with who owns them; empty where it is no such list."""
    content = _object(body) or {}
    listed = content.get("data")
    if not isinstance(listed, list):
        return []
    return [
        (model["id"], model["owned_by"] if isinstance(model.get("owned_by"), str) else None)
        for model in listed
        if isinstance(model, dict) and isinstance(model.get("id"), str) and model["id"]
    ]


def error_in(body: bytes) -> str | None:
    """What an answer with an error says, in a line."""
    content = _object(body)
    return None if content is None else message(content)


def message(content: Mapping[str, Any]) -> str:
    """The words of an error object, whichever field they stand in, in one short printable line."""
    stated: Any = content.get("error") or content.get("message") or content.get("detail")
    if isinstance(stated, dict):
        stated = stated.get("message") or stated.get("type")
    text = stated if isinstance(stated, str) else "no message"
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * LONGEST_MESSAGE]).split())
    return line if len(line) <= LONGEST_MESSAGE else line[: LONGEST_MESSAGE - 1] + "…"


def _brings_token(choice: Mapping[str, Any]) -> bool:
    """Text, or of a plain completion any event before its end: a token may have no text of its own.

    The first event of a chat says who speaks, and brings none.
    """
    delta = choice.get("delta")
    if isinstance(delta, dict):
        return any(delta.get(name) for name in ("content", "reasoning_content", "reasoning", "tool_calls"))
    text = choice.get("text")
    return bool(text) or (isinstance(text, str) and choice.get("finish_reason") is None)


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40 else None
