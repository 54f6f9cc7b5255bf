"""A process's own view of the file system: its root, its folder and its links, and never a file outside of them."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MOST_LINKS = 40
"""Symbolic links on one path before it counts as a loop, as Linux counts."""

MOST_ENTRIES = 10_000
"""Names read of one folder; a model's folder has dozens."""


class CannotRead(Exception):
    """A file that a model would be read from cannot be: why, what would unlock it, and whether a right is missing."""

    def __init__(self, reason: str, *, unlock: str | None = None, closed: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.unlock = unlock
        self.closed = closed


class NotThere(CannotRead):
    """Nothing has this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessView:
    """Where a process sees files.

    ``root`` is a folder of this machine that stands for the process's ``/`` (``/proc/PID/root``). ``cwd`` is its
    working folder as it names it itself; ``/proc/PID/cwd`` and a path under ``root`` are understood. ``env`` needs
    only the variables that move caches. ``home`` is the home folder as the process names it.
    """

    root: Path
    cwd: Path
    env: Mapping[str, str]
    home: Path | None = None

    def absolute(self, path: str) -> str:
        """The path as the process would write it from its root; links are left as they are.

        Raises:
            CannotRead: a home folder that is not known, a name that no file has, a working folder out of reach.
        """
        if "\0" in path or len(path) > 4096:
            raise NotThere("not the name of a file")
        if path == "~" or path.startswith("~/"):
            if self.home is None:
                raise CannotRead("the process's home folder is not known", unlock=_GIVE)
            path = f"{self.home}/{path[2:]}"
        return path if path.startswith("/") else f"{self._folder()}/{path}"

    def resolve(self, path: str) -> Path:
        """Where on this machine the process's ``path`` lies, without a link left in it.

        Absolute links start again at ``root`` and ``..`` does not leave it, as for the process itself.

        Raises:
            NotThere: nothing has this name.
            CannotRead: a loop of links, or a folder that this user may not enter.
        """
        pending = deque(PurePosixPath(self.absolute(path)).parts[1:])
        last = PurePosixPath(path).name
        done: list[str] = []
        links = 0
        while pending:
            part = pending.popleft()
            if part == "..":
                done[-1:] = []
                continue
            target = self._link(done, part, last)
            if target is None:
                done.append(part)
                continue
            links += 1
            if links > MOST_LINKS:
                raise CannotRead(f"{last}: a loop of symbolic links")
            steps = PurePosixPath(target).parts
            if target.startswith("/"):
                done, steps = [], steps[1:]
            pending.extendleft(reversed(steps))
        return self.root.joinpath(*done)

    def is_folder(self, path: str) -> bool:
        """There is a folder of that name, and it may be entered; the errors of ``resolve`` but NotThere pass on."""
        return stat.S_ISDIR(self._mode(path))

    def is_file(self, path: str) -> bool:
        """There is a regular file of that name; no pipe, no device."""
        return stat.S_ISREG(self._mode(path))

    def names(self, folder: str) -> list[str]:
        """Names in a folder, sorted.

        Raises:
            CannotRead: it may not be listed, or holds too many.
        """
        where = self.resolve(folder)
        found: list[str] = []
        try:
            with os.scandir(where) as entries:
                for entry in entries:
                    found.append(entry.name)
                    if len(found) > MOST_ENTRIES:
                        raise CannotRead(f"{where.name}: a folder of more than {MOST_ENTRIES} files")
        except OSError as error:
            raise _refused(error, where.name) from error
        return sorted(found)

    def file(self, path: str) -> Path:
        """Where on this machine a regular file lies that this user may read.

        Raises:
            CannotRead: it is absent, no regular file, or closed to this user.
        """
        where = self.resolve(path)
        os.close(_opened(where, PurePosixPath(path).name))
        return where

    def content(self, path: str, most_bytes: int) -> bytes:
        """A small file whole.

        Raises:
            CannotRead: as for ``file``, and where it is larger than ``most_bytes``.
        """
        name = PurePosixPath(path).name
        with open(_opened(self.resolve(path), name), "rb") as stream:
            try:
                found = stream.read(most_bytes + 1)
            except OSError as error:
                raise _refused(error, name) from error
        if len(found) > most_bytes:
            raise CannotRead(f"{name}: larger than the {most_bytes} bytes that such a file takes")
        return found

    def _mode(self, path: str) -> int:
        try:
            return os.lstat(self.resolve(path)).st_mode
        except NotThere:
            return 0
        except OSError as error:
            raise _refused(error, PurePosixPath(path).name) from error

    def _link(self, done: list[str], part: str, called: str) -> str | None:
        """What the link says; None where it is no link. Errors name what was asked for, not folders on the way."""
        where = self.root.joinpath(*done, part)
        try:
            return os.readlink(where)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return None
            if error.errno in (errno.EACCES, errno.EPERM) and not done:
                raise CannotRead(
                    "the process's files may not be seen by this user",
                    unlock="run it as the user of the process, or as root (CAP_SYS_PTRACE)",
                    closed=True,
                ) from error
            raise _refused(error, called) from error

    def _folder(self) -> str:
        """The working folder, as the process names it."""
        text = str(self.cwd)
        if text.startswith("/proc/") and self.cwd.name == "cwd":
            try:
                text = os.readlink(text)
            except OSError as error:
                raise _refused(error, "the process's working folder") from error
        roots = [str(self.root)]
        with suppress(OSError):
            roots.append(os.readlink(self.root))
        for root in roots:
            if root != "/" and text.startswith(f"{root.rstrip('/')}/"):
                return text[len(root.rstrip("/")) :]
        return text


_GIVE = "give --model PATH"


def _opened(where: Path, name: str) -> int:
    """A descriptor of a regular file; a pipe is not waited for."""
    try:
        found = os.open(where, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise _refused(error, name) from error
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise CannotRead(f"{name}: not a regular file")
    return found


def _refused(error: OSError, name: str) -> CannotRead:
    """What the system's refusal means for the user; names of files only, never their paths."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ESRCH):
        return NotThere(f"{name}: no such file")
    if error.errno in (errno.EACCES, errno.EPERM):
        return CannotRead(
            f"this user may not read {name}, or a folder on the way to it",
            unlock="run it as the user of the process, or as root; or give --model PATH to a copy",
            closed=True,
        )
    return CannotRead(f"{name}: {error.strerror or 'not readable'}")
