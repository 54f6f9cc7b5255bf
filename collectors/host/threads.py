"""Every thread's time on a CPU and in the run queue, in nanoseconds, through descriptors that are kept open.

A descriptor on ``task/TID/schedstat`` stays bound to its thread: once the thread is gone it gives an error, and a
later thread with the same number is another file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from collectors.process.proc import Proc

LINE_BYTES = 96
MOST_THREADS = 4096
"""Descriptors kept; the soft limit of a process is often 1,024, and half of that is left to others."""


@dataclass(slots=True)
class Thread:
    """One thread: nanoseconds on a CPU and waiting for one, as last read, and since the window began."""

    pid: int
    tid: int
    descriptor: int
    raw: bytes = b""
    run_ns: int = 0
    wait_ns: int = 0
    window_run_ns: int = 0
    window_wait_ns: int = 0


@dataclass(slots=True)
class Threads:
    """The threads of a tree."""

    proc: Proc
    most: int = MOST_THREADS
    by_tid: dict[int, Thread] = field(default_factory=dict)
    refused: int = 0
    """Threads beyond the limit, or not ours to see."""

    def follow(self, pids: Iterable[int]) -> None:
        """Open the threads that are new; forget those of other processes."""
        wanted = set(pids)
        seen: set[int] = set()
        self.refused = 0
        for pid in wanted:
            for tid in self.proc.threads(pid):
                seen.add(tid)
                if tid not in self.by_tid and not self._open(pid, tid):
                    self.refused += 1
        for tid in [t for t, thread in self.by_tid.items() if t not in seen or thread.pid not in wanted]:
            self._drop(tid)

    def sweep(self) -> None:
        """Read all of them."""
        self._read(list(self.by_tid.values()))

    def restart(self) -> None:
        """Begin a new window."""
        for thread in self.by_tid.values():
            thread.window_run_ns = thread.window_wait_ns = 0

    def close(self) -> None:
        """Close every descriptor."""
        for tid in list(self.by_tid):
            self._drop(tid)

    def _read(self, threads: Iterable[Thread]) -> None:
        for thread in threads:
            try:
                raw = os.pread(thread.descriptor, LINE_BYTES, 0)
            except OSError:
                self._drop(thread.tid)
                continue
            if raw == thread.raw:
                continue
            thread.raw = raw
            words = raw.split()
            if len(words) >= 2:
                run, wait = int(words[0]), int(words[1])
                thread.window_run_ns += run - thread.run_ns
                thread.window_wait_ns += wait - thread.wait_ns
                thread.run_ns, thread.wait_ns = run, wait

    def _open(self, pid: int, tid: int) -> bool:
        if len(self.by_tid) >= self.most:
            return False
        try:
            descriptor = os.open(self.proc.path(pid, f"task/{tid}/schedstat"), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        thread = Thread(pid, tid, descriptor)
        self.by_tid[tid] = thread
        self._read([thread])
        thread.window_run_ns = thread.window_wait_ns = 0
        return True

    def _drop(self, tid: int) -> None:
        thread = self.by_tid.pop(tid, None)
        if thread is not None:
            os.close(thread.descriptor)


def most_descriptors() -> int:
    """How many may be kept: half of what this process may open."""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, min(MOST_THREADS, soft // 2)) if soft != resource.RLIM_INFINITY else MOST_THREADS
