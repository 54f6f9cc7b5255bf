"""Weight-only quantisation: fewer bytes for the same FLOPs, and the work of unpacking.

What the INT4 kernel does inside, unpacking and reading tiles again from the caches, cannot be changed one without the
other: its variants move ``kernel``, which is arithmetic or cache and no other need.
"""

from __future__ import annotations

from functools import partial

from tests.ground_truth.bench import Bench
from tests.ground_truth.lazily import torch
from tests.ground_truth.workload import Built, Step, Variant, Workload

GROUP = 128
SIZES = ((6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336))
"""Products of a layer of Llama-3-8B: outputs and inputs."""


def int4(bench: Bench, *, batch: int, layers: int) -> Built:
    """The linear layers of an 8 B model with INT4 weights in groups of 128, by torch's own kernel."""

    layers = bench.few(layers)

    def made(sequences: int, count: int) -> Step:
        parts = [_packed(rows, columns, bench.device) for _ in range(count) for rows, columns in SIZES]
        inputs = {
            columns: torch.empty(sequences, columns, device=bench.device, dtype=torch.bfloat16).normal_()
            for _, columns in SIZES
        }

        def step() -> None:
            for matrix, scales, columns in parts:
                torch.ops.aten._weight_int4pack_mm(inputs[columns], matrix, GROUP, scales)

        return bench.graphed(step)

    def plain() -> Step:
        """The same with BF16 weights: four times the bytes at equal FLOPs, and nothing to unpack."""
        parts = [
            torch.empty(r, c, device=bench.device, dtype=torch.bfloat16).normal_()
            for _ in range(layers)
            for r, c in SIZES
        ]
        inputs = {c: torch.empty(batch, c, device=bench.device, dtype=torch.bfloat16).normal_() for _, c in SIZES}
        return bench.graphed(lambda: [torch.mm(inputs[m.shape[1]], m.T) for m in parts])

    weights = layers * sum(r * c for r, c in SIZES)
    moved = layers * sum(r + c for r, c in SIZES)
    return Built(
        step=made(batch, layers),
        flops=2.0 * batch * weights,
        bytes=weights * (0.5 + 4.0 / GROUP) + 2.0 * batch * moved,
        dtype="bf16",
        weight_bits=4.25,
        variants=(
            Variant(
                share="kernel",
                what="twice the FLOPs at equal weights",
                factor=2.0,
                make=lambda: made(2 * batch, layers),
            ),
            Variant(
                share="kernel",
                what="BF16 weights: nothing to unpack, though four times the bytes",
                factor=0.0,
                make=plain,
            ),
        ),
    )


def _packed(rows: int, columns: int, device: str) -> tuple[object, object, int]:
    values = torch.randint(0, 255, (rows, columns // 2), dtype=torch.uint8, device=device)
    matrix = torch.ops.aten._convert_weight_to_int4pack(values, 8)
    scales = torch.rand(columns // GROUP, rows, 2, device=device, dtype=torch.bfloat16) * 0.01
    return matrix, scales, columns


def int8(bench: Bench, *, batch: int, layers: int) -> Built:
    """The same layers with INT8 weights and one scale a row, unpacked inside a kernel of Triton's."""
    from tests.ground_truth.int8_kernel import product

    layers = bench.few(layers)

    def made(sequences: int, halves: int) -> Step:
        parts = []
        for _ in range(layers):
            for rows, columns in SIZES:
                matrix = torch.randint(-127, 127, (rows // halves, columns), dtype=torch.int8, device=bench.device)
                scale = torch.rand(rows // halves, device=bench.device, dtype=torch.bfloat16) * 0.01
                parts.append((matrix, scale))
        inputs = {c: torch.empty(sequences, c, device=bench.device, dtype=torch.bfloat16).normal_() for _, c in SIZES}

        def step() -> None:
            for matrix, scale in parts:
                product(inputs[matrix.shape[1]], matrix, scale)

        step()
        return bench.graphed(step)

    weights = layers * sum(r * c for r, c in SIZES)
    moved = layers * sum(r + c for r, c in SIZES)
    return Built(
        step=made(batch, 1),
        flops=2.0 * batch * weights,
        bytes=weights + 2.0 * batch * moved,
        dtype="bf16",
        weight_bits=8.0,
        variants=(Variant(share="memory", what="half the weights", factor=0.5, make=lambda: made(batch, 2)),),
        note="half the weights is half the FLOPs too: at batch 1 those are 2 a byte, far below the ridge",
    )


ON_GPU = (
    Workload(
        name="int8-b1",
        family="quantised",
        what="linear layers of 8 B with INT8 weights, batch 1",
        expected="memory",
        build=partial(int8, batch=1, layers=8),
    ),
    Workload(
        name="int4-b1",
        family="quantised",
        what="linear layers of 8 B with INT4 weights, batch 1",
        expected="memory",
        build=partial(int4, batch=1, layers=16),
    ),
    Workload(
        name="int4-b64",
        family="quantised",
        what="linear layers of 8 B with INT4 weights, batch 64",
        expected="compute",
        build=partial(int4, batch=64, layers=16),
    ),
)
