"""What was observed over each of several short times: the engine's counters, and what the devices did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from collectors.engines.spans import MOST, SHORTEST_S, Span
from collectors.nvml.fold import GPM, activity_between
from collectors.record import Record
from collectors.watched import Window
from heuristics.clocks import ACTIVE
from heuristics.observations import Activity, LoadCurve, Observation, Serving


def windowed(spans: Sequence[Span], every: Sequence[Observation], readings: Sequence[Record]) -> tuple[Window, ...]:
    """Observations of each window, to be put together as those of the whole time are.

    ``every``: of the whole time, of which what is no rate stands in each window; ``readings``: records of the devices.
    Without an engine's windows those in which some device was active, by GPM.
    """
    lasting = [o for o in every if o.phase is None and not isinstance(o.payload, Serving | LoadCurve | Activity)]
    active = [o for o in every if isinstance(o.payload, Activity) and o.source == GPM and o.device is not None]
    if spans:
        return tuple(
            (
                Observation(source=span.source, payload=span.serving),
                *_activities(active, readings, span.begin_s, span.end_s),
                *lasting,
            )
            for span in spans
        )
    if not active or any(isinstance(o.payload, Serving) for o in every):
        return ()
    alone = (_activities(active, readings, begin_s, end_s) for begin_s, end_s in _times(readings))
    return tuple((*found, *lasting) for found in alone if any(map(_works, found)))


def _activities(active: Sequence[Observation], readings: Sequence[Record], begin_s: float, end_s: float) -> Window:
    found = []
    for o in active:
        index = o.device.index if o.device is not None else None
        payload = None if index is None else activity_between(readings, index, begin_s, end_s)
        if payload is not None:
            found.append(replace(o, payload=payload))
    return tuple(found)


def _works(observation: Observation) -> bool:
    payload = observation.payload
    assert isinstance(payload, Activity)
    return max(payload.engine_active or 0.0, payload.sm_active or 0.0, payload.dram_active or 0.0) > ACTIVE


def _times(readings: Sequence[Record]) -> list[tuple[float, float]]:
    """Begin and end of equal times within GPM's readings: a second at least, and no more than wanted."""
    told = [r for r in readings if r["what"] == "gpm"]
    begin_s = min(r["t_s"] - r["window_s"] for r in told)
    whole_s = max(r["t_s"] for r in told) - begin_s
    count = max(1, min(MOST, int(whole_s / SHORTEST_S)))
    return [(begin_s + n * whole_s / count, begin_s + (n + 1) * whole_s / count) for n in range(count)]
