"""Nsight Compute's own speed-of-light rule, reproduced so that its reading can be shown beside ours.

Published thresholds of the rule `SOLBottleneck`: a throughput of 80 % is high, both under 60 % is low, and
10 points apart is unbalanced. Its words are about one kernel under replay, not about the job.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heuristics.arrays import Array, Rows
from heuristics.vocabulary import Share

HIGH_PERCENT = 80.0
LOW_PERCENT = 60.0
BALANCED_PERCENT = 10.0
FULL_WAVES = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NcuRule:
    """The rule's label for a kernel, and the share it points to (None: balanced)."""

    label: str
    regime: Share | None


RULES = (
    NcuRule(label="High Throughput", regime=Share.MEMORY),
    NcuRule(label="High Throughput", regime=Share.COMPUTE),
    NcuRule(label="Small Grid", regime=Share.LATENCY),
    NcuRule(label="Latency Issue", regime=Share.LATENCY),
    NcuRule(label="High Memory Throughput", regime=Share.MEMORY),
    NcuRule(label="High Compute Throughput", regime=Share.COMPUTE),
    NcuRule(label="Balanced Throughput", regime=None),
)


def rule_indices(memory_percent: Array, compute_percent: Array, waves_per_sm: Array) -> Rows:
    """For each kernel the index of its rule in ``RULES``, −1 where the pair is not stated. Arrays of shape (kernels,).

    Throughputs in percent of peak, NaN where not stated.
    """
    larger = np.maximum(memory_percent, compute_percent)
    by_memory = memory_percent >= compute_percent
    high, low = larger >= HIGH_PERCENT, larger < LOW_PERCENT
    apart = np.abs(memory_percent - compute_percent) >= BALANCED_PERCENT
    cases = (
        high & by_memory,
        high,
        low & (waves_per_sm < FULL_WAVES),
        low,
        apart & by_memory,
        apart,
        ~np.isnan(larger),
    )
    found: Rows = np.select(cases, range(len(RULES)), -1)
    return found


def ncu_rule(memory_percent: float | None, compute_percent: float | None, waves_per_sm: float | None) -> NcuRule | None:
    """The label for memory and SM throughput in percent of peak; None where the pair is not stated."""
    figures = (memory_percent, compute_percent, waves_per_sm)
    index = int(rule_indices(*(np.array([np.nan if f is None else f]) for f in figures))[0])
    return RULES[index] if index >= 0 else None


_PHRASES = (
    ("High Throughput", ("greater than 80", "more than 80", "utilizing greater than")),
    ("Small Grid", ("grid is too small",)),
    ("Latency Issue", ("typically indicate latency issues", "low compute throughput and memory bandwidth")),
    ("High Memory Throughput", ("memory is more heavily utilized than compute",)),
    ("High Compute Throughput", ("compute is more heavily utilized than memory",)),
    ("Balanced Throughput", ("are balanced", "well-balanced", "is balanced")),
)


def label_of_text(description: str) -> str | None:
    """The label that a rule row's own prose stands for; None for prose not known."""
    lowered = description.lower()
    return next((label for label, phrases in _PHRASES if any(p in lowered for p in phrases)), None)


def regime_of_label(label: str) -> Share | None:
    """The share a label points to; None for balanced, and for a high throughput of which kind is not said."""
    if label in ("Small Grid", "Latency Issue"):
        return Share.LATENCY
    named = {"High Memory Throughput": Share.MEMORY, "High Compute Throughput": Share.COMPUTE}
    return named.get(label)
