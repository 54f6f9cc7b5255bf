"""From observations to cases: what belongs to one device, and to one phase on it, is put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from heuristics.case import Case
from heuristics.gpus import GpuPart, part_of_device
from heuristics.model_shape import ModelShape
from heuristics.observations import (
    Activity,
    Board,
    Host,
    KernelProfile,
    KernelTotal,
    LoadCurve,
    Observation,
    OperationTotal,
    Samples,
    Serving,
    StepTimes,
    Timeline,
)
from heuristics.operations import Load, Phase
from heuristics.roofs import Device, Roofs, device_roofs, overridden
from heuristics.vocabulary import Dtype
from heuristics.work import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the user states beside the dumps. Bytes/s and FLOP/s."""

    part: GpuPart | None = None
    model: ModelShape | None = None
    work: Work | None = None
    """What a step does, where it is stated otherwise than by a model's shape."""
    dtype: Dtype | None = None
    bandwidth_bytes_per_s: float | None = None
    flops_per_s: float | None = None
    roofs: Roofs | None = None
    """Measured on the device itself; they stand where no part is named."""
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    expert_parallel: int = 1
    data_parallel: int = 1


def device_cases(observations: Sequence[Observation], given: Given) -> list[Case]:
    """One case a device, over all phases. Observations without a device belong to every one."""
    whole = _whole(observations)
    indices = sorted({o.device.index for o in whole if o.device is not None and o.device.index is not None})
    if not indices:
        return [_case(whole, given)]
    return [_case([o for o in whole if _is_of(o, index)], given) for index in indices]


def phase_cases(observations: Sequence[Observation], given: Given) -> dict[Phase, Case]:
    """One case a phase that some dump tells apart, over all devices."""
    split = [*observations, *_split_profiles(observations)]
    found = {phase: [o for o in split if o.phase is phase] for phase in Phase}
    known = next((o.device for o in observations if o.device is not None), None)
    host = [o for o in observations if isinstance(o.payload, Host)]
    return {phase: _case([*mine, *host], given, known) for phase, mine in found.items() if mine}


def _is_of(observation: Observation, index: int) -> bool:
    return observation.device is None or observation.device.index in (None, index)


def _whole(observations: Sequence[Observation]) -> list[Observation]:
    """Observations over all phases; a phase's own count again only where nothing covers the whole."""
    covering = [o for o in observations if o.phase is None]
    return covering or list(observations)


def _split_profiles(observations: Sequence[Observation]) -> list[Observation]:
    """Kernel profiles by the phase of their NVTX ranges."""
    found = []
    for o in observations:
        if isinstance(o.payload, KernelProfile) and o.phase is None and o.payload.phase:
            for phase in Phase:
                rows = np.array([p is phase for p in o.payload.phase])
                if rows.any():
                    found.append(replace(o, payload=_chosen(o.payload, rows), phase=phase))
    return found


def _chosen(profile: KernelProfile, rows: np.ndarray) -> KernelProfile:
    changed: dict[str, Any] = {}
    for field in fields(profile):
        value = getattr(profile, field.name)
        if isinstance(value, np.ndarray):
            changed[field.name] = value[rows]
        elif field.name in ("ncu_label", "phase") and value:
            changed[field.name] = tuple(v for v, kept in zip(value, rows, strict=True) if kept)
    return replace(profile, **changed)


def _case(observations: Sequence[Observation], given: Given, known: Device | None = None) -> Case:
    """One case. ``known`` describes a device where the observations themselves do not: that of the other phases."""
    device = Device()
    for o in observations:
        if o.device is not None:
            device = device.merged(o.device)
    if known is not None and all(o.device is None for o in observations):
        device = known
    timeline = _pooled(observations, Timeline, _timelines)
    serving = _pooled(observations, Serving, busiest)
    dtype = given.dtype or _dtype(timeline, given.model)
    measured = given.roofs if given.part is None else None
    roofs = overridden(
        measured or device_roofs(device, given.part, dtype), given.bandwidth_bytes_per_s, given.flops_per_s, given.dtype
    )
    return Case(
        device=device,
        part=given.part or (part_of_device(device.name, device.facts) if device.name else None),
        roofs=roofs,
        profile=_pooled(observations, KernelProfile, _profiles),
        timeline=timeline,
        samples=_pooled(observations, Samples, _samples),
        activity=_pooled(observations, Activity, _activities),
        serving=serving,
        model=given.model,
        work=given.work,
        board=_pooled(observations, Board, _boards),
        host=_pooled(observations, Host, _first),
        curve=_pooled(observations, LoadCurve, _first),
        step_times=_pooled(observations, StepTimes, _first),
        load=_load(serving, given, _phase(observations)),
        replicated=given.data_parallel > 1,
        sources=tuple(
            (kind.__name__, ", ".join(dict.fromkeys(o.source for o in observations if isinstance(o.payload, kind))))
            for kind in KINDS
        ),
    )


