"""From records of NVML and GPM to observations: pure, so that a recording gives what the live run gave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import numpy as np

from heuristics.arrays import Array, median
from heuristics.clocks import under_load
from heuristics.observations import Activity, Board, Observation, Samples
from heuristics.roofs import Device

NVML = "NVML"
GPM = "NVML GPM"

POWER_REASONS = 0x04 | 0x80
"""Software power cap, hardware power brake."""
THERMAL_REASONS = 0x08 | 0x20 | 0x40
"""Hardware slowdown, software and hardware thermal slowdown."""

Records = Sequence[Mapping[str, Any]]


def observations(records: Iterable[Mapping[str, Any]]) -> list[Observation]:
    """Samples, Activity and Board of every device, as far as the records tell; other kinds of records are ignored."""
    described: dict[int, dict[str, Any]] = {}
    readings: dict[int, list[Mapping[str, Any]]] = {}
    activities: dict[int, list[Mapping[str, Any]]] = {}
    for record in records:
        what = record.get("what")
        index = record.get("index" if what == "device" else "device")
        if not isinstance(index, int):
            continue
        if what == "device":
            _describe(described.setdefault(index, {}), record)
        elif what in ("nvml", "gpm"):
            (readings if what == "nvml" else activities).setdefault(index, []).append(record)
    found = []
    for index in sorted({*described, *readings, *activities}):
        if described.get(index, {}).get("of_job", True):
            found += _of_device(index, described.get(index, {}), readings.get(index, []), activities.get(index, []))
    return found


def activity_between(records: Iterable[Mapping[str, Any]], index: int, begin_s: float, end_s: float) -> Activity | None:
    """GPM's activity of one device over the readings whose middle lies between two times; None without any."""
    found = [
        record
        for record in records
        if record.get("what") == "gpm"
        and record.get("device") == index
        and begin_s < record["t_s"] - 0.5 * record["window_s"] <= end_s
    ]
    return _activity(found) if found else None


def _describe(known: dict[str, Any], record: Mapping[str, Any]) -> None:
    """The latest of each fact, but the most that shared the device at any time."""
    others = [v for v in (known.get("other_processes"), record.get("other_processes")) if v is not None]
    known.pop("of_job", None)
    known.update(record)
    if others:
        known["other_processes"] = max(others)


def _of_device(index: int, facts: Mapping[str, Any], readings: Records, activities: Records) -> list[Observation]:
    """What was read of a device; of one that was lost before it said anything, what it is, for its roofs' sake."""
    samples = _samples(readings) if readings else None
    activity = _activity(activities) if activities else None
    device = replace(device_of(index, facts), sm_clock_hz=_clock_under_load(samples, activity))
    found = []
    if samples is not None and not (np.isnan(samples.sm).all() and np.isnan(samples.power_w).all()):
        found.append(Observation(source=NVML, payload=samples, device=device))
    if activity is not None:
        found.append(Observation(source=GPM, payload=activity, device=device))
    board = _board(facts, readings, activities)
    if board is None and not found and (readings or "pids" in facts):
        board = Board(window_s=0.0, other_processes=facts.get("other_processes"))
    if board is not None:
        found.append(Observation(source=NVML if readings or not activities else GPM, payload=board, device=device))
    return found


def device_of(index: int, facts: Mapping[str, Any]) -> Device:
    """The device that the static part of a ``device`` record describes."""
    return Device(
        index=index,
        uuid=facts.get("uuid"),
        name=facts.get("name"),
        vendor=facts.get("vendor", "NVIDIA"),
        memory_bytes=facts.get("memory_bytes"),
        sm_count=facts.get("sm_count"),
        bus_width_bits=facts.get("bus_width_bits"),
        memory_clock_hz=facts.get("max_memory_clock_hz") or facts.get("memory_clock_hz"),
        max_sm_clock_hz=facts.get("max_sm_clock_hz"),
        power_limit_w=facts.get("power_limit_w"),
        mig_profile=facts.get("mig_profile"),
    )


