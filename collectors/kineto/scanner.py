"""Cutting a Chrome trace into its events without parsing it, in bounded memory.

A trace is one JSON object whose ``traceEvents`` array holds nearly all of it. Writers lay the array out
in one of two ways, and each gives a separator that cannot occur inside an event: a line break with the
array's own indentation, or, on one line, ``}, {"``. Where neither holds, objects are walked one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

EVENT_LIMIT = 1 << 25
"""Bytes of a single event, or of what surrounds the array, beyond which this is no trace."""

TAIL_BYTES = 1 << 22

_ARRAY = re.compile(rb'"traceEvents"\s*:\s*\[')
_TIMED_OPENING = re.compile(rb'\{\s*"ph": ?"X", ?"cat": ?"(?=\w+", ?"name")')
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)


class NotATrace(Exception):
    """The content has no array of events, or one that no writer would write."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How events are separated: ``separator`` between them, of which ``left`` and ``right`` belong to the events.

    Kineto itself opens every timed event alike; its category then stands at ``category_at`` of the piece.
    """

    separator: bytes
    left: bytes
    right: bytes
    category_at: int | None = None

    def joined(self, pieces: list[bytes]) -> bytes:
        """Pieces back to a JSON array."""
        return b"[" + self.right + (self.left + b"," + self.right).join(pieces) + self.left + b"]"

    def single(self, piece: bytes) -> bytes:
        """One piece as a JSON array."""
        return b"[" + self.right + piece + self.left + b"]"


class EventScanner:
    """Iterates over lists of pieces, each piece one event less the parts its layout took.

    After iteration ``envelope`` is the JSON around the array (array emptied), and ``truncated`` tells
    whether the array ended early.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self.envelope = b"{}"
        self.truncated = False
        self.layout = Layout(b"", b"", b"")

    def blocks(self) -> Iterator[list[bytes]]:
        """Lists of pieces, in file order.

        Raises:
            NotATrace: no array of events, or an event beyond any size.
        """
        head, buffer = self._find_array()
        tail: bytes | None = None
        buffer = self._grow(buffer.lstrip())
        if buffer[:1] == b"]":
            tail = buffer
        elif buffer[:1] != b"{":
            self.truncated = not buffer
            tail = b"]"
            if buffer:
                raise NotATrace("the events are not JSON objects")
        else:
            self.layout = _layout_of(head, buffer)
            yield_from = self._separated if self.layout.separator else self._walked
            for pieces, rest in yield_from(buffer):
                if pieces:
                    yield pieces
                tail = rest
        self.envelope = head + (tail if tail is not None else b"]}")

    def _find_array(self) -> tuple[bytes, bytes]:
        buffer = b""
        for chunk in self._chunks:
            buffer += chunk
            stripped = buffer.lstrip(b"\xef\xbb\xbf \t\r\n")
            if stripped[:1] == b"[":
                return b'{"traceEvents":[', stripped[1:]
            found = _ARRAY.search(buffer)
            if found:
                return buffer[: found.end()].lstrip(b"\xef\xbb\xbf"), buffer[found.end() :]
            if len(buffer) > EVENT_LIMIT:
                break
        raise NotATrace('no "traceEvents" array')

    def _grow(self, buffer: bytes) -> bytes:
        """At least a few events, so that the layout shows."""
        while len(buffer) < 1 << 17:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            buffer = (buffer + chunk).lstrip()
        return buffer

    def _separated(self, buffer: bytes) -> Iterator[tuple[list[bytes], bytes | None]]:
        layout = self.layout
        buffer = buffer[len(layout.right) :]
        for chunk in self._chunks:
            buffer += chunk
            cut = buffer.rfind(layout.separator)
            if cut < 0:
                if len(buffer) > EVENT_LIMIT:
                    end = self._array_end(layout.right + buffer)
                    if end is None:
                        raise NotATrace(f"an event larger than {EVENT_LIMIT >> 20} MB")
                    break
                continue
            yield buffer[:cut].split(layout.separator), None
            buffer = buffer[cut + len(layout.separator) :]
        pieces = buffer.split(layout.separator)
        last = layout.right + pieces.pop()
        objects, rest = walk(last)
        if rest is None:
            self.truncated = True
        whole = [o[len(layout.right) : len(o) - len(layout.left) if layout.left else None] for o in objects]
        yield pieces + whole, rest[:TAIL_BYTES] if rest is not None else None

    def _array_end(self, buffer: bytes) -> int | None:
        _, rest = walk(buffer)
        return None if rest is None else len(buffer) - len(rest)

    def _walked(self, buffer: bytes) -> Iterator[tuple[list[bytes], bytes | None]]:
        while True:
            objects, rest = walk(buffer)
            if rest is not None:
                yield objects, rest[:TAIL_BYTES]
                return
            consumed = _last_end(buffer, objects)
            if objects:
                yield objects, None
            buffer = buffer[consumed:]
            chunk = next(self._chunks, b"")
            if not chunk:
                self.truncated = True
                return
            buffer += chunk
            if len(buffer) > EVENT_LIMIT:
                raise NotATrace(f"an event larger than {EVENT_LIMIT >> 20} MB")


def _layout_of(head: bytes, buffer: bytes) -> Layout:
    """The separator that occurs between the first two events, or none."""
    objects, _ = walk(buffer[: 1 << 17], at_most=2)
    if len(objects) < 2:
        return Layout(b"", b"", b"")
    first_end = buffer.find(objects[0]) + len(objects[0])
    between = buffer[first_end : buffer.find(objects[1], first_end)]
    if b"\n" in between and between[:1] == b",":
        opening = _TIMED_OPENING.search(buffer[: 1 << 17])
        usual = opening is not None and buffer.count(b'"ph": "X"', 0, 1 << 17) == buffer.count(opening[0], 0, 1 << 17)
        return Layout(between + b"{", b"", b"{", len(opening[0]) - 1 if opening is not None and usual else None)
    if between.strip() == b"," and objects[1][:2] == b'{"':
        return Layout(b"}" + between + b'{"', b"}", b'{"')
    return Layout(b"", b"", b"")


def walk(buffer: bytes, *, at_most: int | None = None) -> tuple[list[bytes], bytes | None]:
    """The complete objects at the start of an array's inside, and what follows its ``]``.

    The second value is None when the array does not end in the buffer. Strings are respected.
    """
    objects: list[bytes] = []
    depth = 0
    start = 0
    for token in _TOKEN.finditer(buffer):
        letter = buffer[token.start()]
        if letter in b"{[":
            if depth == 0:
                start = token.start()
            depth += 1
        elif letter in b"}]":
            if depth == 0:
                return objects, buffer[token.start() :]
            depth -= 1
            if depth == 0:
                objects.append(buffer[start : token.end()])
                if at_most is not None and len(objects) >= at_most:
                    return objects, None
    return objects, None


def _last_end(buffer: bytes, objects: list[bytes]) -> int:
    if not objects:
        return 0
    return buffer.rfind(objects[-1]) + len(objects[-1])
