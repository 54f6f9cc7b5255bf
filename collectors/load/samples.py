"""The levels of a sweep together, over parts of their time, each level weighing the same however fast it was.

A part is that part of every level, and its figure the geometric mean over the levels: what makes one level slower by a
tenth shows as much whichever it is, and two sweeps over the same levels compare. A sum over the time would weigh a
level by its speed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from collectors.load.figures import Figures
from collectors.load.level import LevelLoad
from heuristics.arrays import Array, median

Levels = Sequence[tuple[LevelLoad, Figures]]

PART_S, PART_STEPS = 1.0, 20.0
"""A part is no shorter at any level: tokens come step by step, and one step more or less is a part of its rate."""
MOST_PARTS = 10


def samples(levels: Levels) -> dict[str, tuple[float, ...]]:
    """A value for each part, by the figure's name in a verdict; none without a level that was measured whole."""
    whole = _whole(levels)
    if not whole:
        return {}
    parts = min([MOST_PARTS, *(_parts(load, seen) for load, seen in whole)])
    firsts = [_firsts(load) for load, _ in whole]
    groups = min([parts, *(values.size for values in firsts)])
    found = {
        "time_per_output_token_s": _over([_gaps(load, seen, parts) for load, seen in whole]),
        "time_to_first_token_s": _over([_in_turn(values, groups) for values in firsts]),
        "tokens_per_s": _over([_rates(load, seen, parts) for load, seen in whole]),
    }
    return {name: values for name, values in found.items() if values}


def together(levels: Levels) -> dict[str, float]:
    """Latencies over the whole of every level: the mean between tokens, the median to the first."""
    whole = _whole(levels)
    if not whole:
        return {}
    found = {
        "time_per_output_token_s": _over([_gaps(load, seen, 1) for load, seen in whole]),
        "time_to_first_token_s": _over([_in_turn(_firsts(load), 1) for load, _ in whole]),
    }
    return {name: values[0] for name, values in found.items() if values}


def measured_at(levels: Levels) -> tuple[int, ...]:
    """Requests at once of the levels that are told of."""
    return tuple(load.offered for load, _ in _whole(levels))


def _whole(levels: Levels) -> list[tuple[LevelLoad, Figures]]:
    return [(load, seen) for load, seen in levels if load.whole and load.begin_s is not None]


def _over(levels: Sequence[Sequence[float | None]]) -> tuple[float, ...]:
    """Geometric means over the levels, of the parts that every level tells."""
    found = []
    for values in zip(*levels, strict=True):
        told = [value for value in values if value is not None and value > 0.0]
        if len(told) == len(levels):
            found.append(float(np.exp(np.mean(np.log(told)))))
    return tuple(found)


def _parts(load: LevelLoad, seen: Figures) -> int:
    """Into how many parts a level can be divided."""
    (gap_s,) = _gaps(load, seen, 1)
    return max(1, int(seen.window_s / max(PART_S, PART_STEPS * (gap_s or 0.0))))


def _edges(load: LevelLoad, parts: int) -> Array:
    found: Array = np.linspace(load.begin_s or 0.0, load.end_s, parts + 1)
    return found


def _firsts(load: LevelLoad) -> Array:
    """Times to first tokens, in the order in which the requests were sent."""
    return np.array([x.token_s[0] - x.sent_s for x in load.exchanges if x.token_s])


def _in_turn(values: Array, groups: int) -> list[float | None]:
    """Medians of as many groups, dealt out in turn: requests that were sent together are spread over all of them."""
    return [median(values[n::groups]) for n in range(groups)]


def _gaps(load: LevelLoad, seen: Figures, parts: int) -> list[float | None]:
    """Mean time from token to token by the part in which it ended; an event of several tokens is divided evenly."""
    edges = _edges(load, parts)
    total_s, count = np.zeros(parts), np.zeros(parts)
    for exchange in load.exchanges:
        times = np.array(exchange.token_s)
        times = times[(times > edges[0]) & (times <= edges[-1])]
        if times.size > 1:
            place = np.clip(np.searchsorted(edges, times[1:], side="left") - 1, 0, parts - 1)
            np.add.at(total_s, place, np.diff(times) / max(1.0, seen.tokens_per_event))
            np.add.at(count, place, 1.0)
    return [float(s / n) if n else None for s, n in zip(total_s, count, strict=True)]


def _rates(load: LevelLoad, seen: Figures, parts: int) -> list[float | None]:
    """Tokens a second in each part, of all requests together."""
    edges = _edges(load, parts)
    times = np.concatenate([np.array(x.token_s) for x in load.exchanges] or [np.empty(0)])
    counts, _ = np.histogram(times, edges)
    return [float(rate) for rate in counts * seen.tokens_per_event / np.diff(edges)]
