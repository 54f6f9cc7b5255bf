"""Which one measurement would settle an undecided case.

For each measurement that is not in hand the outcomes it may have are played through on the posterior: the
expected confidence after it is Σ over outcomes of the largest mass a share would then hold. The least
intrusive one that comes close to the best is named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from heuristics.arrays import Array
from heuristics.budget import Budget
from heuristics.case import Case
from heuristics.simplex import Triangle, triangle

BINS = 12

CLOSE_ENOUGH = 0.05
"""A gentler measurement is preferred when it comes this close to the best one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A measurement: what of the triangle it shows, when it is already in hand, and how to take it."""

    outcomes: Callable[[Triangle], Array]
    in_hand: Callable[[Case], bool]
    text: str


def suggest(case: Case, budget: Budget) -> str:
    """The measurement most worth taking, as an instruction."""
    if case.serving is not None and case.serving.lifetime and case.host is None:
        return "a second snapshot of /metrics some seconds after the first, while requests run: two give rates"
    if case.roofs is None and _only_lacks_roofs(case):
        return "the device's roofs: the work per time is known, so give --gpu NAME, or --bandwidth-gb-s and --tflops"
    if case.least_work < 0.9 and case.serving is None:
        return (
            "two snapshots of the engine's /metrics some seconds apart, taken while the log runs: they tell "
            "idle time from latency (curl -s HOST:PORT/metrics > a.prom; sleep 10; the same into b.prom)"
        )
    if case.host is not None and (text := _at_hand(case)) is not None:
        return text
    grid = triangle()
    open_ = [c for c in CANDIDATES if not c.in_hand(case)] or list(CANDIDATES)
    scores = [expected_confidence(c.outcomes(grid), budget.density, grid) for c in open_]
    best = max(scores)
    return next(c.text for c, score in zip(open_, scores, strict=True) if score >= best - CLOSE_ENOUGH)


def _at_hand(case: Case) -> str | None:
    """For a job that is watched: what only needs to be told or turned on."""
    serving = case.serving
    if serving is not None and serving.lifetime:
        return "more time: rates need two looks a second apart (--for 10)"
    computes = case.host is not None and case.host.computes
    if serving is None:
        rates = "how fast the program steps, which it does not tell: serve the model with an engine that has /metrics"
        return rates if computes else None
    if serving.step_s is None and not serving.idle_fraction:
        return "the rate of steps: start the engine with its metrics on, and watch while requests run"
    if serving.read_bytes is None and not case.operations:
        return "the model's bytes: --model PATH_OR_ID, its config.json, folder or GGUF"
    if case.roofs is None:
        if computes:
            return "this machine's roofs: run `diagnose calibrate` once while it is idle, then attach again"
        return "the device's roofs: --gpu NAME, or --bandwidth-gb-s and --tflops"
    if not computes:
        return None
    return (
        "the same job under another load: attach while one request runs, and while eight times as many do; memory and "
        "latency gain with the batch, compute does not"
    )


def _only_lacks_roofs(case: Case) -> bool:
    """Whether bytes and time are there and nothing to compare them with."""
    if case.profile is not None:
        return bool((case.profile.dram_bytes > 0).any() and (case.profile.duration_s > 0).any())
    timeline = case.timeline
    return timeline is not None and sum(op.device_s for op in timeline.operations) > 0.5 * timeline.window_s


def expected_confidence(outcome_given_point: Array, density: Array, grid: Triangle) -> float:
    """Σ over outcomes of the largest mass of a share. ``outcome_given_point`` has shape (outcomes, points)."""
    joint = (outcome_given_point * density) @ grid.winner
    return float(joint.max(axis=1).sum())


def _within(low: Array, high: Array) -> Array:
    """P(bin | point) of a value spread evenly over [low, high], shape (BINS, points)."""
    edges = np.linspace(0.0, 1.0, BINS + 1)[:, None]
    width = np.maximum(high - low, 1.0 / BINS)
    middle = 0.5 * (low + high)
    below = np.clip((edges - (middle - 0.5 * width)) / width, 0.0, 1.0)
    below[0], below[-1] = 0.0, 1.0
    found: Array = np.diff(below, axis=0)
    return found


def _both(first: Array, second: Array) -> Array:
    """P of pairs of outcomes, shape (BINS², points)."""
    return (first[:, None, :] * second[None, :, :]).reshape(-1, first.shape[1])


def _activity(grid: Triangle) -> Array:
    at_roofs = grid.memory + grid.compute
    return _both(_within(grid.memory, at_roofs), _within(grid.compute, at_roofs))


def _timeline(grid: Triangle) -> Array:
    return _both(
        _within(np.zeros_like(grid.latency), grid.latency), _within(grid.compute, np.minimum(1.0, 1.5 * grid.compute))
    )


def _kernels(grid: Triangle) -> Array:
    part = grid.compute / (grid.memory + grid.compute)
    return _both(_within(part, part), _within(np.zeros_like(grid.latency), grid.latency))


CANDIDATES = (
    Candidate(
        outcomes=_activity,
        in_hand=lambda case: (
            case.activity is not None
            and case.activity.dram_active is not None
            and case.activity.tensor_active is not None
        ),
        text="DRAM and tensor activity: nvidia-smi dmon --gpm-metrics 2,5,10 (Hopper and later), or dcgm-exporter "
        "with DCGM_FI_PROF_DRAM_ACTIVE, PIPE_TENSOR_ACTIVE and SM_ACTIVE",
    ),
    Candidate(
        outcomes=_timeline,
        in_hand=lambda case: case.timeline is not None and case.timeline.gaps_known,
        text="a kernel timeline of a few steps: torch.profiler without stacks, or nsys profile -t cuda,nvtx and "
        "nsys export --type sqlite",
    ),
    Candidate(
        outcomes=_kernels,
        in_hand=lambda case: case.profile is not None,
        text="the speed of light of the longest kernels: ncu --csv --page raw --section SpeedOfLight "
        "--section MemoryWorkloadAnalysis --launch-count 200",
    ),
)
"""From the gentlest to the most intrusive."""
