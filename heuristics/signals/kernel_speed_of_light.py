"""Kernel speed of light

What it looks at: for every kernel profiled by Nsight Compute, the fractions of peak that its memory path
and its SMs sustained; where the pair is missing, DRAM bytes and FLOPs over the kernel's time against the
roofs.

What it bounds and why: each kernel counts, for its time, at whichever of its two roofs is nearer; what it
lacks to that roof is latency inside the kernel. Summed by time this gives memory : compute : latency
*within kernel time*.

Without the memory path's own throughput DRAM stands in for it, and bounds memory from below only.

Blind spots: gaps between kernels are invisible here. Replay serialises kernels, flushes caches and, unless
told otherwise, holds base clocks, so small kernels look slower than they run. "Memory" covers L1 and L2 as
well as DRAM; a kernel held by a cache has the cause `cache` and counts at that cache's roof.

Example: memory 94 % with DRAM 10 % is memory-bound by the cache; both below 20 % on a grid of one wave is
latency, cause underfill.
"""

from __future__ import annotations

import numpy as np

from heuristics.arrays import Array, Flags
from heuristics.case import Case
from heuristics.claims import Bound, Claim, Pieces, Split
from heuristics.evidence import Abstention, Evidence, Finding
from heuristics.kernel_class import kernel_class, uses_tensor_pipe
from heuristics.observations import KernelProfile
from heuristics.signals.common import IMPOSSIBLE_FRACTION
from heuristics.simplex import Ceiling
from heuristics.vocabulary import Cause, Quantity, Relation, Share

NAME = "kernel_speed_of_light"

WIDTH = 0.06
"""``tests/ground_truth/widths.py`` finds the same, 0.03 to 0.07 with a family left out."""
UNTIMED_WIDTH = 0.15
"""Not fitted: every captured kernel states its time."""

SPEED_OF_LIGHT = Ceiling(mean=0.82, deviation=0.08, low=0.66)
"""Nsight Compute itself calls a kernel limited at 80 % of a throughput; good kernels reach 80 to 95 %."""

DRAM_LED = 0.80
"""DRAM names the memory bound when it reaches this part of the memory throughput; else a cache does."""

FULL_WAVE = 1.0
TENSOR_SEEN = 0.10

TOLERATED_BEYOND = 0.10
"""Passes over a short kernel need not agree, so a few come out above their peak; more than this is a wrong input."""

MOST = 0.80
"""A split needs both fractions for this part of the kernel time."""


def weigh(case: Case) -> Finding:
    """Split kernel time into memory, compute and latency."""
    profile = case.profile
    if profile is None:
        return Abstention(signal=NAME, reason="no Nsight Compute kernels in the input")
    untimed = not timed(profile)
    time_s = weight_of(profile)
    dram = dram_fractions(case, profile)
    memory, compute, whole = kernel_fractions(case, profile, dram)
    judged = (time_s > 0) & ~(np.isnan(memory) & np.isnan(compute))
    if not judged.any():
        return Abstention(signal=NAME, missing=False, reason=_lacking(profile))
    time_s, memory, compute, dram = time_s[judged], memory[judged], compute[judged], dram[judged]
    claims, half_seen = _claims(case, time_s, memory, compute, whole, UNTIMED_WIDTH if untimed else WIDTH)
    fastest = np.fmax(memory, compute)
    beyond = float(time_s[fastest > IMPOSSIBLE_FRACTION].sum() / time_s.sum())
    parts = {
        "memory_throughput": mean(memory, time_s) if whole[0] else None,
        "dram_throughput": mean(dram, time_s),
        "compute_throughput" if whole[1] else "arithmetic_throughput": mean(compute, time_s),
    }
    measured = {name: value for name, value in parts.items() if value is not None}
    over = "{kernel_time_s:seconds} in kernels, by time" if not untimed else "{kernels:count} kernels, unweighted"
    return Evidence(
        signal=NAME,
        source=case.source(KernelProfile),
        quantity=Quantity.KERNEL_SPLIT,
        claims=claims,
        rank=0 if all(whole) else 1,
        sentence=f"over {over}: " + ", ".join(f"{_WORDS[name]} {{{name}:percent}}" for name in measured),
        measured=measured | {"kernel_time_s": float(time_s.sum()), "kernels": float(profile.launches[judged].sum())},
        activity=1.0,
        causes=_causes(profile, judged, time_s / time_s.sum(), memory, compute, dram),
        warnings=_warnings(case, half_seen, untimed, beyond, whole[0]),
        impossible=_impossible(beyond, fastest),
    )


