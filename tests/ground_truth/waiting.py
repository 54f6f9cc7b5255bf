"""Jobs that wait for their host, for launches, for copies or for nothing at all; kernels too small for the device."""

from __future__ import annotations

import time
from functools import partial

from tests.ground_truth.bench import Bench
from tests.ground_truth.decoding import SMALL, decode
from tests.ground_truth.lazily import torch
from tests.ground_truth.stack import LLAMA_1B, LLAMA_8B, TINY, Shape
from tests.ground_truth.workload import Built, Step, Variant, Workload


def _spun(seconds: float) -> None:
    """Keep one core busy."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def delayed(bench: Bench, *, shape: Shape, batch: int, context: int, pause_s: float, spin: bool) -> Built:
    """Decode under a graph with the host asleep, or at work, between the steps."""
    whole = decode(bench, shape=shape, batch=batch, context=context, graph=True)
    pause = _spun if spin else time.sleep

    def step() -> None:
        whole.step()
        pause(pause_s)

    return Built(
        step=step,
        flops=whole.flops,
        bytes=whole.bytes,
        dtype=whole.dtype,
        config=whole.config,
        load=whole.load,
        variants=(
            Variant(
                share="latency",
                what=f"the host's {pause_s * 1e3:g} ms between steps taken away",
                factor=0.0,
                make=lambda: whole.step,
            ),
        ),
    )


def synchronised(bench: Bench, *, count: int, width: int) -> Built:
    """A chain of products whose every link waits for the host to look at a number."""
    count = bench.few(count, 4)
    matrices = [torch.empty(width, width, device=bench.device, dtype=bench.dtype).normal_() for _ in range(count)]
    x = torch.empty(4, width, device=bench.device, dtype=bench.dtype).normal_()

    def step() -> float:
        seen = 0.0
        for matrix in matrices:
            seen += float((x @ matrix).abs().max())
        return seen

    def folded() -> Step:
        return bench.graphed(lambda: sum((x @ matrix).abs().max() for matrix in matrices))

    return Built(
        step=step,
        flops=2.0 * 4 * width * width * count,
        bytes=bench.bits / 8.0 * count * (width * width + 8.0 * width),
        variants=(
            Variant(share="latency", what="no look at the numbers, all launches in one graph", factor=0.0, make=folded),
        ),
    )


def underfilled(bench: Bench, *, kernels: int, elements: int) -> Built:
    """Many kernels of a few blocks each under one graph: no launch is late, and the device is nearly empty."""

    kernels = bench.few(kernels, 8)

    def made(count: int, size: int) -> Step:
        x = torch.empty(size, device=bench.device, dtype=bench.dtype).normal_()

        def step() -> None:
            y = x
            for _ in range(count):
                y = torch.add(y, 1.0)

        return bench.graphed(step)

    return Built(
        step=made(kernels, elements),
        flops=float(kernels * elements),
        bytes=2.0 * kernels * elements * bench.bits / 8.0,
        variants=(
            Variant(share="memory", what="half the bytes", factor=0.5, make=lambda: made(kernels, elements // 2)),
            Variant(
                share="latency",
                what="half as many kernels, each twice as large: equal bytes and FLOPs",
                factor=0.5,
                make=lambda: made(kernels // 2, 2 * elements),
            ),
        ),
    )


def copying(bench: Bench, *, megabytes: int, layers: int) -> Built:
    """Weights streamed from the host's memory for every step, as offloading does, and a little work on them."""
    size = (megabytes << 20) // 2 // 4096
    there = [torch.empty(size, 4096, dtype=torch.bfloat16, pin_memory=bench.cuda).fill_(0.5) for _ in range(layers)]
    here = torch.empty(size, 4096, device=bench.device, dtype=torch.bfloat16)
    x = torch.empty(8, 4096, device=bench.device, dtype=torch.bfloat16).normal_()

    def step() -> None:
        for part in there:
            here.copy_(part, non_blocking=True)
            torch.mm(x, here.T)

    def resident() -> None:
        for _ in there:
            torch.mm(x, here.T)

    return Built(
        step=step,
        flops=2.0 * 8 * size * 4096 * layers,
        bytes=4.0 * size * 4096 * layers,
        variants=(Variant(share="latency", what="the copies left out", factor=0.0, make=lambda: resident),),
    )


def idle(bench: Bench) -> Built:
    """A process that holds a model and is asked for nothing."""
    bench.weights(TINY)
    return Built(step=lambda: time.sleep(0.05))


ON_GPU = (
    Workload(
        name="sleeping-8b",
        replayed=False,
        family="host",
        what="8 B, batch 1, one graph a step, and 15 ms of sleep after each",
        expected="latency",
        build=partial(delayed, shape=LLAMA_8B, batch=1, context=512, pause_s=0.015, spin=False),
    ),
    Workload(
        name="spinning-1b",
        replayed=False,
        family="host",
        what="1 B, batch 8, one graph a step, and 5 ms of a busy host after each",
        expected="latency",
        build=partial(delayed, shape=LLAMA_1B, batch=8, context=512, pause_s=0.005, spin=True),
    ),
    Workload(
        name="synchronising",
        family="host",
        what="a chain of small products, each looked at by the host",
        expected="latency",
        build=partial(synchronised, count=64, width=1024),
    ),
    Workload(
        name="underfill",
        family="underfill",
        what="400 kernels of 8,192 elements under one graph",
        expected="latency",
        build=partial(underfilled, kernels=400, elements=8192),
    ),
    Workload(
        name="copying",
        replayed=False,
        family="copies",
        what="128 MB from the host's memory before every product",
        expected="latency",
        build=partial(copying, megabytes=128, layers=4),
    ),
    Workload(
        name="idle",
        replayed=False,
        family="idle",
        what="a process that holds the device and does nothing",
        expected="idle",
        build=idle,
    ),
)

ON_CPU = (
    Workload(
        name="sleeping-cpu",
        family="host",
        what="170 M in FP32, batch 1, and 120 ms of sleep after each step",
        expected="latency",
        build=partial(delayed, shape=SMALL, batch=1, context=64, pause_s=0.12, spin=False),
    ),
)
