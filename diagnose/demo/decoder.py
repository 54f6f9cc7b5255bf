"""A small decoder of the Llama family in numpy, with random weights: it computes what a real one does.

Root-mean-square norms, rotary positions, grouped attention over a cache of keys and values, a gated feed-forward
block, a head. Every step takes one token of every sequence; sequences may be at different positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from heuristics.model_shape import ModelShape

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]

EPSILON = 1e-5
ROTARY_BASE = 10_000.0
POOL = 1 << 16
"""Random numbers drawn for a matrix; larger ones repeat them, which takes a fraction of the time."""


class Stepper(Protocol):
    """What a job runs: one step of a batch."""

    def next_tokens(self, tokens: Ints, positions: Ints) -> Ints:
        """The most likely next token of every sequence, from its token at its position. All of shape (batch,)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Weights of one layer, each of shape (inputs, outputs); queries, keys and values are one matrix."""

    attention_norm: Any
    queries_keys_values: Any
    output: Any
    feed_forward_norm: Any
    gate_up: Any
    down: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """All weights of a model."""

    embedding: Any
    layers: tuple[Layer, ...]
    norm: Any
    head: Any


def random_weights(shape: ModelShape, seed: int = 0) -> Weights:
    """Weights of a size that keeps activations near 1."""
    draw = np.random.default_rng(seed)

    def matrix(inputs: int, outputs: int) -> Floats:
        count = inputs * outputs
        pool = draw.standard_normal(min(count, POOL), np.float32) / np.float32(inputs**0.5)
        return np.resize(pool, (inputs, outputs))

    def norm() -> Floats:
        return draw.uniform(0.8, 1.2, shape.hidden_size).astype(np.float32)

    hidden, head_dim = shape.hidden_size, shape.head_dim
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
        embedding=draw.standard_normal((shape.vocab_size, hidden), np.float32),
        layers=layers,
        norm=norm(),
        head=matrix(hidden, shape.vocab_size),
    )


def rotations(head_dim: int, context: int) -> tuple[Floats, Floats]:
    """Cosines and sines of the rotary angles, each of shape (context, head_dim / 2)."""
    frequencies = ROTARY_BASE ** (-np.arange(0, head_dim, 2) / head_dim)
    angles = np.arange(context)[:, None] * frequencies
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


class Decoder:
    """The model with its cache for ``batch`` sequences of at most ``context`` tokens."""

    def __init__(self, shape: ModelShape, weights: Weights, *, batch: int, context: int) -> None:
        self.shape, self.weights = shape, weights
        size = (shape.layers, batch, shape.kv_heads, context, shape.head_dim)
        self._keys, self._values = np.zeros(size, np.float32), np.zeros(size, np.float32)
        self._cosines, self._sines = rotations(shape.head_dim, context)
        self._rows = np.arange(batch)

    def next_tokens(self, tokens: Ints, positions: Ints) -> Ints:
        """The most likely next token of every sequence."""
        chosen: Ints = self.logits(tokens, positions).argmax(axis=1)
        return chosen

    def logits(self, tokens: Ints, positions: Ints) -> Floats:
        """Scores of every next token, shape (batch, vocabulary); the cache takes in the tokens given."""
        x = self.weights.embedding[tokens]
        for index, layer in enumerate(self.weights.layers):
            x += self._attention(index, layer, _normed(x, layer.attention_norm), positions)
            x += _feed_forward(layer, _normed(x, layer.feed_forward_norm))
        scores: Floats = _normed(x, self.weights.norm) @ self.weights.head
        return scores

    def _attention(self, index: int, layer: Layer, x: Floats, positions: Ints) -> Floats:
        shape, batch = self.shape, x.shape[0]
        mixed = (x @ layer.queries_keys_values).reshape(batch, -1, shape.head_dim)
        cosines, sines = self._cosines[positions, None], self._sines[positions, None]
        turned = _rotated(mixed[:, : shape.heads + shape.kv_heads], cosines, sines)
        keys, values = self._keys[index], self._values[index]
        keys[self._rows, :, positions] = turned[:, shape.heads :]
        values[self._rows, :, positions] = mixed[:, shape.heads + shape.kv_heads :]
        length = int(positions.max()) + 1
        queries = turned[:, : shape.heads].reshape(batch, shape.kv_heads, -1, shape.head_dim)
        scores = queries @ keys[:, :, :length].swapaxes(2, 3)
        scores *= np.float32(shape.head_dim**-0.5)
        scores += np.where(np.arange(length) <= positions[:, None], np.float32(0), np.float32(-1e9))[:, None, None]
        scores -= scores.max(axis=3, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=3, keepdims=True)
        attended: Floats = (scores @ values[:, :, :length]).reshape(batch, -1) @ layer.output
        return attended


def _normed(x: Floats, weight: Floats) -> Floats:
    """Divided by its root mean square, and weighted."""
    power = np.einsum("bh,bh->b", x, x)[:, None] / np.float32(x.shape[1])
    normed: Floats = x / np.sqrt(power + np.float32(EPSILON))
    normed *= weight
    return normed


def _rotated(x: Floats, cosines: Floats, sines: Floats) -> Floats:
    """Each pair (first half, second half) of a head turned by its position's angle."""
    half = x.shape[2] // 2
    first, second = x[:, :, :half], x[:, :, half:]
    turned = np.empty_like(x)
    turned[:, :, :half] = first * cosines - second * sines
    turned[:, :, half:] = second * cosines + first * sines
    return turned


def _feed_forward(layer: Layer, x: Floats) -> Floats:
    both = x @ layer.gate_up
    inner = both.shape[1] // 2
    gate, up = both[:, :inner], both[:, inner:]
    damped = np.negative(gate)
    np.exp(damped, out=damped)
    damped += np.float32(1)
    np.divide(gate, damped, out=damped)
    damped *= up
    result: Floats = damped @ layer.down
    return result
