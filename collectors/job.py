"""From any pid of a job to the job: its processes, its engine, what its command line states, where it listens."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from collectors.engines.recognise import command, flags, shape_of, shape_of_libraries
from collectors.engines.shapes import TORCH, Flag, Shape
from collectors.process import tree
from collectors.process.proc import Listener, Proc
from collectors.process.tree import Process
from heuristics.errors import NoSuchProcess, NotPermitted, SeveralJobs

_WORKER = re.compile(r"-c from multiprocessing\.|multiprocessing[.-]|resource_tracker|-m torch\._inductor|-m mpi4py")
"""Commands of processes that a Python program starts for itself."""

MOST_NAMED = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job found. ``members`` begin with its root; ``flags`` hold allow-listed options only."""

    pid: int
    root: Process
    members: tuple[Process, ...]
    shape: Shape | None
    front: str | None = None
    recognised_by: str | None = None
    flags: Mapping[Flag, str] = field(default_factory=dict)
    listeners: tuple[Listener, ...] = ()

    @property
    def engine(self) -> str | None:
        """The engine's name, with the front end's where it is under one."""
        if self.shape is None:
            return None
        return (
            f"{self.front} ({self.shape.engine})"
            if self.front and self.front != self.shape.engine
            else self.shape.engine
        )

    @property
    def pids(self) -> tuple[int, ...]:
        """All its processes."""
        return tuple(member.pid for member in self.members)


def find(pid: int, proc: Proc, *, command: str = "attach") -> Job:
    """The job that a process belongs to; hints name the ``command`` that looks for it.

    Raises:
        NoSuchProcess: there is no such process.
        SeveralJobs: it stands above more than one.
        NotPermitted: nothing of it may be read.
    """
    target = tree.process(pid, proc, command)
    if pid == os.getpid():
        raise NoSuchProcess(f"process {pid} is diagnose itself", hint=f"diagnose {command} PID   # of the job")
    above = tree.ancestors(pid, proc)
    root = _root(target, above)
    members = _members(root, proc)
    known = {member.pid: shape for member in members if (shape := shape_of(member.arguments)) is not None}
    tops = [m for m in members if m.pid in known and not any(a.pid in known for a in _above(members, m))]
    if len(tops) > 1:
        _refuse_several(pid, tops, known, proc, command)
    behind = [m for m in members if _is_front(root) and m is not root and _serves_itself(m)]
    if len(behind) > 1:
        _refuse_several(pid, behind, known, proc, command)
    if len(tops) == 1 and tops[0] is not root:
        root = tops[0]
        members = _members(root, proc)
    if not root.arguments and proc.link(root.pid, "exe") is None and proc.text(root.pid, "cmdline") is None:
        raise NotPermitted(f"process {pid} may not be looked into", hint=f"sudo diagnose {command} {pid}")
    shape, by = _engine(members, known, proc)
    fronts = {s.front for s in (*known.values(), *map(_shape, above)) if s is not None and s.front}
    return Job(
        pid=pid,
        root=root,
        members=tuple(members),
        shape=shape,
        front=next(iter(fronts)) if len(fronts) == 1 else None,
        recognised_by=by,
        flags=_flags(shape, members, proc),
        listeners=tuple(_listeners(shape, members, proc)),
    )


def listeners(job: Job, proc: Proc) -> list[Listener]:
    """What the serving processes of a job listen on by now."""
    return _listeners(job.shape, job.members, proc)


def _members(root: Process, proc: Proc) -> list[Process]:
    """The root and everything below it but ourselves, who may have been started by it."""
    own = os.getpid()
    everyone = [root, *tree.descendants(root.pid, proc)]
    return [m for m in everyone if m.pid != own and all(above.pid != own for above in tree.lineage(everyone, m.pid))]


def _root(target: Process, above: Sequence[Process]) -> Process:
    """The topmost process known as an engine's; else the program whose worker the target is."""
    known = [p for p in (target, *above) if shape_of(p.arguments) is not None]
    server = next((p for p in known if _serves_itself(p)), None)
    if server is not None and any(_is_front(p) for p in known[known.index(server) + 1 :]):
        return server
    if known:
        return known[-1]
    root = target
    for parent in above:
        if not _WORKER.search(" ".join(command(root.arguments))) or parent.pid <= 1:
            break
        root = parent
    return root


def _shape(process: Process) -> Shape | None:
    return shape_of(process.arguments)


def _is_front(process: Process) -> bool:
    shape = shape_of(process.arguments)
    return shape is not None and shape.front is not None


def _serves_itself(process: Process) -> bool:
    """A server of its own, such as one of several that a front end started."""
    shape = shape_of(process.arguments)
    if shape is None or shape.front is not None or shape is TORCH:
        return False
    return shape.serves is None or shape.serves.match(" ".join(command(process.arguments))) is not None


def _above(members: list[Process], member: Process) -> list[Process]:
    return list(tree.lineage(members, member.parent))


def _refuse_several(pid: int, tops: Sequence[Process], known: Mapping[int, Shape], proc: Proc, command: str) -> None:
    """Ranks under one launcher are one job; several that each answer on a port of their own are not."""
    serving = [p for p in tops if proc.listeners([p.pid])]
    if len(serving) < 2:
        return
    named = ", ".join(f"{p.pid} ({known[p.pid].engine})" for p in serving[:MOST_NAMED])
    raise SeveralJobs(f"process {pid} stands above several jobs: {named}", hint=f"diagnose {command} {serving[0].pid}")


def _engine(members: Sequence[Process], known: Mapping[int, Shape], proc: Proc) -> tuple[Shape | None, str | None]:
    """Engines that state rates before front ends and launchers; libraries where no command line tells."""
    stated = [known[m.pid] for m in members if m.pid in known]
    engines = [s for s in stated if s.front is None and s is not TORCH]
    if engines:
        return engines[0], "command line"
    files: frozenset[str] = frozenset()
    for member in members:
        files |= proc.mapped_files(member.pid)
    mapped = shape_of_libraries(files)
    if mapped is not None and (not stated or mapped is not TORCH):
        return mapped, "mapped libraries"
    return (stated[0], "command line") if stated else (None, None)


def _flags(shape: Shape | None, members: Sequence[Process], proc: Proc) -> dict[Flag, str]:
    """Of the process nearest to the root that states any; retitled ones have lost theirs."""
    found: dict[Flag, str] = {}
    if shape is not None:
        for member in members:
            for flag, value in flags(shape, member.arguments, proc.environment(member.pid)).items():
                found.setdefault(flag, value)
    return found


def _listeners(shape: Shape | None, members: Iterable[Process], proc: Proc) -> list[Listener]:
    """Sockets of the processes that answer HTTP; workers have others, for each other, that nobody should ask."""
    everyone = list(members)
    answering = everyone
    if shape is not None and shape.serves is not None:
        answering = [m for m in everyone if shape.serves.match(" ".join(command(m.arguments)))] or everyone[:1]
    return proc.listeners([m.pid for m in answering])
