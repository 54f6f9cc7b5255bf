"""Decode and prefill of whole decoders, with the changes that take one need away and leave the others."""

from __future__ import annotations

from functools import partial

from tests.ground_truth.bench import Bench
from tests.ground_truth.lazily import torch
from tests.ground_truth.stack import LLAMA_1B, LLAMA_8B, TINY, Decoder, Shape
from tests.ground_truth.workload import Built, Step, Variant, Workload

SMALL = Shape(layers=6, hidden=1536, heads=12, kv_heads=4, head_dim=128, inner=4096, vocabulary=16384)
"""About 650 MB in FP32: far more than the caches of a CPU, and a step of a few tens of milliseconds."""


def _told(step: Step) -> Step:
    """The step with its tokens brought to the host at the end, as an engine does that answers requests."""
    return lambda: step().cpu()


def weight_count(shape: Shape) -> int:
    """Parameters that a step streams: all but the embedding, of which it gathers rows."""
    width, cached = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    layer = shape.hidden * (2 * width + 2 * cached + 3 * shape.inner)
    return shape.layers * layer + shape.hidden * shape.vocabulary


def _attended(shape: Shape, pairs: float) -> float:
    """FLOPs of scores and sums over so many pairs of tokens."""
    return 4.0 * shape.layers * shape.heads * shape.head_dim * pairs


def _cached(shape: Shape, tokens: float) -> float:
    return 2.0 * shape.layers * shape.kv_heads * shape.head_dim * tokens


