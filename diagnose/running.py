"""Commands of the user's, run to their end: what they print, how long they took, and nothing left of them."""

from __future__ import annotations

import json
import math
import os
import re
import select
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from collectors.dump import Interrupt
from heuristics.errors import DiagnoseError

TIMEOUT_S = 1800.0
MOST_OUTPUT = 1 << 26
"""Bytes of standard output that are read, from its end: a verdict has tens of kilobytes."""
TOLD = 600
"""Characters of standard error that are told of a command that failed."""
WAKE_S = 0.05
GRACE_S = 2.0

_BEGINS = re.compile(r"^[ \t]*\{", re.MULTILINE)
_REST = re.compile(r"[ \t\r]*$", re.MULTILINE)


def _integer(digits: str) -> float:
    """Of as many digits as there are: Python refuses thousands."""
    try:
        return int(digits)
    except ValueError:
        return math.inf


_DECODER = json.JSONDecoder(parse_int=_integer)


class CommandFailed(DiagnoseError):
    """A command ended with an error, or not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """``wall_s`` from its start to its end; ``output`` is what it printed."""

    command: str
    wall_s: float
    output: str

    def broken_object(self) -> str | None:
        """The first line that begins like an object, where none of what was printed is one."""
        begin = _BEGINS.search(self.output) if self.last_object() is None else None
        return None if begin is None else self.output[begin.start() :].strip().partition("\n")[0]

    def last_object(self) -> dict[str, Any] | None:
        """The last JSON object that it printed: a line of its own, or several, whatever is printed after it."""
        text, found, end = self.output, None, 0
        for begin in _BEGINS.finditer(text):
            if begin.start() < end:
                continue
            with suppress(ValueError, RecursionError):
                told, after = _DECODER.raw_decode(text, begin.end() - 1)
                if _REST.match(text, after):
                    found, end = told, after
        return found


def run(command: str, *, timeout_s: float = TIMEOUT_S, interrupt: Interrupt | None = None) -> Run | None:
    """Run by the shell in a group of its own, which is ended with it; None where the interrupt came first.

    Raises:
        CommandFailed: it cannot be started, ends with an error, or does not end in time.
    """
    if interrupt is not None and interrupt.requested:
        return None
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begun_s = time.monotonic()
        try:
            child = subprocess.Popen(
                command, shell=True, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
            )
        except (OSError, ValueError) as error:
            raise CommandFailed(f"{command}: cannot be started: {error}", hint="check the command") from error
        try:
            ended = _ended(child, begun_s + timeout_s, interrupt)
            wall_s = time.monotonic() - begun_s
            if ended:
                child.wait()
        finally:
            _end(child)
        if ended is None:
            return None
        if not ended:
            raise CommandFailed(
                f"{command}: did not end within {timeout_s:g} s, and was ended",
                hint="--timeout SECONDS, if it needs longer",
            )
        if child.returncode != 0:
            raise CommandFailed(f"{command}: {_died(child.returncode)}{_last(err)}", hint="run it by itself first")
        return Run(command=command, wall_s=wall_s, output=_end_of(out, MOST_OUTPUT))


def _ended(child: subprocess.Popen[bytes], until_s: float, interrupt: Interrupt | None) -> bool | None:
    """Whether it ended in time; None where the user did not want to wait.

    The kernel tells when it ends: asking for it now and then, as ``Popen.wait`` does, is up to 50 ms late.
    """
    handle = os.pidfd_open(child.pid)
    try:
        ending = select.poll()
        ending.register(handle, select.POLLIN)
        while not ending.poll(1000.0 * WAKE_S):
            if interrupt is not None and interrupt.requested:
                return None
            if time.monotonic() >= until_s:
                return False
        return True
    finally:
        os.close(handle)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Whatever is left of its group: politely, then not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
        except (ProcessLookupError, PermissionError):
            break
        if _gone(child, GRACE_S):
            break
    with suppress(subprocess.TimeoutExpired):
        child.wait(GRACE_S)


def _gone(child: subprocess.Popen[bytes], patience_s: float) -> bool:
    """Whether it and its group end in time."""
    until_s = time.monotonic() + patience_s
    while child.poll() is None or _alive(child.pid):
        if time.monotonic() >= until_s:
            return False
        time.sleep(WAKE_S)
    return True


def _alive(group: int) -> bool:
    """Whether anything of it still runs: what has ended and was not waited for does not."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            state, _, of = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[:3]
            if int(of) == group and state not in "ZX":
                return True
    return False


def _died(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _last(stream: IO[bytes]) -> str:
    """The end of what it complained of."""
    text = " ".join(_end_of(stream, 4 * TOLD).split())
    return f": {text[-TOLD:]}" if text else ""


def _end_of(stream: IO[bytes], most: int) -> str:
    """The last bytes of it as text."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - most))
    return stream.read(most).decode("utf-8", "replace")
