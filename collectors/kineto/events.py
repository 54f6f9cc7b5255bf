"""The events of a trace that matter, and their typed decoding."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Any, TypeVar

import msgspec

from collectors.kineto.scanner import Layout


class Kind(IntEnum):
    """What an event is to us."""

    DEVICE = 0
    CALL = 1
    OPERATION = 2
    NOTE = 3
    STACK = 4
    OPERATION_OR_NOTE = 5


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
    b"Operator": Kind.OPERATION_OR_NOTE,
    b"user_annotation": Kind.NOTE,
    b"gpu_user_annotation": Kind.NOTE,
    b"python_function": Kind.STACK,
}
"""Event categories of the torch 1.9 era and of later ones; flows, counters and metadata are not needed."""

BEGINNING = 6
"""Letters that tell the categories apart, the closing quote of shorter ones included."""

BY_BEGINNING = {(name + b'"')[:BEGINNING]: kind for name, kind in CATEGORIES.items()}

_BARE_CONSTANT = re.compile(rb"([:,\[]\s*)-?(?:nan|inf|infinity)\b", re.IGNORECASE)
_BLANKED = bytes(32 if c < 32 else c for c in range(256))

LONGEST_NS = 3_600_000_000_000
"""An event longer than an hour is a broken clock."""


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


UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_EventT = TypeVar("_EventT", bound=msgspec.Struct)

DEVICE = msgspec.json.Decoder(list[DeviceEvent], strict=False, float_hook=str)
CALLS = msgspec.json.Decoder(list[CallEvent], strict=False, float_hook=str)
NOTES = msgspec.json.Decoder(list[NoteEvent], strict=False, float_hook=str)
SHAPES = msgspec.json.Decoder(list[ShapeEvent], strict=False)
MOMENTS = msgspec.json.Decoder(list[Moment], strict=False)


def mended(text: bytes) -> bytes:
    """JSON without what some writers leave in it: raw control characters, bytes that are no UTF-8, NaN, infinities."""
    spaced = text.translate(_BLANKED).decode("utf-8", "replace").encode()
    return _BARE_CONSTANT.sub(rb"\1null", spaced)


class Decoding:
    """Pieces of one layout to typed events. ``damaged`` counts those that could not be decoded."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.damaged = 0

    def events(
        self, decoder: msgspec.json.Decoder[list[_EventT]], pieces: list[bytes], *, again: bool = False
    ) -> list[_EventT]:
        """Typed events; where a block fails, its pieces one by one, mended.

        The hopeless ones are counted, unless these pieces are decoded ``again``, for another purpose.
        """
        if not pieces:
            return []
        try:
            return decoder.decode(self.layout.joined(pieces))
        except UNDECODABLE:
            pass
        events: list[_EventT] = []
        for piece in pieces:
            try:
                events += decoder.decode(mended(self.layout.single(piece)))
            except UNDECODABLE:
                self.damaged += not again
        return events