def decode(bench: Bench, *, shape: Shape, batch: int, context: int, graph: bool) -> Built:
    """Decode of ``batch`` sequences that have ``context`` tokens each."""

    def made(of: Shape, sequences: int, tokens: int, folded: bool = graph) -> Step:
        step = bench.decoder(of, sequences, max(1, tokens)).step
        return _told(bench.graphed(step) if folded else step)

    variants = [
        Variant(
            share="memory",
            what="half the weight bytes at equal FLOPs, cache and launches",
            factor=0.5,
            make=lambda: made(shape.half(), 2 * batch, context),
        ),
        Variant(share="memory", what="half the cache", factor=0.5, make=lambda: made(shape, batch, context // 2)),
        Variant(
            share="compute",
            what="twice the FLOPs of the layers at equal weights and cache",
            factor=2.0,
            make=lambda: made(shape, 2 * batch, context // 2),
        ),
    ]
    if bench.cuda and not graph:
        variants.append(
            Variant(
                share="latency",
                what="all launches folded into one graph",
                factor=0.0,
                make=lambda: made(shape, batch, context, folded=True),
            )
        )
    return Built(
        step=made(shape, batch, context),
        flops=2.0 * batch * weight_count(shape) + _attended(shape, batch * context),
        bytes=bench.bits / 8.0 * (weight_count(shape) + _cached(shape, batch * (context + 1))),
        dtype="bf16" if bench.cuda else "fp32",
        config=shape.config("bfloat16" if bench.cuda else "float32"),
        load={"batch": batch, "context": context, "phase": "decode"},
        variants=tuple(variants),
    )


def prefill(bench: Bench, *, shape: Shape, batch: int, tokens: int) -> Built:
    """Prompts of ``tokens`` tokens taken in at once, eager."""

    def made(of: Shape, prompts: int, length: int) -> Step:
        decoder = bench.decoder(of, prompts, length)
        prompt = torch.randint(of.vocabulary, (prompts, length), device=bench.device)
        return _told(partial(decoder.prefill, prompt))

    return Built(
        step=made(shape, batch, tokens),
        flops=2.0 * batch * tokens * (weight_count(shape) - shape.hidden * shape.vocabulary)
        + 2.0 * batch * shape.hidden * shape.vocabulary
        + _attended(shape, batch * tokens * tokens / 2.0),
        bytes=bench.bits / 8.0 * (weight_count(shape) + 2.0 * _cached(shape, batch * tokens)),
        dtype="bf16" if bench.cuda else "fp32",
        config=shape.config("bfloat16" if bench.cuda else "float32"),
        load={"batch": batch, "context": tokens, "phase": "prefill"},
        variants=(
            Variant(
                share="memory",
                what="half the weight bytes at equal FLOPs and launches",
                factor=0.5,
                make=lambda: made(shape.half(), 2 * batch, tokens),
            ),
            Variant(
                share="compute",
                what="twice the FLOPs at equal weights",
                factor=2.0,
                make=lambda: made(shape, 2 * batch, tokens),
            ),
        ),
    )


def mixed(bench: Bench, *, shape: Shape, tokens: int, steps: int, batch: int, context: int) -> Built:
    """A prompt, then ``steps`` steps of decode, over and over: two phases in one job, each with a regime of its own."""
    decoder: Decoder = bench.decoder(shape, batch, context)
    fold = _told(bench.graphed(decoder.step))
    prompt = torch.randint(shape.vocabulary, (1, tokens), device=bench.device)

    def step() -> None:
        decoder.prefill(prompt)
        for _ in range(steps):
            fold()

    def without_prompts() -> None:
        for _ in range(steps):
            fold()

    whole = prefill_needs(shape, tokens, bench.bits)
    each = 2.0 * batch * weight_count(shape) + _attended(shape, batch * context)
    moved = bench.bits / 8.0 * (weight_count(shape) + _cached(shape, batch * (context + 1)))
    return Built(
        step=step,
        flops=whole[0] + steps * each,
        bytes=whole[1] + steps * moved,
        variants=(
            Variant(share="prefill", what="the prompts left out", factor=0.0, make=lambda: without_prompts),
            Variant(
                share="decode",
                what="the steps of decode left out",
                factor=0.0,
                make=lambda: _told(partial(decoder.prefill, prompt)),
            ),
        ),
    )


def prefill_needs(shape: Shape, tokens: int, bits: int) -> tuple[float, float]:
    """FLOPs and bytes of one prompt."""
    body = weight_count(shape) - shape.hidden * shape.vocabulary
    flops = 2.0 * tokens * body + 2.0 * shape.hidden * shape.vocabulary + _attended(shape, tokens * tokens / 2.0)
    return flops, bits / 8.0 * (weight_count(shape) + 2.0 * _cached(shape, tokens))


def _decoding(name: str, expected: str, what: str, shape: Shape, batch: int, context: int, graph: bool) -> Workload:
    return Workload(
        name=name,
        family=f"decode {name.split('-')[1]}",
        what=what,
        expected=expected,
        build=partial(decode, shape=shape, batch=batch, context=context, graph=graph),
    )


ON_GPU = (
    _decoding("decode-1b-b1-eager", "latency", "1 B, batch 1, a launch a kernel", LLAMA_1B, 1, 512, False),
    _decoding("decode-1b-b1-graph", "memory", "1 B, batch 1, one graph a step", LLAMA_1B, 1, 512, True),
    _decoding("decode-1b-b8-graph", "memory", "1 B, batch 8, one graph a step", LLAMA_1B, 8, 512, True),
    _decoding("decode-1b-b64-eager", "mixed", "1 B, batch 64, a launch a kernel", LLAMA_1B, 64, 512, False),
    _decoding("decode-1b-b64-graph", "memory", "1 B, batch 64, one graph a step", LLAMA_1B, 64, 512, True),
    _decoding("decode-1b-b256-graph", "memory", "1 B, batch 256, one graph a step", LLAMA_1B, 256, 1024, True),
    Workload(
        name="prefill-1b-8k",
        family="prefill",
        what="1 B, one prompt of 8,192 tokens",
        expected="compute",
        build=partial(prefill, shape=LLAMA_1B, batch=1, tokens=8192),
    ),
    Workload(
        name="mix-1b",
        family="mix",
        what="1 B: a prompt of 4,096 tokens, then 16 steps of decode at batch 8",
        expected="mixed",
        replayed=False,
        build=partial(mixed, shape=LLAMA_1B, tokens=4096, steps=16, batch=8, context=4096),
    ),
    _decoding("decode-8b-b1-eager", "memory", "8 B, batch 1, a launch a kernel", LLAMA_8B, 1, 512, False),
    _decoding("decode-8b-b1-graph", "memory", "8 B, batch 1, one graph a step", LLAMA_8B, 1, 512, True),
    _decoding("decode-8b-b8-eager", "memory", "8 B, batch 8, a launch a kernel", LLAMA_8B, 8, 512, False),
    _decoding("decode-8b-b64-graph", "memory", "8 B, batch 64, one graph a step", LLAMA_8B, 64, 512, True),
    _decoding("decode-8b-b64-long", "memory", "8 B, batch 64, 4,096 tokens each", LLAMA_8B, 64, 4096, True),
    _decoding("decode-8b-b256-short", "mixed", "8 B, batch 256, 128 tokens each", LLAMA_8B, 256, 128, True),
    _decoding("decode-8b-b512-short", "compute", "8 B, batch 512, 64 tokens each", LLAMA_8B, 512, 64, True),
    Workload(
        name="prefill-8b-128",
        family="prefill",
        what="8 B, one prompt of 128 tokens",
        expected="memory",
        build=partial(prefill, shape=LLAMA_8B, batch=1, tokens=128),
    ),
    Workload(
        name="prefill-8b-2k",
        family="prefill",
        what="8 B, one prompt of 2,048 tokens",
        expected="compute",
        build=partial(prefill, shape=LLAMA_8B, batch=1, tokens=2048),
    ),
    _decoding("decode-tiny-eager", "latency", "a tiny model, a launch a kernel", TINY, 1, 64, False),
)

ON_CPU = (
    _decoding("decode-small-b1", "memory", "170 M in FP32, batch 1", SMALL, 1, 64, False),
    _decoding("decode-tiny-b1", "latency", "a tiny model, batch 1", TINY, 1, 16, False),
    Workload(
        name="prefill-small-256",
        family="prefill",
        what="170 M in FP32, one prompt of 256 tokens",
        expected="compute",
        build=partial(prefill, shape=SMALL, batch=1, tokens=256),
    ),
)
