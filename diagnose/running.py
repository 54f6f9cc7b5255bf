"""Commands of the user's, run to their end: what they print, how long they took, and nothing left of them."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from collectors.dump import Interrupt
from heuristics.errors import DiagnoseError

TIMEOUT_S = 1800.0
MOST_OUTPUT = 1 << 26
"""Bytes of standard output that are read: a verdict has tens of kilobytes."""
TOLD = 600
"""Characters of standard error that are told of a command that failed."""
WAKE_S = 0.05
GRACE_S = 2.0


class CommandFailed(DiagnoseError):
    """A command ended with an error, or not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """``wall_s`` from its start to its end; ``output`` is what it printed."""

    command: str
    wall_s: float
    output: str

    def last_object(self) -> dict[str, Any] | None:
        """The JSON object that it printed: all of its output, or the last line of it."""
        text = self.output.strip()
        for candidate in (text, text.rpartition("\n")[2]):
            with suppress(ValueError, RecursionError):
                found = json.loads(candidate)
                if isinstance(found, dict):
                    return found
        return None


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
        out.seek(0)
        return Run(command=command, wall_s=wall_s, output=out.read(MOST_OUTPUT).decode("utf-8", "replace"))


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
    for number, patience_s in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, GRACE_S)):
        try:
            os.killpg(child.pid, number)
        except (ProcessLookupError, PermissionError):
            break
        with suppress(subprocess.TimeoutExpired):
            child.wait(patience_s)
        if number is signal.SIGTERM and child.returncode is not None and not _alive(child.pid):
            break
    with suppress(subprocess.TimeoutExpired):
        child.wait(GRACE_S)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _died(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _last(stream: IO[bytes]) -> str:
    """The end of what it complained of."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - 4 * TOLD))
    text = " ".join(stream.read().decode("utf-8", "replace").split())
    return f": {text[-TOLD:]}" if text else ""
