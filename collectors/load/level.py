"""One level of the load: so many requests at once, a new one when one ends, until enough was seen."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field

from collectors.load.endpoint import Endpoint, asked, tokens_of
from collectors.load.exchange import Exchange
from collectors.load.plan import Account, Plan
from collectors.load.prompts import Prompts

LOOK_S = 0.05
DRAIN_S = 2.0
"""What is under way at the end of a level may end within so long; then its connection is closed."""
PAUSE_S = 1.0
"""Before a request that follows a failed one."""
WARM_UP = 2.0
"""Of the time of a level: so long, at most, may the first tokens take before measuring begins."""
LONGEST = 5.0
"""Of the time of a level: so long it takes at most."""
ALONE = 0.5
"""Of the time of a level: decoding without prompts wanted at least."""
STEPS = 12
"""Events with tokens wanted of each request that decodes, at least: a step on a CPU may take a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A time in which requests neither began, nor got their first token, nor ended.

    ``decoding`` of them had tokens already, ``waiting`` none yet: their prompts were taken in, or stood in a queue.
    ``freed``: a request that decoded ended it; then those that waited had stood in a queue for that.
    """

    begin_s: float
    end_s: float
    decoding: int
    waiting: int
    freed: bool = False

    @property
    def alone(self) -> bool:
        """Nothing but decoding, as far as can be seen from outside."""
        return self.decoding > 0 and (self.waiting == 0 or self.freed)


@dataclass(slots=True, kw_only=True, eq=False)
class LevelLoad:
    """What one level came to. Times are monotonic; ``begin_s`` to ``end_s`` is what is measured, the warm-up before."""

    offered: int
    exchanges: list[Exchange] = field(default_factory=list)
    intervals: list[Interval] = field(default_factory=list)
    started_s: float = 0.0
    begin_s: float | None = None
    end_s: float = 0.0
    whole: bool = True
    """False where it was ended before its time."""
    sent: int = 0
    failed: int = 0


class Level:
    """Drives one level. ``over`` says from outside that everything has to end, and at once."""

    def __init__(
        self,
        offered: int,
        endpoint: Endpoint,
        plan: Plan,
        account: Account,
        prompts: Prompts,
        over: Callable[[], bool],
    ) -> None:
        self._endpoint, self._plan, self._account, self._prompts = endpoint, plan, account, prompts
        self._over = over
        self._ending = False
        self._decoding: set[Exchange] = set()
        self._waiting: set[Exchange] = set()
        self._since_s = 0.0
        self._alone_s = 0.0
        self._firsts = 0
        self.load = LevelLoad(offered=offered)

    async def run(self) -> LevelLoad:
        """The level from its first request to its last; all connections are closed when it is over."""
        load = self.load
        load.started_s = self._since_s = time.monotonic()
        tasks = [asyncio.create_task(self._stream()) for _ in range(load.offered)]
        try:
            while not (self._over() or self._measured(time.monotonic()) or all(task.done() for task in tasks)):
                await asyncio.sleep(LOOK_S)
            load.end_s = time.monotonic()
            load.whole = self._measured(load.end_s)
            self._close(load.end_s, freed=False)
            self._ending = True
            until_s = load.end_s + DRAIN_S
            while not (self._over() or time.monotonic() > until_s or all(task.done() for task in tasks)):
                await asyncio.sleep(LOOK_S)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return load

    async def _stream(self) -> None:
        """One of the level's requests after another."""
        while not (self._ending or self._over()) and self._account.take():
            self.load.sent += 1
            done = _Following(self)
            try:
                answer = await asked(self._endpoint, self._plan, self._prompts, done.seen)
            finally:
                self._account.settle(tokens_of(done.exchange, self._plan))
            if answer.failure is not None:
                self.load.failed += 1
                self._account.fail(answer.failure.reason, final=answer.failure.final)
                await asyncio.sleep(PAUSE_S)

    def moved(self, exchange: Exchange) -> None:
        """A request was sent, got its first token, or ended."""
        now_s = time.monotonic()
        ended = exchange.ended_s is not None
        self._close(now_s, freed=ended and exchange in self._decoding)
        if ended:
            self._decoding.discard(exchange)
            self._waiting.discard(exchange)
        elif exchange.token_s:
            self._waiting.discard(exchange)
            self._decoding.add(exchange)
            self._firsts += 1
        else:
            self.load.exchanges.append(exchange)
            self._waiting.add(exchange)

    def _close(self, now_s: float, *, freed: bool) -> None:
        """A time without events ends."""
        since_s, self._since_s = self._since_s, now_s
        if self._ending:
            return
        past = Interval(
            begin_s=since_s, end_s=now_s, decoding=len(self._decoding), waiting=len(self._waiting), freed=freed
        )
        self.load.intervals.append(past)
        if past.alone and self.load.begin_s is not None:
            self._alone_s += now_s - max(since_s, self.load.begin_s)

    def _measured(self, now_s: float) -> bool:
        """Whether enough was seen; begins to measure once all requests have a token, or the warm-up lasts too long."""
        load, level_s = self.load, self._plan.level_s
        if load.begin_s is None:
            if self._firsts >= load.offered or now_s - load.started_s > WARM_UP * level_s:
                load.begin_s = now_s
            return False
        if now_s - load.started_s > LONGEST * level_s + self._plan.timeout_s * (not self._firsts):
            return True
        open_s = now_s - max(self._since_s, load.begin_s) if self._decoding and not self._waiting else 0.0
        enough = now_s - load.begin_s >= level_s and self._alone_s + open_s >= ALONE * level_s
        return enough and self._events() >= STEPS * len(self._decoding)

    def _events(self) -> int:
        """Events with tokens since measuring began."""
        since_s = self.load.begin_s or 0.0
        return sum(len(x.token_s) - bisect_right(x.token_s, since_s) for x in self.load.exchanges)


class _Following:
    """Knows the exchange of a request that may be cancelled before it is handed back."""

    def __init__(self, level: Level) -> None:
        self._level, self.exchange = level, Exchange()

    def seen(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self._level.moved(exchange)
