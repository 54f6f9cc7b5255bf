"""Cutting a Chrome trace into its events without parsing it, in bounded memory.

A trace is one JSON object whose ``traceEvents`` array holds nearly all of it. Writers lay the array out
in one of two ways, and each gives a separator to split at: a line break with the array's own indentation,
or, on one line, ``}, {"``. An array of objects inside an event, or behind the events, may repeat it; from
there on, and where neither layout holds, objects are walked one by one. What is left are names that end in
``}, {``: their events come out damaged.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

EVENT_LIMIT = 1 << 25
"""Bytes of a single event, or of what surrounds the array, beyond which this is no trace."""

TAIL_BYTES = 1 << 22

DEEPEST = 1000
"""Levels of brackets beyond which no decoder follows."""

_SAMPLE = 1 << 17
"""Bytes at the beginning that show the layout."""

_HELD_BYTES = 1 << 20
"""What follows the array is shorter than that."""

_ARRAY = re.compile(rb'"traceEvents"\s*:\s*\[')
_TIMED_OPENING = re.compile(rb'\{\s*"ph": ?"X",\s*"cat": ?"(?=\w+",\s*"name")')
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_NESTED = 5
"""Levels of brackets matched at one go; deeper ones are counted."""


def _value(levels: int) -> bytes:
    """A pattern of one object or array without deeper ones than that."""
    deeper = b"|" + _value(levels - 1) if levels > 1 else b""
    return rb'[{\[](?:[^"{}\[\]]++|' + _STRING + deeper + rb")*+[}\]]"


_COMPLETE_VALUE = 1
_STRINGS = _STRING + rb'(?:[^"{}\[\]]*+' + _STRING + rb")*+"
_TOKEN = re.compile(b"(" + _value(_NESTED) + b")|(" + _STRINGS + rb')|[{}\["\]]', re.DOTALL)


class NotATrace(Exception):
    """The content has no array of events, or one that no writer would write."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How events are separated: ``separator`` between them, of which ``left`` and ``right`` belong to the events.

    ``opening`` begins an array of objects written like the events. Kineto itself opens every timed event
    alike; its category then stands at ``category_at`` of the piece.
    """

    separator: bytes
    left: bytes
    right: bytes
    opening: bytes = b""
    category_at: int | None = None

    @property
    def on_one_line(self) -> bool:
        """Without line breaks arrays inside events are written like the array of events."""
        return b"\n" not in self.separator

    def joined(self, pieces: list[bytes]) -> bytes:
        """Pieces back to a JSON array."""
        return b"[" + self.right + (self.left + b"," + self.right).join(pieces) + self.left + b"]"

    def single(self, piece: bytes) -> bytes:
        """One piece as a JSON array."""
        return b"[" + self.right + piece + self.left + b"]"

    def piece(self, event: bytes) -> bytes | None:
        """A whole event less what ``joined`` adds to it; None for one without content."""
        if not self.left:
            return event[len(self.right) :]
        inner = event[1:-1].strip()
        return inner[1:] if inner else None


@dataclass(frozen=True, slots=True)
class Walked:
    """Complete objects at the start of a buffer: where the last one ends, and whether the array ended there."""

    objects: list[bytes]
    end: int
    closed: bool


class EventScanner:
    """Iterates over lists of pieces, each piece one event less the parts its layout took.

    After iteration ``head`` and ``tail`` are the JSON around the array's content, ``tail`` None if the file
    ended before it, which ``truncated`` then tells.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self.head = b'{"traceEvents":['
        self.tail: bytes | None = None
        self.truncated = False
        self.layout = Layout(b"", b"", b"")

    def blocks(self) -> Iterator[list[bytes]]:
        """Lists of pieces, in file order.

        Raises:
            NotATrace: no array of events, or an event beyond any size.
        """
        self.head, buffer = self._find_array()
        buffer = self._grow(buffer.lstrip())
        if buffer[:1] == b"]":
            self.tail = self._more(buffer, TAIL_BYTES)
        elif not buffer:
            self.truncated = True
        elif buffer[:1] != b"{":
            raise NotATrace("the events are not JSON objects")
        else:
            self.layout = _layout_of(buffer)
            yield from self._separated(buffer) if self.layout.separator else self._walked(buffer)

    def _find_array(self) -> tuple[bytes, bytes]:
        buffer = b""
        for chunk in self._chunks:
            buffer += chunk
            stripped = buffer.lstrip(b"\xef\xbb\xbf \t\r\n")
            if stripped[:1] == b"[":
                return self.head, stripped[1:]
            found = _ARRAY.search(buffer)
            if found:
                return buffer[: found.end()].lstrip(b"\xef\xbb\xbf"), buffer[found.end() :]
            if len(buffer) > EVENT_LIMIT:
                break
        raise NotATrace('no "traceEvents" array')

    def _grow(self, buffer: bytes) -> bytes:
        """At least a few events, so that the layout shows."""
        while len(buffer) < _SAMPLE and (chunk := next(self._chunks, b"")):
            buffer = (buffer + chunk).lstrip()
        return buffer

    def _separated(self, buffer: bytes) -> Iterator[list[bytes]]:
        """Split at separators. What may belong to the end of the file is held back: the array may end in it."""
        layout = self.layout
        held: deque[bytes] = deque()
        buffer = buffer[len(layout.right) :]
        while not (layout.on_one_line and layout.opening in buffer):
            cut = buffer.rfind(layout.separator)
            if cut >= 0:
                held.append(buffer[:cut])
                buffer = buffer[cut + len(layout.separator) :]
                while sum(map(len, held)) - len(held[0]) > _HELD_BYTES:
                    yield held.popleft().split(layout.separator)
            elif len(buffer) > EVENT_LIMIT:
                break
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            buffer += chunk
        while held and layout.opening not in held[0]:
            yield held.popleft().split(layout.separator)
        yield from self._walked(layout.right + layout.separator.join([*held, buffer]))

    def _walked(self, buffer: bytes) -> Iterator[list[bytes]]:
        """Objects one by one; where one does not end in the buffer, twice as much is looked at next."""
        while True:
            found = walk(buffer)
            pieces = [self.layout.piece(event) for event in found.objects]
            yield [piece for piece in pieces if piece is not None]
            buffer = buffer[found.end :]
            if found.closed:
                self.tail = self._more(buffer, TAIL_BYTES)
                return
            if len(buffer) > EVENT_LIMIT:
                raise NotATrace(f"an event larger than {EVENT_LIMIT >> 20} MB")
            longer = self._more(buffer, min(2 * len(buffer), EVENT_LIMIT) + 1)
            if len(longer) == len(buffer):
                self.truncated = True
                return
            buffer = longer

    def _more(self, buffer: bytes, size: int) -> bytes:
        """The buffer and what follows it, at least of a size unless the file ends."""
        parts = [buffer]
        missing = size - len(buffer)
        while missing > 0 and (chunk := next(self._chunks, b"")):
            parts.append(chunk)
            missing -= len(chunk)
        return b"".join(parts)


