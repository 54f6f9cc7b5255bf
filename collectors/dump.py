"""A dump as a single forward pass over bytes: plain, gzip-compressed, or a pipe, in bounded memory."""

from __future__ import annotations

import codecs
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import IO, Any

from heuristics.errors import UnreadableDump
from heuristics.observations import Observation

CHUNK_BYTES = 1 << 19
HEAD_BYTES = 1 << 18
TEXT_BYTES = 1 << 19
"""Lists of lines take several times their bytes, so text is cut by the half megabyte."""
LINE_LIMIT = 1 << 24
"""Characters of one line beyond which a text is not a log of any tool."""

BOMBS = ((1 << 28, 250.0), (1 << 25, 500.0))
"""(bytes, times) beyond which content has expanded without reason. Traces compress 10 to 25 times, one kernel repeated
a million times less than 100, a log of a board that stays the same 300 times; one byte repeated a thousand times."""

GZIP = b"\x1f\x8b"

INFLATE_BYTES = 1 << 16
"""Compressed bytes at a time: what is left behind a member is copied, and there may be thousands of members."""
SALVAGE_BYTES = 256
"""Damaged data are fed in pieces of this size; one loses what it holds, and cannot expand beyond measure."""

WHOLE_FINGERPRINT_BYTES = 1 << 22
FINGERPRINT_BYTES = 16

Progress = Callable[[str, int, int | None], None]
"""(path, bytes read of the file, its size or None)."""


