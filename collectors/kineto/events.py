"""Typed columns out of pieces of a trace: device work, the calls that launched it, annotations, host activity.

Times are exact integer nanoseconds: a float of microseconds since the epoch resolves only a quarter of one.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from enum import IntEnum
from typing import Any, TypeVar

import msgspec
import numpy as np

from collectors.kineto.flops import OPERATION_NAMES, OperationLog
from collectors.kineto.scanner import Layout
from heuristics.arrays import Flags, Ns
from heuristics.intervals import EMPTY, Spans, merged, union
from heuristics.timeline import NOT_LAUNCHED


class Kind(IntEnum):
    """What an event is to us."""

    DEVICE = 0
    CALL = 1
    OPERATION = 2
    NOTE = 3
    STACK = 4


CATEGORIES = {
    b"kernel": Kind.DEVICE,
    b"Kernel": Kind.DEVICE,
    b"gpu_memcpy": Kind.DEVICE,
    b"gpu_memset": Kind.DEVICE,
    b"Memcpy": Kind.DEVICE,
    b"Memset": Kind.DEVICE,
    b"cuda_runtime": Kind.CALL,
    b"cuda_driver": Kind.CALL,
    b"Runtime": Kind.CALL,
    b"cpu_op": Kind.OPERATION,
    b"Operator": Kind.OPERATION,
    b"user_annotation": Kind.NOTE,
    b"gpu_user_annotation": Kind.NOTE,
    b"python_function": Kind.STACK,
}
"""Event categories of the torch 1.9 era and of later ones; flows, counters and metadata are not needed."""

BEGINNING = 6
"""Letters that tell the categories apart, the closing quote of shorter ones included."""

_BY_BEGINNING = {(name + b'"')[:BEGINNING]: kind for name, kind in CATEGORIES.items()}

_CATEGORY = re.compile(rb'"cat"\s*:\s*"(\w+)"')
_NAMED_OPERATION = re.compile(rb'"name"\s*:\s*"(?:' + b"|".join(n.encode() for n in OPERATION_NAMES) + rb')"')
_BARE_CONSTANT = re.compile(rb":\s*-?(?:nan|inf|infinity)\b", re.IGNORECASE)
_BLANKED = bytes(32 if c < 32 else c for c in range(256))

NAME_WITHIN = 160
"""Bytes of a call's piece within which its name stands."""

LONGEST_NS = 3_600_000_000_000
"""An event longer than an hour is a broken clock."""

HOST_GRAIN_NS = 1_000_000
"""Only the outline of host activity is needed: each operation counts for this long after its end."""

HOST_PAUSE_NS = 2_000_000
HOST_STRIDE = 8
"""Of so many host operations in a row one is decoded, and the others only where time leaps between two such."""

GRAPH_LAUNCHES = ("cudaGraphLaunch", "cuGraphLaunch", "hipGraphLaunch")


class DeviceArgs(
    msgspec.Struct,
    gc=False,
    rename={"external": "External id", "external_old": "external id", "blocks": "blocks per SM", "graph": "graph id"},
):
    """Arguments of kernels, copies and memsets."""

    device: int | None = None
    correlation: int | None = None
    external: int | None = None
    external_old: int | None = None
    blocks: float | None = None
    graph: int | None = None


class DeviceEvent(msgspec.Struct, gc=False):
    """``ts`` and ``dur`` are ints, or the literal text of a float, microseconds; so in every event."""

    name: str = ""
    ts: Any = None
    dur: Any = 0
    pid: int | str | None = None
    args: DeviceArgs = msgspec.field(default_factory=DeviceArgs)


class CallArgs(msgspec.Struct, gc=False):
    """Arguments of a runtime or driver call."""

    correlation: int | None = None


class CallEvent(msgspec.Struct, gc=False):
    """A call that may have launched something."""

    name: str = ""
    ts: Any = None
    dur: Any = 0
    args: CallArgs = msgspec.field(default_factory=CallArgs)


