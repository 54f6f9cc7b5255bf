"""The devices that torch runs steps on: the host's processors, and a CUDA device."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Any

from collectors.probe.backend import Run, Usage, usage
from collectors.probe.ranges import Pop, Push, named, pair

CAPTURE_WARM_UPS = 3
HOLD_CYCLES = 20_000_000
"""Cycles of the kernel that its rate is taken from: some ten milliseconds."""
LONGEST_HOLD_S = 0.1


class Processors:
    """The host's CPUs: a step is over when it returns."""

    asynchronous = False

    def __init__(self, torch: Any, *, nvtx: bool = True) -> None:
        self._ranges: tuple[Push, Pop] | None = pair(torch, on_gpu=False) if nvtx else None

    def now(self) -> float:
        return time.perf_counter()

    def usage(self) -> Usage:
        return usage()

    def synchronize(self) -> None:
        """Nothing is queued."""

    def device_s(self, run: Run, ahead_s: float) -> float | None:
        return None

    def captured(self, run: Run) -> Run | str:
        return "graphs are captured on CUDA devices only"

    def named(self, name: str) -> AbstractContextManager[object]:
        return named(name, self._ranges)


class CudaDevice:
    """One CUDA device, through its current stream."""

    asynchronous = True

    def __init__(self, torch: Any, index: int, *, nvtx: bool = True) -> None:
        self._torch, self._index = torch, index
        self._ranges: tuple[Push, Pop] | None = pair(torch, on_gpu=True) if nvtx else None
        self._cycles_per_s: float | None = None
        self._pool: Any = None
        self._refusal: str | None = None

    def now(self) -> float:
        return time.perf_counter()

    def usage(self) -> Usage:
        return usage()

    def synchronize(self) -> None:
        self._torch.cuda.synchronize(self._index)

    def device_s(self, run: Run, ahead_s: float) -> float | None:
        """A kernel that only waits goes first, so that the host is ahead of the device when the step begins."""
        begun, ended = self._event(), self._event()
        self.synchronize()
        self._hold(ahead_s)
        begun.record()
        run()
        ended.record()
        self.synchronize()
        return float(begun.elapsed_time(ended)) / 1e3

    def captured(self, run: Run) -> Run | str:
        """Warm up on a stream of its own, as capturing asks for, and record one step.

        All graphs share one pool of memory, since what they give back is not used. Once a capture failed no other is
        tried: the reason is the step's.
        """
        if self._refusal is None:
            try:
                return self._recorded(run)
            except Exception as error:
                self._refusal = _first_line(error)
                self._recover()
        return self._refusal

    def named(self, name: str) -> AbstractContextManager[object]:
        return named(name, self._ranges)

    def _recorded(self, run: Run) -> Run:
        cuda = self._torch.cuda
        stream = cuda.Stream(self._index)
        stream.wait_stream(cuda.current_stream(self._index))
        with cuda.stream(stream):
            for _ in range(CAPTURE_WARM_UPS):
                run()
        cuda.current_stream(self._index).wait_stream(stream)
        self.synchronize()
        if self._pool is None:
            self._pool = cuda.graph_pool_handle()
        graph = cuda.CUDAGraph()
        with cuda.graph(graph, pool=self._pool):
            run()
        graph.replay()
        self.synchronize()
        replay: Run = graph.replay
        return replay

    def _recover(self) -> None:
        """A capture that failed may leave an error behind, which the next call would meet."""
        try:
            self.synchronize()
        except Exception as error:
            self._refusal = f"{self._refusal}; {_first_line(error)}"

    def _event(self) -> Any:
        return self._torch.cuda.Event(enable_timing=True)

    def _hold(self, seconds: float) -> None:
        """Let the device wait for about so long; not at all where this torch cannot."""
        sleep = getattr(self._torch.cuda, "_sleep", None)
        if sleep is None or seconds <= 0.0:
            return
        if self._cycles_per_s is None:
            sleep(HOLD_CYCLES // 10)
            begun, ended = self._event(), self._event()
            begun.record()
            sleep(HOLD_CYCLES)
            ended.record()
            self.synchronize()
            self._cycles_per_s = HOLD_CYCLES / max(1e-6, float(begun.elapsed_time(ended)) / 1e3)
        sleep(int(min(seconds, LONGEST_HOLD_S) * self._cycles_per_s))


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200]}" if text else type(error).__name__
