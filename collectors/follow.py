"""Following a job: its processes as they come and go, and its end."""

from __future__ import annotations

import time
from collections.abc import Sequence

from collectors.job import Job
from collectors.process import tree
from collectors.process.proc import Proc
from collectors.record import Record, record
from collectors.redaction import harmless

PERIOD_S = 1.0
RESCAN_S = 10.0
"""Listing all processes of a machine takes milliseconds, and a serving job's do not change."""
MOST_EVENTS = 20


class Follower:
    """The processes of a job as of now. A source of its own: it tells who ended."""

    name = "processes"
    period_s = PERIOD_S

    def __init__(self, job: Job, proc: Proc) -> None:
        self._root = job.root
        self._proc = proc
        self._members = {member.pid: member for member in job.members}
        self._scanned_s = time.monotonic()
        self._told = 0
        self.ended = False
        """The root is gone: there is nothing left to watch."""

    def pids(self) -> Sequence[int]:
        """The processes as of the last look."""
        return tuple(self._members)

    def start(self) -> list[Record]:
        """Nothing: the job itself is told by who found it."""
        return []

    def sample(self, t_s: float) -> list[Record]:
        """Who ended since; who came, at longer intervals."""
        if self.ended:
            return []
        gone = [member for member in self._members.values() if not tree.alive(member, self._proc)]
        for member in gone:
            del self._members[member.pid]
        self.ended = self._root.pid not in self._members
        if not self.ended and time.monotonic() - self._scanned_s >= RESCAN_S:
            self._scanned_s = time.monotonic()
            self._members = {m.pid: m for m in (self._root, *tree.descendants(self._root.pid, self._proc))}
        if self.ended:
            return [record("event", t_s, text=f"the job ended: process {self._root.pid} is gone", ended=True)]
        told = [record("event", t_s, text=f"process {m.pid} ({harmless(m.name)}) ended") for m in gone]
        room = max(0, MOST_EVENTS - self._told)
        self._told += len(told)
        return told[:room]

    def close(self) -> None:
        """Nothing is held open."""
