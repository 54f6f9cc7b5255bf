"""Nsight Compute's own speed-of-light rule, reproduced so that its reading can be shown beside ours.

Published thresholds of the rule `SOLBottleneck`: a throughput of 80 % is high, both under 60 % is low, and
10 points apart is unbalanced. Its words are about one kernel under replay, not about the job.
"""

from __future__ import annotations

from dataclasses import dataclass

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


def ncu_rule(memory_percent: float | None, compute_percent: float | None, waves_per_sm: float | None) -> NcuRule | None:
    """The label for memory and SM throughput in percent of peak; None where the pair is not stated."""
    if memory_percent is None or compute_percent is None:
        return None
    larger = Share.MEMORY if memory_percent >= compute_percent else Share.COMPUTE
    if max(memory_percent, compute_percent) >= HIGH_PERCENT:
        return NcuRule(label="High Throughput", regime=larger)
    if max(memory_percent, compute_percent) < LOW_PERCENT:
        small = waves_per_sm is not None and waves_per_sm < FULL_WAVES
        return NcuRule(label="Small Grid" if small else "Latency Issue", regime=Share.LATENCY)
    if abs(memory_percent - compute_percent) >= BALANCED_PERCENT:
        return NcuRule(label=f"High {larger.value.capitalize()} Throughput", regime=larger)
    return NcuRule(label="Balanced Throughput", regime=None)


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
