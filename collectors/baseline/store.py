"""A baseline on disk: ``*.jsonl`` files of a folder, one verdict a line, appended to and rewritten by ``prune`` alone.

A folder that is committed merges without conflicts: lines are independent, their order does not matter, and the
folder's ``.gitattributes`` tells git to keep those of both sides.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from collectors.baseline.lines import Flaw, Line, parsed, written
from collectors.verdict_json import session_of
from heuristics.errors import DiagnoseError
from heuristics.regression.session import Session

SUFFIX = ".jsonl"
UNNAMED = "sessions"
LONGEST_LINE = 1 << 26
"""Bytes. A verdict has tens of kilobytes; a line beyond this is none."""

LONGEST_NAME = 200
"""Bytes of a file's name that come from the workload's; file systems take 255."""

ATTRIBUTES = "*.jsonl merge=union\n"
_WORD = re.compile(r"[^\w.-]+")
_HINT = "diagnose baseline add verdict.json --baseline DIR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """Where a verdict went. ``known``: it was there already, and nothing was written."""

    path: str
    session: Session
    known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a baseline holds: all lines, in the order of the files' names and of the lines in them."""

    directory: str
    lines: tuple[Line, ...]

    @property
    def sessions(self) -> list[Session]:
        """All readable ones, those that are there twice included."""
        return [line.session for line in self.lines if line.session is not None]

    def flawed(self, flaw: Flaw) -> list[Line]:
        """Lines that give no session, for this reason."""
        return [line for line in self.lines if line.flaw is flaw]


def read(directory: str) -> Kept:
    """All lines of a baseline's files.

    Raises:
        DiagnoseError: there is no such folder, or it cannot be read.
    """
    with _locked(directory, fcntl.LOCK_SH):
        return _kept(directory)


def append(directory: str, verdict: dict[str, Any], *, workload: str | None, added_at: str) -> Added:
    """Add a verdict, unless it is there already. The folder is made where there is none.

    Writers wait for each other; a line that another left unfinished is ended first, so that none is lost.

    Raises:
        DiagnoseError: the folder or its file cannot be written.
    """
    make(directory)
    session = session_of(verdict, "the verdict", workload=workload)
    workload = session.identity.get("workload")
    path = os.path.join(directory, _file_of(workload))
    try:
        written_line = written(verdict, workload=workload, added_at=added_at)
    except (ValueError, TypeError, RecursionError) as error:
        raise DiagnoseError(f"the verdict cannot be written as JSON: {error}", hint=_HINT) from error
    with _locked(directory, fcntl.LOCK_EX):
        for line in _kept(directory).lines:
            if line.session is not None and line.session.key == session.key:
                return Added(path=line.path, session=session, known=True)
        _append(path, written_line)
    return Added(path=path, session=session, known=False)


def prune(directory: str, drop: Callable[[list[Line]], list[Line]], *, dry_run: bool = False) -> list[Line]:
    """Remove the lines that ``drop`` picks of all; those removed. Lines that cannot be read stay, byte for byte.

    Raises:
        DiagnoseError: a file cannot be read or replaced.
    """
    with _locked(directory, fcntl.LOCK_EX):
        every = _kept(directory).lines
        gone = [line for line in drop(list(every)) if line.session is not None]
        marked: dict[str, set[int]] = {}
        for line in gone:
            marked.setdefault(os.path.realpath(line.path), set()).add(line.number)
        for path in marked if not dry_run else ():
            _without(path, marked[path])
    return gone


def _kept(directory: str) -> Kept:
    found: list[Line] = []
    try:
        paths = sorted(str(p) for p in Path(directory).iterdir() if p.suffix == SUFFIX and p.is_file())
        for path in paths:
            found += [parsed(path, number, raw) for number, raw in _raw_lines(path)]
    except OSError as error:
        raise DiagnoseError(
            f"{directory}: cannot be read: {error.strerror or error}", hint=f"ls -l {directory}"
        ) from error
    return Kept(directory=directory, lines=tuple(found))


def _raw_lines(path: str) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, without their ends; one that is too long is cut, and thereby damaged."""
    with open(path, "rb") as stream:
        last = 0
        for number, raw in _pieces(stream):
            line = raw.removesuffix(b"\n").removesuffix(b"\r")
            if number != last and line:
                yield number, line
            last = number


def _pieces(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """All bytes by the number of their line, from 1; a line that is too long comes in several pieces."""
    number, ended = 0, True
    while piece := stream.readline(LONGEST_LINE):
        number += ended
        ended = piece.endswith(b"\n")
        yield number, piece


def _file_of(workload: str | None) -> str:
    """The name of its file: words of the workload's name, as long as a file's may be."""
    words = _WORD.sub("-", workload or "").strip(".-")[:80]
    return (words.encode()[:LONGEST_NAME].decode(errors="ignore") or UNNAMED) + SUFFIX


def make(directory: str) -> None:
    """Make the folder of a baseline, where there is none.

    Raises:
        DiagnoseError: it cannot be made.
    """
    try:
        if os.path.exists(directory):
            return
        os.makedirs(directory, exist_ok=True)
        Path(directory, ".gitattributes").write_text(ATTRIBUTES, encoding="utf-8")
    except OSError as error:
        raise DiagnoseError(
            f"{directory}: cannot be made: {error.strerror or error}", hint="--baseline DIR, where there is room"
        ) from error


@contextmanager
def _locked(directory: str, how: int) -> Iterator[None]:
    """Hold the folder itself, which needs no file of its own; file systems without locks go without."""
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError as error:
        raise DiagnoseError(f"{directory}: no such folder", hint=_HINT) from error
    except NotADirectoryError as error:
        raise DiagnoseError(f"{directory}: is no folder; a baseline is one", hint=_HINT) from error
    except (OSError, ValueError) as error:
        raise DiagnoseError(f"{directory}: cannot be opened: {error}", hint=f"ls -ld {directory}") from error
    try:
        with suppress(OSError):
            fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)


def _append(path: str, line: bytes) -> None:
    """Whole or not at all: what a full disk took of it is cut off again."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(handle).st_size
            ended = size == 0 or os.pread(handle, 1, size - 1) == b"\n"
            data = line if ended else b"\n" + line
            try:
                while data:
                    data = data[os.write(handle, data) :]
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, size)
                raise
        finally:
            os.close(handle)
    except OSError as error:
        raise DiagnoseError(
            f"{path}: cannot be written: {error.strerror or error}", hint="--baseline DIR, where there is room"
        ) from error


def _without(path: str, numbers: set[int]) -> None:
    """The file without some lines, byte for byte, its mode kept; it is replaced at once."""
    beside = f"{path}.new"
    try:
        with open(path, "rb") as old, open(beside, "wb") as new:
            new.writelines(piece for number, piece in _pieces(old) if number not in numbers)
            new.flush()
            os.fsync(new.fileno())
        shutil.copymode(path, beside)
        os.replace(beside, path)
    except OSError as error:
        Path(beside).unlink(missing_ok=True)
        raise DiagnoseError(f"{path}: cannot be replaced: {error.strerror or error}", hint=f"ls -l {path}") from error