class NoteEvent(msgspec.Struct):
    """An annotation."""

    name: str = ""
    cat: str = ""
    ts: Any = None
    dur: Any = 0


class ShapeArgs(msgspec.Struct, rename={"external": "External id", "dims": "Input Dims", "types": "Input type"}):
    """Arguments of an operation recorded with shapes."""

    external: int | None = None
    dims: Any = None
    types: Any = None


class ShapeEvent(msgspec.Struct):
    """An operation whose FLOPs follow from its shapes."""

    name: str = ""
    args: ShapeArgs = msgspec.field(default_factory=ShapeArgs)


class Moment(msgspec.Struct, gc=False):
    """Only when the host did something; to the microsecond is enough."""

    ts: float = 0.0
    dur: float = 0.0


_EventT = TypeVar("_EventT", bound=msgspec.Struct)

_DEVICE = msgspec.json.Decoder(list[DeviceEvent], strict=False, float_hook=str)
_CALLS = msgspec.json.Decoder(list[CallEvent], strict=False, float_hook=str)
_NOTES = msgspec.json.Decoder(list[NoteEvent], strict=False, float_hook=str)
_SHAPES = msgspec.json.Decoder(list[ShapeEvent], strict=False)
_MOMENTS = msgspec.json.Decoder(list[Moment], strict=False)


def nanoseconds(microseconds: Any) -> int:
    """Exact nanoseconds of an int, or of a float's text.

    Raises:
        ValueError: not a finite number.
    """
    if type(microseconds) is int:
        return microseconds * 1000
    try:
        return int(Decimal(str(microseconds)) * 1000)
    except (InvalidOperation, OverflowError, ValueError) as error:
        raise ValueError(f"not a time: {microseconds!r}") from error


def all_nanoseconds(microseconds: list[Any]) -> Ns:
    """Exact nanoseconds of many times, shape (times,); those that are no time become ``NOT_A_TIME``.

    Times written alike, all ints or all with the same number of decimals, are converted together.
    """
    kinds = set(map(type, microseconds))
    try:
        if kinds == {int}:
            return np.array(microseconds, np.int64) * 1000
        if kinds == {str}:
            parts = "\n".join(microseconds).replace(".", "\n").split("\n")
            decimals = set(map(len, parts[1::2]))
            if len(decimals) == 1 and len(parts) == 2 * len(microseconds) and (places := decimals.pop()) <= 3:
                numbers = np.array(parts, np.int64)
                converted: Ns = numbers[0::2] * 1000 + numbers[1::2] * 10 ** (3 - places)
                if (numbers >= 0).all():
                    return converted
    except (ValueError, OverflowError):
        pass
    return np.array([_or_not_a_time(m) for m in microseconds], np.int64)


NOT_A_TIME = np.iinfo(np.int64).min + 1


def _or_not_a_time(microseconds: Any) -> int:
    try:
        found = nanoseconds(microseconds)
    except ValueError:
        return NOT_A_TIME
    return found if abs(found) < 1 << 62 else NOT_A_TIME


