"""One row an operation or kernel: where the time went, and which roof each is nearer to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from heuristics.arrays import Array, Flags, Rows
from heuristics.kernel_class import KernelClass, kernel_class
from heuristics.ncu_rule import RULES, NcuRule, regime_of_label, rule_indices
from heuristics.observations import KernelProfile, Timeline
from heuristics.roofs import Roofs
from heuristics.signals.kernel_speed_of_light import SPEED_OF_LIGHT, held_by_cache, mean, timed, weight_of
from heuristics.verdict import Judgement
from heuristics.vocabulary import Cause, Share

DETAILED = 1000
"""Profiled kernels of which all is told; of the names beyond that, however many, only time and launches."""


class Level(StrEnum):
    """What a row stands for. Kernels and the operations that launched them are two views of the same time."""

    KERNEL = "kernel"
    OPERATION = "operation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One operation or kernel. Seconds, bytes, FLOPs; fractions 0..1; None where not known."""

    level: Level
    name: str
    time_share: float | None
    time_s: float | None = None
    launches: int | None = None
    kind: KernelClass | None = None
    flops: float | None = None
    bytes: float | None = None
    regime: Share | None = None
    cause: Cause | None = None
    memory_throughput: float | None = None
    compute_throughput: float | None = None
    dram_throughput: float | None = None
    blocks_per_sm: float | None = None
    waves_per_sm: float | None = None
    ncu_rule: NcuRule | None = None

    @property
    def intensity_flops_per_byte(self) -> float | None:
        """FLOPs per byte where both are known."""
        return self.flops / self.bytes if self.flops is not None and self.bytes else None


def rows(judgement: Judgement) -> list[Row]:
    """Longest first within a level: profiled kernels, else traced ones and operations, else the model's operations."""
    if judgement.profile is not None:
        found = _profiled(judgement.profile)
    elif judgement.timeline is not None:
        found = _traced(judgement.timeline, judgement.roofs)
    else:
        found = _modelled(judgement)
    return sorted(found, key=lambda row: (row.level, -(row.time_share or 0.0)))


def _profiled(profile: KernelProfile) -> list[Row]:
    """Kernels of one name together, their figures weighted by time."""
    weight, names = weight_of(profile), len(profile.names)
    whole_s = float(weight.sum()) if timed(profile) else 0.0
    order = np.argsort(profile.name_index, kind="stable")
    edges = np.searchsorted(profile.name_index[order], np.arange(names + 1)).tolist()
    total = np.bincount(profile.name_index, weight, names)
    launches = np.bincount(profile.name_index, profile.launches, names)
    longest_first = [i for i in np.argsort(-total, kind="stable").tolist() if edges[i] < edges[i + 1]]
    told = [order[edges[i] : edges[i + 1]] for i in longest_first[:DETAILED]]
    return [_kernel(profile, weight[group], group, whole_s) for group in told] + [
        Row(
            level=Level.KERNEL,
            name=profile.names[i],
            time_share=float(total[i]) / whole_s if whole_s > 0 else None,
            time_s=float(total[i]) if whole_s > 0 else None,
            launches=int(launches[i]),
        )
        for i in longest_first[DETAILED:]
    ]


def _kernel(profile: KernelProfile, weight: Array, group: Rows, whole_s: float) -> Row:
    total_s = float(weight.sum()) if whole_s > 0 else 0.0
    if weight.sum() <= 0:
        weight = np.ones(group.size)

    def of(values: Array) -> float | None:
        return mean(values[group], weight)

    name = profile.names[int(profile.name_index[group[0]])]
    memory, compute = of(profile.memory_throughput), of(profile.compute_throughput)
    dram = of(profile.dram_throughput)
    regime = _nearer(memory, compute)
    cause = None
    if regime is Share.MEMORY and dram is not None:
        held = held_by_cache(profile.memory_throughput[group], profile.dram_throughput[group])
        cause = Cause.CACHE if _mostly(held, weight) else kernel_class(name).memory_cause
    elif regime is Share.LATENCY:
        waves = of(profile.waves_per_sm)
        cause = Cause.UNDERFILL if waves is not None and waves < 1.0 else None
    launches = profile.launches[group]
    return Row(
        level=Level.KERNEL,
        name=name,
        time_share=total_s / whole_s if whole_s > 0 else None,
        time_s=total_s if total_s > 0 else None,
        launches=int(launches.sum()),
        kind=kernel_class(name),
        bytes=_total(profile.dram_bytes[group], launches),
        flops=_total(profile.flops[group], launches),
        regime=regime,
        cause=cause,
        memory_throughput=memory,
        compute_throughput=compute,
        dram_throughput=dram,
        waves_per_sm=of(profile.waves_per_sm),
        ncu_rule=_rule(profile, group, weight),
    )


