"""What a step can come to at the roofs: its time, its crossovers, its cache, and how both change with the load."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from heuristics.crossover import (
    Crossover,
    WidthCrossover,
    operation_crossovers,
    step_crossover,
    width_crossovers,
)
from heuristics.operations import Load, Operation, Phase, step_roof_s
from heuristics.roofs import Roofs
from heuristics.vocabulary import Dtype, Share
from heuristics.work import KernelWork, Work

BATCHES = (1, 4, 16, 64, 256, 1024)
CONTEXTS = (0, 1024, 4096, 16384, 65536, 131072)

PROMPT = 2048.0
"""Tokens of the prompt shown beside decode where no context is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Time of a step, and tokens a second of all sequences; None where a step makes none."""

    step_s: float
    tokens_per_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A load with what it comes to. ``bound`` is where more of the step's time at the roofs goes."""

    load: Load
    at_roof: Speed
    achievable: Speed
    bound: Share
    intensity_flops_per_byte: float
    compute_fraction: float
    """Of the arithmetic peak, in a step that runs at the roof."""
    bandwidth_fraction: float
    """Of the bandwidth, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """The KV cache, one device's part. ``equal_context_tokens``: where a step reads as much of it as of weights."""

    bytes_per_token: float
    bytes_per_step: float
    equal_context_tokens: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Sequences that the memory holds at most, nothing else being kept there; None with the reason."""

    batch: int | None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """All that follows from numbers alone for one device and one load. SI units, one device's bytes and FLOPs."""

    gpu: str | None
    work: Work
    roofs: Roofs
    memory_bytes: float | None
    here: Point
    operations: tuple[Operation, ...]
    step_crossover: Crossover
    operation_crossovers: tuple[tuple[str, Crossover], ...]
    width_crossovers: tuple[WidthCrossover, ...]
    weight_bytes: float
    cache: Cache | None
    fit: Fit
    other_phase: Point | None
    """One prompt of the same context where the load decodes, a step of decode after it where it is prefill."""
    by_batch: tuple[Point, ...]
    by_context: tuple[Point, ...]


def forecast(
    work: Work,
    load: Load,
    roofs: Roofs,
    *,
    gpu: str | None = None,
    memory_bytes: float | None = None,
    flops_per_s: Mapping[Dtype, float] | None = None,
) -> Forecast:
    """The forecast of one device whose roofs are both known. ``flops_per_s`` are its other arithmetic types."""
    bandwidth, peak = roofs.bandwidth_bytes_per_s, roofs.flops_per_s
    assert bandwidth is not None
    assert peak is not None
    ridge, operations = peak / bandwidth, work.operations(load)
    own = {roofs.dtype: peak} if flops_per_s is None else {**flops_per_s, roofs.dtype: peak}
    scales = not isinstance(work, KernelWork)
    never = Crossover(batch=None, reason="a kernel of stated FLOPs and bytes has no batch")
    cache = _cache(work, load)
    return Forecast(
        gpu=gpu,
        work=work,
        roofs=roofs,
        memory_bytes=memory_bytes,
        here=point(work, load, roofs),
        operations=operations,
        step_crossover=step_crossover(work, load, ridge) if scales else never,
        operation_crossovers=operation_crossovers(work, load, ridge) if scales else (),
        width_crossovers=width_crossovers(work, load, bandwidth, tuple(own.items())) if scales else (),
        weight_bytes=sum(op.weight_bytes for op in operations),
        cache=cache,
        fit=fitting(work, load, memory_bytes),
        other_phase=point(work, _other(load), roofs) if work.generates else None,
        by_batch=tuple(point(work, replace(load, batch=b), roofs) for b in _with(BATCHES, load.batch))
        if scales
        else (),
        by_context=tuple(
            point(work, replace(load, context_tokens=c), roofs) for c in _with(CONTEXTS, load.context_tokens)
        )
        if cache is not None and load.phase is Phase.DECODE
        else (),
    )


