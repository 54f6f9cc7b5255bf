"""Batches as the probe would have measured them, from stated times."""

from __future__ import annotations

from collections.abc import Mapping

from collectors.probe.census import Counted
from collectors.probe.rounds import Group, Timing
from diagnose.probing.cases import Measured
from heuristics.operations import Operation, Phase
from heuristics.roofs import Device
from heuristics.vocabulary import Dtype

CPU = Device(name="a processor", last_level_cache_bytes=32e6)
H100 = Device(index=0, name="NVIDIA H100 80GB HBM3", vendor="NVIDIA", memory_bytes=85e9)


def timing(
    batch: int,
    step_s: float,
    *,
    device_s: float | None = None,
    graph_s: float | None = None,
    busy: float = 1.0,
    rounds: int = 9,
    scatter: float = 0.01,
) -> Timing:
    """So many rounds around a time, ``busy`` of which some thread was on a CPU."""
    around = [1.0 + scatter * (2.0 * i / (rounds - 1) - 1.0) for i in range(rounds)]
    groups = [
        Group(
            step_s=step_s * f,
            wall_s=10 * step_s * f,
            on_cpu_s=10 * step_s * f * busy,
            waited_s=0.0,
            device_s=device_s,
            graph_s=None if graph_s is None else graph_s * f,
        )
        for f in around
    ]
    found = Timing(batch=batch, run=lambda: None, steps=10, warm_ups=3, groups=groups)
    if graph_s is not None:
        found.replay = lambda: None
    return found


def product(edge: int, batch: int, element_bytes: int = 4) -> Counted:
    """One square layer."""
    return Counted(
        operations=(
            Operation(
                name=f"mm {edge}x{edge}",
                flops=2.0 * edge * edge * batch,
                weight_bytes=float(element_bytes * edge * edge),
                activation_bytes=2.0 * element_bytes * edge * batch,
            ),
        ),
        dtype=Dtype.FP32 if element_bytes == 4 else Dtype.BF16,
        weight_bits=8.0 * element_bytes,
    )


def measured(
    timings: Mapping[int, Timing], counts: Mapping[int, Counted], *, device: Device = CPU, batch: int | None = None
) -> Measured:
    """All of them, about the largest unless stated."""
    return Measured(
        phase=Phase.DECODE,
        device=device,
        batch=max(timings) if batch is None else batch,
        on_gpu=device.index is not None,
        timings=tuple(timings[b] for b in sorted(timings)),
        counts=counts,
        threads=None if device.index is not None else 2,
    )
