"""Typed columns out of pieces of a trace: device work, the calls that launched it, marks, host activity."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from collectors.kineto.events import (
    BEGINNING,
    BY_BEGINNING,
    CALLS,
    CATEGORIES,
    DEVICE,
    LONGEST_NS,
    NOTES,
    SHAPES,
    CallEvent,
    Decoding,
    DeviceArgs,
    DeviceEvent,
    Kind,
    NoteEvent,
)
from collectors.kineto.flops import OPERATION_NAMES, OperationLog
from collectors.kineto.host import HostOutline
from collectors.kineto.scanner import Layout
from collectors.kineto.times import NOT_A_TIME, all_nanoseconds
from collectors.marks import Mark, is_mark
from heuristics.arrays import Flags, Ns, Small
from heuristics.timeline import NOT_LAUNCHED

NAME_WITHIN = 160
"""Bytes of a call's piece within which its name stands, where its layout is Kineto's own."""

TOGETHER = 24
"""Blocks whose pieces are decoded at one go: some megabytes, so that what a go costs at least is not paid for each."""

MOST_BLOCKS = 1e12
MOST_DEVICES = 1 << 16
LARGEST_ID = 1 << 62

GRAPH_LAUNCHES = ("cudaGraphLaunch", "cuGraphLaunch", "hipGraphLaunch")

_CATEGORY = re.compile(rb'"cat"\s*:\s*"(\w+)"')
_NAMED_OPERATION = re.compile(rb'"(?:' + b"|".join(name.encode() for name in OPERATION_NAMES) + rb')"')


class Columns:
    """Grows as pieces arrive; arrays of machine integers, so that a million kernels take tens of megabytes."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._decoding = Decoding(layout)
        self._waiting: dict[Kind, list[bytes]] = {kind: [] for kind in Kind}
        self._blocks = 0
        self._untimely = 0
        self.names: dict[str, int] = {}
        self.name_index = array("i")
        self.start = array("q")
        self.end = array("q")
        self.device = array("i")
        self.correlation = array("q")
        self.external = array("q")
        self.blocks_per_sm = array("f")
        self.in_graph = array("b")
        self.call_correlation = array("q")
        self.call_start = array("q")
        self.call_end = array("q")
        self.call_is_graph = array("b")
        self.marks: list[Mark] = []
        self.operations = OperationLog()
        self.host = HostOutline(self._decoding)
        self.has_stacks = False

    @property
    def unusable(self) -> int:
        """Events left out because they could not be decoded or have no sound time."""
        return self._decoding.damaged + self._untimely

    def add(self, pieces: Sequence[bytes]) -> None:
        """Take one block of pieces; those of interest wait until there are enough to be decoded together."""
        self._sort(pieces)
        self.has_stacks |= bool(self._waiting[Kind.STACK])
        self._waiting[Kind.STACK].clear()
        self._blocks += 1
        if self._blocks == TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Decode what waits; the columns are complete after the last block has been added and this was called."""
        sorted_ = self._waiting
        self._blocks = 0
        self._device_events(self._decoding.events(DEVICE, sorted_[Kind.DEVICE]))
        calls = sorted_[Kind.CALL]
        within = None if self.layout.category_at is None else NAME_WITHIN
        launching = [p for p in calls if p.find(b"Launch", 0, within) >= 0 or p.find(b"Mem", 0, within) >= 0]
        self._calls(self._decoding.events(CALLS, launching))
        self._annotations(self._decoding.events(NOTES, sorted_[Kind.NOTE]))
        operations = sorted_[Kind.OPERATION]
        if old := sorted_[Kind.OPERATION_OR_NOTE]:
            self._annotations(self._decoding.events(NOTES, old, again=True))
            operations = operations + old
        self.host.add(operations)
        self.host.add(calls, again=True)
        self._shapes(operations)
        for pieces in sorted_.values():
            pieces.clear()

    def _sort(self, pieces: Sequence[bytes]) -> None:
        """Each piece to the list of its kind; those of no interest nowhere."""
        sorted_ = self._waiting
        at = self.layout.category_at
        if at is None:
            for piece in pieces:
                kind = CATEGORIES.get(_category(piece))
                if kind is not None:
                    sorted_[kind].append(piece)
            return
        sink = {beginning: sorted_[kind].append for beginning, kind in BY_BEGINNING.items()}.get
        beginnings = map(itemgetter(slice(at, at + BEGINNING)), pieces)
        for append, piece in zip(map(sink, beginnings), pieces, strict=True):
            if append is not None:
                append(piece)

    def _times(self, events: Sequence[DeviceEvent | CallEvent | NoteEvent]) -> tuple[Ns, Ns, Flags]:
        """(start, end, sound) of events; unsound ones, with no time or an absurd one, are counted."""
        start = all_nanoseconds([e.ts for e in events])
        length = all_nanoseconds([e.dur for e in events])
        sound = (start != NOT_A_TIME) & (length >= 0) & (length < LONGEST_NS)
        self._untimely += int((~sound).sum())
        return start, start + np.where(sound, length, 0), sound

    def _device_events(self, events: list[DeviceEvent]) -> None:
        if not events:
            return
        start, end, sound = self._times(events)
        table = self.names
        args = [e.args for e in events]
        columns = (
            (self.name_index, "i", [table.setdefault(e.name, len(table)) for e in events]),
            (self.start, "q", start),
            (self.end, "q", end),
            (self.device, "i", _device_indices(events, args)),
            (self.correlation, "q", ids([a.correlation for a in args])),
            (self.external, "q", ids([a.external if a.external is not None else a.external_old for a in args])),
            (self.blocks_per_sm, "f", _stated_blocks([a.blocks for a in args])),
            (self.in_graph, "b", [bool(a.graph) for a in args]),
        )
        _append(columns, sound)

    def _calls(self, events: list[CallEvent]) -> None:
        if not events:
            return
        start, end, sound = self._times(events)
        columns = (
            (self.call_correlation, "q", ids([e.args.correlation for e in events])),
            (self.call_start, "q", start),
            (self.call_end, "q", end),
            (self.call_is_graph, "b", [e.name.startswith(GRAPH_LAUNCHES) for e in events]),
        )
        _append(columns, sound)

    def _annotations(self, events: list[NoteEvent]) -> None:
        """Keep the steps and phases among annotations; programs write any number of others."""
        events = [e for e in events if e.cat != "gpu_user_annotation" and is_mark(e.name)]
        if not events:
            return
        start, end, sound = self._times(events)
        self.marks += [
            Mark(e.name, int(begin), int(finish))
            for e, begin, finish, usable in zip(events, start, end, sound, strict=True)
            if usable
        ]

    def _shapes(self, pieces: list[bytes]) -> None:
        """Operations whose FLOPs follow from recorded shapes; where shapes are recorded most operations have them."""
        if not any(b'"Input Dims"' in piece for piece in pieces[:64]):
            return
        named = [p for p in pieces if b'"Input Dims"' in p and _NAMED_OPERATION.search(p)]
        for event in self._decoding.events(SHAPES, named, again=True):
            if event.args.external is not None:
                self.operations.add(clipped(event.args.external), event.name, event.args.dims, event.args.types)


def _stated_blocks(blocks: list[float | None]) -> Small:
    """Blocks per SM, NaN where not stated or not a number of blocks."""
    found = np.array(blocks, np.float64)
    return np.where((found >= 0.0) & (found < MOST_BLOCKS), found, np.nan).astype(np.float32)


def _category(piece: bytes) -> bytes:
    """The category of an event in an unknown order of keys; where it comes first, its quote went to the layout."""
    found = _CATEGORY.search(piece) or _CATEGORY.match(b'"' + piece)
    return b"" if found is None else found[1]


def _append(columns: Iterable[tuple[array[Any], str, Any]], sound: Flags) -> None:
    every = bool(sound.all())
    for column, code, values in columns:
        block = np.array(values, np.dtype(code))
        column.frombytes((block if every else block[sound]).tobytes())


def _device_indices(events: Sequence[DeviceEvent], args: Sequence[DeviceArgs]) -> list[int]:
    """The device of each event; very old traces state it only as the process id."""
    stated = [a.device if a.device is not None else e.pid for e, a in zip(events, args, strict=True)]
    usable = {d for d in set(stated) if isinstance(d, int) and 0 <= d < MOST_DEVICES}
    return [d if d in usable else 0 for d in stated]


def ids(stated: list[int | None]) -> Ns:
    """Ids as machine integers, shape (events,); −1 stands for none and for one that does not fit."""
    try:
        found = np.array(stated, np.int64)
    except (TypeError, OverflowError):
        found = np.array([clipped(number) for number in stated], np.int64)
    found[(found < 0) | (found >= LARGEST_ID)] = -1
    return found


def clipped(number: int | None) -> int:
    """An id that fits a machine integer; −1 stands for none."""
    return number if number is not None and 0 <= number < LARGEST_ID else -1


def launches(columns: Columns) -> tuple[Ns, Ns, Flags]:
    """(launch start, launch end, launched from a graph) of every device event, joined on the correlation id.

    Where several calls share an id the earliest counts.
    """
    wanted = np.array(columns.correlation, np.int64)
    known = np.array(columns.call_correlation, np.int64)
    count = wanted.size
    start = np.full(count, NOT_LAUNCHED)
    end = np.full(count, NOT_LAUNCHED)
    graph = np.array(columns.in_graph, bool)
    if known.size == 0 or count == 0:
        return start, end, graph
    order = np.argsort(known, kind="stable")
    in_order = known[order]
    if ((in_order[1:] == in_order[:-1]) & (in_order[1:] >= 0)).any():
        order = np.lexsort((np.array(columns.call_start, np.int64), known))
    place = np.minimum(np.searchsorted(in_order, wanted), known.size - 1)
    match = (in_order[place] == wanted) & (wanted >= 0)
    found = order[place[match]]
    start[match] = np.array(columns.call_start, np.int64)[found]
    end[match] = np.array(columns.call_end, np.int64)[found]
    graph[match] |= np.array(columns.call_is_graph, bool)[found]
    return start, end, graph
