"""What the engine itself said it ran, at the moments in which nothing but decoding went on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from collectors.engines.concepts import Concept
from collectors.engines.readings import readings
from collectors.engines.table import ENGINES
from collectors.fold import snapshot
from collectors.load.level import Interval
from collectors.record import Record


def running(records: Iterable[Record], intervals: Sequence[Interval], origin_s: float) -> float | None:
    """Mean of the requests running, all engines of the server together; None where it never said so meanwhile.

    ``origin_s``: the monotonic time from which records count.
    """
    alone = [(i.begin_s - origin_s, i.end_s - origin_s) for i in intervals if i.alone]
    stated = [
        value
        for found in records
        if any(begin_s <= found["t_s"] <= end_s for begin_s, end_s in alone) and (value := _stated(found)) is not None
    ]
    return sum(stated) / len(stated) if stated else None


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
