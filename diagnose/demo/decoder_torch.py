"""The same decoder on a GPU through torch, in BF16; as one CUDA graph unless it is to be bound by its host."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from diagnose.demo.decoder import EPSILON, Layer, Weights, rotations

if TYPE_CHECKING:
    from diagnose.demo.decoder import Ints
    from heuristics.model_shape import ModelShape

WARM_UPS = 3


class TorchDecoder:
    """The model with its cache for ``batch`` sequences of at most ``context`` tokens, on a device of torch's."""

    def __init__(
        self,
        shape: ModelShape,
        weights: Weights | None = None,
        *,
        batch: int,
        context: int,
        device: str = "cuda",
        graph: bool = True,
    ) -> None:
        """Random weights in BF16 are made on the device, unless others are given, whose type then holds."""
        torch: Any = import_module("torch")
        self._torch, self._shape = torch, shape
        self._like = {"device": device, "dtype": torch.bfloat16 if weights is None else weights.embedding.dtype}
        self._weights = weights or self._random()
        size = (shape.layers, batch, shape.kv_heads, context, shape.head_dim)
        self._keys, self._values = torch.zeros(size, **self._like), torch.zeros(size, **self._like)
        self._turns = [torch.as_tensor(t, **self._like) for t in rotations(shape.head_dim, context)]
        self._rows, self._places = torch.arange(batch, device=device), torch.arange(context, device=device)
        self._tokens, self._positions = (torch.zeros(batch, dtype=torch.int64, device=device) for _ in range(2))
        self._graph: Any = None
        if graph:
            self._record()

    def next_tokens(self, tokens: Ints, positions: Ints) -> Ints:
        """The most likely next token of every sequence."""
        torch = self._torch
        self._tokens.copy_(torch.from_numpy(tokens))
        self._positions.copy_(torch.from_numpy(positions))
        with torch.no_grad():
            if self._graph is None:
                self._chosen = self._step()
            else:
                self._graph.replay()
        found: Ints = self._chosen.cpu().numpy()
        return found

    def _record(self) -> None:
        """Warm up on a stream of its own, as capturing asks for, and record one step."""
        torch = self._torch
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.no_grad(), torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                self._step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(graph):
            self._chosen = self._step()
        self._graph = graph

    def _step(self) -> Any:
        functional = self._torch.nn.functional
        weights, shape = self._weights, self._shape
        x = weights.embedding[self._tokens]
        for index, layer in enumerate(weights.layers):
            x = x + self._attention(index, layer, self._normed(x, layer.attention_norm))
            gate, up = (self._normed(x, layer.feed_forward_norm) @ layer.gate_up).split(shape.intermediate_size, 1)
            x = x + (functional.silu(gate) * up) @ layer.down
        return (self._normed(x, weights.norm) @ weights.head).argmax(dim=1)

    def _attention(self, index: int, layer: Layer, x: Any) -> Any:
        torch, shape, batch = self._torch, self._shape, x.shape[0]
        mixed = (x @ layer.queries_keys_values).view(batch, -1, shape.head_dim)
        cosines, sines = (t[self._positions][:, None] for t in self._turns)
        first, second = mixed[:, : shape.heads + shape.kv_heads].chunk(2, dim=2)
        turned = torch.cat((first * cosines - second * sines, second * cosines + first * sines), dim=2)
        keys, values = self._keys[index], self._values[index]
        keys[self._rows, :, self._positions] = turned[:, shape.heads :]
        values[self._rows, :, self._positions] = mixed[:, shape.heads + shape.kv_heads :]
        queries = turned[:, : shape.heads].reshape(batch, shape.kv_heads, -1, shape.head_dim)
        seen = (self._places <= self._positions[:, None])[:, None, None]
        scores = (queries @ keys.transpose(2, 3) * shape.head_dim**-0.5).masked_fill(~seen, float("-inf"))
        return (scores.softmax(dim=3) @ values).reshape(batch, -1) @ layer.output

    def _normed(self, x: Any, weight: Any) -> Any:
        return x * (x.square().mean(dim=1, keepdim=True) + EPSILON).rsqrt() * weight

    def _random(self) -> Weights:
        torch, shape = self._torch, self._shape
        hidden, head_dim = shape.hidden_size, shape.head_dim

        def matrix(inputs: int, outputs: int) -> Any:
            return torch.randn(inputs, outputs, **self._like).mul_(inputs**-0.5)

        def norm() -> Any:
            return torch.ones(hidden, **self._like)

        layers = tuple(
            Layer(
                attention_norm=norm(),
                queries_keys_values=matrix(hidden, (shape.heads + 2 * shape.kv_heads) * head_dim),
                output=matrix(shape.heads * head_dim, hidden),
                feed_forward_norm=norm(),
                gate_up=matrix(hidden, 2 * shape.intermediate_size),
                down=matrix(shape.intermediate_size, hidden),
            )
            for _ in range(shape.layers)
        )
        return Weights(
            embedding=torch.randn(shape.vocab_size, hidden, **self._like),
            layers=layers,
            norm=norm(),
            head=matrix(hidden, shape.vocab_size),
        )