KINDS = (KernelProfile, Timeline, Samples, Activity, Board, Host, LoadCurve, StepTimes, Serving)

_Payload = TypeVar("_Payload", KernelProfile, Timeline, Samples, Activity, Board, Host, LoadCurve, StepTimes, Serving)
_Any = TypeVar("_Any")


def _pooled(
    observations: Sequence[Observation], kind: type[_Payload], pool: Callable[[list[_Payload]], _Payload]
) -> _Payload | None:
    found = [o.payload for o in observations if isinstance(o.payload, kind)]
    if not found:
        return None
    return found[0] if len(found) == 1 else pool(found)


def _profiles(found: list[KernelProfile]) -> KernelProfile:
    """Kernels of several profiles one after another."""
    names: dict[str, int] = {}
    index = []
    for profile in found:
        table = np.array([names.setdefault(n, len(names)) for n in profile.names] or [0], np.int32)
        index.append(table[profile.name_index])
    joined: dict[str, Any] = {"names": tuple(names), "name_index": np.concatenate(index)}
    for field in fields(KernelProfile):
        values = [getattr(p, field.name) for p in found]
        if field.name in joined:
            continue
        if field.name in ("ncu_label", "phase"):
            blank: str | None = "" if field.name == "ncu_label" else None
            padded = [v or (blank,) * p.duration_s.size for v, p in zip(values, found, strict=True)]
            joined[field.name] = tuple(x for v in padded for x in v) if any(values) else ()
        else:
            joined[field.name] = np.concatenate(values)
    return KernelProfile(**joined)


