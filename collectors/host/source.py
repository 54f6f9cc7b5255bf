"""The host as a live source: short slices of the processes' time, and every thread's, told once a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from collectors.host.busy import BusyClock
from collectors.host.clocks import Clocks
from collectors.host.limits import Held, Limits
from collectors.host.threads import Thread, Threads, most_descriptors
from collectors.process.proc import Proc
from collectors.record import Record, missing, record
from collectors.redaction import harmless

SLICE_S = 0.05
TOLD_S = 1.0
LOOKED_S = 5.0
"""Between looks for threads that are new, and for limits that changed."""
BUSY_PART = 0.3
"""A thread that wants a CPU for this part of the time is one of those that work."""
MOST_TOLD = 6


class HostSource:
    """Follows the processes and threads of a job. ``pids`` gives its processes as of now."""

    name = "host"

    def __init__(self, pids: Callable[[], Sequence[int]], root: int, proc: Proc, *, slice_s: float = SLICE_S) -> None:
        self.period_s = slice_s
        self._pids = pids
        self._proc = proc
        self._clocks = Clocks()
        self._threads = Threads(proc, most_descriptors())
        self._limits = Limits(root, proc)
        self._machine = BusyClock(proc.root)
        self._held: Held | None = None
        self._cores: float | None = None
        self._begun_s = self._sliced_s = self._looked_s = 0.0
        self._run_ns = 0
        self._asleep_s = 0.0

    def start(self) -> list[Record]:
        """Open every thread."""
        self._look(time.monotonic())
        self._held = self._limits.held(self._pids())
        self._begun_s = self._sliced_s = time.monotonic()
        self._machine.restart()
        if not self._threads.by_tid:
            return [
                missing("host", "the threads' times cannot be read (schedstat)", "run as the job's user or as root")
            ]
        return []

    def sample(self, t_s: float) -> list[Record]:
        """One slice; a record when a second is full."""
        now_s = time.monotonic()
        self._slice(now_s)
        if now_s - self._begun_s < TOLD_S - 0.5 * self.period_s:
            return []
        self._threads.sweep()
        told = self._told(t_s, now_s)
        if now_s - self._looked_s >= LOOKED_S:
            self._look(now_s)
        self._threads.restart()
        self._begun_s, self._run_ns, self._asleep_s = now_s, 0, 0.0
        return told

    def close(self) -> None:
        """Close every descriptor."""
        self._threads.close()

    def _look(self, now_s: float) -> None:
        self._looked_s = now_s
        pids = self._pids()
        self._clocks.follow(pids)
        self._threads.follow(pids)
        self._cores = self._limits.cores()

    def _slice(self, now_s: float) -> None:
        length_s = now_s - self._sliced_s
        gained_ns = self._clocks.gained_ns()
        self._asleep_s += max(0.0, length_s - gained_ns * 1e-9)
        self._run_ns += gained_ns
        self._sliced_s = now_s

    def _told(self, t_s: float, now_s: float) -> list[Record]:
        window_s = now_s - self._begun_s
        threads = list(self._threads.by_tid.values())
        model = self._largest()
        wanting = [t for t in threads if t.window_run_ns + t.window_wait_ns > BUSY_PART * window_s * 1e9]
        pids = sorted({t.pid for t in threads})
        return [
            record(
                "host",
                t_s,
                window_s=window_s,
                threads=len(threads),
                run_s=self._run_ns * 1e-9,
                asleep_s=min(self._asleep_s, max(0.0, window_s - _wanted_s(threads))),
                working=len(wanting),
                model_threads=sum(t.pid == model for t in wanting) if model is not None else None,
                working_run_s=sum(t.window_run_ns for t in wanting) * 1e-9,
                working_wait_s=sum(t.window_wait_ns for t in wanting) * 1e-9,
                busiest=[self._thread(t) for t in sorted(threads, key=_ran, reverse=True)[:MOST_TOLD] if _ran(t) > 0],
                cores=self._cores,
                **self._differences(pids),
                **self._machine.told(self._run_ns * 1e-9),
            )
        ]

    def _largest(self) -> int | None:
        """The process with most memory resident: the one that holds the model."""
        pages = {pid: (self._proc.text(pid, "statm") or "").split() for pid in self._pids()}
        sizes = {pid: int(words[1]) for pid, words in pages.items() if len(words) > 1 and words[1].isdecimal()}
        return max(sizes, key=lambda pid: sizes[pid], default=None)

    def _thread(self, thread: Thread) -> Record:
        name = self._proc.text(thread.pid, f"task/{thread.tid}/comm") or ""
        return {
            "pid": thread.pid,
            "name": harmless(name.strip()),
            "run_s": thread.window_run_ns * 1e-9,
            "wait_s": thread.window_wait_ns * 1e-9,
        }

    def _differences(self, pids: Sequence[int]) -> dict[str, float]:
        before, self._held = self._held, self._limits.held(pids)
        now = self._held
        found: dict[str, float] = {}
        if before is None:
            return found
        if before.throttled_s is not None and now.throttled_s is not None:
            found["throttled_s"] = max(0.0, now.throttled_s - before.throttled_s)
        if before.read_bytes is not None and now.read_bytes is not None:
            found["read_bytes"] = max(0.0, now.read_bytes - before.read_bytes)
        for kind, total_s in now.pressure_s.items():
            if kind in before.pressure_s:
                found[f"{kind}_pressure_s"] = max(0.0, total_s - before.pressure_s[kind])
        return found


def _wanted_s(threads: Sequence[Thread]) -> float:
    """For how long at least one thread was on a CPU or waited for one: what is left was sleep."""
    return max((t.window_run_ns + t.window_wait_ns for t in threads), default=0) * 1e-9


def _ran(thread: Thread) -> int:
    return thread.window_run_ns