def point(work: Work, load: Load, roofs: Roofs) -> Point:
    """What one load comes to."""
    bandwidth, peak = roofs.bandwidth_bytes_per_s or 0.0, roofs.flops_per_s or 0.0
    operations = work.operations(load)
    roof_s, reached_s = step_roof_s(operations, roofs), step_roof_s(operations, roofs, achievable=True)
    assert roof_s is not None
    assert reached_s is not None
    moved, flops = sum(op.bytes for op in operations), sum(op.flops for op in operations)
    ridge = peak / bandwidth
    by_compute = sum(op.roof_s(bandwidth, peak) for op in operations if op.bound(ridge) is Share.COMPUTE)
    tokens = load.tokens if work.generates else None
    return Point(
        load=load,
        at_roof=Speed(step_s=roof_s, tokens_per_s=None if tokens is None else tokens / roof_s),
        achievable=Speed(step_s=reached_s, tokens_per_s=None if tokens is None else tokens / reached_s),
        bound=Share.COMPUTE if by_compute > 0.5 * roof_s else Share.MEMORY,
        intensity_flops_per_byte=flops / moved,
        compute_fraction=flops / roof_s / peak,
        bandwidth_fraction=moved / roof_s / bandwidth,
    )


def _other(load: Load) -> Load:
    if load.phase is Phase.PREFILL:
        return replace(load, phase=Phase.DECODE)
    return replace(load, phase=Phase.PREFILL, batch=1.0, context_tokens=load.context_tokens or PROMPT)


def _with(usual: tuple[int, ...], asked: float) -> list[float]:
    return sorted({*map(float, usual), asked})


def _read_bytes(work: Work, context_tokens: float, load: Load) -> float:
    """Bytes of the cache that one sequence of decode reads."""
    decode = replace(load, phase=Phase.DECODE, batch=1.0, prefill_tokens=0.0)
    at, empty = (
        sum(op.kv_bytes for op in work.operations(replace(decode, context_tokens=c))) for c in (context_tokens, 0.0)
    )
    return at - empty


def _cache(work: Work, load: Load) -> Cache | None:
    one = replace(load, phase=Phase.DECODE, batch=1.0, context_tokens=0.0, prefill_tokens=0.0)
    a_token = sum(op.kv_bytes for op in work.operations(one))
    if a_token <= 0.0:
        return None
    return Cache(
        bytes_per_token=a_token,
        bytes_per_step=sum(op.kv_bytes for op in work.operations(load)),
        equal_context_tokens=_equal_context(work, load, a_token),
    )


def _equal_context(work: Work, load: Load, a_token: float) -> float | None:
    """Where the cache read equals the weights read; None where windows keep it smaller at any context."""
    decode = replace(load, phase=Phase.DECODE, prefill_tokens=0.0)
    weights = sum(op.weight_bytes for op in work.operations(decode)) / load.batch
    low, high = 0.0, weights / a_token
    if abs(_read_bytes(work, high, load) / weights - 1.0) < 1e-9:
        return high
    for _ in range(40):
        if _read_bytes(work, high, load) >= weights:
            break
        low, high = high, 2.0 * high
    else:
        return None
    for _ in range(100):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _read_bytes(work, middle, load) < weights else (low, middle)
    return high


def fitting(work: Work, load: Load, memory_bytes: float | None) -> Fit:
    """Sequences of the load's context that one device's memory holds beside the weights."""
    stored = work.stored_bytes(load)
    if not work.generates or stored is None:
        return Fit(batch=None, reason="not a whole model")
    if memory_bytes is None:
        return Fit(batch=None, reason="the device's memory is not known")
    room = memory_bytes - stored
    if room < 0.0:
        return Fit(
            batch=0, reason=f"the weights alone take {stored / 1e9:.3g} GB of {memory_bytes / 1e9:.3g} GB a device"
        )
    a_sequence = _read_bytes(work, load.context_tokens, load)
    if a_sequence <= 0.0:
        return Fit(batch=None, reason="no KV cache is counted: give the context, and the shape of attention")
    return Fit(batch=math.floor(room / a_sequence))
