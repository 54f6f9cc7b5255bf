"""The regime of a workload by intervention: what relief of which need speeds it up is what binds it.

With T the step's time and T' that of a variant in which one need alone is multiplied by f, the part of the step that
scales with that need is (T' − T) ÷ T ÷ (f − 1). Parts of memory (weights, cache) add up. What no variant moves is
latency, unless a variant relieves that itself.

A relief (f < 1) is the better judge: what it saves was spent on that need. A burden (f > 1) may also bring work of its
own, as twice the sequences bring the host more to do; so it never claims more than all reliefs leave.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LEADS_BY = 0.15
"""A share that leads by less is no regime: the workload stands between two, and no answer is the right one."""

SHARES = ("memory", "compute", "latency")


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """``regime``: a share, ``mixed`` or ``idle``. ``parts`` of the step by need, as far as they were measured."""

    regime: str
    parts: Mapping[str, float]
    between: tuple[str, ...] = ()
    """Of a mixed workload the shares that compete."""


def truth_of(name: str, capture: Mapping[str, Any]) -> Truth | None:
    """What the interventions say; None where none of them was measured."""
    if name.startswith("idle"):
        return Truth(regime="idle", parts={})
    variants = [v for v in capture.get("varied", {}).get("variants", ()) if "step_s" in v]
    if not variants:
        return None
    relieved: dict[str, float] = {}
    burdened: dict[str, float] = {}
    for v in variants:
        part = min(1.0, max(0.0, (v["step_s"] / v["beside_s"] - 1.0) / (v["factor"] - 1.0)))
        kind = relieved if v["factor"] < 1.0 else burdened
        kind[v["share"]] = kind.get(v["share"], 0.0) + part
    if not set(SHARES) & (set(relieved) | set(burdened)):
        inside = relieved.get("kernel", 0.0) > 0.5
        return Truth(regime="mixed", parts=relieved, between=("memory", "compute") if inside else ())
    parts = _parts(relieved, burdened)
    if "memory" not in relieved and "latency" not in relieved and parts["latency"] >= parts["compute"]:
        return Truth(regime="mixed", parts=parts, between=("memory", "latency"))
    order = sorted(SHARES, key=lambda share: -parts[share])
    if parts[order[0]] - parts[order[1]] < LEADS_BY:
        return Truth(regime="mixed", parts=parts, between=tuple(order[:2]))
    return Truth(regime=order[0], parts=parts)


def _parts(relieved: Mapping[str, float], burdened: Mapping[str, float]) -> dict[str, float]:
    """Parts of the step. What folding the launches or taking the host's work away saves comes first: while the host
    holds the step, the other changes are seen through its work alone."""
    parts = {"latency": relieved["latency"]} if "latency" in relieved else {}
    for share in ("memory", "compute"):
        left = max(0.0, 1.0 - sum(parts.values()))
        parts[share] = min(left, relieved.get(share, burdened.get(share, 0.0)))
    if "latency" not in parts:
        parts["latency"] = max(0.0, 1.0 - parts["memory"] - parts["compute"])
    return {share: parts[share] for share in SHARES}
