"""One invented job in the shape of every family of dumps: its files, and what is said beside them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.make import averages, engines, kineto, kineto_layouts, ncu, nsys, smi
from tests.make.prometheus import Board, dcgm, page

LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "torch_dtype": "bfloat16",
}

Options = dict[str, Any]

_H100 = ncu.Attributes(
    display_name="NVIDIA H100 80GB HBM3",
    multiprocessor_count=132,
    memory_clock_rate=2_619_000,
    global_memory_bus_width=5120,
    clock_rate=1_980_000,
    l2_cache_size=52_428_800,
)
_STREAMING = ncu.Kernel(
    name="void gemv_kernel<bf16, 8>(Params)",
    duration_s=42e-6,
    memory=0.91,
    dram=0.91,
    l2=0.42,
    l1=0.30,
    compute=0.18,
    waves=6.0,
    dram_rate=3.05e12,
    sms=132,
)
_CACHED = replace(
    _STREAMING,
    name="void softmax_warp<float>(float *)",
    duration_s=9e-6,
    memory=0.84,
    dram=0.08,
    l2=0.84,
    compute=0.31,
    dram_rate=0.27e12,
)
_SMALL = replace(
    _STREAMING,
    name="void rms_norm_kernel(Params)",
    duration_s=3e-6,
    memory=0.06,
    dram=0.05,
    l2=0.06,
    l1=0.04,
    compute=0.03,
    waves=0.06,
    dram_rate=0.16e12,
)
_GEMM = replace(
    _STREAMING,
    name="nvjet_tst_256x128_64x4_2x1_v_bz_coopB_TNT",
    duration_s=310e-6,
    memory=0.41,
    dram=0.22,
    l2=0.41,
    compute=0.88,
    dram_rate=0.74e12,
    sms=None,
)


def ncu_details(folder: Path) -> Options:
    """A decode step: a GEMV at the DRAM roof, a softmax held by L2, and kernels of few blocks."""
    (folder / "details.csv").write_text(ncu.details([_STREAMING, _SMALL, _CACHED, _SMALL] * 8), encoding="utf-8")
    return {"files": ["details.csv"]}


def ncu_raw(folder: Path) -> Options:
    """Prefill: GEMMs near the arithmetic roof, on a part that the page describes."""
    attention = replace(_GEMM, name="flash_fwd_kernel<Traits>", duration_s=95e-6, compute=0.71, dram_rate=0.40e12)
    text = ncu.raw([_GEMM, replace(attention, dram=0.12)] * 6, attributes=[_H100])
    (folder / "raw.csv").write_text(text, encoding="utf-8")
    return {"files": ["raw.csv"]}


def kineto_gaps(folder: Path) -> Options:
    """Decoding without graphs: every 13 microseconds a kernel of 4."""
    events: list[kineto.Event] = []
    for step in range(20):
        begun = 1_000_000 + step * 260_000
        for layer in range(20):
            name = "nvjet_tst_128x64_TNT" if layer % 2 else "rms_norm_kernel"
            events += kineto.launched(kineto.Work(name=name, start_ns=begun + layer * 13_000, length_ns=4_000))
        events.append(kineto.Note(name=f"ProfilerStep#{step}", start_ns=begun - 6_000, length_ns=260_000))
    (folder / "trace.json").write_bytes(kineto_layouts.kineto(kineto.document(events)))
    return {"files": ["trace.json"]}


def kineto_graph(folder: Path) -> Options:
    """Decoding by CUDA graphs, back to back: 200 kernels a launch."""
    names = ("gemv_kernel<bf16>", "gemv_kernel<bf16>", "flash_fwd_splitkv_kernel")
    events: list[kineto.Event] = []
    for step in range(12):
        begun = 1_000_000 + step * 6_010_000
        launch = kineto.Call(name="cudaGraphLaunch", start_ns=begun - 50_000, length_ns=40_000, correlation=step + 1)
        kernel = kineto.Work(name="", start_ns=0, length_ns=29_000, correlation=step + 1, blocks=4.0)
        kernels = [replace(kernel, name=names[n % 3], start_ns=begun + 30_000 * n) for n in range(200)]
        events += [launch, *kernels]
    (folder / "graph.json").write_bytes(kineto_layouts.kineto(kineto.document(events)))
    return {"files": ["graph.json"]}


def key_averages(folder: Path) -> Options:
    """Sums of a loop in which the device works for half of the host's time."""
    rows = [
        averages.Row(name="aten::mm", host_us=2100.0, calls=640),
        averages.Row(name="cudaLaunchKernel", host_us=5200.0, calls=1280),
        averages.Row(name="aten::rms_norm", host_us=1700.0, calls=640),
        averages.Row(name="nvjet_tst_128x64_TNT", device_us=3600.0, calls=640),
        averages.Row(name="rms_norm_kernel", device_us=800.0, calls=640),
    ]
    (folder / "table.txt").write_text(averages.table(rows), encoding="utf-8")
    return {"files": ["table.txt"]}


