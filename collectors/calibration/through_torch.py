"""What torch adds where it is installed: other arithmetic types on the processors, and GPUs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from collectors.calibration.figures import Calibration, Gpu

SECONDS_A_TYPE = 0.3
FEWEST_RUNS = 3

CPU_EDGE = 512
"""Small, since emulated arithmetic is a hundred times slower."""
GPU_EDGE = 8192
GPU_BYTES = 1 << 30
GPU_SECONDS = 0.4
GPU_BATCH = 8
"""Kernels between two events: one alone is not long against its launch."""


def extended(calibration: Calibration, told: Callable[[str], None]) -> Calibration:
    """The calibration with what torch can add; as it is where torch is not installed or fails."""
    if find_spec("torch") is None:
        return calibration
    told("other arithmetic types, through torch")
    try:
        torch = import_module("torch")
    except Exception as error:
        told(f"torch cannot be used: {type(error).__name__}: {error}")
        return calibration
    if torch.cuda.is_available():
        told("GPUs, through torch")
    return replace(with_types(calibration, torch), gpus=tuple(gpus(torch)))


def with_types(calibration: Calibration, torch: Any, seconds: float = SECONDS_A_TYPE) -> Calibration:
    """BF16 and INT8 products added to the levels of one thread and of all."""
    before = torch.get_num_threads()
    ends = {calibration.levels[0].threads, calibration.levels[-1].threads}
    levels = []
    try:
        for level in calibration.levels:
            rates = {}
            if level.threads in ends:
                torch.set_num_threads(level.threads)
                rates = _rates(_cpu_products(torch), seconds)
            levels.append(replace(level, flops_per_s={**level.flops_per_s, **rates}))
    finally:
        torch.set_num_threads(before)
    return replace(calibration, levels=tuple(levels))


def gpus(torch: Any, seconds: float = GPU_SECONDS) -> Iterator[Gpu]:
    """Every CUDA device that can be used: copies within its memory, reading it, FP16 and BF16 products."""
    if not torch.cuda.is_available():
        return
    for index in range(torch.cuda.device_count()):
        try:
            yield gpu(torch, index, seconds)
        except RuntimeError:
            continue


def gpu(torch: Any, index: int, seconds: float = GPU_SECONDS) -> Gpu:
    """One CUDA device. RuntimeError where it cannot be used."""
    properties = torch.cuda.get_device_properties(index)
    with torch.cuda.device(index), torch.no_grad():
        free_bytes = torch.cuda.mem_get_info(index)[0]
        count = min(GPU_BYTES, free_bytes // 8) // 2
        moving = [
            _timed(torch, run, moved, seconds) for run, moved in _gpu_movers(torch, int(count) // GPU_EDGE * GPU_EDGE)
        ]
        rates = {}
        for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
            rates[name] = _timed(torch, _gpu_product(torch, dtype), 2.0 * GPU_EDGE**3, seconds)
        torch.cuda.empty_cache()
    return Gpu(
        index=index,
        name=str(properties.name),
        memory_bytes=float(properties.total_memory),
        bandwidth_bytes_per_s=max(moving),
        flops_per_s=rates,
    )


def _gpu_movers(torch: Any, count: int) -> Iterator[tuple[Callable[[], object], float]]:
    """Kernels that stream memory, with the bytes each moves: a copy, and a matrix-vector product."""
    source = torch.zeros(count, device="cuda", dtype=torch.float16)
    target = torch.empty_like(source)
    yield lambda: target.copy_(source), 4.0 * count
    matrix, vector = source.view(-1, GPU_EDGE), torch.zeros(GPU_EDGE, device="cuda", dtype=torch.float16)
    yield lambda: torch.mv(matrix, vector), 2.0 * count


def _gpu_product(torch: Any, dtype: Any) -> Callable[[], object]:
    left, right = (torch.randn(GPU_EDGE, GPU_EDGE, device="cuda", dtype=dtype) for _ in range(2))
    result = torch.empty_like(left)
    return lambda: torch.matmul(left, right, out=result)


def _timed(torch: Any, run: Callable[[], object], amount: float, seconds: float) -> float:
    """The best rate over batches of kernels between two events on the device's own clock."""
    run()
    torch.cuda.synchronize()
    best_s, deadline_s, runs = float("inf"), time.perf_counter() + seconds, 0
    while runs < FEWEST_RUNS or time.perf_counter() < deadline_s:
        begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begun.record()
        for _ in range(GPU_BATCH):
            run()
        ended.record()
        torch.cuda.synchronize()
        best_s = min(best_s, begun.elapsed_time(ended) / 1e3 / GPU_BATCH)
        runs += 1
    return amount / best_s


def _cpu_products(torch: Any) -> Iterator[tuple[str, Callable[[], object], float]]:
    """(type, product, operations) for the types besides FP32 that torch multiplies on this processor."""
    edge = CPU_EDGE
    left, right = (torch.ones(edge, edge, dtype=torch.bfloat16) for _ in range(2))
    yield "bf16", lambda: left @ right, 2.0 * edge**3
    if hasattr(torch, "_int_mm"):
        a, b = (torch.ones(edge, edge, dtype=torch.int8) for _ in range(2))
        yield "int8", lambda: torch._int_mm(a, b), 2.0 * edge**3


def _rates(products: Iterator[tuple[str, Callable[[], object], float]], seconds: float) -> dict[str, float]:
    """The best rate of each product; those that torch refuses on this processor are left out."""
    found = {}
    for name, run, operations in products:
        try:
            run()
        except (RuntimeError, NotImplementedError):
            continue
        best_s, deadline_s, runs = float("inf"), time.perf_counter() + seconds, 0
        while runs < FEWEST_RUNS or time.perf_counter() < deadline_s:
            begun_s = time.perf_counter()
            run()
            best_s = min(best_s, time.perf_counter() - begun_s)
            runs += 1
        found[name] = operations / best_s
    return found
