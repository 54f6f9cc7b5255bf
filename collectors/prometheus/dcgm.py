"""dcgm-exporter: hardware activity and the NVML readings beside it, a series a GPU or a MIG instance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from collectors.prometheus.exposition import Sample, Snapshot
from heuristics.observations import Activity, Observation, Samples
from heuristics.roofs import Device

PREFIX = "DCGM_FI_"

_RATIOS: dict[str, tuple[str, ...]] = {
    "engine_active": ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO"),
    "sm_active": ("DCGM_FI_PROF_SM_ACTIVE", "DCGM_FI_PROF_SM_UTIL_RATIO"),
    "sm_occupancy": ("DCGM_FI_PROF_SM_OCCUPANCY", "DCGM_FI_PROF_SM_OCCUPANCY_RATIO"),
    "tensor_active": ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "DCGM_FI_PROF_TENSOR_UTIL_RATIO"),
    "dram_active": ("DCGM_FI_PROF_DRAM_ACTIVE", "DCGM_FI_PROF_DRAM_UTIL_RATIO"),
    "fp64_active": ("DCGM_FI_PROF_PIPE_FP64_ACTIVE", "DCGM_FI_PROF_FP64_UTIL_RATIO"),
    "fp32_active": ("DCGM_FI_PROF_PIPE_FP32_ACTIVE", "DCGM_FI_PROF_FP32_UTIL_RATIO"),
    "fp16_active": ("DCGM_FI_PROF_PIPE_FP16_ACTIVE", "DCGM_FI_PROF_FP16_UTIL_RATIO"),
    "integer_active": ("DCGM_FI_PROF_PIPE_INT_ACTIVE", "DCGM_FI_PROF_INT_UTIL_RATIO"),
}
"""Names until DCGM 4.5 and from 4.6 on. Ratios 0 to 1 although their HELP says percent."""

_READINGS = {
    "sm": (("DCGM_FI_DEV_GPU_UTIL",), 0.01, 1.0),
    "memory": (("DCGM_FI_DEV_MEM_COPY_UTIL",), 0.01, 1.0),
    "video": (("DCGM_FI_DEV_ENC_UTIL", "DCGM_FI_DEV_DEC_UTIL"), 0.01, 1.0),
    "power_w": (("DCGM_FI_DEV_POWER_USAGE",), 1.0, 1e5),
    "sm_clock_hz": (("DCGM_FI_DEV_SM_CLOCK",), 1e6, 1e11),
    "memory_clock_hz": (("DCGM_FI_DEV_MEM_CLOCK",), 1e6, 1e11),
}
"""Metrics, the factor to SI, and what is too much to be a reading."""

MOST_RATIO = 1.05
"""A larger ratio is none. Some exporters do print percent: then all are percentages."""

MIG_INDICES = 100
"""Instances are numbered from here on, GPU by GPU, out of the way of whole GPUs."""

Key = tuple[int, str]
"""(GPU index, MIG instance or "")."""


def observations(snapshots: list[Snapshot]) -> list[Observation]:
    """Activity and readings of every GPU and instance, averaged over the snapshots."""
    by_key: dict[Key, list[list[Sample]]] = {}
    for place, shot in enumerate(snapshots):
        for sample in shot.samples:
            if sample.name.startswith(PREFIX) and sample.value >= 0.0:
                rows = by_key.setdefault(_key(sample.labels), [[] for _ in snapshots])
                rows[place].append(sample)
    scale = _ratio_scale(snapshots)
    found = []
    for key, mine in sorted(by_key.items()):
        sources = ", ".join(dict.fromkeys(shot.source for shot, rows in zip(snapshots, mine, strict=True) if rows))
        device = _device(key, [s for rows in mine for s in rows])
        activity = {name: _mean_ratio(mine, names, scale) for name, names in _RATIOS.items()}
        if any(v is not None for v in activity.values()):
            found.append(Observation(source=sources, payload=Activity(window_s=None, **activity), device=device))
        readings = {name: _series(mine, *how) for name, how in _READINGS.items()}
        if not all(np.isnan(v).all() for v in readings.values()):
            blank = np.full(len(mine), np.nan)
            payload = Samples(interval_s=None, power_limited=blank, thermally_limited=blank, **readings)
            found.append(Observation(source=sources, payload=payload, device=device))
    return found


def _key(labels: Mapping[str, str]) -> Key:
    return _whole(labels.get("gpu", "")) or 0, labels.get("GPU_I_ID", "")


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) <= 4 else None


def _device(key: Key, samples: list[Sample]) -> Device:
    def label(name: str) -> str | None:
        return next((s.labels[name] for s in samples if s.labels.get(name)), None)

    clocks = _series([samples], *_READINGS["memory_clock_hz"])
    instance = _whole(key[1])
    return Device(
        index=key[0] if instance is None else MIG_INDICES * (1 + key[0]) + instance,
        uuid=label("UUID"),
        name=label("modelName"),
        vendor="NVIDIA",
        memory_clock_hz=float(clocks[0]) if clocks[0] > 0 else None,
        mig_profile=label("GPU_I_PROFILE"),
    )


def _ratio_scale(snapshots: list[Snapshot]) -> float:
    """1, or 0.01 where the exporter prints percent. The engine's ratio, where stated, is the largest of all."""
    every = {name for names in _RATIOS.values() for name in names}
    stated = [s for shot in snapshots for s in shot.samples if s.name in every and s.value <= MOST_RATIO / 0.01]
    engine = [s for s in stated if s.name in _RATIOS["engine_active"] and s.value > 0.0]
    largest = max((s.value for s in engine or stated), default=0.0)
    return 0.01 if largest > MOST_RATIO else 1.0


def _mean_ratio(mine: list[list[Sample]], names: tuple[str, ...], scale: float) -> float | None:
    stated = (s.value * scale for rows in mine for s in rows if s.name in names)
    values = [value for value in stated if value <= MOST_RATIO]
    return sum(values) / len(values) if values else None


def _series(mine: list[list[Sample]], metrics: tuple[str, ...], factor: float, most: float) -> np.ndarray:
    """One value a snapshot, the largest where several metrics say the same; NaN where not stated."""
    stated = ([s.value * factor for s in rows if s.name in metrics] for rows in mine)
    return np.array([max((v for v in values if v <= most), default=np.nan) for values in stated])
