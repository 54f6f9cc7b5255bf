"""Levels of a load in virtual time: an engine that batches continuously, and what its client would have noted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from collectors.load.completions import Usage
from collectors.load.exchange import Exchange
from collectors.load.level import Interval, LevelLoad


@dataclass(kw_only=True)
class Played:
    """One level. ``step_s`` by batch, ``prompt_s`` for each prompt; no more than ``most`` run together."""

    offered: int
    step_s: Callable[[int], float]
    prompt_s: float
    prompt_tokens: int = 64
    output_tokens: int = 64
    most: int = 1024
    a_chunk: int = 1
    usage: bool = True
    until_s: float = 20.0
    now_s: float = 100.0
    load: LevelLoad = field(init=False)

    def play(self) -> LevelLoad:
        """The level from its first request on."""
        self.load = LevelLoad(offered=self.offered, started_s=self.now_s)
        waiting = [self._sent() for _ in range(self.offered)]
        running: dict[Exchange, int] = {}
        end_s, since_s, firsts = self.now_s + self.until_s, self.now_s, 0
        while self.now_s < end_s:
            begun, waiting = waiting[: self.most - len(running)], waiting[self.most - len(running) :]
            self.now_s += self.prompt_s * len(begun)
            running |= dict.fromkeys(begun, 0)
            self.now_s += self.step_s(len(running))
            decoding, queued = len(running) - len(begun), len(waiting) + len(begun)
            if begun:
                since_s = self._closed(since_s, decoding, queued, freed=False)
            ended = []
            for exchange in running:
                running[exchange] += 1
                if running[exchange] in (1, self.output_tokens) or running[exchange] % self.a_chunk == 0:
                    exchange.token_s.append(self.now_s)
                if running[exchange] == self.output_tokens:
                    ended.append(exchange)
            firsts += len(begun)
            if self.load.begin_s is None and firsts >= self.offered:
                self.load.begin_s = self.now_s
            if ended:
                since_s = self._closed(since_s, len(running), len(waiting), freed=True)
            for exchange in ended:
                del running[exchange]
                exchange.finish, exchange.ended_s = "length", self.now_s
                if self.usage:
                    exchange.usage = Usage(prompt_tokens=self.prompt_tokens, output_tokens=self.output_tokens)
                waiting.append(self._sent())
        self.now_s += 1e-6  # it ends between two events
        self.load.end_s = self.now_s
        self._closed(since_s, len(running), len(waiting), freed=False)
        for exchange in running:
            exchange.cut, exchange.ended_s = True, self.now_s
        return self.load

    def _sent(self) -> Exchange:
        exchange = Exchange(sent_s=self.now_s)
        self.load.exchanges.append(exchange)
        self.load.sent += 1
        return exchange

    def _closed(self, since_s: float, decoding: int, waiting: int, *, freed: bool) -> float:
        past = Interval(begin_s=since_s, end_s=self.now_s, decoding=decoding, waiting=waiting, freed=freed)
        self.load.intervals.append(past)
        return self.now_s