_WORDS = {
    "memory_throughput": "memory path at",
    "dram_throughput": "DRAM at",
    "compute_throughput": "SMs at",
    "arithmetic_throughput": "arithmetic at",
}


def _claims(
    case: Case, time_s: Array, memory: Array, compute: Array, whole: tuple[bool, bool], width: float
) -> tuple[tuple[Claim, ...], bool]:
    """A split where both fractions are stated for most of the time; else what each alone bounds.

    ``whole``: whether each is the throughput of the whole path. DRAM alone, or FLOPs alone, bound their share
    from below only: what they do not explain may be a cache's, or other instructions'.
    """
    scale = 1.0
    if case.timeline is not None and case.timeline.gaps_known and case.timeline.window_s > 0:
        scale = case.timeline.roof_busy_s / case.timeline.window_s
    ceilings = (
        SPEED_OF_LIGHT if whole[0] else case.prior.bandwidth,
        SPEED_OF_LIGHT if whole[1] else case.prior.arithmetic,
    )
    sides = zip((Share.MEMORY, Share.COMPUTE), (memory, compute), whole, ceilings, strict=True)
    alone = [
        claim
        for share, fractions, of_all, ceiling in sides
        if (fraction := mean(fractions, time_s)) is not None
        for claim in _used(share if of_all else None, scale * min(1.0, fraction / ceiling.typical), width)
    ]
    both = ~np.isnan(memory) & ~np.isnan(compute)
    half_seen = not bool(both.all())
    if float(time_s[both].sum()) < MOST * float(time_s.sum()):
        return tuple(alone), True
    if half_seen:
        time_s, memory, compute = time_s[both], memory[both], compute[both]
    weight = time_s / float(time_s.sum()) * scale
    pieces = Pieces(weight=weight, bandwidth_fraction=memory, arithmetic_fraction=compute)
    split = Split(
        pieces=pieces.condensed(), width=width, complete=all(whole), ceilings=ceilings if any(whole) else None
    )
    return (split,) if all(whole) else (split, *alone), half_seen


def _used(share: Share | None, used: float, width: float) -> tuple[Claim, ...]:
    """A resource in use for this part of the time: no more is bound by it, if it is all of it, and none is latency."""
    not_latency = Bound(share=Share.LATENCY, relation=Relation.AT_MOST, value=1.0 - used, width=width)
    if share is None:
        return (not_latency,)
    return Bound(share=share, relation=Relation.AT_MOST, value=used, width=width), not_latency


def dram_fractions(case: Case, profile: KernelProfile) -> Array:
    """DRAM's fraction of its peak, a kernel: as stated, else bytes ÷ time ÷ bandwidth; NaN where neither is known."""
    derived = np.full(profile.duration_s.shape, np.nan)
    if case.roofs is not None and case.roofs.bandwidth_bytes_per_s is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            derived = profile.dram_bytes / profile.duration_s / case.roofs.bandwidth_bytes_per_s
    return np.where(np.isnan(profile.dram_throughput), derived, profile.dram_throughput)


def kernel_fractions(case: Case, profile: KernelProfile, dram: Array) -> tuple[Array, Array, tuple[bool, bool]]:
    """Memory and compute fractions a kernel, and whether each is the throughput of the whole path.

    The tool's own pair wins. Without its memory side DRAM stands in; without its SM side, FLOPs ÷ time ÷ peak.
    """
    memory, compute = profile.memory_throughput, profile.compute_throughput
    whole = not bool(np.isnan(memory).all()), not bool(np.isnan(compute).all())
    if not whole[1] and case.roofs is not None and case.roofs.flops_per_s is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            compute = profile.flops / profile.duration_s / case.roofs.flops_per_s
    return memory if whole[0] else dram, compute, whole


