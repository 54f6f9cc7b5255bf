"""GPU metrics that Nsight Systems sampled: hardware activity, in percent of peak."""

from __future__ import annotations

from collectors.nsys.database import Database, is_span
from heuristics.observations import Activity

_METRICS = (
    ("sm_active", ("SMs Active", "SM Active")),
    ("tensor_active", ("Tensor Active",)),
    ("dram_read", ("DRAM Read",)),
    ("dram_write", ("DRAM Write",)),
    ("dram_active", ("DRAM Bandwidth", "DRAM Active")),
    ("engine_active", ("GR Active", "GPC Active")),
)
"""Beginnings of the GPU metrics' names, e.g. "DRAM Read Bandwidth [Throughput %]"."""

NEEDED = {"typeId", "metricId", "value", "timestamp"}


def activities(database: Database) -> list[tuple[int, Activity]]:
    """Means over the samples, by device."""
    named = {
        (kind, metric): found
        for kind, metric, name in database.rows("TARGET_INFO_GPU_METRICS", ("typeId", "metricId", "metricName"))
        if (found := _meaning(database.string(name) or "")) is not None
    }
    if not named or not database.has("GPU_METRICS") or not database.columns("GPU_METRICS") >= NEEDED:
        return []
    query = "SELECT typeId, metricId, avg(value), min(timestamp), max(timestamp) FROM GPU_METRICS GROUP BY 1, 2"
    means: dict[int, dict[str, float]] = {}
    window: dict[int, float] = {}
    for kind, metric, value, first, last in database.connection.execute(query):
        found = named.get((kind, metric))
        if found is not None and isinstance(kind, int) and isinstance(value, float) and is_span(first, last):
            means.setdefault(kind & 0xFF, {})[found] = value / 100.0
            window[kind & 0xFF] = (last - first) / 1e9
    return [(index, _activity(values, window[index])) for index, values in sorted(means.items())]


def _meaning(name: str) -> str | None:
    """What a metric says; other units than percent are left out."""
    if "[" in name and "%" not in name:
        return None
    return next((meaning for meaning, beginnings in _METRICS if name.startswith(beginnings)), None)


def _activity(values: dict[str, float], window_s: float) -> Activity:
    dram = values.get("dram_active")
    if dram is None and ("dram_read" in values or "dram_write" in values):
        dram = values.get("dram_read", 0.0) + values.get("dram_write", 0.0)
    return Activity(
        window_s=window_s,
        engine_active=values.get("engine_active"),
        sm_active=values.get("sm_active"),
        tensor_active=values.get("tensor_active"),
        dram_active=dram,
    )
