"""What is known of the true shares of a captured workload, each with its own error: what bounds are held against.

Interventions are finite changes. Half the bytes save half of what they took, unless something else takes over, or small
kernels stream less well once they are smaller yet, or the half of a stream takes half of everything else with it. Twice
the FLOPs may run more efficiently, or bring other work. The second witness is what the needed bytes and FLOPs take at
the rates that a copy and a product reached in the same run: where bytes alone bind, memory lies between the two, and
latency is never more than that leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from heuristics.arrays import Array
from heuristics.observations import Timeline
from heuristics.simplex import triangle
from heuristics.vocabulary import Share
from tests.ground_truth.truth import truth_of

PART_ERROR = 0.03
"""Of a part that a relief shows: two times that are told apart to about a hundredth, by a change of a half."""

BURDEN_ERROR = 0.25
"""Of a part that a burden shows, in parts of it: 0.65 and 0.68 of two products that run at the rate of the fastest one,
0.86 of a prompt whose products take 0.67 of its time."""

CACHE_BYTES = 50e6
"""The H100's second level; a CPU's last is in its capture."""

FAR_FROM_THE_RIDGE = 2.0
"""Bytes that take so many times as long as the FLOPs bind alone."""

TWINS: Mapping[str, str] = {
    "decode-1b-b1-eager": "decode-1b-b1-graph",
    "decode-1b-b64-eager": "decode-1b-b64-graph",
    "decode-8b-b1-eager": "decode-8b-b1-graph",
    "spinning-1b": "decode-1b-b8-graph",
}
"""The same step without what its host adds, captured and varied on its own: what a graph still loses in its kernels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """A share lies between these, each end known to ``error``."""

    low: float = 0.0
    high: float = 1.0
    error: float = PART_ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of each share; of one that is not named, what the others leave."""

    within: Mapping[Share, Within]

    def weight(self) -> Array:
        """How well each point of the triangle agrees, shape (points,), summing to 1."""
        grid = triangle()
        beyond = np.zeros_like(grid.memory)
        for share, known in self.within.items():
            value = grid.of(share)
            beyond += (np.maximum(0.0, np.maximum(known.low - value, value - known.high)) / known.error) ** 2
        weight: Array = np.exp(-0.5 * beyond)
        normalised: Array = weight / weight.sum()
        return normalised

    def span(self, values: Array) -> tuple[float, float]:
        """Between what lies a value, given at every point, where all that is known holds to within one error."""
        weight = self.weight()
        held = values[weight >= np.exp(-0.5) * weight.max()]
        return float(held.min()), float(held.max())


def known_of(name: str, manifest: Mapping[str, Any], *, watched: bool) -> Known | None:
    """What is known of a workload's shares while it ran alone, or while it was watched; None where nothing is.

    A host's steps vary from minute to minute; what it adds is counted against the step of the window in question.
    """
    capture = manifest["workloads"][name]
    truth = truth_of(name, capture)
    if truth is None or not truth.parts or not set(truth.parts) <= {s.value for s in Share}:
        return None
    step_s = capture["watched" if watched else "alone"]["step_s"]
    relief = next((v for v in capture["varied"]["variants"] if v["share"] == "latency" and "step_s" in v), None)
    if name in TWINS:
        twin = manifest["workloads"][TWINS[name]]
        parts = truth_of(TWINS[name], twin)
        assert parts is not None
        return _point(parts.parts, twin, manifest, min(1.0, twin["alone"]["step_s"] / step_s))
    if relief is not None:
        least = 1.0 - relief["step_s"] / step_s if relief["factor"] == 0.0 else truth.parts["latency"]
        return Known(within={Share.LATENCY: Within(low=least)})
    most = at_most_latency(capture, manifest)
    if most is not None and truth.parts["latency"] > most + PART_ERROR:
        sides = {s: Within(low=truth.parts[s.value]) for s in (Share.MEMORY, Share.COMPUTE)}
        return Known(within=sides | {Share.LATENCY: Within(high=most)})
    return _point(truth.parts, capture, manifest, 1.0)


def _point(
    parts: Mapping[str, float],
    capture: Mapping[str, Any],
    manifest: Mapping[str, Any],
    at_work: float,
) -> Known:
    """Both parts of a step, of which the device has something to do for ``at_work`` of the time."""
    needed = roof_parts(capture, manifest)
    memory, compute = [parts["memory"]], at_work * parts["compute"]
    if needed is not None and needed[0] >= FAR_FROM_THE_RIDGE * needed[1]:
        memory.append(min(1.0, needed[0]))
    return Known(
        within={
            Share.MEMORY: Within(low=at_work * min(memory), high=at_work * max(memory)),
            Share.COMPUTE: Within(low=compute, high=compute, error=PART_ERROR + BURDEN_ERROR * compute),
        }
    )


def roof_parts(
    capture: Mapping[str, Any], manifest: Mapping[str, Any], *, from_cache: bool = False
) -> tuple[float, float] | None:
    """The parts of a step that its bytes, and its FLOPs, need at the rates reached in the same run.

    None where those rates are not its own: another dtype, weights that are unpacked, and, unless they are asked for,
    bytes that a cache serves, which need at most as long.
    """
    built = capture["built"]
    reached = manifest["runs"][capture["run"]]["ceilings"] if "run" in capture else manifest["ceilings"]
    usual = "fp32" if manifest["machine"].get("threads") else "bf16"
    if not built.get("flops") or built.get("dtype") != usual or float(built.get("weight_bits") or 16.0) < 8.0:
        return None
    if not from_cache and built["bytes"] <= float(manifest["machine"].get("last_level_cache_bytes") or CACHE_BYTES):
        return None
    step_s = capture["alone"]["step_s"]
    return (
        built["bytes"] / reached["bandwidth_bytes_per_s"] / step_s,
        built["flops"] / reached["flops_per_s"] / step_s,
    )


def at_most_latency(capture: Mapping[str, Any], manifest: Mapping[str, Any]) -> float | None:
    """What the needed bytes or FLOPs leave of a step, whichever take longer; None where that is not known."""
    parts = roof_parts(capture, manifest)
    return None if parts is None else max(0.0, 1.0 - max(parts))


def gaps_at_own_speed(timeline: Timeline, steps: int, step_s: float) -> float:
    """The part of a step in which no kernel runs while nobody records ``steps`` of them: kernels take as long then."""
    return max(0.0, 1.0 - timeline.roof_busy_s / steps / step_s)