def _samples(readings: Records) -> Samples:
    """A row for each of the driver's samples; what was read once stands beside all that came with it."""
    columns: dict[str, list[float]] = {f.name: [] for f in fields(Samples)[1:]}
    for record in readings:
        sm, memory = record.get("sm", ()), record.get("memory", ())
        rows = max(len(sm), len(memory), 1)
        columns["sm"] += [*sm, *[np.nan] * (rows - len(sm))]
        columns["memory"] += [*memory, *[np.nan] * (rows - len(memory))]
        for name in ("video", "power_w", "sm_clock_hz", "memory_clock_hz"):
            columns[name] += [record.get(name, np.nan)] * rows
        for name, bits in (("power_limited", POWER_REASONS), ("thermally_limited", THERMAL_REASONS)):
            reasons = record.get("clock_reasons")
            columns[name] += [np.nan if reasons is None else float(bool(reasons & bits))] * rows
    arrays = {name: np.array(values, np.float64) for name, values in columns.items()}
    return Samples(interval_s=_interval_s(readings), **arrays)


def _interval_s(readings: Records) -> float | None:
    steps = [(b["t_s"] - a["t_s"]) / max(len(b.get("sm", ())), 1) for a, b in pairwise(readings) if b["t_s"] > a["t_s"]]
    return median(np.array(steps, np.float64))


def _clock_under_load(samples: Samples | None, activity: Activity | None) -> float | None:
    """The median SM clock while kernels ran."""
    return None if samples is None else median(under_load(samples.sm_clock_hz, samples, activity))


def _activity(activities: Records) -> Activity | None:
    names = [f.name for f in fields(Activity)[1:]]
    found = {name: _mean(activities, name) for name in names}
    if all(value is None for value in found.values()):
        return None
    return Activity(window_s=float(sum(record["window_s"] for record in activities)), **found)


def _mean(activities: Records, name: str) -> float | None:
    """The mean over time, of the readings that state it."""
    pairs = [(r[name], r["window_s"]) for r in activities if name in r]
    whole = sum(window for _, window in pairs)
    return float(sum(value * window for value, window in pairs) / whole) if whole > 0 else None


def _board(facts: Mapping[str, Any], readings: Records, activities: Records) -> Board | None:
    """Counters over the time between their first and last reading; None where no time passed."""
    energy = _counted(readings, "energy_j")
    times = [record["t_s"] for record in readings]
    window = energy[1] if energy else (max(times) - min(times) if len(times) > 1 else 0.0)
    if window <= 0.0:
        window = float(sum(record["window_s"] for record in activities))
    if window <= 0.0:
        return None
    ecc = _counted(readings, "ecc_errors")

    def link(name: str, counter: str | None = None) -> float | None:
        rate = _mean(activities, name)
        if rate is None:
            rates = _stated(readings, name)
            rate = float(rates.mean()) if rates.size else None
        counted = _counted(readings, counter) if rate is None and counter else None
        return counted[0] / counted[1] if counted else rate

    used = _stated(readings, "memory_used_bytes")
    return Board(
        window_s=window,
        energy_j=energy[0] if energy else None,
        pcie_rx_bytes_per_s=link("pcie_rx_bytes_per_s"),
        pcie_tx_bytes_per_s=link("pcie_tx_bytes_per_s"),
        pcie_peak_bytes_per_s=facts.get("pcie_peak_bytes_per_s"),
        nvlink_rx_bytes_per_s=link("nvlink_rx_bytes_per_s", "nvlink_rx_bytes"),
        nvlink_tx_bytes_per_s=link("nvlink_tx_bytes_per_s", "nvlink_tx_bytes"),
        nvlink_peak_bytes_per_s=facts.get("nvlink_peak_bytes_per_s"),
        memory_used_bytes=float(used.max()) if used.size else None,
        ecc_errors=ecc[0] if ecc else None,
        other_processes=facts.get("other_processes"),
    )


def _stated(readings: Records, name: str) -> Array:
    return np.array([record[name] for record in readings if name in record], np.float64)


def _counted(readings: Records, name: str) -> tuple[float, float] | None:
    """(increase, seconds) of a counter; None where it was read once, or went back: the driver was loaded anew."""
    values = [(record[name], record["t_s"]) for record in readings if name in record]
    if len(values) < 2 or any(b < a for (a, _), (b, _) in pairwise(values)):
        return None
    (first, begin), (last, end) = values[0], values[-1]
    return (float(last - first), float(end - begin)) if end > begin else None
