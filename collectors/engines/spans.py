"""Windows of equal time within a run of scrapes, in which the job worked throughout: what runs are compared by."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median

from collectors.engines.serving import serving
from collectors.engines.windows import Target
from heuristics.assemble import busiest
from heuristics.observations import Serving

SHORTEST_S = 1.0
MOST = 20
"""Windows, however long was watched: more of one session are no more evidence, since they share what it met with."""
STEPS, FEWEST_STEPS = 50.0, 10.0
"""Steps that a window holds on average, and at least where two windows are all that the time leaves room for.

Scrapes fall between the ends of steps, so one more or less may be counted: a part of the figure, and one that a median
over windows does not average out.
"""
LATE = 0.05
"""Of the time between scrapes, what they may come early without a window being held for too short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One window: from one scrape to another, by the clock of the records, and what was served between them."""

    begin_s: float
    end_s: float
    source: str
    serving: Serving


def spans(found: Sequence[Target]) -> list[Span]:
    """The windows of the target that does most; none where its scrapes are few, or not timed.

    A window begins and ends with a scrape. Requests ran in every stretch of it and counters moved within it: time
    without requests says nothing of a step, nor does time in which the engine stood still; the whole tells of both.
    """
    if not found:
        return []
    most = busiest([target.whole for target in found])
    target = next(target for target in found if target.whole is most)
    run, pieces = target.run, target.pieces
    if len(pieces) != len(run) - 1 or not pieces:
        return []
    times = [shot.taken_at_s or 0.0 for shot in run]
    length_s, apart_s = _length_s(target)
    every: list[Span] = []
    begin = 0
    while begin < len(pieces) and len(every) < MOST:
        end = _nearest(times, times[begin] + length_s, begin + 1)
        window_s = times[end] - times[begin]
        within = pieces[begin:end]
        idle = next((n for n, piece in enumerate(within) if not piece.full), None)
        if idle is not None:
            begin += idle + 1
            continue
        if window_s < length_s - 0.5 * apart_s:
            break
        if any(piece.moved for piece in within):
            part = serving(target.engine, run[begin : end + 1], window_s, within)
            every.append(Span(begin_s=times[begin], end_s=times[end], source=target.source, serving=part))
        begin = end
    return every


def _nearest(times: Sequence[float], wanted_s: float, first: int) -> int:
    """The place, from ``first`` on, of the time that is nearest to the one wanted."""
    after = min(max(bisect_left(times, wanted_s), first), len(times) - 1)
    before = max(after - 1, first)
    return before if wanted_s - times[before] <= times[after] - wanted_s else after


def _length_s(target: Target) -> tuple[float, float]:
    """How long a window is to be, and how far the scrapes are apart, of which it is a whole number.

    A second at least, enough steps, and no more windows than wanted.
    """
    apart_s = median(piece.window_s for piece in target.pieces)
    whole_s = sum(piece.window_s for piece in target.pieces)
    worked = [piece for piece in target.pieces if piece.full]
    steps = sum(piece.steps or 0.0 for piece in worked)
    step_s = sum(piece.window_s for piece in worked) / steps if steps else 0.0
    enough_s = min(STEPS * step_s, max(whole_s / 2.0 - apart_s / 2.0, FEWEST_STEPS * step_s))
    return apart_s * max(1, ceil(max(SHORTEST_S, whole_s / MOST, enough_s) / apart_s - LATE)), apart_s
