"""What a sweep over concurrencies found: one row a level, and what was sent for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from heuristics.operations import Phase
from heuristics.vocabulary import Regime

if TYPE_CHECKING:
    from heuristics.verdict import Judgement, PhaseJudgement, Verdict

FLAT = 1.05
"""Throughput over that of the level before, up to which more requests at once bring nothing."""
CAPPED = 0.75
"""Measured batch over requests at once, below which the engine does not run them together."""
ALIKE = 0.98
"""Of the highest throughput, what counts as reaching it: fewer requests at once wait less for it."""
NEARLY = 0.9
"""Of the highest throughput: more requests at once than reach it mostly make each of them wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Median and 95th percentile of so many times, in seconds."""

    p50_s: float
    p95_s: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepLevel:
    """One concurrency. ``batch`` and ``step_s`` are of decoding alone; rates are over ``window_s``, prompts included.

    ``engine_running``: requests that the engine said it ran meanwhile, None where it says nothing.
    """

    offered: int
    window_s: float
    requests: int
    failed: int
    tokens_per_s: float
    prompt_tokens_per_s: float
    tokens_per_event: float
    batch: float | None = None
    batch_source: str | None = None
    step_s: float | None = None
    decode_only_s: float = 0.0
    context_tokens: float | None = None
    engine_running: float | None = None
    first_token: Spread | None = None
    between_tokens: Spread | None = None
    judgement: Judgement | None = None
    phases: Mapping[Phase, PhaseJudgement] = field(default_factory=dict)
    complete: bool = True

    @property
    def capped(self) -> bool:
        """The engine ran clearly fewer together than were sent at once."""
        return self.batch is not None and self.batch < CAPPED * self.offered

    @property
    def decode_tokens_per_s(self) -> float | None:
        """Of decoding alone, all sequences together."""
        return self.batch / self.step_s if self.batch is not None and self.step_s else None

    @property
    def verdict(self) -> Verdict | None:
        """That of decoding, where it was seen alone; else that of the level as a whole."""
        decode = self.phases.get(Phase.DECODE)
        if decode is not None and decode.judgement.verdict is not None:
            return decode.judgement.verdict
        return self.judgement.verdict if self.judgement is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """All levels, what they cost the server and the client, and why the sweep ended where it did."""

    target: str
    levels: tuple[SweepLevel, ...]
    prompt_tokens: float
    output_tokens: float | None
    requests: int
    tokens: int
    wall_s: float
    client_cpu_s: float
    failures: Mapping[str, int] = field(default_factory=dict)
    stopped: str | None = None
    """Why it ended before its last level; None where it did not."""

    @property
    def fastest(self) -> SweepLevel:
        """The smallest level that reaches the highest throughput, among those that were measured whole if any was."""
        return self._reaching(ALIKE)

    @property
    def enough(self) -> str | None:
        """Why nothing speaks for more at once than was swept; None where the largest level is the fastest and free."""
        held = [level for level in self.levels if level.capped]
        if held:
            level = held[-1]
            return (
                f"of {level.offered} requests at once {level.batch:.3g} ran together: its own limit, or a full KV cache"
            )
        if not self.levels[-1].complete:
            return "the largest level was ended before its time: what more at once gains was not seen"
        nearly = self._reaching(NEARLY)
        if nearly is not self.levels[-1]:
            return f"{nearly.offered} at once came within 10 % of the fastest that was swept: more gained little"
        return self.stopped and f"the sweep ended early: {self.stopped}"

    def _reaching(self, part: float) -> SweepLevel:
        whole = [level for level in self.levels if level.complete] or list(self.levels)
        most = max(level.tokens_per_s for level in whole)
        return next(level for level in whole if level.tokens_per_s >= part * most)

    def regimes(self, phase: Phase) -> list[tuple[SweepLevel, Regime]]:
        """The regime of each level that has one in this phase."""
        found = []
        for level in self.levels:
            part = level.phases.get(phase)
            verdict = part.judgement.verdict if part is not None else None
            if phase is Phase.DECODE:
                verdict = level.verdict
            if verdict is not None:
                found.append((level, verdict.regime))
        return found


def settled(levels: list[tuple[int, float | None, float]]) -> str | None:
    """Why more requests at once would show nothing new: (offered, measured batch, tokens/s) of the levels so far."""
    if len(levels) >= 2 and _capped(levels[-1]):
        (_, batch_before, rate_before), (offered, batch, rate) = levels[-2:]
        held = f"of {offered} requests at once {batch:.3g} ran together"
        if rate < FLAT * rate_before:
            return f"{held}, and throughput grew no further"
        if batch is not None and batch_before is not None and batch < FLAT * batch_before:
            return f"{held}, no more than before"
    if len(levels) >= 3 and all(after[2] < FLAT * before[2] for before, after in pairwise(levels[-3:])):
        return "throughput grew by less than 5 % over two levels"
    return None


def _capped(level: tuple[int, float | None, float]) -> bool:
    return level[1] is not None and level[1] < CAPPED * level[0]
