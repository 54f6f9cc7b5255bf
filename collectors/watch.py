"""Sources, each in a thread of its own at its own pace, so that one that hangs delays no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from collectors.record import Record, Source, missing, record

PATIENCE_S = 2.5
"""How long a source may take to come back once watching ends."""

Sink = Callable[[Record], None]


class Watch:
    """Samples sources until told to stop. ``sink`` takes the records: quickly, and from any thread."""

    def __init__(self, sources: Sequence[Source], sink: Sink) -> None:
        self._sources = list(sources)
        self._sink = sink
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._begun_s = time.monotonic()
        self._lock = threading.Lock()
        self._start_cpu_s = self._sample_cpu_s = 0.0

    @property
    def begun_s(self) -> float:
        """The monotonic time that records count from."""
        return self._begun_s

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._begun_s

    def start(self) -> None:
        """Begin. Static records are told first, at time 0 of the clock that all records share."""
        self._begun_s = time.monotonic()
        for source in self._sources:
            thread = threading.Thread(target=self._run, args=(source,), name=f"diagnose-{source.name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End: a last sample of each source, then their threads; who does not come back is named."""
        self._stop.set()
        until_s = time.monotonic() + PATIENCE_S
        for source, thread in zip(self._sources, self._threads, strict=True):
            thread.join(max(0.0, until_s - time.monotonic()))
            if thread.is_alive():
                self._sink(missing(source.name, "did not answer any more", t_s=self.elapsed_s))

    def took(self, cpu_s: float) -> None:
        """Processor time that was spent because of the watching, though not in it."""
        with self._lock:
            self._sample_cpu_s += cpu_s

    def overhead(self) -> Record:
        """What watching took so far: processor seconds to start and to sample, and the process's largest memory."""
        return record(
            "overhead",
            self.elapsed_s,
            start_cpu_s=self._start_cpu_s,
            cpu_s=self._sample_cpu_s,
            wall_s=self.elapsed_s,
            begun_monotonic_s=self._begun_s,
            rss_bytes=_largest_memory_bytes(),
        )

    def _run(self, source: Source) -> None:
        try:
            begun_s = time.thread_time()
            for found in source.start():
                self._sink(found)
            with self._lock:
                self._start_cpu_s += time.thread_time() - begun_s
            self._sampled(source)
            due_s = time.monotonic() + source.period_s
            while not self._stop.wait(max(0.0, due_s - time.monotonic())):
                self._sampled(source)
                due_s = max(due_s + source.period_s, time.monotonic())
            self._sampled(source)
        except Exception as error:
            self._sink(missing(source.name, f"a fault in diagnose itself: {type(error).__name__}", t_s=self.elapsed_s))
        finally:
            source.close()

    def _sampled(self, source: Source) -> None:
        begun_s = time.thread_time()
        for found in source.sample(self.elapsed_s):
            self._sink(found)
        with self._lock:
            self._sample_cpu_s += time.thread_time() - begun_s


def _largest_memory_bytes() -> float | None:
    """This process's largest resident memory so far; None where the kernel does not say.

    getrusage would count the program that started this one too: its memory at the fork stays in ``ru_maxrss``.
    """
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as lines:
            stated = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
    except OSError:
        return None
    return None if stated is None else float(stated) * 1024.0
