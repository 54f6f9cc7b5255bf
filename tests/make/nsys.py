"""Databases of Nsight Systems with events of our own invention, in the table sets that exports have.

Every launching call gets a correlation id that counts from 1 within its process, as CUPTI's do; events that
share a call share it. ``lacking`` names tables, or columns as ``TABLE.column``, that an export does not have.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KERNELS, COPIES, MEMSETS = (f"CUPTI_ACTIVITY_KIND_{kind}" for kind in ("KERNEL", "MEMCPY", "MEMSET"))
GRAPHS, CALLS = "CUPTI_ACTIVITY_KIND_GRAPH_TRACE", "CUPTI_ACTIVITY_KIND_RUNTIME"
NVTX, STRINGS, GPUS, CUDA_DEVICES = "NVTX_EVENTS", "StringIds", "TARGET_INFO_GPU", "TARGET_INFO_CUDA_DEVICE"
METRICS, METRIC_NAMES = "GPU_METRICS", "TARGET_INFO_GPU_METRICS"

TABLES: Mapping[str, str] = {
    KERNELS: "start end deviceId contextId greenContextId streamId correlationId globalPid demangledName shortName "
    "mangledName launchType cacheConfig registersPerThread gridX gridY gridZ blockX blockY blockZ staticSharedMemory "
    "dynamicSharedMemory graphNodeId graphId",
    COPIES: "start end deviceId contextId greenContextId streamId correlationId globalPid bytes copyKind srcKind "
    "dstKind graphNodeId copyCount",
    MEMSETS: "start end deviceId contextId greenContextId streamId correlationId globalPid value bytes graphNodeId",
    GRAPHS: "start end deviceId graphId graphExecId contextId greenContextId streamId correlationId globalPid",
    CALLS: "start end eventClass globalTid correlationId nameId returnValue callchainId",
    NVTX: "start end eventType rangeId category color text globalTid endGlobalTid textId domainId",
    STRINGS: "id value",
    GPUS: "vmId id name busLocation isDiscrete l2CacheSize totalMemory memoryBandwidth clockRate smCount uuid "
    "chipName cuDevice",
    CUDA_DEVICES: "gpuId cudaId pid uuid numMultiprocessors",
    METRICS: "timestamp typeId metricId value",
    METRIC_NAMES: "typeId sourceId typeName metricId metricName",
    "META_DATA_EXPORT": "name value",
    "ENUM_CUDA_MEMCPY_OPER": "id name label",
    "ThreadNames": "nameId priority globalTid",
}

REDUCED = frozenset(
    {
        *(f"{t}.{c}" for t in (KERNELS, COPIES) for c in ("contextId", "greenContextId", "globalPid", "graphNodeId")),
        *(f"{KERNELS}.{c}" for c in ("mangledName", "launchType", "cacheConfig", "registersPerThread", "graphId")),
        *(f"{CALLS}.{c}" for c in ("eventClass", "returnValue", "callchainId")),
        *(f"{GPUS}.{c}" for c in TABLES[GPUS].split() if c not in ("id", "name")),
        *(MEMSETS, GRAPHS, NVTX, CUDA_DEVICES, METRICS, METRIC_NAMES, "ENUM_CUDA_MEMCPY_OPER", "ThreadNames"),
    }
)
"""What an export of six tables lacks."""

COPY_KINDS = {"HtoD": 1, "DtoH": 2, "DtoD": 8, "PtoP": 10}


@dataclass(frozen=True, eq=False)
class Call:
    """A launching call on the host, nanoseconds. Two calls are never the same, even at the same time."""

    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Event:
    """Work of a device. ``kind`` is KERNELS, COPIES, MEMSETS or GRAPHS; a copy's name is its direction."""

    start: int
    end: int
    name: str = "gemm_bf16_128x64"
    kind: str = KERNELS
    device: int = 0
    process: int = 1001
    call: Call | None = None
    grid: tuple[int, int, int] = (264, 1, 1)
    node: int | None = None
    graph: int | None = None


@dataclass(frozen=True, kw_only=True)
class Range:
    """An NVTX range; ``registered`` puts its text into the table of strings."""

    text: str
    start: int
    end: int | None
    registered: bool = False


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A row of TARGET_INFO_GPU, with the (process, CUDA index) pairs by which processes know the board."""

    id: int = 0
    name: str = "NVIDIA H100 80GB HBM3"
    bandwidth: int | None = 3_352_000_000_000
    sms: int | None = 132
    cuda: int | None = 0
    seen_as: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True, kw_only=True)
class Metric:
    """Samples of one GPU metric, 100 microseconds apart."""

    name: str
    values: Sequence[int]
    gpu: int = 0


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Everything that an export holds."""

    events: Sequence[Event] = ()
    ranges: Sequence[Range] = ()
    gpus: Sequence[Gpu] = (Gpu(),)
    metrics: Sequence[Metric] = ()
    calls: Sequence[tuple[int, Call]] = ()
    """Calls that launched nothing, with their process."""