class Columns:
    """Grows as pieces arrive; arrays of machine integers, so that a million kernels take tens of megabytes."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
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
        self.notes: list[tuple[str, int, int, bool]] = []
        self.operations = OperationLog()
        self.host: Spans = EMPTY
        self.has_stacks = False
        self.unusable = 0

    def add(self, pieces: Sequence[bytes]) -> None:
        """Take one block of pieces."""
        sorted_: dict[Kind, list[bytes]] = {kind: [] for kind in Kind}
        self._sort(pieces, sorted_)
        self.has_stacks |= bool(sorted_[Kind.STACK])
        self._device_events(self._decoded(_DEVICE, sorted_[Kind.DEVICE]))
        launching = [
            p
            for p in sorted_[Kind.CALL]
            if p.find(b"Launch", 0, NAME_WITHIN) >= 0 or p.find(b"Mem", 0, NAME_WITHIN) >= 0
        ]
        self._calls(self._decoded(_CALLS, launching))
        self._annotations(self._decoded(_NOTES, sorted_[Kind.NOTE]))
        self._host_activity(sorted_[Kind.OPERATION])
        self._host_activity(sorted_[Kind.CALL])
        self._shapes(sorted_[Kind.OPERATION])

    def _sort(self, pieces: Sequence[bytes], sorted_: dict[Kind, list[bytes]]) -> None:
        """Each piece to the list of its kind; those of no interest nowhere."""
        at = self.layout.category_at
        if at is None:
            for piece in pieces:
                kind = CATEGORIES.get(_category(piece))
                if kind is not None:
                    sorted_[kind].append(piece)
            return
        sink = {beginning: sorted_[kind].append for beginning, kind in _BY_BEGINNING.items()}.get
        to = at + BEGINNING
        for piece in pieces:
            append = sink(piece[at:to])
            if append is not None:
                append(piece)

    def _decoded(self, decoder: msgspec.json.Decoder[list[_EventT]], pieces: list[bytes]) -> list[_EventT]:
        """Typed events; where a block fails, its pieces one by one, mended, the hopeless ones counted."""
        if not pieces:
            return []
        try:
            return decoder.decode(self.layout.joined(pieces))
        except (msgspec.DecodeError, RecursionError):
            pass
        events: list[_EventT] = []
        for piece in pieces:
            try:
                events += decoder.decode(mended(self.layout.single(piece)))
            except (msgspec.DecodeError, RecursionError):
                self.unusable += 1
        return events

    def _times(self, events: Sequence[DeviceEvent | CallEvent | NoteEvent]) -> tuple[Ns, Ns, Flags]:
        """(start, end, sound) of events; unsound ones, with no time or an absurd one, are counted."""
        start = all_nanoseconds([e.ts for e in events])
        length = all_nanoseconds([e.dur for e in events])
        sound = (start != NOT_A_TIME) & (length >= 0) & (length < LONGEST_NS)
        self.unusable += int((~sound).sum())
        return start, start + np.where(sound, length, 0), sound

    def _device_events(self, events: list[DeviceEvent]) -> None:
        if not events:
            return
        start, end, sound = self._times(events)
        table = self.names
        columns = (
            (self.name_index, "i", [table.setdefault(e.name, len(table)) for e in events]),
            (self.start, "q", start),
            (self.end, "q", end),
            (self.device, "i", [_device_index(e) for e in events]),
            (self.correlation, "q", [clipped(e.args.correlation) for e in events]),
            (self.external, "q", [_external(e.args) for e in events]),
            (self.blocks_per_sm, "f", [_NAN if e.args.blocks is None else e.args.blocks for e in events]),
            (self.in_graph, "b", [bool(e.args.graph) for e in events]),
        )
        _append(columns, sound)

    def _calls(self, events: list[CallEvent]) -> None:
        if not events:
            return
        start, end, sound = self._times(events)
        columns = (
            (self.call_correlation, "q", [clipped(e.args.correlation) for e in events]),
            (self.call_start, "q", start),
            (self.call_end, "q", end),
            (self.call_is_graph, "b", [e.name.startswith(GRAPH_LAUNCHES) for e in events]),
        )
        _append(columns, sound)

    def _annotations(self, events: list[NoteEvent]) -> None:
        if not events:
            return
        start, end, sound = self._times(events)
        self.notes += [
            (e.name, int(begin), int(finish), e.cat == "gpu_user_annotation")
            for e, begin, finish, usable in zip(events, start, end, sound, strict=True)
            if usable
        ]

    def _shapes(self, pieces: list[bytes]) -> None:
        """Operations whose FLOPs follow from recorded shapes; where shapes are recorded most operations have them."""
        if not any(b'"Input Dims"' in piece for piece in pieces[:64]):
            return
        named = [p for p in pieces if b'"Input Dims"' in p and _NAMED_OPERATION.search(p)]
        for event in self._decoded(_SHAPES, named):
            if event.args.external is not None:
                self.operations.add(clipped(event.args.external), event.name, event.args.dims, event.args.types)

    def _host_activity(self, pieces: list[bytes]) -> None:
        """Join the outline of host activity.

        Host events of one thread follow each other in time, so where two of them, a few apart in the file,
        lie within a pause of each other, those between add nothing and are not decoded.
        """
        ends = list(range(0, len(pieces), HOST_STRIDE))
        if pieces and ends[-1] != len(pieces) - 1:
            ends.append(len(pieces) - 1)
        start, end = self._moments([pieces[i] for i in ends])
        if start.size == len(ends):
            jump = np.diff(start)
            near = (jump >= 0) & (jump <= HOST_PAUSE_NS)
            between = [p for i in np.flatnonzero(~near) for p in pieces[ends[i] + 1 : ends[i + 1]]]
            bridges = union(start[:-1][near], start[1:][near])
        else:
            between, bridges = list(pieces), EMPTY
        more_start, more_end = self._moments(between)
        spans = union(np.concatenate([start, more_start, bridges.start]), np.concatenate([end, more_end, bridges.end]))
        self.host = merged(self.host, spans)

    def _moments(self, pieces: list[bytes]) -> tuple[Ns, Ns]:
        """(start, end) of host events, the end carried on over a short pause; damaged ones left out."""
        decoded = self._decoded(_MOMENTS, pieces)
        start = np.array([m.ts for m in decoded])
        length = np.array([m.dur for m in decoded])
        sound = (length >= 0) & (length < LONGEST_NS / 1000) & (np.abs(start) < 9e15)
        begin = (start[sound] * 1000.0).astype(np.int64)
        return begin, begin + (length[sound] * 1000.0).astype(np.int64) + HOST_GRAIN_NS


_NAN = float("nan")


def _category(piece: bytes) -> bytes:
    found = _CATEGORY.search(piece)
    return b"" if found is None else found[1]


def _append(columns: Iterable[tuple[array[Any], str, Any]], sound: Flags) -> None:
    every = bool(sound.all())
    for column, code, values in columns:
        block = np.array(values, np.dtype(code))
        column.frombytes((block if every else block[sound]).tobytes())


def _device_index(event: DeviceEvent) -> int:
    """The device of an event; very old traces state it only as the process id."""
    device = event.args.device if event.args.device is not None else event.pid
    return device if isinstance(device, int) and 0 <= device < 1 << 16 else 0


def _external(args: DeviceArgs) -> int:
    return clipped(args.external if args.external is not None else args.external_old)


def clipped(number: int | None) -> int:
    """An id that fits a machine integer; −1 stands for none."""
    return number if number is not None and 0 <= number < 1 << 62 else -1


def mended(text: bytes) -> bytes:
    """JSON with raw control characters in strings and NaN or infinities as values, as some writers leave them."""
    return _BARE_CONSTANT.sub(b": null", text.translate(_BLANKED))


def launches(columns: Columns) -> tuple[Ns, Ns, Flags]:
    """(launch start, launch end, launched from a graph) of every device event, joined on the correlation id."""
    wanted = np.array(columns.correlation, np.int64)
    known = np.array(columns.call_correlation, np.int64)
    count = wanted.size
    start = np.full(count, NOT_LAUNCHED)
    end = np.full(count, NOT_LAUNCHED)
    graph = np.array(columns.in_graph, bool)
    if known.size == 0 or count == 0:
        return start, end, graph
    order = np.argsort(known, kind="stable")
    place = np.minimum(np.searchsorted(known[order], wanted), known.size - 1)
    match = (known[order][place] == wanted) & (wanted >= 0)
    found = order[place[match]]
    start[match] = np.array(columns.call_start, np.int64)[found]
    end[match] = np.array(columns.call_end, np.int64)[found]
    graph[match] |= np.array(columns.call_is_graph, bool)[found]
    return start, end, graph
