"""How the JSON of a trace is written down: by Kineto old and new, by json.dump in its styles, by Chrome."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

Json = dict[str, Any]

OLD_CATEGORIES = frozenset({"Kernel", "Memcpy", "Memset", "Runtime", "Operator"})


def kineto(doc: Json) -> bytes:
    """Kineto's own hand: timed events in three lines, arguments inline."""
    return _enveloped(doc, [_event_lines(event) for event in doc["traceEvents"]])


def key_a_line(doc: Json) -> bytes:
    """The hand of the newest Kineto: a line for every key, and a comma on its own before the arguments."""
    return _enveloped(doc, ["\n    " + ",\n    ".join(_pairs(e, "\n    ")) + "\n  " for e in doc["traceEvents"]])


def _enveloped(doc: Json, bodies: list[str]) -> bytes:
    head = "".join(f"  {json.dumps(key)}: {_json(doc[key])},\n" for key in doc if key != "traceEvents")
    events = "},\n  {".join(bodies)
    inside = f"\n  {{{events}}}" if bodies else ""
    return f'\n{{\n{head}  "traceEvents": [{inside}\n  ],\n  "traceName": "/tmp/trace.json"\n}}'.encode()


def _pairs(event: Json, before_args: str) -> list[str]:
    def text(key: str) -> str:
        return (
            f'"args": {{\n      {_json(event[key])[1:-1]}\n    }}' if key == "args" else f'"{key}": {_json(event[key])}'
        )

    found = [text(key) for key in event]
    if "dur" in event and found[-1].startswith('"args"'):
        found[-2] += before_args
    return found


def _event_lines(event: Json) -> str:
    pairs = _pairs(event, "") or [""]
    lines = [", ".join(pairs[at : at + 5]) for at in range(0, len(pairs), 5)]
    old = event.get("cat") in OLD_CATEGORIES
    first = lines[0].replace(', "name"', ', \n    "name"') if old else lines[0]
    return "\n    " + ",\n    ".join([first, *lines[1:]]) + "\n  "


def dumped(doc: Json) -> bytes:
    """json.dump as it comes: one line."""
    return _json(doc).encode()


def compact(doc: Json) -> bytes:
    """One line without any space."""
    return _json(doc, comma=",", colon=":").encode()


def indented(doc: Json) -> bytes:
    """json.dump with indent=4."""
    return _json(doc, indent="    ").encode()


def sorted_keys(doc: Json) -> bytes:
    """json.dump with sort_keys=True."""
    return _json(doc, ordered=True).encode()


def sorted_indented(doc: Json) -> bytes:
    """json.dump with both."""
    return _json(doc, indent="    ", ordered=True).encode()


def an_event_a_line(doc: Json) -> bytes:
    """The hand of Chrome itself."""
    lines = ",\n".join(_json(event) for event in doc["traceEvents"])
    rest = _json({key: doc[key] for key in doc if key != "traceEvents"})[1:-1]
    return f'{{"traceEvents": [\n{lines}\n], {rest}}}\n'.encode()


def bare_array(doc: Json) -> bytes:
    """The events alone."""
    return _json(doc["traceEvents"]).encode()


RENDERERS: tuple[Callable[[Json], bytes], ...] = (
    kineto,
    key_a_line,
    dumped,
    compact,
    indented,
    sorted_keys,
    sorted_indented,
    an_event_a_line,
    bare_array,
)


def _json(
    value: Any, *, indent: str = "", comma: str = ", ", colon: str = ": ", ordered: bool = False, depth: int = 0
) -> str:
    """JSON with the digits of a Decimal as they stand."""
    if isinstance(value, Decimal):
        return str(value)
    if not isinstance(value, dict | list) or not value:
        return json.dumps(value)
    if isinstance(value, dict):
        opening, closing = "{}"
        pairs = [(json.dumps(key) + colon, value[key]) for key in (sorted(value) if ordered else value)]
    else:
        opening, closing = "[]"
        pairs = [("", item) for item in value]
    options = {"indent": indent, "comma": comma, "colon": colon, "ordered": ordered, "depth": depth + 1}
    inside = [key + _json(item, **options) for key, item in pairs]
    if not indent:
        return opening + comma.join(inside) + closing
    line = "\n" + indent * (depth + 1)
    return opening + line + ("," + line).join(inside) + "\n" + indent * depth + closing