def _timelines(found: list[Timeline]) -> Timeline:
    """Times add up over traces of the same device; a delay is the median of the medians."""
    kernels: dict[str, KernelTotal] = {}
    operations: dict[tuple[str, float], OperationTotal] = {}
    for timeline in found:
        for kernel in timeline.kernels:
            before = kernels.get(kernel.name)
            kernels[kernel.name] = kernel if before is None else _added(before, kernel)
        for op in timeline.operations:
            key = (op.name, op.flops / max(1, op.launches))
            before_op = operations.get(key)
            operations[key] = op if before_op is None else _added_operation(before_op, op)
    delays = sorted(t.launch_delay_s for t in found if t.launch_delay_s is not None)
    gaps = [t.host_gap_s for t in found if t.host_gap_s is not None]

    def total(name: str) -> float:
        return float(sum(getattr(t, name) for t in found))

    return Timeline(
        window_s=total("window_s"),
        busy_s=total("busy_s"),
        roof_busy_s=total("roof_busy_s"),
        capable_s=total("capable_s"),
        underfill_s=total("underfill_s"),
        communication_s=total("communication_s"),
        transfer_s=total("transfer_s"),
        host_gap_s=sum(gaps) if len(gaps) == len(found) else None,
        excluded_s=total("excluded_s"),
        launches=sum(t.launches for t in found),
        graph_launched=sum(t.graph_launched for t in found),
        launch_delay_s=delays[len(delays) // 2] if delays else None,
        kernels=tuple(sorted(kernels.values(), key=lambda k: -k.total_s)),
        operations=tuple(operations.values()),
        step_s=tuple(s for t in found for s in t.step_s),
        recorded_stacks=any(t.recorded_stacks for t in found),
        recorded_shapes=any(t.recorded_shapes for t in found),
        recorded_memory=any(t.recorded_memory for t in found),
        of_sums=any(t.of_sums for t in found),
        gaps_known=all(t.gaps_known for t in found),
    )


def _added(a: KernelTotal, b: KernelTotal) -> KernelTotal:
    whole = a.total_s + b.total_s
    fills = [(k.blocks_per_sm, k.total_s) for k in (a, b) if k.blocks_per_sm is not None]
    weight = sum(t for _, t in fills)
    return replace(
        a,
        launches=a.launches + b.launches,
        total_s=whole,
        blocks_per_sm=sum(f * t for f, t in fills) / weight if weight > 0 else None,
    )


def _added_operation(a: OperationTotal, b: OperationTotal) -> OperationTotal:
    return replace(
        a,
        flops=a.flops + b.flops,
        bytes=a.bytes + b.bytes,
        device_s=a.device_s + b.device_s,
        launches=a.launches + b.launches,
    )


def _samples(found: list[Samples]) -> Samples:
    arrays = {f.name: np.concatenate([getattr(s, f.name) for s in found]) for f in fields(Samples)[1:]}
    intervals = [s.interval_s for s in found if s.interval_s is not None]
    return Samples(interval_s=min(intervals, default=None), **arrays)


def _activities(found: list[Activity]) -> Activity:
    """Means, weighted by the windows; equal weights where a window is not stated."""
    equal = any(a.window_s is None for a in found)
    weights = [1.0 if equal else float(a.window_s or 0.0) for a in found]

    def mean(name: str) -> float | None:
        pairs = [(getattr(a, name), w) for a, w in zip(found, weights, strict=True) if getattr(a, name) is not None]
        whole = sum(w for _, w in pairs)
        return sum(v * w for v, w in pairs) / whole if whole > 0 else None

    window = None if equal else sum(weights)
    return Activity(window_s=window, **{f.name: mean(f.name) for f in fields(Activity)[1:]})


def _boards(found: list[Board]) -> Board:
    """The one that was looked at longest: counters of the same board are not added up."""
    return max(found, key=lambda b: b.window_s)


def _first(found: list[_Any]) -> _Any:
    return found[0]


def _phase(observations: Sequence[Observation]) -> Phase:
    """The phase that all of them are of; decode, whose steps prompts may share, where they are of several or none."""
    phases = {o.phase for o in observations if not isinstance(o.payload, Host)}
    return Phase.PREFILL if phases == {Phase.PREFILL} else Phase.DECODE


def busiest(found: list[Serving]) -> Serving:
    """Of several targets the one that did most; windows before lifetimes."""
    return max(found, key=lambda s: (not s.lifetime, s.steps or 0.0, s.generation_tokens or 0.0, s.engine))


def _dtype(timeline: Timeline | None, model: ModelShape | None) -> Dtype | None:
    """The arithmetic in use: what most FLOPs of the trace were in, else the model's activations."""
    if timeline is not None and timeline.operations:
        flops: dict[Dtype, float] = {}
        for op in timeline.operations:
            if op.dtype is not None:
                flops[op.dtype] = flops.get(op.dtype, 0.0) + op.flops
        if flops:
            return max(flops, key=lambda d: flops[d])
    if model is not None and model.activation_bits == 32.0:
        return Dtype.FP32
    return None


def _load(serving: Serving | None, given: Given, phase: Phase) -> Load | None:
    """The step that was served: measured batch, and the mean context where the cache's use tells it.

    In prefill a step takes in so many tokens of a prompt.
    """
    if serving is None:
        return None
    batch = serving.batch or serving.requests_running
    if not batch:
        return None
    alone = Load(
        batch=batch,
        tensor_parallel=given.tensor_parallel,
        pipeline_parallel=given.pipeline_parallel,
        expert_parallel=given.expert_parallel,
    )
    if phase is Phase.PREFILL:
        tokens = serving.tokens_per_step
        return replace(alone, phase=phase, context_tokens=tokens / batch) if tokens else None
    context = serving.context_tokens or 0.0
    running = serving.requests_running or batch
    if not context and serving.kv_cache_usage and serving.kv_capacity_tokens and running:
        context = serving.kv_cache_usage * serving.kv_capacity_tokens / running
    return replace(alone, context_tokens=context, prefill_tokens=_prefill_tokens(serving, batch))


def _prefill_tokens(serving: Serving, batch: float) -> float:
    """Prompt tokens that pass through a step on average, beside one token of each sequence."""
    if serving.tokens_per_step is not None:
        return max(0.0, serving.tokens_per_step - batch)
    if serving.prompt_tokens_computed and serving.steps:
        return serving.prompt_tokens_computed / serving.steps
    return 0.0
