"""The three ways to watch a live job: once, window after window, and into a file without judging."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from collectors.dump import Interrupt
from collectors.fold import fold
from collectors.record import Record
from collectors.recording import FLUSH_S, Writer
from diagnose import __version__
from diagnose.live import LiveJob, Look, header
from diagnose.pipeline import diagnose_watched
from heuristics.assemble import Given
from heuristics.errors import DiagnoseError
from heuristics.verdict import Diagnosis

WATCH_S = 10.0
FIRST_S = 1.6
"""After so long the first, provisional verdict of a continued watch is given: two scrapes have been made."""
EVERY_S = 2.0
SPARING = 50.0
"""Judging takes tens of milliseconds of one core, more with many devices: so many times that lies between."""
WAKE_S = 0.1

LASTING = frozenset({"job", "machine", "model", "about", "calibration", "device", "missing"})
"""Records that hold for all windows."""


class Store:
    """Takes records from any thread: keeps them for judging, writes them where a recording is wanted.

    A file that cannot be written any more is told by ``flush`` and at the end, never to the thread that observes.
    """

    def __init__(self, *, keep: bool = True, sliding: bool = False) -> None:
        self._keep, self._sliding = keep, sliding
        self._writer: Writer | None = None
        self._failure: DiagnoseError | None = None
        self._lock = threading.Lock()
        self._lasting: dict[tuple[object, ...], Record] = {}
        self._passing: deque[Record] = deque()
        self._flushed_s = time.monotonic()
        self.count = 0

    def __call__(self, found: Record) -> None:
        with self._lock:
            self.count += 1
            if self._writer is not None and self._failure is None:
                try:
                    self._writer.write(found)
                except DiagnoseError as error:
                    self._failure = error
            if self._keep:
                self._remember(found)

    def _remember(self, found: Record) -> None:
        """Of what lasts, in a watch that may go on for days, only the latest word on each thing."""
        if found["what"] == "found" and self._sliding:
            gone = found.get("source")
            self._lasting = {key: kept for key, kept in self._lasting.items() if key[0] != "missing" or key[2] != gone}
        elif found["what"] in LASTING:
            key = (found["what"], found.get("index"), found.get("source"), found.get("reason"))
            self._lasting[key if self._sliding else (self.count,)] = found
        else:
            self._passing.append(found)

    @contextmanager
    def writing(self, output: str | None) -> Iterator[None]:
        """Write what comes into a file meanwhile; nowhere for None.

        Raises:
            DiagnoseError: it cannot be written.
        """
        if output is None:
            yield
            return
        self._writer = Writer(output, header(__version__))
        try:
            yield
        finally:
            writer, self._writer = self._writer, None
            writer.close()
        if self._failure is not None:
            raise self._failure

    def flush(self) -> None:
        """Give the file what was written, now and then.

        Raises:
            DiagnoseError: it cannot be written any more.
        """
        if self._failure is not None:
            raise self._failure
        if self._writer is not None and time.monotonic() - self._flushed_s >= FLUSH_S:
            with self._lock:
                self._writer.flush()
            self._flushed_s = time.monotonic()

    def forget_before(self, t_s: float) -> None:
        """Drop what no later window needs."""
        with self._lock:
            while self._passing and self._passing[0]["t_s"] < t_s:
                self._passing.popleft()

    def records(self) -> list[Record]:
        """Everything kept, in the order of its coming."""
        with self._lock:
            return [*self._lasting.values(), *self._passing]

    def between(self, begin_s: float, end_s: float) -> list[Record]:
        """What lasts, and of the rest what was told in that time."""
        with self._lock:
            passing = [found for found in self._passing if begin_s <= found["t_s"] <= end_s]
            return [*self._lasting.values(), *passing]


def attach_once(
    pid: int, look: Look, given: Given, *, window_s: float, output: str | None = None, interrupt: Interrupt
) -> Diagnosis:
    """Watch for a while, then judge."""
    store = Store()
    job = LiveJob(pid, look, store)
    with store.writing(output):
        _watch(job, store, window_s, interrupt)
    return diagnose_watched(fold(store.records()), given)


def record_only(pid: int, look: Look, *, window_s: float | None, output: str, interrupt: Interrupt) -> int:
    """Watch into a file; the number of records. Without ``window_s`` until the job ends or the user does."""
    store = Store(keep=False)
    job = LiveJob(pid, look, store)
    with store.writing(output):
        _watch(job, store, window_s, interrupt)
    return store.count


def windows(
    pid: int, look: Look, given: Given, *, window_s: float, output: str | None = None, interrupt: Interrupt
) -> Iterator[Diagnosis]:
    """A verdict every ``EVERY_S`` over the last ``window_s``, the first ones over less, until somebody ends it."""
    store = Store(sliding=True)
    job = LiveJob(pid, look, store)
    due_s = min(FIRST_S, window_s)
    with store.writing(output):
        job.start()
        try:
            while not (interrupt.requested or job.ended):
                time.sleep(WAKE_S)
                store.flush()
                if job.watch.elapsed_s < due_s:
                    continue
                store.forget_before(job.watch.elapsed_s - window_s)
                begun_s = time.thread_time()
                found = _window(store, job, given, window_s)
                took_s = time.thread_time() - begun_s
                yield found
                due_s = max(due_s + max(EVERY_S, SPARING * took_s), job.watch.elapsed_s)
            job.stop()
            yield _window(store, job, given, window_s)
        finally:
            job.stop()


def _window(store: Store, job: LiveJob, given: Given, window_s: float) -> Diagnosis:
    """The verdict as of now. The time judged is the window, not all the time since the start."""
    begun_s = time.thread_time()
    watched = fold([*store.records(), job.watch.overhead()])
    elapsed_s = job.watch.elapsed_s
    subject = replace(watched.subject, window_s=min(window_s, elapsed_s))
    found = diagnose_watched(replace(watched, subject=subject), given)
    job.watch.took(time.thread_time() - begun_s)
    return replace(found, provisional=elapsed_s < window_s)


def _watch(job: LiveJob, store: Store, window_s: float | None, interrupt: Interrupt) -> None:
    job.start()
    try:
        while not (interrupt.requested or job.ended) and (window_s is None or job.watch.elapsed_s < window_s):
            left_s = WAKE_S if window_s is None else max(0.0, window_s - job.watch.elapsed_s)
            time.sleep(min(WAKE_S, left_s))
            store.flush()
    finally:
        job.stop()