def _total(a_launch: Array, launches: Array) -> float | None:
    """The sum over all launches of what one does; None where no row states it."""
    return None if np.isnan(a_launch).all() else float(np.nansum(a_launch * launches))


def _mostly(flags: Flags, weight: Array) -> bool:
    return float(weight[flags].sum()) > 0.5 * float(weight.sum())


def _nearer(memory: float | None, compute: float | None) -> Share | None:
    """The largest share of a kernel's time: its nearer roof, or what it lacks to it."""
    if memory is None or compute is None:
        return None
    reached = min(1.0, max(memory, compute) / SPEED_OF_LIGHT.mean)
    if reached < 0.5:
        return Share.LATENCY
    return Share.MEMORY if memory >= compute else Share.COMPUTE


def _rule(profile: KernelProfile, group: Rows, weight: Array) -> NcuRule | None:
    """The tool's reading that covers most of the kernels' time: recomputed, or as its own row states it."""
    pair = 100.0 * profile.memory_throughput[group], 100.0 * profile.compute_throughput[group]
    indices = rule_indices(*pair, profile.waves_per_sm[group])
    stated = indices >= 0
    weights = np.bincount(indices[stated], weight[stated], len(RULES))
    seconds = {rule: float(weights[i]) for i, rule in enumerate(RULES) if weights[i] > 0}
    for i in np.flatnonzero(~stated).tolist() if profile.ncu_label else ():
        label = profile.ncu_label[group[i]]
        if label:
            rule = NcuRule(label=label, regime=regime_of_label(label))
            seconds[rule] = seconds.get(rule, 0.0) + float(weight[i])
    return max(seconds, key=lambda rule: (seconds[rule], rule.label), default=None)


def _traced(timeline: Timeline, roofs: Roofs | None) -> list[Row]:
    whole = sum(k.total_s for k in timeline.kernels)
    kernels = [
        Row(
            level=Level.KERNEL,
            name=k.name,
            time_share=k.total_s / whole if whole > 0 else None,
            time_s=k.total_s,
            launches=k.launches,
            kind=k.kind,
            blocks_per_sm=k.blocks_per_sm,
        )
        for k in timeline.kernels
    ]
    operations = [
        Row(
            level=Level.OPERATION,
            name=op.name,
            time_share=op.device_s / whole if whole > 0 else None,
            time_s=op.device_s,
            launches=op.launches,
            flops=op.flops,
            bytes=op.bytes,
            regime=_bound(op.flops, op.bytes, roofs),
        )
        for op in timeline.operations
    ]
    return kernels + operations


def _modelled(judgement: Judgement) -> list[Row]:
    roofs = judgement.roofs
    if roofs is None or roofs.bandwidth_bytes_per_s is None or roofs.flops_per_s is None:
        return [
            Row(level=Level.OPERATION, name=op.name, time_share=None, flops=op.flops, bytes=op.bytes)
            for op in judgement.operations
        ]
    times = [op.roof_s(roofs.bandwidth_bytes_per_s, roofs.flops_per_s) for op in judgement.operations]
    whole = sum(times)
    return [
        Row(
            level=Level.OPERATION,
            name=op.name,
            time_share=seconds / whole if whole > 0 else None,
            flops=op.flops,
            bytes=op.bytes,
            regime=_bound(op.flops, op.bytes, roofs),
            cause=op.cause,
        )
        for op, seconds in zip(judgement.operations, times, strict=True)
    ]


def _bound(flops: float, moved: float, roofs: Roofs | None) -> Share | None:
    ridge = roofs.ridge_flops_per_byte if roofs is not None else None
    if ridge is None or moved <= 0:
        return None
    return Share.COMPUTE if flops / moved > ridge else Share.MEMORY
