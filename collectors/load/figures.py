"""What a level came to: latencies, throughput, and the steps in times of decoding alone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from collectors.load.exchange import Exchange
from collectors.load.level import Interval, LevelLoad
from heuristics.arrays import Array
from heuristics.sweep import Spread

FEWEST_STEPS = 5.0
"""In a stretch of decoding alone from which on it tells the time of a step."""
PIECE_S, PIECE_STEPS = 1.0, 8.0
"""Longer stretches are divided, into pieces no shorter than that."""
SAME_STEP = 0.25
"""Of a step, the time within which first tokens are of the same one."""
TAKING_IN = 2.0
"""Times the first token of a request alone: so long after an event a prompt may still be being taken in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Decoding alone. ``batch``: sequences that decoded; ``context_tokens``: mean tokens of each in the middle."""

    window_s: float
    batch: float
    step_s: float
    context_tokens: float

    @property
    def steps(self) -> float:
        """How many there were, one token for each sequence in each."""
        return self.window_s / self.step_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One level, as the client saw it. Rates are over ``window_s``; what was not seen is None.

    ``first`` is from the sending of a request to its first token, connection made; ``between`` is from token to token.
    ``prompt_s``: a prompt's part of the time that steps of decoding do not explain while prompts waited, from the
    level's first request on.
    """

    window_s: float
    tokens_per_s: float
    prompt_tokens_per_s: float
    prompts: int
    prompt_tokens: float
    output_tokens: float | None
    cached_tokens: float
    tokens_per_event: float
    first: Spread | None
    between: Spread | None
    pieces: tuple[Piece, ...]
    in_flight: float
    prompt_s: float | None
    together: float
    """Prompts that got their first tokens in the same step, on average."""

    @property
    def prefill_s(self) -> float:
        """Seconds of the window that went to prompts."""
        return min(self.window_s, self.prompts * (self.prompt_s or 0.0))

    @property
    def alone_s(self) -> float:
        """Seconds of decoding alone."""
        return sum(piece.window_s for piece in self.pieces)

    @property
    def step_s(self) -> float | None:
        """Mean time of a step of decoding alone."""
        steps = sum(piece.steps for piece in self.pieces)
        return self.alone_s / steps if steps else None

    @property
    def batch(self) -> float | None:
        """Mean sequences in such a step."""
        steps = sum(piece.steps for piece in self.pieces)
        return sum(piece.batch * piece.steps for piece in self.pieces) / steps if steps else None

    @property
    def context_tokens(self) -> float | None:
        """Mean tokens of a sequence in such a step."""
        steps = sum(piece.steps for piece in self.pieces)
        return sum(piece.context_tokens * piece.steps for piece in self.pieces) / steps if steps else None


def figures(
    load: LevelLoad, prompt_tokens: float, alone_s: float | None = None, *, earlier: Exchange | None = None
) -> Figures | None:
    """The figures of a level; None where nothing could be measured.

    ``prompt_tokens``: of a prompt, where the server does not count; ``alone_s``: to the first token of a request
    alone; ``earlier``: an answer that tells how many tokens an event holds where none of the level ended.
    """
    begun = [x for x in load.exchanges if x.token_s]
    if load.begin_s is None or not begun or load.end_s <= load.begin_s:
        return None
    window = (load.begin_s, load.end_s)
    window_s = window[1] - window[0]
    each = _each(begun, earlier)
    stated = [x.usage.prompt_tokens for x in begun if x.usage.prompt_tokens is not None]
    prompt_tokens = sum(stated) / len(stated) if stated else prompt_tokens
    prompts = [x for x in begun if window[0] < x.token_s[0] <= window[1]]
    taken = [_prompt(x, prompt_tokens) for x in prompts]
    cached = sum(x.usage.cached_tokens or 0 for x in prompts)
    tokens = sum(_between(x, *window) * per for x, per in zip(begun, each, strict=True))
    if not tokens:
        return None
    firsts = np.array([x.token_s[0] - x.sent_s for x in begun])
    counted = [x.usage.output_tokens for x in begun if x.usage.output_tokens is not None and x.finish]
    guard_s = TAKING_IN * (float(np.min(firsts)) if alone_s is None else alone_s)
    pieces = tuple(
        piece
        for interval in load.intervals
        if interval.alone
        for piece in _pieces(_clipped(interval, window, guard_s), begun, each, prompt_tokens)
    )
    step_s = sum(p.window_s for p in pieces) / sum(p.steps for p in pieces) if pieces else None
    return Figures(
        window_s=window_s,
        tokens_per_s=tokens / window_s,
        prompt_tokens_per_s=sum(taken) / window_s,
        prompts=len(prompts),
        prompt_tokens=float(np.mean([_prompt(x, prompt_tokens) for x in begun])),
        output_tokens=float(np.mean(counted)) if counted else None,
        cached_tokens=cached / len(prompts) if prompts else 0.0,
        tokens_per_event=float(np.mean(each)),
        first=_spread(firsts),
        between=_spread(_gaps(begun, each, window)),
        pieces=pieces,
        in_flight=_in_flight(load.intervals, window),
        prompt_s=None if step_s is None else _prompt_s(load, begun, each, step_s),
        together=_together(begun, step_s),
    )


