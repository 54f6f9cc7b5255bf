"""Reader of Kineto traces (torch.profiler .json and .json.gz): one timeline a device, in bounded memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from collectors.dump import Contents, Dump
from collectors.kineto.columns import Columns, launches
from collectors.kineto.events import UNDECODABLE, mended
from collectors.kineto.scanner import EventScanner, NotATrace
from collectors.marks import by_phase, step_starts
from heuristics.errors import UnreadableDump
from heuristics.intervals import Spans, merged, union
from heuristics.kernel_class import UNNAMED
from heuristics.observations import Observation
from heuristics.roofs import Device
from heuristics.timeline import DeviceEvents, Recording, step_lengths_s, summarise

KIND = "Kineto trace"

RECORD_HINT = "record one with torch.profiler: prof.export_chrome_trace('trace.json')"
UNFINISHED_HINT = "let the profiler finish writing, or copy the file again"

GRAPH_CAPTURE_EVENTS = 20_000
CALLS_PER_KERNEL = 100
"""A trace with this many calls but hardly a kernel recorded a capture, not a run."""

CAPTURE_HINT = ", as while CUDA graphs are captured; trace a later step"

MOST_OF_ANYTHING = 1e15


def recognises(dump: Dump) -> bool:
    """A JSON object or array with Chrome trace events near its beginning.

    Of jobs with very many ranks, the lists of their groups come before and are longer than that.
    """
    text = dump.head_text.lstrip()
    if text[:1] == "[":
        return '"traceEvents"' in text or '"ph"' in text[:4096]
    if text[:1] != "{":
        return False
    return '"traceEvents"' in text or ('"schemaVersion"' in text[:4096] and '"distributedInfo"' in text)


def read(dump: Dump) -> Contents:
    """Timelines by device and by annotated phase.

    Raises:
        UnreadableDump: no event could be read at all.
    """
    scanner = EventScanner(dump.utf8())
    columns: Columns | None = None
    seen = 0
    try:
        for pieces in scanner.blocks():
            columns = columns or Columns(scanner.layout)
            columns.add(pieces)
            seen += len(pieces)
        if columns is not None:
            columns.flush()
    except NotATrace as error:
        raise UnreadableDump(dump.path, f"looks like a trace but is not: {error}", hint=RECORD_HINT) from error
    warnings = _warnings(dump, scanner, columns, seen)
    if columns is None or seen == 0:
        if dump.cut_short or scanner.truncated:
            raise UnreadableDump(dump.path, "the file ends before its first event", hint=UNFINISHED_HINT)
        raise UnreadableDump(dump.path, "the trace holds no events", hint=RECORD_HINT)
    if columns.unusable and columns.unusable == seen:
        raise UnreadableDump(dump.path, "none of its events can be read", hint=RECORD_HINT)
    envelope = _envelope(scanner.head, scanner.tail)
    observations = _observations(dump.path, columns, envelope)
    if not observations:
        warnings.append("no GPU activity recorded" + _why_none(columns))
    elif _is_capture(columns):
        warnings.append("many calls and hardly a kernel" + CAPTURE_HINT)
    return Contents(kind=KIND, observations=tuple(observations), warnings=tuple(warnings))


def _warnings(dump: Dump, scanner: EventScanner, columns: Columns | None, seen: int) -> list[str]:
    found = []
    if dump.cut_short:
        found.append(dump.cut_short)
    elif scanner.truncated:
        found.append("the file ends in the middle of the trace: judged by what is there")
    if columns is not None and columns.unusable:
        found.append(f"{columns.unusable} of {seen} events are damaged and were left out")
    return found


def _is_capture(columns: Columns) -> bool:
    calls = len(columns.call_correlation)
    return calls > GRAPH_CAPTURE_EVENTS and CALLS_PER_KERNEL * len(columns.start) < calls


def _why_none(columns: Columns) -> str:
    if _is_capture(columns):
        return ": many calls and no kernels" + CAPTURE_HINT
    return ": trace with ProfilerActivity.CUDA, on a rank that has a GPU"


def _envelope(head: bytes, tail: bytes | None) -> dict[str, Any]:
    """The JSON around the events; what stands before them if the rest is damaged, empty if all of it is."""
    for text in (head + (tail or b"]}"), head + b"]}"):
        for candidate in (text, mended(text)):
            try:
                found = msgspec.json.decode(candidate)
            except UNDECODABLE:
                continue
            if isinstance(found, dict):
                return found
    return {}


def _device(envelope: dict[str, Any], index: int) -> Device:
    """What the trace states about a device; ROCm leaves names empty."""
    listed = envelope.get("deviceProperties") or envelope.get("computeProperties")
    for row in listed if isinstance(listed, list) else []:
        if isinstance(row, dict) and row.get("id") == index:
            return Device(
                index=index,
                name=str(row["name"]) if row.get("name") else None,
                memory_bytes=_quantity(row.get("totalGlobalMem")),
                sm_count=_count(row.get("numSms", row.get("multiProcessorCount"))),
            )
    return Device(index=index)


def _quantity(stated: Any) -> float | None:
    """A positive number of a size that a device can have."""
    usable = isinstance(stated, int | float) and not isinstance(stated, bool) and 0 < stated < MOST_OF_ANYTHING
    return float(stated) if usable else None


def _count(stated: Any) -> int | None:
    found = _quantity(stated)
    return None if found is None else int(found)


def _observations(path: str, columns: Columns, envelope: dict[str, Any]) -> list[Observation]:
    if len(columns.device) == 0:
        return []
    device_of = np.frombuffer(columns.device, np.int32)
    launch_start, launch_end, from_graph = launches(columns)
    events = DeviceEvents(
        names=[name or UNNAMED for name in columns.names],
        name_index=np.frombuffer(columns.name_index, np.int32),
        start=np.frombuffer(columns.start, np.int64),
        end=np.frombuffer(columns.end, np.int64),
        launch_start=launch_start,
        launch_end=launch_end,
        from_graph=from_graph,
        blocks_per_sm=np.frombuffer(columns.blocks_per_sm, np.float32),
    )
    external = np.frombuffer(columns.external, np.int64)
    host = _host(columns)
    found = []
    for index in np.flatnonzero(np.bincount(device_of)):
        mine = device_of == index
        chosen = events if mine.all() else events.chosen(mine)
        recording = Recording(
            host=host,
            stacks=columns.has_stacks or bool(envelope.get("with_stack")),
            shapes=bool(envelope.get("record_shapes")) or len(columns.operations) > 0,
            memory=bool(envelope.get("profile_memory")),
            operations=columns.operations.totals(external[mine], (chosen.end - chosen.start).astype(float)),
        )
        timeline = summarise(chosen, recording)
        steps = step_lengths_s(chosen, step_starts(columns.marks))
        device = _device(envelope, int(index))
        found.append(Observation(source=path, payload=replace(timeline, step_s=steps), device=device))
        found += [
            Observation(source=path, payload=summarise(part, recording, window), device=device, phase=phase)
            for phase, part, window in by_phase(columns.marks, chosen)
        ]
    return found


def _host(columns: Columns) -> Spans | None:
    """When the host did anything: operations and calls; None where neither was recorded."""
    calls = union(np.array(columns.call_start, np.int64), np.array(columns.call_end, np.int64))
    if len(calls) == 0 and len(columns.host.spans) == 0:
        return None
    return merged(columns.host.spans, calls)
