"""Ranges that a program named: annotations of torch.profiler and NVTX, and the phases and steps they stand for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from heuristics.arrays import Ns
from heuristics.intervals import Spans, union
from heuristics.operations import Phase
from heuristics.timeline import NOT_LAUNCHED, DeviceEvents

_WORDS = (
    (Phase.PREFILL, re.compile(r"prefill|\bextend\b|prompt_phase|context_phase", re.IGNORECASE)),
    (Phase.DECODE, re.compile(r"decod(?!er)|generation_phase|\bgenerate_step\b", re.IGNORECASE)),
)
_COUNTS = re.compile(
    r"\b(\d+) ctx reqs,(?: \d+ ctx tokens,)? (\d+) gen reqs|execute_context_(\d+)\(\d+\)_generation_(\d+)\(\d+\)"
)
"""How TensorRT-LLM and vLLM name a step: by its requests in either phase."""
_STEP = re.compile(r"^ProfilerStep\s*#?\s*\d+")

PHASE_LETTERS = (
    "prefill",
    "extend",
    "prompt_phase",
    "context_phase",
    "decod",
    "generation_phase",
    "generate_step",
    "ctx reqs",
    "execute_context",
)
"""Every name of a phase holds one of these, in any case; a first, coarse filter."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A named range on the host's clock, nanoseconds."""

    name: str
    start: int
    end: int


def phase_of(name: str) -> Phase | None:
    """The phase that a range's name says; None where it says none, or both."""
    counts = _COUNTS.search(name)
    if counts is not None:
        numbers = (count for count in counts.groups() if count is not None)
        said = [phase for phase, count in zip((Phase.PREFILL, Phase.DECODE), numbers, strict=True) if count.strip("0")]
    else:
        said = [phase for phase, words in _WORDS if words.search(name)]
    return said[0] if len(said) == 1 else None


@lru_cache(maxsize=4096)
def is_mark(name: str) -> bool:
    """Whether a range's name says a step or a phase."""
    return _STEP.match(name) is not None or phase_of(name) is not None


def step_starts(marks: Sequence[Mark]) -> Ns:
    """Where profiler steps begin, sorted, shape (steps,)."""
    return np.array(sorted(m.start for m in marks if _STEP.match(m.name)), np.int64)


def by_phase(marks: Sequence[Mark], events: DeviceEvents) -> list[tuple[Phase, DeviceEvents, Spans]]:
    """Device events by the range in which they were launched, with the stretches of device time they own.

    A stretch runs from the first event of one range to the first event of the next, of either phase.
    """
    named = ((m, phase_of(m.name)) for m in marks if not _STEP.match(m.name))
    said = list(_innermost((m.start, m.end, phase) for m, phase in named if phase is not None))
    known = events.launch_start != NOT_LAUNCHED
    if not said or not known.any():
        return []
    begin = np.array([s for s, _, _ in said], np.int64)
    finish = np.array([e for _, e, _ in said], np.int64)
    is_decode = np.array([phase is Phase.DECODE for _, _, phase in said])
    mark = np.searchsorted(begin, events.launch_start, side="right") - 1
    inside = known & (mark >= 0) & (events.launch_start <= finish[np.maximum(mark, 0)])
    if not inside.any():
        return []
    never = np.iinfo(np.int64).max
    first = np.full(len(said), never)
    np.minimum.at(first, mark[inside], events.start[inside])
    used = np.flatnonzero(first != never)
    used = used[np.argsort(first[used], kind="stable")]
    edges = np.append(first[used], events.end[inside].max())
    found = []
    for phase in Phase:
        rows = np.flatnonzero(is_decode[used] == (phase is Phase.DECODE))
        if rows.size:
            window = union(edges[rows], np.maximum(edges[rows], edges[rows + 1]))
            mine = inside & (is_decode[np.maximum(mark, 0)] == (phase is Phase.DECODE))
            found.append((phase, events.chosen(mine), window))
    return found


def _innermost(ranges: Iterable[tuple[int, int, Phase]]) -> Iterator[tuple[int, int, Phase]]:
    """Disjoint (start, end, phase), sorted: inside a range of the other phase the inner one speaks."""
    around: list[tuple[int, Phase]] = []
    at = 0
    for start, end, phase in sorted(ranges, key=lambda found: (found[0], -found[1], found[2])):
        for stretch in _closed(around, at, start):
            yield stretch
            at = stretch[1]
        if around and around[-1][1] is phase and end <= around[-1][0]:
            continue
        if around and start > at:
            yield at, start, around[-1][1]
        at = start
        around.append((end, phase))
    yield from _closed(around, at, None)


def _closed(around: list[tuple[int, Phase]], at: int, until: int | None) -> Iterator[tuple[int, int, Phase]]:
    """What is left from ``at`` of the open ranges that end by a moment, innermost first; they are taken off."""
    while around and (until is None or around[-1][0] <= until):
        end, phase = around.pop()
        if end > at:
            yield at, end, phase
            at = end
