"""Which model at which batch makes a job of each regime, on this machine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from heuristics.model_shape import ModelShape
from heuristics.vocabulary import Share

CACHE_MULTIPLE = 8.0
LEAST_STREAMED_BYTES = 400e6
MOST_STREAMED_BYTES = 2e9
"""The weights that the memory job reads a step: several times the last-level cache, within these limits."""

HOST_PAUSE_S = 0.010
"""What the latency job's host takes between steps, as a slow sampler or tokeniser does."""

WIDE = ModelShape(
    layers=2,
    hidden_size=2048,
    heads=16,
    kv_heads=4,
    head_dim=128,
    intermediate_size=5632,
    vocab_size=8192,
    weight_bits=32.0,
    activation_bits=32.0,
    kv_bits=32.0,
)
"""Few and large matrices: what numpy does between the products, and waiting for its threads, weigh little."""
TINY = replace(WIDE, layers=6, hidden_size=64, heads=4, kv_heads=2, head_dim=16, intermediate_size=176, vocab_size=512)
ON_GPU = ModelShape(
    layers=8, hidden_size=4096, heads=32, kv_heads=8, head_dim=128, intermediate_size=14336, vocab_size=8192
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A job to run and the regime it is made to be in; ``about`` says by what."""

    regime: Share
    about: str
    shape: ModelShape
    batch: int
    context: int
    pause_s: float = 0.0
    device: str = "cpu"
    eager: bool = False

    @property
    def config(self) -> Mapping[str, Any]:
        """The model's config.json."""
        shape = self.shape
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": shape.hidden_size,
            "intermediate_size": shape.intermediate_size,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.kv_heads,
            "head_dim": shape.head_dim,
            "vocab_size": shape.vocab_size,
            "max_position_embeddings": self.context,
            "tie_word_embeddings": False,
            "torch_dtype": "float32" if shape.weight_bits == 32.0 else "bfloat16",
        }


def workload(regime: Share, *, last_level_cache_bytes: float | None = None, device: str = "cpu") -> Workload:
    """The job of a regime, for a machine with that cache, or for its GPU (device ``cuda``)."""
    return _on_gpu(regime) if device == "cuda" else _on_cpu(regime, last_level_cache_bytes or 0.0)


def streamed_bytes(shape: ModelShape) -> float:
    """Bytes of the weights that every step reads."""
    return (shape.layers * _layer_weights(shape) + shape.hidden_size * shape.vocab_size) * shape.weight_bits / 8.0


def _layer_weights(shape: ModelShape) -> int:
    attention = (2 * shape.heads + 2 * shape.kv_heads) * shape.head_dim
    return shape.hidden_size * (attention + 3 * shape.intermediate_size)


def _on_cpu(regime: Share, cache_bytes: float) -> Workload:
    if regime is Share.MEMORY:
        wanted = min(MOST_STREAMED_BYTES, max(LEAST_STREAMED_BYTES, CACHE_MULTIPLE * cache_bytes))
        shape = replace(WIDE, layers=math.ceil(wanted / (_layer_weights(WIDE) * 4.0)))
        megabytes = streamed_bytes(shape) / 1e6
        about = f"batch 1: {megabytes:.0f} MB of weights are read for every token"
        return Workload(regime=regime, about=about, shape=shape, batch=1, context=256)
    if regime is Share.COMPUTE:
        about = "batch 128: every weight read serves 128 sequences"
        return Workload(regime=regime, about=about, shape=WIDE, batch=128, context=32)
    about = f"a tiny model, and {HOST_PAUSE_S * 1e3:.0f} ms on the host between steps"
    return Workload(regime=regime, about=about, shape=TINY, batch=4, context=64, pause_s=HOST_PAUSE_S)


def _on_gpu(regime: Share) -> Workload:
    if regime is Share.MEMORY:
        about = f"batch 1: {streamed_bytes(ON_GPU) / 1e9:.1f} GB of weights are read for every token"
        return Workload(regime=regime, about=about, shape=ON_GPU, batch=1, context=64, device="cuda")
    if regime is Share.COMPUTE:
        about = "batch 1024: every weight read serves 1024 sequences"
        return Workload(regime=regime, about=about, shape=ON_GPU, batch=1024, context=64, device="cuda")
    about = "a tiny model, launched kernel by kernel"
    return Workload(
        regime=regime,
        about=about,
        shape=replace(TINY, weight_bits=16.0, activation_bits=16.0, kv_bits=16.0),
        batch=4,
        context=64,
        device="cuda",
        eager=True,
    )
