"""An HTTP/1.1 answer as its bytes come in: head, then body by length, by chunks, or until the connection closes."""

from __future__ import annotations

LARGEST_HEAD = 1 << 16
LONGEST_CHUNK_LINE = 1 << 10
LARGEST_CHUNK = 1 << 30


class BadAnswer(Exception):
    """What came is no HTTP, or not what was announced."""


class Response:
    """Takes bytes in pieces of any size; gives the body's. ``status`` is None until the head is there."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.complete = False
        self._buffer = b""
        self._left: int | None = None
        """Bytes to come of the body or of the chunk; None where the end of the connection ends it."""
        self._chunked = False
        self._between = False
        """After a chunk's bytes, before its line end."""
        self._trailer = False

    def feed(self, data: bytes) -> bytes:
        """The part of the body that these bytes hold.

        Raises:
            BadAnswer: they cannot be understood.
        """
        self._buffer += data
        if self.status is None and not self._head():
            return b""
        if self._chunked:
            return self._chunks()
        if self._left is None:
            given, self._buffer = self._buffer, b""
            return given
        given, self._buffer = self._buffer[: self._left], b""
        self._left -= len(given)
        self.complete = self._left == 0
        return given

    def close(self) -> None:
        """The connection has ended.

        Raises:
            BadAnswer: more was announced.
        """
        if self.status is None:
            raise BadAnswer("closed the connection without an answer")
        if not self.complete and (self._chunked or self._left is not None):
            raise BadAnswer("closed the connection in the middle of its answer")
        self.complete = True

    @property
    def content_type(self) -> str:
        """Without its parameters, in small letters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def _head(self) -> bool:
        """Read the head once it is there in full; informational answers before it are passed over."""
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > LARGEST_HEAD or not _like_http(self._buffer):
                    raise BadAnswer("does not answer in HTTP")
                return False
            head, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
            status, self.headers = _read_head(head)
            if not 100 <= status < 200:
                break
        self.status = status
        self._chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        stated = self.headers.get("content-length")
        if not self._chunked and stated is not None:
            if not (stated.isascii() and stated.isdecimal() and len(stated) < 16):
                raise BadAnswer("states a length that is no number")
            self._left = int(stated)
            self.complete = self._left == 0
        if status in (204, 304):
            self._left, self.complete = 0, True
        return True

    def _chunks(self) -> bytes:
        found = []
        while not self.complete:
            if self._left:
                piece, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
                self._left -= len(piece)
                self._between = self._left == 0
                found.append(piece)
                if self._left:
                    break
            line = self._line()
            if line is None:
                break
            if self._between:
                if line:
                    raise BadAnswer("breaks its own chunks")
                self._between = False
            elif self._trailer:
                self.complete = not line
            else:
                self._left = _size(line)
                self._trailer = self._left == 0
        return b"".join(found)

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > LONGEST_CHUNK_LINE:
                raise BadAnswer("breaks its own chunks")
            return None
        line, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
        return line.removesuffix(b"\r")


def _like_http(begin: bytes) -> bool:
    return begin[:5] == b"HTTP/"[: len(begin[:5])]


def _read_head(head: bytes) -> tuple[int, dict[str, str]]:
    lines = head.split(b"\r\n")
    words = lines[0].split(b" ", 2)
    if not words[0].startswith(b"HTTP/1") or len(words) < 2 or not words[1].isdigit() or len(words[1]) != 3:
        raise BadAnswer("does not answer in HTTP")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if colon:
            headers.setdefault(name.strip().decode("latin-1").lower(), value.strip().decode("latin-1"))
    return int(words[1]), headers


def _size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    try:
        size = int(digits, 16) if digits.isalnum() else -1
    except ValueError:
        size = -1
    if not 0 <= size <= LARGEST_CHUNK:
        raise BadAnswer("breaks its own chunks")
    return size
