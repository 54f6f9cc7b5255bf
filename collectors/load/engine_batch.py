"""What the engine itself said it ran, at the moments in which nothing but decoding went on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from collectors.engines.concepts import Concept
from collectors.engines.readings import readings
from collectors.engines.table import ENGINES
from collectors.fold import snapshot
from collectors.load.level import Interval
from collectors.record import Record

FEWEST = 2
"""Readings that must agree on more or less than the client counts, one may have been taken in passing."""


def running(
    records: Iterable[Record], intervals: Sequence[Interval], origin_s: float, step_s: float | None
) -> float | None:
    """Median of the requests running, all engines of the server together; None where it said so less than twice.

    ``origin_s``: the monotonic time from which records count. Engines renew their gauges at the end of a step of
    ``step_s``, and a reading may be of any time while it was asked for.
    """
    margin_s = step_s or 0.0
    alone = [(i.begin_s - origin_s + margin_s, i.end_s - origin_s) for i in intervals if i.alone]
    stated = []
    for found in records:
        half_s = 0.5 * found.get("took_s", 0.0)
        if any(begin_s <= found["t_s"] - half_s and found["t_s"] + half_s <= end_s for begin_s, end_s in alone):
            value = _stated(found)
            if value is not None:
                stated.append(value)
    return median(stated) if len(stated) >= FEWEST else None


def _stated(found: Record) -> float | None:
    if found["what"] == "slots":
        return float(sum(bool(slot.get("running")) for slot in found["slots"]))
    if found["what"] != "scrape":
        return None
    shot = snapshot(found, "")
    engine = next((e for e in ENGINES if any(s.name.startswith(e.prefixes) for s in shot.samples)), None)
    if engine is None or engine.late_gauges:
        return None
    return readings(engine, shot).get(Concept.RUNNING)
