"""A device whose steps take a stated time on a clock of its own, for the probe's measuring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from collectors.probe.backend import Run, Usage


@dataclass(kw_only=True)
class FakeDevice:
    """Steps are queued in no time and take effect on ``synchronize``, or at once where the host is the device.

    ``waits`` says for each group, by its number, what part of it a thread waited for a CPU.
    """

    asynchronous: bool = False
    clock_s: float = 0.0
    queued_s: float = 0.0
    graph_speedup: float | None = None
    waits: Callable[[int], float] = lambda group: 0.0
    names: list[str] = field(default_factory=list)
    captured_steps: int = 0
    groups: int = 0
    open: list[str] = field(default_factory=list)
    asked_inside: list[str] = field(default_factory=list)
    _usage_at_s: float = 0.0
    _waited_s: float = 0.0
    _asked: int = 0

    def step(self, host_s: float, device_s: float = 0.0) -> Run:
        """A step that keeps the host for so long, and the device for so long after."""

        def run() -> None:
            self.clock_s += host_s
            self.queued_s = max(0.0, self.queued_s - host_s) + device_s

        return run

    def now(self) -> float:
        return self.clock_s

    def usage(self) -> Usage:
        """Asked before and after each group; a disturbed one takes longer by what it waited."""
        self._asked += 1
        if self._asked % 2:
            self._usage_at_s = self.clock_s
        else:
            self._waited_s += self.waits(self.groups) * (self.clock_s - self._usage_at_s)
            self.groups += 1
        return Usage(on_cpu_s=self.clock_s, waited_s=self._waited_s)

    def synchronize(self) -> None:
        self.clock_s += self.queued_s
        self.queued_s = 0.0

    def device_s(self, run: Run, ahead_s: float) -> float | None:
        if not self.asynchronous:
            return None
        self.asked_inside += self.open
        self.synchronize()
        before = self.queued_s
        run()
        taken = self.queued_s - before
        self.synchronize()
        return taken

    def captured(self, run: Run) -> Run | str:
        if self.graph_speedup is None:
            return "operation not permitted when stream is capturing"
        self.captured_steps += 1
        speedup = self.graph_speedup

        def replay() -> None:
            begun_s = self.clock_s
            run()
            self.synchronize()
            self.clock_s = begun_s + (self.clock_s - begun_s) / speedup

        return replay

    @contextmanager
    def named(self, name: str) -> Iterator[None]:
        self.names.append(name)
        self.open.append(name)
        yield
        self.open.pop()
