"""The process tree around a pid: psutil walks it, and a process is known by its pid and its time of start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collectors.process.proc import Proc
from heuristics.errors import NoSuchProcess

if TYPE_CHECKING:
    import psutil

DEAD = "ZX"
"""States of a process that is gone but for its entry in the table."""

MOST_PROCESSES = 4096
"""In one tree; more is not a job but a machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process. ``started_ticks`` tell it from a later one with its pid; ``arguments`` are never stored as such."""

    pid: int
    parent: int
    started_ticks: int
    name: str
    arguments: tuple[str, ...]


def process(pid: int, proc: Proc, command: str = "attach") -> Process:
    """One process that is there; the hint, where it is not, names the ``command`` that asked.

    Raises:
        NoSuchProcess: there is none, it ended meanwhile, or it is a zombie.
    """
    found = _described(_handle(pid, command), proc)
    if found is None:
        raise _gone(pid, command)
    return found


def ancestors(pid: int, proc: Proc) -> list[Process]:
    """From the parent upwards."""
    import psutil

    try:
        above = _handle(pid).parents()
    except psutil.Error:
        return []
    return [found for handle in above if (found := _described(handle, proc)) is not None]


def descendants(pid: int, proc: Proc) -> list[Process]:
    """Children and theirs, as far as they are still there."""
    import psutil

    try:
        below = _handle(pid).children(recursive=True)
    except psutil.Error:
        return []
    return [found for handle in below[:MOST_PROCESSES] if (found := _described(handle, proc)) is not None]


def alive(known: Process, proc: Proc) -> bool:
    """Whether it is still the same process, and no zombie."""
    life = proc.life(known.pid)
    return life is not None and life[0] not in DEAD and life[1] == known.started_ticks


def _handle(pid: int, command: str = "attach") -> psutil.Process:
    import psutil

    try:
        return psutil.Process(pid)
    except (psutil.Error, ValueError, OverflowError) as error:
        raise _gone(pid, command) from error


def _described(handle: psutil.Process, proc: Proc) -> Process | None:
    import psutil

    life = proc.life(handle.pid)
    if life is None or life[0] in DEAD:
        return None
    try:
        return Process(
            pid=handle.pid,
            parent=handle.ppid(),
            started_ticks=life[1],
            name=handle.name(),
            arguments=proc.arguments(handle.pid),
        )
    except psutil.Error:
        return None


def _gone(pid: int, command: str) -> NoSuchProcess:
    return NoSuchProcess(
        f"no process {pid}", hint=f"pgrep -af 'vllm|sglang|llama-server|python'   # then: diagnose {command} PID"
    )


def lineage(members: list[Process], pid: int) -> Iterator[Process]:
    """A process of the tree and those above it within the tree."""
    by_pid = {member.pid: member for member in members}
    while pid in by_pid:
        yield by_pid[pid]
        pid = by_pid.pop(pid).parent
