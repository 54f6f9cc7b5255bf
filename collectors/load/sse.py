"""Server-sent events as their bytes come in: whatever the boundaries of the pieces, and bounded in memory."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_LINE = 1 << 20
LARGEST_EVENT = 1 << 21
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class OversizedEvent(Exception):
    """A line or an event that is no token's."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its name, ``message`` unless stated, and its data."""

    name: str
    data: bytes


class EventReader:
    """Takes bytes in pieces of any size; gives the events that they complete. Lines end in LF, CR or both."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False
        self._after_cr = False
        self._name = ""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[Event]:
        """Events that end within this piece.

        Raises:
            OversizedEvent: a line is longer than a megabyte, or an event larger than two.
        """
        if not piece:
            return []
        if self._after_cr and piece[:1] == b"\n":
            piece = piece[1:]
        self._after_cr = False
        joined = self._rest + piece
        if not self._begun:
            if len(joined) < len(BYTE_ORDER_MARK) and BYTE_ORDER_MARK.startswith(joined):
                self._rest = joined
                return []
            joined, self._begun = joined.removeprefix(BYTE_ORDER_MARK), True
        lines = joined.splitlines(keepends=True)
        self._rest = lines.pop() if lines and not lines[-1].endswith((b"\n", b"\r")) else b""
        if len(self._rest) > LONGEST_LINE:
            raise OversizedEvent
        self._after_cr = bool(lines) and not self._rest and lines[-1].endswith(b"\r")
        return [event for line in lines if (event := self._line(line.rstrip(b"\r\n"))) is not None]

    def close(self) -> list[Event]:
        """The stream has ended: what was said in full lines and lacks only the empty one behind it."""
        event = self._line(b"")
        return [] if event is None else [event]

    def _line(self, line: bytes) -> Event | None:
        if not line:
            name, data = self._name, self._data
            self._name, self._data, self._size = "", [], 0
            return Event(name or "message", b"\n".join(data)) if data else None
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._size += len(value)
            if self._size > LARGEST_EVENT:
                raise OversizedEvent
            self._data.append(value)
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")
        return None