def _lacking(profile: KernelProfile) -> str:
    wanted = "record with --section SpeedOfLight, or --set full"
    if timed(profile) and not weight_of(profile).any():
        return "every kernel states a time of zero"
    if not timed(profile):
        return f"neither the time of the kernels nor their throughputs are in the file: {wanted}"
    pairs = (profile.memory_throughput, profile.compute_throughput, profile.dram_throughput)
    if not all(np.isnan(values).all() for values in pairs):
        return f"no kernel states both its time and a throughput: {wanted}"
    if not np.isnan(profile.dram_bytes).all():
        return f"DRAM bytes are there but no roof to compare them with: {wanted}, or give --gpu or --bandwidth-gb-s"
    return f"no memory or SM throughput in the file: {wanted}"


def timed(profile: KernelProfile) -> bool:
    """Whether any kernel states its time."""
    return not bool(np.isnan(profile.duration_s).all())


def weight_of(profile: KernelProfile) -> Array:
    """What each row counts for, shape (rows,): the seconds of its launches, or, where no row has a time, launches."""
    return np.nan_to_num(profile.duration_s) * profile.launches if timed(profile) else profile.launches


def mean(values: Array, weight: Array) -> float | None:
    """The weighted mean of the stated values; None where none that has weight is stated."""
    stated = ~np.isnan(values) & (weight > 0)
    if not stated.any():
        return None
    return float((values[stated] * weight[stated]).sum() / weight[stated].sum())


def held_by_cache(memory: Array, dram: Array) -> Flags:
    """Per row: the memory path is busier than DRAM explains; not where DRAM's part is unknown."""
    held: Flags = dram < DRAM_LED * memory
    return held


def _causes(
    profile: KernelProfile, judged: Flags, weight: Array, memory: Array, compute: Array, dram: Array
) -> dict[Cause, float]:
    """Fractions of kernel time by what holds it: the nearer roof's part, and the rest where the grid is small.

    Where DRAM's part of the memory path is unknown, nobody knows whether bytes or a cache hold a kernel.
    """
    known = ~np.isnan(dram)
    cached = held_by_cache(memory, dram)
    memory, compute = np.nan_to_num(memory), np.nan_to_num(compute)
    reached = weight * np.minimum(1.0, np.maximum(memory, compute))
    by_memory = memory >= compute
    cached &= by_memory
    small = profile.waves_per_sm[judged] < FULL_WAVE
    names = profile.name_index[judged]
    found = {
        Cause.CACHE: float(reached[cached].sum()),
        Cause.UNDERFILL: float((weight - reached)[small].sum()),
    }
    tensor = mean(profile.tensor_active[judged], weight)
    streamed = np.bincount(names, reached * (by_memory & known & ~cached), len(profile.names))
    computed = np.bincount(names, reached * ~by_memory, len(profile.names))
    for index in np.flatnonzero(streamed + computed).tolist():
        name = profile.names[index]
        cause = kernel_class(name).memory_cause
        found[cause] = found.get(cause, 0.0) + float(streamed[index])
        if tensor > TENSOR_SEEN if tensor is not None else uses_tensor_pipe(name):
            found[Cause.TENSOR] = found.get(Cause.TENSOR, 0.0) + float(computed[index])
    return {cause: fraction for cause, fraction in found.items() if fraction > 0.0}


def _impossible(beyond: float, fastest: Array) -> str | None:
    """Why the throughputs cannot be: too much of the time lies in kernels above their peak."""
    if beyond <= TOLERATED_BEYOND:
        return None
    return (
        f"kernels with {beyond:.0%} of the time state up to {float(np.nanmax(fastest)):.2f} of a peak, "
        "which cannot be: their replay passes did not agree, or the peak is that of another GPU"
    )


def _warnings(case: Case, half_seen: bool, untimed: bool, beyond: float, whole_path: bool) -> tuple[str, ...]:
    found = []
    if not whole_path:
        found.append(
            "the memory path of the kernels was not recorded: one that L1 or L2 holds cannot be told from latency "
            "(add --section SpeedOfLight)"
        )
    if 0.0 < beyond <= TOLERATED_BEYOND:
        found.append(f"kernels with {beyond:.1%} of the time state more than their peak; they count as at the peak")
    if case.timeline is None:
        found.append(
            "Nsight Compute sees inside kernels only: time between them needs a timeline (nsys or torch.profiler)"
        )
    if untimed:
        found.append("no kernel states its time: every launch counts alike (add gpu__time_duration.sum)")
    if half_seen:
        found.append("some kernels state only one of memory and SM throughput; the other counts as unknown")
    return tuple(found)
