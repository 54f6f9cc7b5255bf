"""From device events to a ``Timeline``: busy time as a union over streams, gaps and who let them happen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heuristics.arrays import Flags, Index, Ns, Small, median
from heuristics.intervals import EMPTY, Spans, difference, gaps, intersection, merged, union
from heuristics.kernel_class import KernelClass, kernel_class
from heuristics.observations import KernelTotal, OperationTotal, Timeline

LONG_GAP_NS = 10_000_000
"""A gap this long counts as work only where the host was active in it: set-up, a pause between requests."""

BLIND_GAP_NS = 1_000_000_000
"""The same where host activity was not recorded at all."""

NOT_LAUNCHED = np.iinfo(np.int64).min
"""In ``launch_start`` and ``launch_end``: the launching call is not in the dump."""

NS_PER_S = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceEvents:
    """Kernels, copies and memsets of one device. Arrays of shape (events,), nanoseconds.

    ``blocks_per_sm`` is grid ÷ SMs, NaN where not stated. ``from_graph`` marks kernels of a CUDA graph.
    """

    names: Sequence[str]
    name_index: Index
    start: Ns
    end: Ns
    launch_start: Ns
    launch_end: Ns
    from_graph: Flags
    blocks_per_sm: Small

    def __len__(self) -> int:
        return int(self.start.size)

    def chosen(self, mask: Flags) -> DeviceEvents:
        """The events under a mask."""
        return DeviceEvents(
            names=self.names,
            name_index=self.name_index[mask],
            start=self.start[mask],
            end=self.end[mask],
            launch_start=self.launch_start[mask],
            launch_end=self.launch_end[mask],
            from_graph=self.from_graph[mask],
            blocks_per_sm=self.blocks_per_sm[mask],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """How the events were recorded: host activity (None if not recorded), extras that slow the host, shapes."""

    host: Spans | None = None
    stacks: bool = False
    shapes: bool = False
    memory: bool = False
    operations: tuple[OperationTotal, ...] = ()


def time_with_work(events: DeviceEvents, host: Spans | None, window: Spans | None = None) -> Spans:
    """The device's span, or a window, without the stretches in which neither it nor the host did anything.

    One event far away from the rest, or seconds of set-up before the first step, must not make a busy
    trace look idle.
    """
    busy = union(events.start, events.end)
    if len(busy) == 0:
        return EMPTY
    whole = Spans(busy.start[:1], busy.end[-1:]) if window is None else window
    holes = gaps(busy) if window is None else difference(window, busy)
    length = holes.end - holes.start
    if host is None:
        idle = Spans(holes.start[length > BLIND_GAP_NS], holes.end[length > BLIND_GAP_NS])
    else:
        long = length > LONG_GAP_NS
        idle = difference(Spans(holes.start[long], holes.end[long]), host)
    return difference(whole, idle)


def summarise(events: DeviceEvents, recording: Recording, window: Spans | None = None) -> Timeline:
    """What the device did within ``window`` (default: its whole time with work)."""
    work = time_with_work(events, recording.host, window)
    whole_ns = int(events.end.max() - events.start.min()) if len(events) else 0
    kinds = np.array([_KIND_CODE[kernel_class(name)] for name in events.names] or [0], np.int8)[events.name_index]
    waits = np.isin(kinds, [_KIND_CODE[KernelClass.COMMUNICATION], _KIND_CODE[KernelClass.COPY_HOST]])
    communicates = kinds == _KIND_CODE[KernelClass.COMMUNICATION]
    at_roof = intersection(union(events.start[~waits], events.end[~waits]), work)
    talking = intersection(union(events.start[communicates], events.end[communicates]), work)
    copying = intersection(union(events.start[waits & ~communicates], events.end[waits & ~communicates]), work)
    busy = merged(merged(at_roof, talking), copying)
    holes = difference(work, busy)
    kernel_ns = np.where(waits, 0, events.end - events.start)
    fill = np.nan_to_num(np.minimum(events.blocks_per_sm, 1.0), nan=1.0)
    summed = float(kernel_ns.sum()) or 1.0
    overlap = min(1.0, at_roof.total_ns / summed)
    capable = np.isin(kinds, _CAPABLE_CODES)
    launched = (events.launch_start != NOT_LAUNCHED) & ~events.from_graph
    return Timeline(
        window_s=work.total_ns / NS_PER_S,
        busy_s=busy.total_ns / NS_PER_S,
        roof_busy_s=at_roof.total_ns / NS_PER_S,
        capable_s=float((kernel_ns * fill)[capable].sum()) * overlap / NS_PER_S,
        underfill_s=float((kernel_ns * (1.0 - fill)).sum()) * overlap / NS_PER_S,
        communication_s=difference(talking, at_roof).total_ns / NS_PER_S,
        transfer_s=difference(copying, merged(at_roof, talking)).total_ns / NS_PER_S,
        host_gap_s=_host_gap_s(events, holes),
        excluded_s=(whole_ns - work.total_ns) / NS_PER_S if window is None else 0.0,
        launches=len(events),
        graph_launched=int(events.from_graph.sum()),
        launch_delay_s=_median_delay_s(events, launched & ~waits),
        kernels=_totals(events),
        operations=recording.operations,
        recorded_stacks=recording.stacks,
        recorded_shapes=recording.shapes,
        recorded_memory=recording.memory,
    )


_KIND_CODE = {kind: code for code, kind in enumerate(KernelClass)}
_CAPABLE_CODES = [code for kind, code in _KIND_CODE.items() if kind.may_reach_arithmetic_roof]


def _host_gap_s(events: DeviceEvents, holes: Spans) -> float | None:
    """Time the device stood dry before a call that launched the next work had returned.

    Of several events that start together the one launched first counts; a launch that is not known is no late one.
    """
    if not (events.launch_end != NOT_LAUNCHED).any():
        return None
    if len(holes) == 0:
        return 0.0
    order = np.argsort(events.start, kind="stable")
    start = events.start[order]
    first = np.flatnonzero(np.append(True, start[1:] != start[:-1]))
    earliest = np.minimum.reduceat(events.launch_end[order], first)
    following = np.searchsorted(start[first], holes.end, side="left")
    known = following < first.size
    launch = earliest[np.minimum(following, first.size - 1)]
    waited = np.where(known & (launch != NOT_LAUNCHED), launch - holes.start, 0)
    return float(np.clip(waited, 0, holes.end - holes.start).sum()) / NS_PER_S


def _median_delay_s(events: DeviceEvents, chosen: Flags) -> float | None:
    delay_ns = median(np.maximum(0, events.start[chosen] - events.launch_start[chosen]))
    return None if delay_ns is None else delay_ns / NS_PER_S


def _totals(events: DeviceEvents) -> tuple[KernelTotal, ...]:
    """One row a name, longest first."""
    rows = len(events.names)
    if len(events) == 0:
        return ()
    length = (events.end - events.start).astype(np.float64)
    total = np.bincount(events.name_index, weights=length, minlength=rows)
    count = np.bincount(events.name_index, minlength=rows)
    stated = ~np.isnan(events.blocks_per_sm)
    stated_ns = np.bincount(events.name_index, weights=np.where(stated, length, 0.0), minlength=rows)
    weighted = np.bincount(
        events.name_index, weights=np.where(stated, length * np.nan_to_num(events.blocks_per_sm), 0.0), minlength=rows
    )
    return tuple(
        KernelTotal(
            name=events.names[i],
            kind=kernel_class(events.names[i]),
            launches=int(count[i]),
            total_s=float(total[i]) / NS_PER_S,
            blocks_per_sm=float(weighted[i] / stated_ns[i]) if stated_ns[i] > 0 else None,
        )
        for i in sorted(np.flatnonzero(count).tolist(), key=lambda i: (-total[i], events.names[i]))
    )


def step_lengths_s(events: DeviceEvents, step_start: Ns) -> tuple[float, ...]:
    """Time from each step's first device event to the next step's, for steps marked at ``step_start`` on the host.

    Events belong to the step in which they were launched. The last step ends with its last event.
    """
    known = events.launch_start != NOT_LAUNCHED
    if step_start.size == 0 or not known.any():
        return ()
    step = np.searchsorted(step_start, events.launch_start[known], side="right") - 1
    start, end = events.start[known][step >= 0], events.end[known][step >= 0]
    step = step[step >= 0]
    if step.size == 0:
        return ()
    first = np.full(step_start.size, np.iinfo(np.int64).max)
    np.minimum.at(first, step, start)
    begun = first[first != np.iinfo(np.int64).max]
    edges = np.append(begun, end.max())
    return tuple(float(x) / NS_PER_S for x in np.diff(np.sort(edges)))


def timeline_of_sums(
    kernels: list[KernelTotal], *, device_s: float | None = None, window_s: float | None = None, shapes: bool = False
) -> Timeline:
    """Sums by kernel as a timeline. ``device_s`` is the device's total where not every kernel is listed.

    ``window_s``, where it is longer than the device's time, is the window; otherwise the gaps are unknown.
    """
    listed = sum(k.total_s for k in kernels)
    busy = listed if device_s is None else device_s
    fed_late = window_s is not None and window_s > busy
    window = window_s if fed_late and window_s is not None else busy
    waits = sum(k.total_s for k in kernels if k.kind.moves_no_device_memory)
    communication = sum(k.total_s for k in kernels if k.kind is KernelClass.COMMUNICATION)
    capable = sum(k.total_s for k in kernels if k.kind.may_reach_arithmetic_roof)
    return Timeline(
        window_s=window,
        busy_s=busy,
        roof_busy_s=max(0.0, busy - waits),
        capable_s=capable + max(0.0, busy - listed),
        underfill_s=0.0,
        communication_s=communication,
        transfer_s=waits - communication,
        host_gap_s=window - busy if fed_late else None,
        excluded_s=0.0,
        launches=sum(k.launches for k in kernels),
        graph_launched=0,
        launch_delay_s=None,
        kernels=tuple(sorted(kernels, key=lambda k: -k.total_s)),
        recorded_shapes=shapes,
        of_sums=True,
        gaps_known=fed_late,
    )
