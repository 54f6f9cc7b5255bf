"""Chrome traces of torch.profiler with events of our own invention, in the layout of every generation.

Events say what happened, on one clock in nanoseconds. An ``Era`` says how a generation of profilers names
things and counts time; ``kineto_layouts`` how the JSON is written down, and any era goes with any layout.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from collectors.dump import Contents, Dump
from collectors.kineto import trace
from heuristics.observations import Observation, Timeline

Json = dict[str, Any]

HOST = 4242
"""Process id of the host side."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """What happened from ``start_ns`` on, for ``length_ns``."""

    name: str
    start_ns: int
    length_ns: int = 1000


@dataclass(frozen=True, kw_only=True)
class Work(Event):
    """A kernel, or with ``what`` a memcpy or memset."""

    what: str = "kernel"
    correlation: int | None = None
    external: int | None = None
    device: int = 0
    stream: int = 7
    blocks: float | None = 1.0
    graph: int = 0


@dataclass(frozen=True, kw_only=True)
class Call(Event):
    """A runtime call, or a driver call."""

    correlation: int | None
    driver: bool = False
    thread: int = HOST


@dataclass(frozen=True, kw_only=True)
class Operation(Event):
    """An operator on the host; with ``dims`` recorded shapes."""

    external: int = 0
    dims: list[list[int]] | None = None
    types: list[str] | None = None
    thread: int = HOST


@dataclass(frozen=True, kw_only=True)
class Note(Event):
    """An annotation, of the host or its shadow on the device."""

    on_device: bool = False


@dataclass(frozen=True, kw_only=True)
class Stack(Event):
    """A Python function, as with_stack records it."""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A row of deviceProperties."""

    id: int = 0
    name: str = "NVIDIA A100-SXM4-80GB"
    memory: int = 85_000_000_000
    sms: int = 108


@dataclass(frozen=True, kw_only=True)
class Era:
    """How one generation names and counts. ``origin_us`` is added to every time."""

    categories: Mapping[str, str] = field(default_factory=dict)
    flow: str = "ac2g"
    whole_us: bool = True
    origin_us: int = 1_700_000_000_000_000
    stream: str | None = None
    device_external: str = "External id"
    properties: str = "deviceProperties"
    sm_key: str = "numSms"
    occupancy: bool = True
    launch: str = "cuda"
    graph_ids: bool = False
    extras: Mapping[str, Any] = field(default_factory=dict)


_CAPITALS = {
    "kernel": "Kernel",
    "gpu_memcpy": "Memcpy",
    "gpu_memset": "Memset",
    "cuda_runtime": "Runtime",
    "cuda_driver": "Runtime",
    "cpu_op": "Operator",
    "user_annotation": "Operator",
}
_NANOSECONDS = {"displayTimeUnit": "ms", "baseTimeNanoseconds": 1_700_000_000_000_000_000}

ERAS = {
    "torch 1.9": Era(
        categories=_CAPITALS,
        flow="async",
        stream="stream {}",
        device_external="external id",
        properties="computeProperties",
        sm_key="multiProcessorCount",
    ),
    "2022": Era(flow="async_cpu_to_gpu"),
    "2023": Era(),
    "nanoseconds": Era(whole_us=False, origin_us=1_212_075_548_353, extras=_NANOSECONDS),
    "2026": Era(whole_us=False, origin_us=4_532_227_030_509, extras=_NANOSECONDS, graph_ids=True),
    "ROCm": Era(occupancy=False, launch="hip"),
}


def events_of(events: Iterable[Event], era: Era = ERAS["2023"]) -> list[Json]:
    """The traceEvents of an era: timed events, flows from launches to kernels, names, the profiler's own marks."""
    found = [_timed(event, era) for event in events]
    flows = [
        {"ph": ph, "id": e["args"]["correlation"], "pid": e["pid"], "tid": e["tid"], "ts": e["ts"]}
        | {"cat": era.flow, "name": era.flow, "bp": "e"}
        for e in found
        if "correlation" in e["args"]
        for ph in ("f" if "stream" in e["args"] else "s",)
    ]
    start = found[0]["ts"] if found else era.origin_us
    return [
        *found,
        *flows,
        {"name": "process_name", "ph": "M", "ts": start, "pid": HOST, "tid": 0, "args": {"name": "python"}},
        {"ph": "X", "cat": "Trace", "ts": start, "dur": 3_000_000, "pid": "Spans", "tid": "PyTorch Profiler"}
        | {"name": "PyTorch Profiler (0)", "args": {"Op count": 0}},
        {"name": "Record Window End", "ph": "i", "s": "g", "pid": "", "tid": "", "ts": start},
    ]


def document(events: Iterable[Event], era: Era = ERAS["2023"], gpus: Sequence[Gpu] = (Gpu(),), **more: Any) -> Json:
    """The whole JSON of a trace; ``more`` are further top-level keys."""
    rows = [{"id": g.id, "name": g.name, "totalGlobalMem": g.memory, era.sm_key: g.sms, "warpSize": 32} for g in gpus]
    return {"schemaVersion": 1, era.properties: rows, **more, **era.extras, "traceEvents": events_of(events, era)}


def _timed(event: Event, era: Era) -> Json:
    category, pid, tid, args = _particulars(event, era)
    return {
        "ph": "X",
        "cat": era.categories.get(category, category),
        "name": _call_name(event.name, era) if isinstance(event, Call) else event.name,
        "pid": pid,
        "tid": tid,
        "ts": _us(event.start_ns, era, era.origin_us),
        "dur": _us(event.length_ns, era, 0),
        "args": {key: value for key, value in args.items() if value is not None},
    }