def _layout_of(buffer: bytes) -> Layout:
    """The separator that occurs between the first two events, or none."""
    sample = buffer[:_SAMPLE]
    first = walk(sample, at_most=1)
    second = walk(sample[first.end :], at_most=1)
    if not first.objects or not second.objects:
        return Layout(b"", b"", b"")
    following = second.objects[0]
    between = sample[first.end : first.end + second.end - len(following)]
    opening = _TIMED_OPENING.search(sample)
    timed = sample.count(b'"ph": "X"') + sample.count(b'"ph":"X"')
    at = len(opening[0]) if opening is not None and timed == sample.count(opening[0]) else None
    if b"\n" in between and between[:1] == b",":
        return Layout(between + b"{", b"", b"{", b"[" + between[1:] + b"{", None if at is None else at - 1)
    if between.strip() == b"," and following[:2] == b'{"':
        alike = opening is not None and opening[0][:2] == b'{"'
        return Layout(b"}" + between + b'{"', b"}", b'{"', b"[{", at - 2 if at is not None and alike else None)
    return Layout(b"", b"", b"")


def walk(buffer: bytes, *, at_most: int | None = None) -> Walked:
    """The complete objects at the start of an array's inside, up to its ``]`` if that is there.

    Strings are respected; one that does not end in the buffer ends the walk.
    """
    objects: list[bytes] = []
    depth = start = end = 0
    for token in _TOKEN.finditer(buffer):
        letter = buffer[token.start()]
        if token.lastindex == _COMPLETE_VALUE:
            if depth == 0:
                end = token.end()
                objects.append(token[0])
        elif letter in b"{[":
            start = token.start() if depth == 0 else start
            depth += 1
            if depth > DEEPEST:
                raise NotATrace(f"brackets nested {DEEPEST} deep")
        elif letter in b"}]":
            if depth == 0:
                return Walked(objects, token.start(), True)
            depth -= 1
            if depth == 0:
                end = token.end()
                objects.append(buffer[start:end])
        elif token.lastindex is None:
            break
        if len(objects) == at_most:
            break
    return Walked(objects, end, False)
