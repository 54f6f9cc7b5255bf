"""The whole load: what the server understands, then level after level, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from collectors.load import endpoint as endpoints
from collectors.load.endpoint import Endpoint
from collectors.load.exchange import Exchange, Failure, Peer
from collectors.load.figures import Figures, figures
from collectors.load.level import Level, LevelLoad
from collectors.load.plan import Account, Plan, told
from collectors.load.prompts import Prompts
from heuristics.sweep import settled

_Found = TypeVar("_Found")

LOOK_S = 0.05
GAP_S = 0.3
"""Between levels, for the engine to notice that connections were closed."""
QUIT_S = 5.0
"""For the load to close its connections when the calling thread is told to quit."""


@dataclass(slots=True, kw_only=True)
class Driven:
    """What was sent and seen, as far as it has come. ``failure``: why the load could not even begin."""

    endpoint: Endpoint | None = None
    answer: Exchange | None = None
    failure: Failure | None = None
    levels: list[tuple[LevelLoad, Figures]] = field(default_factory=list)
    stopped: str | None = None
    cpu_s: float = 0.0
    wall_s: float = 0.0


class Driver:
    """Sends the plan's load. ``ended`` is asked all the time; a reason ends it. ``tell`` gets a line after a level."""

    def __init__(
        self,
        plan: Plan,
        peer: Peer,
        *,
        served: str,
        seed: int,
        ended: Callable[[], str | None],
        tell: Callable[[str], None],
    ) -> None:
        self._plan, self._peer, self._served = plan, peer, served
        self._ended, self._tell = ended, tell
        self._prompts = Prompts(plan.prompt_tokens, seed)
        self._until_s = float("inf")
        self._fault: BaseException | None = None
        self._quits, self._done = threading.Event(), threading.Event()
        self.account = Account(plan)
        self.driven = Driven()

    def run(self) -> Driven:
        """Everything, while the calling thread only waits: Ctrl-C reaches it at once, and ends the load with it."""
        threading.Thread(target=self._thread, name="diagnose-load", daemon=True).start()
        try:
            # not join(), which takes a thread for ended when it is interrupted
            while not self._done.wait(LOOK_S):
                pass
        except BaseException:
            self._quits.set()
            self._done.wait(QUIT_S)
            raise
        if self._fault is not None:
            raise self._fault
        return self.driven

    def _thread(self) -> None:
        begun_s, begun_cpu_s = time.monotonic(), time.thread_time()
        self._until_s = begun_s + self._plan.max_seconds
        try:
            asyncio.run(self._all())
        except Exception as error:
            self._fault = error
        finally:
            self.driven.cpu_s = time.thread_time() - begun_cpu_s
            self.driven.wall_s = time.monotonic() - begun_s
            self._done.set()

    def _told_to_end(self) -> str | None:
        return "interrupted" if self._quits.is_set() else self._ended()

    def _over(self) -> bool:
        return self._told_to_end() is not None or time.monotonic() > self._until_s or self.account.refused is not None

    async def _all(self) -> None:
        found = await self._heeding(
            endpoints.found(self._peer, self._plan, self.account, self._prompts, served=self._served)
        )
        if found is None:
            self.driven.failure = Failure(reason=self._why() or "was ended before the load began")
            return
        if isinstance(found, Failure):
            self.driven.failure = found
            return
        self.driven.endpoint, self.driven.answer = found
        for offered in self._plan.batches:
            if self._stops():
                return
            level = Level(offered, self.driven.endpoint, self._plan, self.account, self._prompts, self._over)
            load = await level.run()
            seen = figures(load, self._prompts.expected_tokens, self._alone_s, earlier=self.driven.answer)
            if seen is None:
                failed = told(self.account.failures)
                self.driven.stopped = self._why() or (
                    f"nothing could be measured at {offered} at once{': ' if failed else ''}{failed}"
                )
                return
            self.driven.levels.append((load, seen))
            self._tell(_line(load, seen))
            if offered != self._plan.batches[-1]:
                await asyncio.sleep(GAP_S)
        self.driven.stopped = self._why() if not self.driven.levels[-1][0].whole else None

    def _stops(self) -> bool:
        """Whether no further level is begun, and why."""
        self.driven.stopped = self._why() or settled(
            [(load.offered, seen.batch, seen.tokens_per_s) for load, seen in self.driven.levels]
        )
        return self.driven.stopped is not None

    def _why(self) -> str | None:
        ended = self._told_to_end()
        if ended is not None:
            return ended
        if time.monotonic() > self._until_s:
            return f"the limit of {self._plan.max_seconds:g} s (--max-seconds)"
        return self.account.spent

    @property
    def _alone_s(self) -> float | None:
        """To the first token of one request at a time."""
        for load, seen in self.driven.levels:
            if load.offered == 1 and seen.first is not None:
                return seen.first.p50_s
        return None

    async def _heeding(
        self, work: Coroutine[Any, Any, tuple[Endpoint, Exchange] | Failure]
    ) -> tuple[Endpoint, Exchange] | Failure | None:
        """Do it unless an end is asked for meanwhile."""
        task = asyncio.create_task(work)
        while not task.done():
            if self._over():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                return None
            await asyncio.wait([task], timeout=LOOK_S)
        return task.result()


def in_thread(work: Coroutine[Any, Any, _Found]) -> _Found:
    """Wait for a little work, whether or not the calling thread has a loop of its own running."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def _line(load: LevelLoad, seen: Figures) -> str:
    batch = "" if seen.batch is None else f", batch {seen.batch:.3g}"
    failed = f", {load.failed} failed" if load.failed else ""
    return f"{load.offered:>4} at once: {seen.tokens_per_s:.3g} tokens/s{batch}{failed}"