def _particulars(event: Event, era: Era) -> tuple[str, int, int | str, Json]:
    """(category, pid, tid, args)."""
    match event:
        case Work():
            tid = era.stream.format(event.stream) if era.stream else event.stream
            category = event.what if event.what == "kernel" else f"gpu_{event.what}"
            return category, event.device, tid, _work_args(event, era)
        case Call():
            category = "cuda_driver" if event.driver else "cuda_runtime"
            return category, HOST, event.thread, {"cbid": 211, "correlation": event.correlation}
        case Operation():
            args = {"External id": event.external, "Input Dims": event.dims, "Input type": event.types}
            return "cpu_op", HOST, event.thread, {**args, "Ev Idx": 1}
        case Note(on_device=True):
            return "gpu_user_annotation", 0, 7, {"External id": 0}
        case Stack():
            return "python_function", HOST, HOST, {"Python id": 1, "Python parent id": None}
    return "user_annotation", HOST, HOST, {"External id": 0}


def _work_args(work: Work, era: Era) -> Json:
    args: Json = {era.device_external: work.external, "device": work.device, "stream": work.stream}
    args["correlation"] = work.correlation
    if work.what != "kernel":
        return args | {"bytes": 4096, "memory bandwidth (GB/s)": Decimal("12.5")}
    if not era.occupancy:
        return args | {"kind": "Dispatch Kernel", "grid": [64, 1, 1], "block": [128, 1, 1]}
    if era.graph_ids:
        args |= {"graph id": work.graph, "graph node id": 17 * work.graph}
    blocks = None if work.blocks is None else Decimal(str(work.blocks))
    occupancy = {"queued": 0, "context": 1, "registers per thread": 40, "shared memory": 0, "blocks per SM": blocks}
    return args | occupancy | {"grid": [64, 1, 1], "block": [128, 1, 1], "est. achieved occupancy %": 50}


def _call_name(name: str, era: Era) -> str:
    return name.replace("cuda", era.launch, 1) if name.startswith("cuda") else name


def _us(ns: int, era: Era, origin_us: int) -> int | Decimal:
    if era.whole_us:
        assert ns % 1000 == 0, "this era counts whole microseconds"
        return ns // 1000 + origin_us
    return (Decimal(ns) / 1000 + origin_us).quantize(Decimal("0.001"))


def read(content: bytes) -> Contents:
    """What the reader makes of a trace."""
    dump = Dump(path="trace.json", stream=io.BytesIO(content))
    assert trace.recognises(dump), "not recognised"
    return trace.read(dump)


def timelines(content: bytes) -> list[Timeline]:
    """Timelines of the whole recording, one a device."""
    return [payload(o) for o in read(content).observations if o.phase is None]


def payload(observation: Observation) -> Timeline:
    """The timeline of an observation."""
    assert isinstance(observation.payload, Timeline)
    return observation.payload


def timeline(content: bytes) -> Timeline:
    """The only timeline in a trace."""
    (found,) = timelines(content)
    return found


def launched(work: Work, *, before_ns: int = 5000, call: str = "cudaLaunchKernel", **more: Any) -> list[Event]:
    """Work with the call that launched it, which returns after a fifth of ``before_ns``."""
    correlation = work.correlation
    if correlation is None:
        correlation = zlib.crc32(repr(work).encode())
    start = work.start_ns - before_ns
    made = Call(name=call, start_ns=start, length_ns=before_ns // 5, correlation=correlation, **more)
    return [made, replace(work, correlation=correlation)]


def decoding(steps: int = 3, layers: int = 2) -> list[Event]:
    """A job that prefills once and then decodes: whole microseconds, gaps, a copy, communication, shapes."""
    found: list[Event] = []
    now = 1_000_000
    number = 100
    for step in range(steps):
        begun = now
        names = ["Memcpy HtoD (Pinned -> Device)"]
        for _ in range(layers):
            names += ["void rms_norm_kernel<bf16>(bf16*)", "nvjet_tst_128x64_TNT", "flash_fwd_splitkv_kernel"]
        names += ["ncclDevKernel_AllReduce_Sum_bf16_RING_LL", "void at::native::reduce_kernel<512>(ReduceOp)"]
        for name in names:
            number += 1
            what = "memcpy" if name.startswith("Memcpy") else "kernel"
            op = Operation(name="aten::mm", start_ns=now, length_ns=9_000, external=number)
            if name.startswith("nvjet"):
                op = replace(op, dims=[[8, 4096], [4096, 4096]], types=["c10::BFloat16", "c10::BFloat16"])
            call = "cudaMemcpyAsync" if what == "memcpy" else "cudaLaunchKernel"
            found += [
                op,
                Call(name=call, start_ns=now + 2_000, length_ns=4_000, correlation=number),
                Work(
                    name=name,
                    start_ns=now + 8_000,
                    length_ns=6_000 + 1_000 * (number % 3),
                    what=what,
                    correlation=number,
                    external=number,
                ),
            ]
            now += 11_000
        phase = "prefill" if step == 0 else "decode"
        found += [
            Note(name=f"ProfilerStep#{step + 3}", start_ns=begun, length_ns=now - begun),
            Note(name=f"{phase} forward", start_ns=begun, length_ns=now - begun - 1_000),
        ]
        now += 20_000
    return found
