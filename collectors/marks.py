"""Ranges that a program named: annotations of torch.profiler and NVTX, and the phases and steps they stand for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heuristics.arrays import Ns
from heuristics.intervals import Spans, union
from heuristics.operations import Phase
from heuristics.timeline import NOT_LAUNCHED, DeviceEvents

_WORDS = (
    (Phase.PREFILL, re.compile(r"prefill|\bextend\b|prompt_phase|context_phase", re.IGNORECASE)),
    (Phase.DECODE, re.compile(r"decod(?!er)|generation_phase|\bgenerate_step\b", re.IGNORECASE)),
)
_STEP = re.compile(r"^ProfilerStep\s*#?\s*\d+")

PHASE_LETTERS = ("prefill", "extend", "prompt_phase", "context_phase", "decod", "generation_phase", "generate_step")
"""Every name of a phase holds one of these, in any case; a first, coarse filter."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A named range on the host's clock, nanoseconds."""

    name: str
    start: int
    end: int


def phase_of(name: str) -> Phase | None:
    """The phase that a range's name says; None where it says none, or both."""
    said = [phase for phase, words in _WORDS if words.search(name)]
    return said[0] if len(said) == 1 else None


def step_starts(marks: Sequence[Mark]) -> Ns:
    """Where profiler steps begin, sorted, shape (steps,)."""
    return np.array(sorted(m.start for m in marks if _STEP.match(m.name)), np.int64)


def by_phase(marks: Sequence[Mark], events: DeviceEvents) -> list[tuple[Phase, DeviceEvents, Spans]]:
    """Device events by the range in which they were launched, with the stretches of device time they own.

    A stretch runs from the first event of one range to the first event of the next, of either phase.
    """
    said = sorted(
        (m.start, m.end, phase) for m in marks if not _STEP.match(m.name) and (phase := phase_of(m.name)) is not None
    )
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