def _each(begun: Sequence[Exchange], earlier: Exchange | None) -> list[float]:
    """Tokens an event, by the server's count where it gave one, by the others' mean where not."""
    known = [_per_event(x) for x in begun]
    stated = [per for per in known if per is not None]
    before = _per_event(earlier) if earlier is not None else None
    typical = sum(stated) / len(stated) if stated else before or 1.0
    return [typical if per is None else per for per in known]


def _per_event(exchange: Exchange) -> float | None:
    output = exchange.usage.output_tokens
    return output / len(exchange.token_s) if output and exchange.finish else None


def _prompt(exchange: Exchange, otherwise: float) -> float:
    counted = exchange.usage.prompt_tokens
    return otherwise if counted is None else float(counted)


def _between(exchange: Exchange, begin_s: float, end_s: float) -> int:
    """Events with tokens after the one time and up to the other."""
    return bisect_right(exchange.token_s, end_s) - bisect_right(exchange.token_s, begin_s)


def _gaps(begun: Sequence[Exchange], each: Sequence[float], window: tuple[float, float]) -> Array:
    """Times from token to token within the window; between events of several tokens an equal part for each."""
    found = [np.empty(0)]
    for exchange, per in zip(begun, each, strict=True):
        times = np.array(exchange.token_s)
        times = times[(times > window[0]) & (times <= window[1])]
        found.append(np.diff(times) / max(1.0, per))
    return np.concatenate(found)


def _spread(values: Array) -> Spread | None:
    if not values.size:
        return None
    p50, p95 = np.percentile(values, (50.0, 95.0))
    return Spread(p50_s=float(p50), p95_s=float(p95), count=int(values.size))


def _clipped(interval: Interval, window: tuple[float, float], guard_s: float) -> Interval:
    """Within the window; behind the time that a prompt may have taken where some were waiting."""
    begin_s = interval.begin_s + (guard_s if interval.waiting else 0.0)
    return replace(interval, begin_s=max(begin_s, window[0]), end_s=min(interval.end_s, window[1]))


def _pieces(interval: Interval, begun: Sequence[Exchange], each: Sequence[float], prompt_tokens: float) -> list[Piece]:
    """An interval in pieces of about a second; none where it is too short."""
    whole = _piece(interval.begin_s, interval.end_s, interval.decoding, begun, each, prompt_tokens)
    if whole is None:
        return []
    parts = max(1, min(int(whole.window_s / PIECE_S), int(whole.steps / PIECE_STEPS)))
    edges = np.linspace(interval.begin_s, interval.end_s, parts + 1)
    made = (_piece(low, high, interval.decoding, begun, each, prompt_tokens) for low, high in pairwise(edges.tolist()))
    return [piece for piece in made if piece is not None]


def _piece(
    begin_s: float,
    end_s: float,
    decoding: int,
    begun: Sequence[Exchange],
    each: Sequence[float],
    prompt_tokens: float,
) -> Piece | None:
    """The time of a step from the first to the last token that each sequence got within the time."""
    if end_s <= begin_s:
        return None
    spans_s = steps = context = 0.0
    sequences = 0
    for exchange, per in zip(begun, each, strict=True):
        low, high = bisect_right(exchange.token_s, begin_s), bisect_right(exchange.token_s, end_s)
        if high - low < 2:
            continue
        sequences += 1
        spans_s += exchange.token_s[high - 1] - exchange.token_s[low]
        steps += (high - 1 - low) * per
        context += _prompt(exchange, prompt_tokens) + 0.5 * (low + high) * per
    if sequences < decoding or steps < FEWEST_STEPS * sequences or spans_s <= 0.0:
        return None
    return Piece(
        window_s=end_s - begin_s,
        batch=float(sequences),
        step_s=spans_s / steps,
        context_tokens=context / sequences,
    )


def _together(begun: Sequence[Exchange], step_s: float | None) -> float:
    """Prompts by the steps that they ended in: an engine takes several in at once, or one after another."""
    if step_s is None:
        return 1.0
    firsts = np.sort([x.token_s[0] for x in begun])
    return firsts.size / (1 + int((np.diff(firsts) > SAME_STEP * step_s).sum()))


def _in_flight(intervals: Sequence[Interval], window: tuple[float, float]) -> float:
    """Mean requests that decoded."""
    covered = [(min(i.end_s, window[1]) - max(i.begin_s, window[0]), i.decoding) for i in intervals]
    whole_s = sum(s for s, _ in covered if s > 0.0)
    return sum(s * n for s, n in covered if s > 0.0) / whole_s if whole_s else 0.0


def _prompt_s(load: LevelLoad, begun: Sequence[Exchange], each: Sequence[float], step_s: float) -> float:
    """Time while requests waited for their first token, less the steps that others made meanwhile, for each prompt."""
    times = np.concatenate([np.array(x.token_s) for x in begun])
    weights = np.concatenate([np.full(len(x.token_s), per) for x, per in zip(begun, each, strict=True)])
    order = np.argsort(times, kind="stable")
    times, so_far = times[order], np.concatenate([[0.0], np.cumsum(weights[order])])
    waited_s = 0.0
    for interval in load.intervals:
        if interval.waiting and interval.end_s < load.end_s:
            low, high = np.searchsorted(times, (interval.begin_s, interval.end_s), side="right")
            made = (so_far[high] - so_far[low]) / interval.decoding if interval.decoding else 0.0
            waited_s += (interval.end_s - interval.begin_s) - made * step_s
    return max(0.0, waited_s / max(1, sum(x.token_s[0] <= load.end_s for x in begun)))