def write(
    path: Path,
    profile: Profile,
    *,
    lacking: Collection[str] = (),
    text_names: bool = False,
    views: Iterable[str] = (),
    page_bytes: int = 4096,
) -> Path:
    """Write the database. With ``text_names`` kernels are named in place; ``views`` are empty ones by those names."""
    strings: dict[str, int] = {}

    def text(value: str) -> int | str:
        return value if text_names else strings.setdefault(value, 100 + len(strings))

    tables = _tables(profile, text)
    tables[STRINGS] = [{"id": identifier, "value": value} for value, identifier in strings.items()]
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA page_size = {page_bytes}")
    for table, rows in tables.items():
        if table in lacking:
            continue
        columns = [c for c in TABLES[table].split() if f"{table}.{c}" not in lacking]
        connection.execute(f'CREATE TABLE "{table}" ({", ".join(f"{_quoted(c)} {_kind(table, c)}" for c in columns)})')
        marks = ", ".join("?" for _ in columns)
        connection.executemany(
            f'INSERT INTO "{table}" VALUES ({marks})', [[row.get(c) for c in columns] for row in rows]
        )
    for view in views:
        connection.execute(f'CREATE VIEW "{view}" AS SELECT 0 AS start, 1 AS "end"')
    connection.commit()
    connection.close()
    return path


def _quoted(column: str) -> str:
    return f'"{column}"'


def _kind(table: str, column: str) -> str:
    worded = column in ("text", "name", "metricName", "uuid", "chipName") or (column == "value" and table != METRICS)
    return "TEXT" if worded else ""


def _tables(profile: Profile, text: Any) -> dict[str, list[dict[str, Any]]]:
    calls: dict[tuple[int, Call], int] = {}
    counted: dict[int, int] = {}

    def correlation(process: int, call: Call) -> int:
        if (process, call) not in calls:
            counted[process] = calls[process, call] = counted.get(process, 0) + 1
        return calls[process, call]

    rows: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES}
    for event in profile.events:
        linked = None if event.call is None else correlation(event.process, event.call)
        rows[event.kind].append({**_event(event, text), "correlationId": linked})
    for process, call in profile.calls:
        correlation(process, call)
    for (process, call), identifier in calls.items():
        times = {"start": call.start, "end": call.end, "nameId": text("cudaLaunchKernel_v7000")}
        rows[CALLS].append({**times, "globalTid": global_pid(process) + process, "correlationId": identifier})
    for mark in profile.ranges:
        named = {"textId": text(mark.text)} if mark.registered else {"text": mark.text}
        rows[NVTX].append({"start": mark.start, "end": mark.end, "eventType": 59, **named})
    rows[GPUS] = [_gpu(gpu) for gpu in profile.gpus]
    rows[CUDA_DEVICES] = [
        {"gpuId": gpu.id, "pid": process, "cudaId": cuda} for gpu in profile.gpus for process, cuda in gpu.seen_as
    ]
    for place, metric in enumerate(profile.metrics):
        key = {"typeId": 281_474_976_711_680 + metric.gpu, "metricId": place}
        rows[METRIC_NAMES].append({**key, "typeName": "GPU Metrics", "metricName": metric.name})
        rows[METRICS] += [{**key, "timestamp": 100_000 * n, "value": value} for n, value in enumerate(metric.values)]
    rows["META_DATA_EXPORT"] = [{"name": "EXPORT_PRODUCT_NAME", "value": "NVIDIA Nsight Systems"}]
    return rows


def global_pid(process: int) -> int:
    """A process as exports serialise it."""
    return (1 << 48) + (process << 24)


def _event(event: Event, text: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "start": event.start,
        "end": event.end,
        "deviceId": event.device,
        "contextId": 1,
        "streamId": 7,
        "globalPid": global_pid(event.process),
        "graphNodeId": event.node,
        "graphId": event.graph,
    }
    if event.kind == KERNELS:
        row |= {"demangledName": text(f"void {event.name}(Params)"), "shortName": text(event.name)}
        row |= dict(zip(("gridX", "gridY", "gridZ"), event.grid, strict=True))
    if event.kind == COPIES:
        row |= {"copyKind": COPY_KINDS[event.name], "bytes": 4096}
    return row


def _gpu(gpu: Gpu) -> dict[str, Any]:
    return {
        "id": gpu.id,
        "name": gpu.name,
        "memoryBandwidth": gpu.bandwidth,
        "smCount": gpu.sms,
        "cuDevice": gpu.cuda,
        "totalMemory": 80 << 30,
        "clockRate": 1_980_000_000,
        "l2CacheSize": 50 << 20,
        "uuid": f"0f0f0f0f-5a5a-4b4b-8c8c-{gpu.id:012x}",
    }


SUMS_HEADER = "Time (%),Total Time (ns),Instances,Avg (ns),Med (ns),Min (ns),Max (ns),StdDev (ns),Name"


def kernel_sums(kernels: Iterable[tuple[str, int, int]]) -> str:
    """What ``nsys stats --report cuda_gpu_kern_sum --format csv`` prints of (name, launches, nanoseconds)."""
    listed = list(kernels)
    whole = sum(total for _, _, total in listed) or 1
    lines = [SUMS_HEADER]
    for name, launches, total in listed:
        quoted = '"' + name.replace('"', '""') + '"' if "," in name or '"' in name else name
        mean = total / max(1, launches)
        lines.append(
            f"{100 * total / whole:.1f},{total},{launches},{mean:.1f},{mean:.1f},{mean:.0f},{mean:.0f},0.0,{quoted}"
        )
    return "\n".join(lines) + "\n"
