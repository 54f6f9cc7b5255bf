"""The probe on a CUDA device: a Llama-like stack of a billion parameters, a tiny one, and a product.

``python -m tests.benchmarks.probe_gpu [--seconds S] [--json FILE]`` needs torch with CUDA and about 25 GB of device
memory. Each is probed as it is and replayed from a CUDA graph; the tables are printed, nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from diagnose import ProbeResult, probe

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
Step = Callable[[Any], Any]


class Layer(nn.Module):
    """Attention over a cache and a gated feed-forward block, one new token a sequence."""

    def __init__(self, hidden: int, heads: int, inner: int, device: str) -> None:
        super().__init__()
        like: dict[str, Any] = {"bias": False, "device": device, "dtype": torch.bfloat16}
        self.heads, self.width = heads, hidden // heads
        self.qkv, self.out = nn.Linear(hidden, 3 * hidden, **like), nn.Linear(hidden, hidden, **like)
        self.gate_up, self.down = nn.Linear(hidden, 2 * inner, **like), nn.Linear(inner, hidden, **like)
        self.first = nn.Parameter(torch.ones(hidden, device=device, dtype=torch.bfloat16))
        self.second = nn.Parameter(torch.ones(hidden, device=device, dtype=torch.bfloat16))

    def forward(self, x: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """``x`` is (batch, hidden); ``keys`` and ``values`` are (batch, heads, context, width), the last place new."""
        mixed = self.qkv(functional.rms_norm(x, x.shape[-1:], self.first)).view(-1, 3, self.heads, 1, self.width)
        query, key, value = mixed.unbind(1)
        keys[:, :, -1:].copy_(key)
        values[:, :, -1:].copy_(value)
        seen = functional.scaled_dot_product_attention(query, keys, values)
        x = x + self.out(seen.reshape(x.shape))
        gate, up = self.gate_up(functional.rms_norm(x, x.shape[-1:], self.second)).chunk(2, dim=-1)
        return x + self.down(functional.silu(gate) * up)


class Decoder(nn.Module):
    """A stack of layers between an embedding and a head, with one cache that all batches share."""

    def __init__(
        self, *, layers: int, hidden: int, heads: int, inner: int, words: int, most: int, context: int, device: str
    ) -> None:
        super().__init__()
        like: dict[str, Any] = {"device": device, "dtype": torch.bfloat16}
        self.embedding = nn.Embedding(words, hidden, **like)
        self.layers = nn.ModuleList(Layer(hidden, heads, inner, device) for _ in range(layers))
        self.head = nn.Linear(hidden, words, bias=False, **like)
        self.cache = [
            tuple(torch.zeros(most, heads, context, hidden // heads, **like) for _ in range(2)) for _ in range(layers)
        ]

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """The most likely next token of each sequence; ``tokens`` is (batch,)."""
        batch = tokens.shape[0]
        x = self.embedding(tokens)
        for layer, (keys, values) in zip(self.layers, self.cache, strict=True):
            x = layer(x, keys[:batch], values[:batch])
        chosen: torch.Tensor = self.head(x).argmax(dim=-1)
        return chosen


def probes(seconds: float, device: str) -> Iterator[tuple[str, ProbeResult]]:
    """(what was probed, what came of it), one after another."""
    context = 512
    sizes: dict[str, int] = {"layers": 16, "hidden": 2048, "heads": 16, "inner": 5504, "words": 32000}
    billion = Decoder(**sizes, most=BATCHES[-1], context=context, device=device)
    usual: dict[str, Any] = {"context_tokens": float(context), "seconds": seconds, "make_inputs": _tokens(device)}
    yield (
        "a billion parameters as it is, traced at batch 1",
        probe(billion, model=billion, batches=(1, 8, 64, 256), batch=1, **usual),
    )
    yield "a billion parameters, with graphs", probe(billion, model=billion, batches=BATCHES, graph=True, **usual)
    yield (
        "a billion parameters, with graphs, roofs measured",
        probe(billion, model=billion, batches=(1, 256), batch=1, graph=True, calibrate=True, **usual),
    )
    del billion
    torch.cuda.empty_cache()
    small: dict[str, int] = {"layers": 4, "hidden": 256, "heads": 4, "inner": 512, "words": 1000}
    tiny = Decoder(**small, most=64, context=64, device=device)
    yield (
        "a tiny model, with graphs",
        probe(tiny, model=tiny, batches=(1, 8, 64), graph=True, **{**usual, "context_tokens": 64.0}),
    )
    edge = 8192
    weights = torch.randn(edge, edge, device=device, dtype=torch.bfloat16)
    yield (
        f"one product of {edge} x {edge}",
        probe(
            lambda x: x @ weights,
            make_inputs=lambda batch: torch.randn(batch, edge, device=device, dtype=torch.bfloat16),
            batches=(1, 16, 64, 256, 512, 1024, 4096, 8192),
            seconds=seconds,
        ),
    )


def _tokens(device: str) -> Step:
    return lambda batch: torch.zeros(batch, dtype=torch.int64, device=device)


def main() -> None:
    """Probe everything, print the reports, and the time each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.25)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--json", default=None)
    asked = parser.parse_args()
    torch.manual_seed(0)
    kept, begun = {}, time.perf_counter()
    for name, found in probes(asked.seconds, asked.device):
        print(f"== {name} ({time.perf_counter() - begun:.1f} s)\n{found}", flush=True)
        kept[name] = found.to_dict()
        begun = time.perf_counter()
    if asked.json is not None:
        with open(asked.json, "w", encoding="utf-8") as stream:
            json.dump(kept, stream, indent=1)


if __name__ == "__main__":
    main()