def nsys_export(folder: Path) -> Options:
    """Two phases by NVTX: prefill that keeps the device busy, and decoding that waits for the host."""
    events: list[nsys.Event] = []
    ranges: list[nsys.Range] = []
    now = 1_000_000
    for phase, name, count, length, gap in (
        ("prefill", "gemm_bf16_256x128", 10, 900_000, 10_000),
        ("decode", "gemv_bf16", 600, 6_000, 9_000),
    ):
        begun = now
        for _ in range(count):
            call = nsys.Call(start=now - 4_000, end=now - 1_000)
            events.append(nsys.Event(start=now, end=now + length, name=name, call=call))
            now += length + gap
        ranges.append(nsys.Range(text=phase, start=begun - 5_000, end=now - 4_500))
    nsys.write(folder / "run.sqlite", nsys.Profile(events=events, ranges=ranges))
    return {"files": ["run.sqlite"]}


def kernel_sums(folder: Path) -> Options:
    """Sums by kernel of the same decoding."""
    text = nsys.kernel_sums([("gemv_bf16", 6000, 36_000_000), ("void rms_norm<bf16, 4>(Params)", 6000, 12_000_000)])
    (folder / "sums.csv").write_text(text, encoding="utf-8")
    return {"files": ["sums.csv"]}


def dmon_gpm(folder: Path) -> Options:
    """Decoding seen by the hardware's own counters."""
    gpm = {"gract": 97.0, "smutil": 91.0, "anyten": 6.0, "dramac": 82.0}
    columns = ("gract", "smutil", "anyten", "drambw")
    readings = [
        smi.Reading(time_s=float(n), gpm=dict(zip(columns, gpm.values(), strict=True)), sm=1.0, memory=0.86)
        for n in range(30)
    ]
    (folder / "dmon.log").write_text(smi.dmon(readings, gpm=columns), encoding="utf-8")
    return {"files": ["dmon.log"], "gpu": "H100 SXM5"}


def query_log(folder: Path) -> Options:
    """A board at its power limit, seen by utilisation alone."""
    fields = ("timestamp", "index", "uuid", "name", "utilization.gpu", "utilization.memory", "power.draw")
    more = ("enforced.power.limit", "clocks.current.sm", "clocks.max.sm", "clocks.current.memory")
    reasons = ("clocks_event_reasons.sw_power_cap", "clocks_event_reasons.sw_thermal_slowdown")
    hot = smi.Reading(sm=1.0, memory=0.09, power_w=648.0, sm_clock_hz=1395e6, power_capped=True)
    text = smi.query([replace(hot, time_s=float(n)) for n in range(30)], (*fields, *more, *reasons))
    (folder / "query.csv").write_text(text, encoding="utf-8")
    return {"files": ["query.csv"]}


def pmon_log(folder: Path) -> Options:
    """Two processes that share a board."""
    passes = [[smi.Process(sm=0.55, memory=0.31), smi.Process(pid=4343, sm=0.20, memory=0.08)]] * 20
    (folder / "pmon.log").write_text(smi.pmon(passes), encoding="utf-8")
    return {"files": ["pmon.log"]}


def served(folder: Path) -> Options:
    """Eight billion parameters in bf16 at batch 8: two scrapes of vLLM and two of dcgm-exporter, ten seconds apart."""
    state = engines.State(kv_usage=0.31)
    board = Board(engine=0.98, sm=0.90, tensor=0.08, dram=0.77)
    for place, moment in enumerate((state, state.later(10.0, step_s=7.8e-3, batch=8.0))):
        stamp = f"2027-05-04T13:00:{10 * place:02d}Z"
        (folder / f"{'ab'[place]}.prom").write_text(page(engines.vllm(moment), captured_at=stamp), encoding="utf-8")
        (folder / f"dcgm{place}.prom").write_text(page(dcgm([board]), captured_at=stamp), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(LLAMA), encoding="utf-8")
    return {"files": ["a.prom", "b.prom", "dcgm0.prom", "dcgm1.prom"], "model": "config.json"}


JOBS: dict[str, Callable[[Path], Options]] = {
    "dump_ncu_details": ncu_details,
    "dump_ncu_raw": ncu_raw,
    "dump_kineto_gaps": kineto_gaps,
    "dump_kineto_graph": kineto_graph,
    "dump_key_averages": key_averages,
    "dump_nsys": nsys_export,
    "dump_kern_sum": kernel_sums,
    "dump_dmon_gpm": dmon_gpm,
    "dump_query": query_log,
    "dump_pmon": pmon_log,
    "dump_served": served,
}
"""By the name of the stored answer: lays the files into a folder."""
