"""Reader of a trace of processors alone: what one thread's operations did, where the host is the device.

Only for traces that are known to be such. Of others, a trace without kernels is one of a job whose device was not
recorded, and its operations are launches.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from collectors.dump import Contents, Dump
from heuristics.errors import UnreadableDump
from heuristics.observations import Observation
from heuristics.timeline import NOT_LAUNCHED, DeviceEvents, Recording, summarise

KIND = "Kineto trace of processors"
LARGEST_BYTES = 1 << 29
OPERATION = "cpu_op"


class _Event(msgspec.Struct, gc=False):
    """Times in microseconds; only operations have all of them."""

    name: str = ""
    cat: str = ""
    ts: Any = None
    dur: Any = None
    tid: int | str | None = None


class _Trace(msgspec.Struct, rename={"events": "traceEvents"}):
    events: list[_Event] = msgspec.field(default_factory=list)


def read(dump: Dump) -> Contents:
    """The timeline of the thread whose operations took longest; nothing where there are none.

    Raises:
        UnreadableDump: it is no trace.
    """
    content = bytearray()
    for chunk in dump.chunks():
        content += chunk
        if len(content) > LARGEST_BYTES:
            raise UnreadableDump(dump.path, "larger than a few steps' trace", hint="trace fewer steps")
    try:
        trace = msgspec.json.decode(content, type=_Trace)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnreadableDump(dump.path, f"not a trace: {error}", hint="trace again") from error
    threads: dict[int | str | None, list[tuple[int, int, str]]] = {}
    for e in trace.events:
        if e.cat == OPERATION and isinstance(e.ts, int | float) and isinstance(e.dur, int | float) and e.dur >= 0:
            begin = round(e.ts * 1000)
            threads.setdefault(e.tid, []).append((begin, begin + round(e.dur * 1000), e.name))
    if not threads:
        return Contents(kind=KIND, observations=())
    stretches = max((innermost(ops) for ops in threads.values()), key=lambda found: sum(e - b for b, e, _ in found))
    timeline = summarise(_events(stretches), Recording())
    fed = replace(timeline, host_gap_s=timeline.window_s - timeline.busy_s)
    return Contents(kind=KIND, observations=(Observation(source=dump.path, payload=fed),))


def innermost(operations: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Disjoint (begin, end, name) of operations that call each other: each counts where none that it called ran."""
    found: list[tuple[int, int, str]] = []
    around: list[tuple[int, str]] = []
    at = 0

    def until(moment: int | None) -> None:
        nonlocal at
        while around and (moment is None or around[-1][0] <= moment):
            end, name = around.pop()
            if end > at:
                found.append((at, end, name))
                at = end

    for begin, end, name in sorted(operations, key=lambda op: (op[0], -op[1])):
        until(begin)
        if around and begin > at:
            found.append((at, begin, around[-1][1]))
        at = max(at, begin)
        around.append((end, name))
    until(None)
    return found


def _events(stretches: list[tuple[int, int, str]]) -> DeviceEvents:
    names: dict[str, int] = {}
    index = [names.setdefault(name, len(names)) for _, _, name in stretches]
    count = len(stretches)
    return DeviceEvents(
        names=list(names),
        name_index=np.array(index, np.int32),
        start=np.array([b for b, _, _ in stretches], np.int64),
        end=np.array([e for _, e, _ in stretches], np.int64),
        launch_start=np.full(count, NOT_LAUNCHED, np.int64),
        launch_end=np.full(count, NOT_LAUNCHED, np.int64),
        from_graph=np.zeros(count, np.bool_),
        blocks_per_sm=np.full(count, np.nan, np.float32),
    )
