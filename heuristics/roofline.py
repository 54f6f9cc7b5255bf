"""Closed forms of the roofline: one linear layer, one decode step, and where they cross the ridge.

Source of the formulas: Williams, Waterman and Patterson, "Roofline" (2009), applied to y = Wx; the
corrections to the project's source note stand in ``docs/corrections.md``.
"""

from __future__ import annotations

from heuristics.model_shape import ModelShape

BYTES_BF16 = 2.0


def linear_flops(rows: int, columns: int, batch: float) -> float:
    """FLOPs of W[rows, columns] · X[columns, batch]: a multiplication and an addition each."""
    return 2.0 * rows * columns * batch


def linear_bytes(
    rows: int, columns: int, batch: float, weight_bytes: float = BYTES_BF16, activation_bytes: float = BYTES_BF16
) -> float:
    """Bytes that must move: the weights once, the input and the output once a column."""
    return weight_bytes * rows * columns + activation_bytes * batch * (rows + columns)


def linear_intensity(
    rows: int, columns: int, batch: float, weight_bytes: float = BYTES_BF16, activation_bytes: float = BYTES_BF16
) -> float:
    """FLOPs per byte; about 2·batch ÷ weight_bytes while the batch is small against both dimensions."""
    return linear_flops(rows, columns, batch) / linear_bytes(rows, columns, batch, weight_bytes, activation_bytes)


def crossover_batch(
    ridge_flops_per_byte: float,
    rows: int,
    columns: int,
    weight_bytes: float = BYTES_BF16,
    activation_bytes: float = BYTES_BF16,
) -> float | None:
    """The batch at which a linear layer's intensity equals the ridge; None if its activations never let it."""
    area = float(rows * columns)
    room = 2.0 * area - ridge_flops_per_byte * activation_bytes * (rows + columns)
    if room <= 0.0:
        return None
    return ridge_flops_per_byte * weight_bytes * area / room


def decode_flops(shape: ModelShape, streamed_parameters: float, batch: float, context_tokens: float) -> float:
    """FLOPs of one decode step of the whole batch: 2 a parameter, and QKᵀ and PV over each context."""
    return batch * (2.0 * streamed_parameters + _attention_flops_per_token(shape, context_tokens))


def decode_bytes(shape: ModelShape, streamed_parameters: float, batch: float, context_tokens: float) -> float:
    """Bytes of one decode step: the weights once, the KV cache once for every sequence."""
    weights = streamed_parameters * shape.weight_bits / 8.0
    return weights + batch * shape.kv_bytes_per_token() * context_tokens


def decode_intensity(shape: ModelShape, streamed_parameters: float, batch: float, context_tokens: float) -> float:
    """FLOPs per byte of a whole decode step; an average that hides compute-bound layers, use with care."""
    return decode_flops(shape, streamed_parameters, batch, context_tokens) / decode_bytes(
        shape, streamed_parameters, batch, context_tokens
    )


def decode_intensity_limit(shape: ModelShape, streamed_parameters: float, context_tokens: float) -> float:
    """What ``decode_intensity`` tends to as the batch grows: the weights vanish, the cache does not."""
    per_sequence = 2.0 * streamed_parameters + _attention_flops_per_token(shape, context_tokens)
    return per_sequence / (shape.kv_bytes_per_token() * context_tokens)


def context_where_cache_equals_weights(shape: ModelShape, streamed_parameters: float, batch: float) -> float:
    """Tokens of context at which a step reads as many cache bytes as weight bytes."""
    return streamed_parameters * shape.weight_bits / 8.0 / (batch * shape.kv_bytes_per_token())


def _attention_flops_per_token(shape: ModelShape, context_tokens: float) -> float:
    return 4.0 * shape.layers * shape.heads * shape.head_dim * context_tokens


def doubling_ratio(weight_bytes: float, kv_bytes_per_sequence: float, batch: float) -> float:
    """Throughput at twice the batch over throughput at ``batch``, for a step bound by bandwidth alone: 1 to 2."""
    before = weight_bytes + batch * kv_bytes_per_sequence
    after = weight_bytes + 2.0 * batch * kv_bytes_per_sequence
    return 2.0 * before / after