class Interrupt:
    """Set from a signal handler: readers stop at the next chunk and judge what they have."""

    def __init__(self) -> None:
        self.requested = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a reader made of a dump."""

    kind: str
    observations: tuple[Observation, ...]
    warnings: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Dump:
    """One file given by the user, ``-`` for standard input. Read once, forward.

    Raises (on opening and reading):
        UnreadableDump: missing, a directory, unreadable, or compressed beyond reason.
    """

    path: str
    stream: IO[bytes] | None = None
    """Already open, such as the output of a tool; then ``path`` is only its name."""
    progress: Progress | None = None
    interrupt: Interrupt = field(default_factory=Interrupt)
    cut_short: str | None = None
    """Why the content ended early, once it has: a truncated archive or an interrupt."""

    _read: int = 0
    _pending: bytes = b""
    _size: int | None = None

    def __post_init__(self) -> None:
        if self.stream is None:
            self.stream, self._size = _opened(self.path)
        self._source = self._content(self.stream)
        head = b""
        try:
            while len(head) < HEAD_BYTES and (chunk := next(self._source, b"")):
                head += chunk
        except UnreadableDump:
            self.close()
            raise
        self.head = head
        self._pending = head

    @cached_property
    def head_text(self) -> str:
        """The beginning as text, byte order marks and NUL bytes removed."""
        text = self.head.decode(encoding_of(self.head), errors="replace")
        return text.lstrip("\ufeff").replace("\0", "")

    def chunks(self) -> Iterator[bytes]:
        """The whole content, decompressed, in pieces of half a megabyte at most. Can be consumed once."""
        if self._pending:
            first, self._pending = self._pending, b""
            yield first
        yield from self._source

    def utf8_blocks(self) -> Iterator[bytes]:
        """The whole content as UTF-8 text, in blocks of whole lines, each line ending in a single line feed.

        Raises:
            UnreadableDump: a line longer than any tool writes.
        """
        rest = b""
        for piece in self.utf8():
            text = piece.replace(b"\0", b"") if b"\0" in piece else piece
            if b"\r" in text or rest[-1:] == b"\r":
                text, rest = (rest + text).replace(b"\r\n", b"\n"), b""
            cut = text.rfind(b"\n") + 1
            whole = b"".join((rest, memoryview(text)[:cut])) if cut else b""
            rest = text[cut:] if cut else rest + text
            if len(rest) > LINE_LIMIT:
                raise UnreadableDump(
                    self.path,
                    f"a line longer than {LINE_LIMIT:,} characters: not a text log",
                    hint="look what it holds",
                )
            if cut:
                yield whole
        if rest:
            yield rest.removesuffix(b"\r") + b"\n"

    def lines(self) -> Iterator[str]:
        """The same as strings, line by line, without their ends."""
        for block in self.utf8_blocks():
            yield from block[:-1].decode("utf-8", "replace").split("\n")

    def utf8(self) -> Iterator[bytes]:
        """The whole content in UTF-8, without a byte order mark, in pieces. Can be consumed once."""
        encoding = encoding_of(self.head)
        pieces = _slices(self.chunks(), TEXT_BYTES)
        if encoding != "utf-8":
            decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
            pieces = (decoder.decode(piece).encode("utf-8", "replace") for piece in pieces)
        first = next(pieces, b"")
        yield first.removeprefix(codecs.BOM_UTF8)
        yield from pieces

    def close(self) -> None:
        """Release the file."""
        if self.stream is not None and self.path != "-":
            self.stream.close()

    def _content(self, stream: IO[bytes]) -> Iterator[bytes]:
        raw = self._raw(stream)
        first = next(raw, b"")
        if first.startswith(GZIP):
            yield from self._inflated(_slices(chain((first,), raw), INFLATE_BYTES))
            return
        if first:
            yield first
        yield from raw

    def _raw(self, stream: IO[bytes]) -> Iterator[bytes]:
        while not self.interrupt.requested:
            try:
                chunk = stream.read(CHUNK_BYTES)
            except OSError as error:
                raise UnreadableDump(
                    self.path, f"cannot be read: {error.strerror or error}", hint="copy it to a disk that can be read"
                ) from error
            if not chunk:
                return
            self._read += len(chunk)
            if self.progress is not None:
                self.progress(self.path, self._read, self._size)
            yield chunk
        self.cut_short = "interrupted: judged by what was read so far"

    def _inflated(self, raw: Iterator[bytes]) -> Iterator[bytes]:
        """Members one after another, never more than a chunk of output at a time."""
        inflate = _inflater()
        produced = consumed = 0
        data = next(raw)
        while True:
            before = inflate.copy()
            try:
                out = inflate.decompress(data, CHUNK_BYTES)
            except zlib.error as error:
                self.cut_short = f"the gzip data are damaged: {str(error).rpartition(': ')[2]}"
                yield from _salvaged(before, data)
                return
            produced += len(out)
            consumed += len(data) - len(inflate.unconsumed_tail) - len(inflate.unused_data)
            if any(produced > size and produced > ratio * consumed for size, ratio in BOMBS):
                raise UnreadableDump(
                    self.path,
                    f"expands {produced / max(1, consumed):.0f}-fold: not a dump",
                    hint="decompress it and look what it holds",
                )
            if out:
                yield out
            if inflate.eof:
                data = inflate.unused_data.lstrip(b"\0")
                while not data and (padding := next(raw, b"")):
                    data = padding.lstrip(b"\0")
                if not data:
                    return
                if not data.startswith(GZIP[:1]):
                    self.cut_short = "what follows the gzip data is none and was left out"
                    return
                inflate = _inflater()
                continue
            data = inflate.unconsumed_tail or (b"" if len(out) == CHUNK_BYTES else next(raw, b""))
            if not data and len(out) < CHUNK_BYTES:
                self.cut_short = self.cut_short or "the gzip data end early: the file is truncated"
                return


def _slices(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    for chunk in chunks:
        for at in range(0, len(chunk), size):
            yield chunk[at : at + size]


def _opened(path: str) -> tuple[IO[bytes], int | None]:
    if path == "-":
        if sys.stdin is None:
            raise UnreadableDump(path, "standard input is closed", hint="pipe the dump in: tool | diagnose analyze -")
        return sys.stdin.buffer, None
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise UnreadableDump(path, "is a directory", hint=f"give the files in it: {path.rstrip('/')}/*")
        stream = open(path, "rb")
    except FileNotFoundError as error:
        raise UnreadableDump(path, "no such file", hint="check the path") from error
    except OSError as error:
        raise UnreadableDump(path, f"cannot be opened: {error.strerror or error}", hint=f"ls -l {path}") from error
    except ValueError as error:  # a NUL in the path
        raise UnreadableDump(path, f"is no path: {error}", hint="check the path") from error
    return stream, os.fstat(stream.fileno()).st_size if stat.S_ISREG(mode) else None


def _inflater() -> Any:
    """A decompressor of one gzip member."""
    return zlib.decompressobj(wbits=31)


def _salvaged(inflate: Any, data: bytes) -> Iterator[bytes]:
    """What compressed data give before the place where they are damaged."""
    for at in range(0, len(data), SALVAGE_BYTES):
        try:
            out = inflate.decompress(data[at : at + SALVAGE_BYTES])
        except zlib.error:
            return
        if out:
            yield out


def encoding_of(head: bytes) -> str:
    """UTF-16 by its byte order mark or its pattern of NUL bytes; UTF-8 otherwise."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    sample = head[:512]
    if len(sample) >= 16 and sample[1::2].count(0) > 0.4 * len(sample[1::2]) and sample[::2].count(0) == 0:
        return "utf-16-le"
    if len(sample) >= 16 and sample[::2].count(0) > 0.4 * len(sample[::2]) and sample[1::2].count(0) == 0:
        return "utf-16-be"
    return "utf-8"


def fingerprint(path: str) -> str | None:
    """What tells two files apart: all of a small one, size, beginning, middle and end of a large one.

    None for pipes, which can be read only once.
    """
    import hashlib

    try:
        if path == "-" or not stat.S_ISREG(os.stat(path).st_mode):
            return None
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            digest = hashlib.blake2b(str(size).encode(), digest_size=FINGERPRINT_BYTES)
            if size <= WHOLE_FINGERPRINT_BYTES:
                digest.update(stream.read())
            else:
                for offset in (0, size // 2, size - CHUNK_BYTES):
                    stream.seek(offset)
                    digest.update(stream.read(CHUNK_BYTES))
            return digest.hexdigest()
    except (OSError, ValueError):
        return None
