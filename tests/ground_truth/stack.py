"""A decoder of Llama's shape in plain torch with random weights: the real operations, none of the real words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tests.ground_truth.lazily import torch

if TYPE_CHECKING:
    from collections.abc import Callable

EPSILON = 1e-5
SEED = 20261126


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Dimensions of the decoder; names are those of a config.json."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    inner: int
    vocabulary: int

    def config(self, dtype: str) -> dict[str, Any]:
        """The config.json of a model of this shape."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "num_hidden_layers": self.layers,
            "hidden_size": self.hidden,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "intermediate_size": self.inner,
            "vocab_size": self.vocabulary,
            "tie_word_embeddings": False,
            "torch_dtype": dtype,
        }

    def half(self) -> Shape:
        """The half of it that tensor parallelism over two would leave: half the weight bytes, as many launches."""
        return replace(
            self,
            heads=self.heads // 2,
            kv_heads=self.kv_heads // 2,
            inner=self.inner // 2,
            vocabulary=self.vocabulary // 2,
        )


LLAMA_8B = Shape(layers=32, hidden=4096, heads=32, kv_heads=8, head_dim=128, inner=14336, vocabulary=128256)
LLAMA_1B = Shape(layers=16, hidden=2048, heads=32, kv_heads=8, head_dim=64, inner=8192, vocabulary=128256)
TINY = Shape(layers=8, hidden=256, heads=4, kv_heads=2, head_dim=64, inner=688, vocabulary=4096)


class Weights:
    """Matrices of every layer. Values are small and random: zeros would be faster than any real model."""

    def __init__(self, shape: Shape, device: str, dtype: Any) -> None:
        self.shape, self.device, self.dtype = shape, device, dtype
        torch.manual_seed(SEED)
        width, cached = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        self.layers = [
            {
                "qkv": self._matrix(width + 2 * cached, shape.hidden),
                "out": self._matrix(shape.hidden, width),
                "up": self._matrix(2 * shape.inner, shape.hidden),
                "down": self._matrix(shape.hidden, shape.inner),
                "norm": torch.ones(shape.hidden, device=device, dtype=dtype),
                "second": torch.ones(shape.hidden, device=device, dtype=dtype),
            }
            for _ in range(shape.layers)
        ]
        self.embedding = self._matrix(shape.vocabulary, shape.hidden)
        self.head = self._matrix(shape.vocabulary, shape.hidden)
        self.last = torch.ones(shape.hidden, device=device, dtype=dtype)

    def _matrix(self, rows: int, columns: int) -> Any:
        made = torch.empty(rows, columns, device=self.device, dtype=self.dtype)
        return made.normal_(std=columns**-0.5)


class Decoder:
    """One step for ``batch`` sequences that have ``context`` tokens cached each, over and over at the same place."""

    def __init__(self, weights: Weights, *, batch: int, context: int, cache: Any = None) -> None:
        self.weights, self.shape = weights, weights.shape
        shape = self.shape
        size = (shape.layers, 2, batch, shape.kv_heads, context, shape.head_dim)
        count = 1
        for length in size:
            count *= length
        pool = cache if cache is not None else torch.empty(count, device=weights.device, dtype=weights.dtype).normal_()
        self.pool, self.cache = pool, pool[:count].view(size)
        self.tokens = torch.zeros(batch, dtype=torch.int64, device=weights.device)
        angle = torch.rand(shape.head_dim, device=weights.device)
        self.cosine, self.sine = angle.cos().to(weights.dtype), angle.sin().to(weights.dtype)

    def step(self) -> Any:
        """The next token of every sequence, left on the device."""
        shape, functional = self.shape, torch.nn.functional
        batch = self.tokens.shape[0]
        width, cached = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        x = functional.embedding(self.tokens, self.weights.embedding)
        for place, layer in enumerate(self.weights.layers):
            h = functional.rms_norm(x, (shape.hidden,), layer["norm"], EPSILON)
            q, k, v = functional.linear(h, layer["qkv"]).split((width, cached, cached), dim=-1)
            q = self._turned(q.view(batch, shape.heads, 1, shape.head_dim))
            k = self._turned(k.view(batch, shape.kv_heads, 1, shape.head_dim))
            keys, values = self.cache[place, 0], self.cache[place, 1]
            keys[:, :, -1:] = k
            values[:, :, -1:] = v.view(batch, shape.kv_heads, 1, shape.head_dim)
            seen = functional.scaled_dot_product_attention(q, keys, values, enable_gqa=True)
            x = x + functional.linear(seen.reshape(batch, width), layer["out"])
            x = x + self._block(x, layer)
        x = functional.rms_norm(x, (shape.hidden,), self.weights.last, EPSILON)
        return self.tokens.copy_(functional.linear(x, self.weights.head).argmax(dim=-1))

    def prefill(self, prompt: Any) -> Any:
        """Takes in prompts of shape (batch, tokens); the logits of each last token's best successor."""
        shape, functional = self.shape, torch.nn.functional
        batch, length = prompt.shape
        width, cached = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        x = functional.embedding(prompt, self.weights.embedding)
        for place, layer in enumerate(self.weights.layers):
            h = functional.rms_norm(x, (shape.hidden,), layer["norm"], EPSILON)
            q, k, v = functional.linear(h, layer["qkv"]).split((width, cached, cached), dim=-1)
            q = self._turned(q.view(batch, length, shape.heads, shape.head_dim).transpose(1, 2))
            k = self._turned(k.view(batch, length, shape.kv_heads, shape.head_dim).transpose(1, 2))
            v = v.view(batch, length, shape.kv_heads, shape.head_dim).transpose(1, 2)
            kept = min(length, self.cache.shape[4])
            self.cache[place, 0, :batch, :, :kept] = k[:, :, :kept]
            self.cache[place, 1, :batch, :, :kept] = v[:, :, :kept]
            seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
            x = x + functional.linear(seen.transpose(1, 2).reshape(batch, length, width), layer["out"])
            x = x + self._block(x, layer)
        x = functional.rms_norm(x[:, -1], (shape.hidden,), self.weights.last, EPSILON)
        return functional.linear(x, self.weights.head).argmax(dim=-1)

    def _turned(self, x: Any) -> Any:
        return x * self.cosine + x.roll(self.shape.head_dim // 2, dims=-1) * self.sine

    def _block(self, x: Any, layer: dict[str, Any]) -> Any:
        functional = torch.nn.functional
        h = functional.rms_norm(x, (self.shape.hidden,), layer["second"], EPSILON)
        gate, up = functional.linear(h, layer["up"]).chunk(2, dim=-1)
        return functional.linear(functional.silu(gate) * up, layer["down"])


def graphed(step: Callable[[], Any]) -> Callable[[], Any]:
    """The step as one CUDA graph. Warmed up on a stream of its own, as capturing asks for."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = step()

    def replay(kept: Callable[[], Any] = step) -> Any:
        """``kept`` holds what the graph reads: its tensors must not be let go of while it can be replayed."""
        graph.replay()
        return found

    return replay
