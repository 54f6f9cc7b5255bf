"""Cases with invented figures, as short to write as the situations are to tell."""

from __future__ import annotations

from typing import Any

import numpy as np

from heuristics.case import Case
from heuristics.gpus import part_named
from heuristics.judge import judge
from heuristics.kernel_class import kernel_class
from heuristics.model_shape import ModelShape
from heuristics.observations import Activity, KernelProfile, KernelTotal, Samples, Serving, Timeline
from heuristics.roofs import Roofs, datasheet_roofs
from heuristics.verdict import Judgement

H100 = datasheet_roofs(part_named("H100"))

LLAMA_8B = ModelShape(
    layers=32,
    hidden_size=4096,
    heads=32,
    kv_heads=8,
    head_dim=128,
    intermediate_size=14336,
    vocab_size=128256,
)
"""The shape of Llama-3-8B."""


def activity(**fractions: float) -> Activity:
    return Activity(window_s=None, **fractions)


def samples(rows: int = 30, **columns: float) -> Samples:
    """The same reading ``rows`` times; columns not named are not stated."""
    names = ("sm", "memory", "video", "power_w", "sm_clock_hz", "memory_clock_hz", "power_limited", "thermally_limited")
    return Samples(interval_s=1.0, **{n: np.full(rows, columns.get(n, np.nan)) for n in names})


def timeline(window_s: float = 1.0, busy: float = 1.0, **changes: Any) -> Timeline:
    """A device that was at work for ``busy`` of the window in one kernel of matrix products."""
    kernel = "cutlass_80_tensorop_bf16_s16816gemm"
    fields: dict[str, Any] = {
        "window_s": window_s,
        "busy_s": busy * window_s,
        "roof_busy_s": busy * window_s,
        "capable_s": busy * window_s,
        "underfill_s": 0.0,
        "communication_s": 0.0,
        "transfer_s": 0.0,
        "host_gap_s": (1.0 - busy) * window_s,
        "excluded_s": 0.0,
        "launches": 1000,
        "graph_launched": 0,
        "launch_delay_s": 5e-6,
        "kernels": (KernelTotal(name=kernel, kind=kernel_class(kernel), launches=1000, total_s=busy * window_s),),
    }
    return Timeline(**(fields | changes))


def profile(*kernels: dict[str, Any]) -> KernelProfile:
    """Kernels by name, duration_s, memory, compute, dram, waves, tensor; what is left out is not stated."""

    def column(key: str) -> np.ndarray:
        return np.array([k.get(key, np.nan) for k in kernels], float)

    names = tuple(dict.fromkeys(k["name"] for k in kernels))
    return KernelProfile(
        names=names,
        name_index=np.array([names.index(k["name"]) for k in kernels], np.int32),
        launches=np.array([float(k.get("launches", 1)) for k in kernels]),
        duration_s=column("duration_s"),
        memory_throughput=column("memory"),
        compute_throughput=column("compute"),
        dram_throughput=column("dram"),
        tensor_active=column("tensor"),
        dram_bytes=column("bytes"),
        flops=column("flops"),
        waves_per_sm=column("waves"),
        ncu_label=(),
        phase=(),
    )


def serving(**fields: Any) -> Serving:
    """A window of ten seconds in which requests ran throughout."""
    base: dict[str, Any] = {
        "engine": "vLLM",
        "window_s": 10.0,
        "requests_running": 1.0,
        "requests_waiting": 0.0,
        "busy": True,
        "batch": 1.0,
    }
    return Serving(**(base | fields))


def judged(roofs: Roofs | None = None, **parts: Any) -> Judgement:
    return judge(Case(roofs=roofs, **parts))
