"""The readings that are in use elsewhere, on the same captures: what a user would have concluded without us.

Each returns a regime, ``inconclusive`` where it names none, and None where what it reads was not captured.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from heuristics.ncu_rule import RULES, regime_of_label, rule_indices
from heuristics.observations import KernelProfile, Samples
from heuristics.vocabulary import Regime
from tests.ground_truth.sources import FILES, _read

HIGH = 0.60
UNDECIDED = Regime.INCONCLUSIVE.value


def quadrants(folder: Path, capture: Mapping[str, Any]) -> str | None:
    """The note's reading of ``sm`` against ``mem``: the higher one binds, both low is latency."""
    samples = _samples(folder)
    if samples is None:
        return None
    sm, memory = float(np.nanmean(samples.sm)), float(np.nanmean(samples.memory))
    if sm < HIGH and memory < HIGH:
        return "latency"
    return "memory" if memory > sm else "compute"


def gpu_util(folder: Path, capture: Mapping[str, Any]) -> str | None:
    """A busy GPU computes, one that is not waits."""
    samples = _samples(folder)
    return None if samples is None else "compute" if float(np.nanmean(samples.sm)) > 0.8 else "latency"


def doubling_as_printed(folder: Path, capture: Mapping[str, Any]) -> str | None:
    """The note's Signal 1 as printed: throughput that doubles with the batch is compute-bound, else memory-bound."""
    for variant in capture.get("varied", {}).get("variants", ()):
        if variant["share"] == "compute" and variant.get("factor") == 2.0 and "step_s" in variant:
            gain = 2.0 * variant["beside_s"] / variant["step_s"]
            return "compute" if gain > 1.7 else "memory" if gain < 1.3 else UNDECIDED
    return None


def ncu_sixty(folder: Path, capture: Mapping[str, Any]) -> str | None:
    """Nsight Compute's own rule, by the time of the kernels that bear each label."""
    path = folder / FILES["ncu"]
    if not path.exists():
        return None
    weight: dict[str, float] = {}
    for o in _read(path):
        if isinstance(o.payload, KernelProfile):
            profile = o.payload
            rules = rule_indices(
                profile.memory_throughput * 100, profile.compute_throughput * 100, profile.waves_per_sm
            )
            for place, seconds, memory, compute in zip(
                rules, profile.duration_s, profile.memory_throughput, profile.compute_throughput, strict=True
            ):
                label = RULES[int(place)].label if place >= 0 else ""
                share = regime_of_label(label)
                if share is None and label == "High Throughput":
                    regime = "memory" if memory >= compute else "compute"
                else:
                    regime = share.value if share is not None else "balanced"
                weight[regime] = weight.get(regime, 0.0) + float(seconds)
    best = max(weight, key=lambda k: weight[k], default="balanced")
    return UNDECIDED if best == "balanced" else best


def _samples(folder: Path) -> Samples | None:
    path = folder / FILES["dmon"]
    if not path.exists():
        return None
    return next((o.payload for o in _read(path) if isinstance(o.payload, Samples)), None)


NAIVE = {
    "sm against mem (the note's quadrants)": quadrants,
    "GPU-Util: busy is compute": gpu_util,
    "batch doubling as printed in the note": doubling_as_printed,
    "ncu's 60 % rule": ncu_sixty,
}
