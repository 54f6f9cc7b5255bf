"""The fastest round of several threads that all do the same piece of work at once.

Threads meet at a barrier, each does its piece, and a round lasts from the first start to the last end. Rounds
that others disturbed are only ever slower, so the fastest one is nearest to what the machine can do; a round is
short so that some stay undisturbed even on a busy machine. Work must release Python's lock, as numpy's does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

ROUND_S = 0.008
"""Aimed length of a round: long against waking the threads, short against a scheduler's time slice."""
ROUND_PER_THREAD_S = 0.0005
FEWEST_ROUNDS = 3
UNDISTURBED = 0.97
"""Threads that had a CPU for this part of the fastest round were not disturbed in it; else as much time is added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A kernel that a thread repeats, and how much it does each time: bytes or operations."""

    amount: float
    run: Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of it. ``best_per_s``: amount a second of all threads in the fastest round of the fastest kernel.

    ``spread``: how far its median round stays behind, as a fraction. ``on_cpu_s`` and ``wall_s`` sum over threads.
    """

    best_per_s: float
    spread: float
    rounds: int
    on_cpu_s: float
    wall_s: float


def trial(make: Callable[[], Sequence[Work]], *, threads: int, seconds: float) -> Trial:
    """Let ``threads`` threads take turns through the kernels that ``make`` returns, for about ``seconds``.

    ``make`` is called in each thread, so that each touches its memory first, and must return the same kinds and
    amounts of work. What it raises is raised here.
    """
    turns = _Turns(threads=threads, seconds=seconds)
    barrier = threading.Barrier(threads, action=turns.turn)
    workers = [threading.Thread(target=_take_part, args=(make, turns, barrier, i), daemon=True) for i in range(threads)]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        barrier.abort()
    if turns.error is not None:
        raise turns.error
    return turns.trial()


def _take_part(make: Callable[[], Sequence[Work]], turns: _Turns, barrier: threading.Barrier, place: int) -> None:
    try:
        kernels = make()
        for work in kernels:
            work.run()
        turns.amounts = [work.amount for work in kernels]
        barrier.wait()
        while not turns.done:
            run = kernels[turns.kind].run
            on_cpu_s, begun_s = time.thread_time(), time.perf_counter()
            for _ in range(turns.passes[turns.kind]):
                run()
            ended_s = time.perf_counter()
            turns.taken[place] = (begun_s, ended_s, time.thread_time() - on_cpu_s)
            barrier.wait()
    except threading.BrokenBarrierError:
        return
    except BaseException as error:
        turns.error = error
        barrier.abort()


@dataclass(slots=True, kw_only=True)
class _Turns:
    """What is next, decided while every thread waits at the barrier. The first round of a kernel sets its length."""

    threads: int
    seconds: float
    amounts: list[float] = field(default_factory=list)
    kind: int = -1
    done: bool = False
    passes: list[int] = field(default_factory=list)
    rates: list[list[float]] = field(default_factory=list)
    calmest: float = 0.0
    taken: list[tuple[float, float, float]] = field(default_factory=list)
    on_cpu_s: float = 0.0
    wall_s: float = 0.0
    deadline_s: float = 0.0
    error: BaseException | None = None

    def turn(self) -> None:
        if self.kind < 0:
            self._begin()
        else:
            self._count()
        self.kind = (self.kind + 1) % len(self.amounts)
        enough = all(len(rates) >= FEWEST_ROUNDS for rates in self.rates)
        patience_s = 0.0 if self.calmest >= UNDISTURBED else self.seconds
        self.done = enough and time.perf_counter() >= self.deadline_s + patience_s

    def _begin(self) -> None:
        self.passes = [1] * len(self.amounts)
        self.rates = [[] for _ in self.amounts]
        self.taken = [(0.0, 0.0, 0.0)] * self.threads
        self.deadline_s = time.perf_counter() + self.seconds

    def _count(self) -> None:
        span_s = max(max(t[1] for t in self.taken) - min(t[0] for t in self.taken), 1e-9)
        if self.passes[self.kind] == 1 and not self.rates[self.kind]:
            aimed_s = max(ROUND_S, ROUND_PER_THREAD_S * self.threads)
            self.passes[self.kind] = max(1, round(aimed_s / span_s))
            if self.passes[self.kind] > 1:
                return
        rate = self.amounts[self.kind] * self.passes[self.kind] * self.threads / span_s
        on_cpu_s = sum(on_cpu for _, _, on_cpu in self.taken)
        wall_s = sum(ended - begun for begun, ended, _ in self.taken)
        if rate > max(map(max, filter(None, self.rates)), default=0.0):
            self.calmest = on_cpu_s / max(wall_s, 1e-9)
        self.rates[self.kind].append(rate)
        self.on_cpu_s += on_cpu_s
        self.wall_s += wall_s

    def trial(self) -> Trial:
        """The fastest kernel's figures."""
        rates = max(self.rates, key=max)
        return Trial(
            best_per_s=max(rates),
            spread=1.0 - median(rates) / max(rates),
            rounds=sum(map(len, self.rates)),
            on_cpu_s=self.on_cpu_s,
            wall_s=self.wall_s,
        )
