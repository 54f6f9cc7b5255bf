"""Single operations: products on both sides of the ridge, streams, attention over a large cache."""

from __future__ import annotations

from functools import partial

from tests.ground_truth.bench import Bench
from tests.ground_truth.lazily import torch
from tests.ground_truth.workload import Built, Step, Variant, Workload


def product(
    bench: Bench, *, rows: int, columns: int, batch: int, count: int, graph: bool = False, exact: bool = False
) -> Built:
    """``count`` products with matrices of their own, so that no cache holds them. ``exact``: FP32, not TF32."""
    dtype = torch.float32 if exact or not bench.cuda else torch.bfloat16
    count = bench.few(count)

    def made(n: int, sequences: int) -> Step:
        matrices = [torch.empty(n, columns, device=bench.device, dtype=dtype).normal_() for _ in range(count)]
        x = torch.empty(sequences, columns, device=bench.device, dtype=dtype).normal_()
        out = torch.empty(sequences, n, device=bench.device, dtype=dtype)

        def step() -> None:
            for matrix in matrices:
                torch.mm(x, matrix.T, out=out)

        return bench.graphed(step) if graph else step

    size = dtype.itemsize
    return Built(
        step=made(rows, batch),
        flops=2.0 * rows * columns * batch * count,
        bytes=size * count * (rows * columns + batch * (rows + columns)),
        dtype="fp32" if dtype is torch.float32 else "bf16",
        variants=(
            Variant(
                share="memory",
                what="half the weight bytes at equal FLOPs and launches",
                factor=0.5,
                make=lambda: made(rows // 2, 2 * batch),
            ),
            Variant(
                share="compute",
                what="twice the FLOPs at equal weights",
                factor=2.0,
                make=lambda: made(rows, 2 * batch),
            ),
        ),
    )


def stream(bench: Bench, *, elements: int, norm: bool) -> Built:
    """One pass over large tensors: a sum of two, or a norm of rows. Its FLOPs are three orders below the ridge."""
    functional, width = torch.nn.functional, 4096

    def made(count: int, kind: str) -> Step:
        a, b, c = (torch.empty(count // width, width, device=bench.device, dtype=bench.dtype) for _ in range(3))
        a.normal_()
        b.normal_()
        if kind == "norm":
            return lambda: functional.layer_norm(a, (width,))
        return lambda: (torch.add if kind == "add" else torch.hypot)(a, b, out=c)

    kind = "norm" if norm else "add"
    variants = [Variant(share="memory", what="half the bytes", factor=0.5, make=lambda: made(elements // 2, kind))]
    if not norm and bench.cuda:
        several = "several times the FLOPs at equal bytes: a hypotenuse in place of a sum"
        variants.append(Variant(share="compute", what=several, factor=6.0, make=lambda: made(elements, "hypot")))
    return Built(
        step=made(elements, kind),
        flops=(8.0 if norm else 1.0) * elements,
        bytes=(2 if norm else 3) * elements * bench.bits / 8.0,
        dtype="bf16" if bench.cuda else "fp32",
        variants=tuple(variants),
    )


def attention(bench: Bench, *, batch: int, context: int, heads: int, kv_heads: int, width: int, count: int) -> Built:
    """One token of each sequence attends to its own cache, in ``count`` layers with caches of their own."""
    functional, count = torch.nn.functional, bench.few(count)

    def made(tokens: int, queries: int) -> Step:
        size = (batch, kv_heads, tokens, width)
        caches = [
            [torch.empty(size, device=bench.device, dtype=bench.dtype).normal_() for _ in range(2)]
            for _ in range(count)
        ]
        q = torch.empty(batch, queries, 1, width, device=bench.device, dtype=bench.dtype).normal_()

        def step() -> None:
            for keys, values in caches:
                functional.scaled_dot_product_attention(q, keys, values, enable_gqa=True)

        return step

    return Built(
        step=made(context, heads),
        flops=4.0 * batch * heads * width * context * count,
        bytes=2.0 * batch * kv_heads * width * context * count * bench.bits / 8.0,
        dtype="bf16" if bench.cuda else "fp32",
        variants=(
            Variant(share="memory", what="half the cache", factor=0.5, make=lambda: made(context // 2, heads)),
            Variant(
                share="compute",
                what="twice the FLOPs at equal cache: twice the query heads",
                factor=2.0,
                make=lambda: made(context, 2 * heads),
            ),
        ),
    )


def _product(name: str, expected: str, batch: int, count: int = 8) -> Workload:
    return Workload(
        name=name,
        family="products",
        what=f"{count} products of 8,192 x 8,192 matrices with {batch} columns",
        expected=expected,
        build=partial(product, rows=8192, columns=8192, batch=batch, count=count),
    )


ON_GPU = (
    _product("gemm-b16", "memory", 16),
    _product("gemm-b128", "memory", 128),
    _product("gemm-b256", "mixed", 256),
    _product("gemm-b512", "compute", 512),
    _product("gemm-b4096", "compute", 4096),
    Workload(
        name="gemm-fp32",
        family="products fp32",
        what="products of 4,096 x 4,096 matrices in FP32 without tensor cores",
        expected="compute",
        build=partial(product, rows=4096, columns=4096, batch=4096, count=2, exact=True),
    ),
    Workload(
        name="stream-add",
        family="streams",
        what="the sum of two tensors of 1 GB",
        expected="memory",
        build=partial(stream, elements=1 << 29, norm=False),
    ),
    Workload(
        name="stream-norm",
        family="streams",
        what="norms of the rows of a tensor of 1 GB",
        expected="memory",
        build=partial(stream, elements=1 << 29, norm=True),
    ),
    Workload(
        name="attention-b128",
        family="attention",
        what="attention of 128 sequences over 4,096 tokens each, 32 heads on 8",
        expected="memory",
        build=partial(attention, batch=128, context=4096, heads=32, kv_heads=8, width=128, count=4),
    ),
)

ON_CPU = (
    Workload(
        name="gemm-cpu",
        family="products",
        what="products of 2,048 x 2,048 matrices with 512 columns",
        expected="compute",
        build=partial(product, rows=2048, columns=2048, batch=512, count=4),
    ),
    Workload(
        name="gemv-cpu",
        family="products",
        what="products of 4,096 x 4,096 matrices with one column",
        expected="memory",
        build=partial(product, rows=4096, columns=4096, batch=1, count=12),
    ),
    Workload(
        name="stream-cpu",
        family="streams",
        what="the sum of two tensors of 256 MB",
        expected="memory",
        build=partial(stream, elements=1 << 26, norm=False),
    ),
)
