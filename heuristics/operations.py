"""One step of a transformer, operation by operation: the FLOPs it takes and the bytes it must move.

Each operation has a roofline of its own: at large batch the projections may be bound by arithmetic while
attention over the cache stays bound by bandwidth. Sums over layers; figures are per device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from heuristics.errors import UnusableModel
from heuristics.model_shape import Experts, LatentAttention, ModelShape
from heuristics.roofs import Roofs
from heuristics.vocabulary import Cause, Share


class Phase(StrEnum):
    """What a step does: extend every sequence by one token, or take in whole prompts."""

    PREFILL = "prefill"
    DECODE = "decode"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One step's work.

    In decode each of ``batch`` sequences has ``context_tokens`` cached, in prefill it brings them.
    ``prefill_tokens`` are prompt tokens that share a decode step, as chunked prefill makes them.

    Of data parallelism a load is one replica's: its batch, not the job's. ``expert_parallel`` devices share the
    routed experts; where there are more of them than ``tensor_parallel``, they serve that many replicas alike.
    """

    phase: Phase = Phase.DECODE
    batch: float = 1.0
    context_tokens: float = 0.0
    prefill_tokens: float = 0.0
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    expert_parallel: int = 1

    def __post_init__(self) -> None:
        if self.batch <= 0 or self.context_tokens < 0 or self.tensor_parallel < 1:
            raise UnusableModel("batch and tensor_parallel must be positive, context_tokens not negative")
        if self.pipeline_parallel < 1 or self.expert_parallel < 1:
            raise UnusableModel("pipeline_parallel and expert_parallel must be positive")
        if self.phase is Phase.PREFILL and self.context_tokens <= 0:
            raise UnusableModel("a prefill step needs prompt tokens: give the context")

    @property
    def tokens(self) -> float:
        """Tokens that pass through the linear layers."""
        return self.batch * self.context_tokens if self.phase is Phase.PREFILL else self.batch + self.prefill_tokens

    @property
    def devices(self) -> int:
        """Devices that one replica runs on."""
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def expert_devices(self) -> int:
        """Devices over which a layer's routed experts are spread, whole or sliced."""
        return max(self.tensor_parallel, self.expert_parallel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """FLOPs and bytes of one kind of operation in one step, on one device."""

    name: str
    flops: float
    weight_bytes: float = 0.0
    kv_bytes: float = 0.0
    activation_bytes: float = 0.0

    @property
    def bytes(self) -> float:
        """All bytes that must move."""
        return self.weight_bytes + self.kv_bytes + self.activation_bytes

    @property
    def intensity_flops_per_byte(self) -> float:
        """FLOPs per byte moved."""
        return self.flops / self.bytes

    def roof_s(self, bandwidth_bytes_per_s: float, flops_per_s: float) -> float:
        """Time at whichever roof binds."""
        return max(self.bytes / bandwidth_bytes_per_s, self.flops / flops_per_s)

    def bound(self, ridge_flops_per_byte: float) -> Share:
        """Memory below the ridge, compute above it."""
        return Share.COMPUTE if self.intensity_flops_per_byte > ridge_flops_per_byte else Share.MEMORY

    @property
    def cause(self) -> Cause:
        """What its bytes mostly are."""
        parts = (
            (self.weight_bytes, Cause.WEIGHTS),
            (self.kv_bytes, Cause.KV_CACHE),
            (self.activation_bytes, Cause.ACTIVATIONS),
        )
        return max(parts, key=lambda part: part[0])[1]


def step_operations(shape: ModelShape, load: Load) -> tuple[Operation, ...]:
    """Every operation of one step, on one device: of a pipeline's stages the last, which has the head too.

    A stage takes its share of the layers, counted as a fraction: engines place what is left over differently.

    Raises:
        UnusableModel: tensor parallelism that the heads cannot be split by, or more stages than layers.
    """
    if shape.heads % load.tensor_parallel:
        raise UnusableModel(
            f"{shape.heads} attention heads cannot be split over {load.tensor_parallel} devices",
            hint=f"give a divisor of {shape.heads}",
        )
    if load.pipeline_parallel > shape.layers:
        raise UnusableModel(f"{shape.layers} layers cannot be split into {load.pipeline_parallel} stages")
    attention = _latent(shape, shape.latent_attention, load) if shape.latent_attention else _grouped(shape, load)
    layers = [*attention, *_feed_forward(shape, load), _norms(shape, load), _elementwise(shape, load)]
    found = [*(_share(op, load.pipeline_parallel) for op in layers), _head(shape, load)]
    return tuple(op for op in found if op.flops > 0 or op.bytes > 0)


def step_roof_s(operations: Sequence[Operation], roofs: Roofs, *, achievable: bool = False) -> float | None:
    """Sum over operations of the time at the binding roof; None where a roof is unknown."""
    if roofs.bandwidth_bytes_per_s is None or roofs.flops_per_s is None:
        return None
    bandwidth = roofs.bandwidth_bytes_per_s * (roofs.bandwidth_ceiling if achievable else 1.0)
    arithmetic = roofs.flops_per_s * (roofs.arithmetic_ceiling if achievable else 1.0)
    return sum(op.roof_s(bandwidth, arithmetic) for op in operations)


def _share(op: Operation, stages: int) -> Operation:
    """What one of a pipeline's stages does of an operation that is spread over the layers."""
    if stages == 1:
        return op
    return replace(
        op,
        flops=op.flops / stages,
        weight_bytes=op.weight_bytes / stages,
        kv_bytes=op.kv_bytes / stages,
        activation_bytes=op.activation_bytes / stages,
    )


def _linear(
    name: str, shape: ModelShape, tokens: float, inputs: float, outputs: float, layers: int, split: int
) -> Operation:
    weights = inputs * outputs / split
    moved = tokens * (inputs + outputs) / split
    return Operation(
        name=name,
        flops=2.0 * tokens * weights * layers,
        weight_bytes=weights * shape.weight_bits / 8.0 * layers,
        activation_bytes=moved * shape.activation_bits / 8.0 * layers,
    )


def _context_by_layer(shape: ModelShape, load: Load) -> tuple[float, float]:
    """Over all layers, windows applied: pairs of a new token and one it attends to, and tokens read a sequence.

    A token of decode attends to its context, one of a causal prompt of T tokens to T/2 on average, in a window
    of W to W − W²/2T. A prompt that shares a decode step counts as one as long as the mean context. Prefill
    reads every key at least once, whatever the window.
    """
    context = load.context_tokens
    whole = shape.cached_layers - shape.sliding_layers
    windows = ((whole, context), (shape.sliding_layers, shape.sliding_window or context))
    at_end = sum(layers * min(context, window) for layers, window in windows)
    on_average = sum(layers * _causal_mean(context, window) for layers, window in windows)
    if load.phase is Phase.PREFILL:
        return load.tokens * on_average, shape.cached_layers * context
    return load.batch * at_end + load.prefill_tokens * on_average, at_end


def _causal_mean(prompt: float, window: float) -> float:
    seen = min(prompt, window)
    return seen - seen**2 / (2.0 * prompt) if prompt else 0.0


def _grouped(shape: ModelShape, load: Load) -> list[Operation]:
    """Multi-head, grouped-query and multi-query attention; KV heads are copied when there are fewer than devices."""
    split = load.tensor_parallel
    tokens = load.tokens
    width = shape.heads * shape.head_dim
    kv_heads = max(1.0, shape.kv_heads / split) * split
    pairs, cached = _context_by_layer(shape, load)
    kv_per_token = 2.0 * max(1.0, shape.kv_heads / split) * shape.head_dim * shape.kv_bits / 8.0
    written = tokens * kv_per_token * shape.cached_layers
    read = load.batch * cached * kv_per_token
    return [
        _linear(
            "qkv projection",
            shape,
            tokens,
            shape.hidden_size,
            width + 2 * kv_heads * shape.head_dim,
            shape.layers,
            split,
        ),
        Operation(
            name="attention",
            flops=4.0 * (width / split) * pairs,
            kv_bytes=read + written,
            activation_bytes=2.0 * tokens * (width / split) * shape.activation_bits / 8.0 * shape.layers,
        ),
        _linear("output projection", shape, tokens, width, shape.hidden_size, shape.layers, split),
    ]


def _latent(shape: ModelShape, latent: LatentAttention, load: Load) -> list[Operation]:
    """Latent attention: absorbed in decode (scores against the compressed cache, which every device holds)."""
    split, tokens, layers = load.tensor_parallel, load.tokens, shape.layers
    query = latent.qk_nope_head_dim + latent.qk_rope_head_dim
    down_width = latent.kv_lora_rank + latent.qk_rope_head_dim
    pairs, cached = _context_by_layer(shape, load)
    if latent.q_lora_rank:
        queries = [
            _linear("query down projection", shape, tokens, shape.hidden_size, latent.q_lora_rank, layers, 1),
            _linear("query up projection", shape, tokens, latent.q_lora_rank, shape.heads * query, layers, split),
        ]
    else:
        queries = [_linear("query projection", shape, tokens, shape.hidden_size, shape.heads * query, layers, split)]
    up_width = shape.heads * (latent.qk_nope_head_dim + latent.v_head_dim)
    scored, gathered = (down_width, latent.kv_lora_rank) if load.phase is Phase.DECODE else (query, latent.v_head_dim)
    kv_per_token = down_width * shape.kv_bits / 8.0
    heads = shape.heads / split
    return [
        *queries,
        _linear("kv down projection", shape, tokens, shape.hidden_size, down_width, layers, 1),
        _linear("kv up projection", shape, tokens, latent.kv_lora_rank, up_width, layers, split),
        Operation(
            name="attention",
            flops=2.0 * (scored + gathered) * heads * pairs,
            kv_bytes=load.batch * cached * kv_per_token + tokens * kv_per_token * shape.cached_layers,
            activation_bytes=tokens * heads * (scored + gathered) * shape.activation_bits / 8.0 * layers,
        ),
        _linear("output projection", shape, tokens, shape.heads * latent.v_head_dim, shape.hidden_size, layers, split),
    ]


def _feed_forward(shape: ModelShape, load: Load) -> list[Operation]:
    found = []
    if shape.dense_layers > 0:
        found += _block("mlp", shape, load, shape.intermediate_size, shape.dense_layers)
    if shape.experts is not None:
        found += _experts(shape, shape.experts, load)
    return found


def _block(name: str, shape: ModelShape, load: Load, inner: int, layers: int) -> list[Operation]:
    """Up (with its gate) and down projections of a feed-forward block that every token passes."""
    into = 2 if shape.gated_mlp else 1
    tokens, split = load.tokens, load.tensor_parallel
    return [
        _linear(f"{name} up projection", shape, tokens, shape.hidden_size, into * inner, layers, split),
        _linear(f"{name} down projection", shape, tokens, inner, shape.hidden_size, layers, split),
    ]


def _experts(shape: ModelShape, experts: Experts, load: Load) -> list[Operation]:
    """Routed experts stream the expected number of distinct ones; shared experts are always read.

    Whole experts on their own devices and slices of every expert on all come to the same bytes a device, with
    uniform routing. Where experts span several replicas, the tokens of all choose among them.
    """
    tokens, devices = load.tokens, load.expert_devices
    routed = shape if experts.weight_bits is None else replace(shape, weight_bits=experts.weight_bits)
    one = _block(
        "routed experts", routed, Load(batch=1.0, tensor_parallel=devices), experts.intermediate_size, experts.layers
    )
    choosing = tokens * devices / load.tensor_parallel
    passes = choosing * experts.per_token
    distinct = experts.expected_distinct(choosing)
    found = [_linear("router", shape, tokens, shape.hidden_size, experts.count, experts.layers, 1)]
    found += [
        replace(
            op,
            flops=op.flops * passes,
            weight_bytes=op.weight_bytes * distinct,
            activation_bytes=op.activation_bytes * passes,
        )
        for op in one
    ]
    if experts.shared_intermediate_size:
        found += _block("shared experts", shape, load, experts.shared_intermediate_size, experts.layers)
    return found


def _norms(shape: ModelShape, load: Load) -> Operation:
    """Two a layer and one at the end: about five FLOPs an element, read and written once."""
    elements = load.tokens * shape.hidden_size * (2 * shape.layers + 1)
    return Operation(name="norms", flops=5.0 * elements, activation_bytes=2.0 * elements * shape.activation_bits / 8.0)


def _elementwise(shape: ModelShape, load: Load) -> Operation:
    """Two residual additions and the activation function a layer."""
    split = load.tensor_parallel
    inner = shape.intermediate_size * shape.dense_layers
    if shape.experts is not None:
        inner += shape.experts.layers * (
            shape.experts.per_token * shape.experts.intermediate_size + shape.experts.shared_intermediate_size
        )
    residual = 2.0 * load.tokens * shape.hidden_size * shape.layers
    activation = load.tokens * inner / split
    return Operation(
        name="elementwise",
        flops=residual + 4.0 * activation,
        activation_bytes=3.0 * (residual + activation) * shape.activation_bits / 8.0,
    )


def _head(shape: ModelShape, load: Load) -> Operation:
    """Logits of each sequence's last token; in prefill that is one token a prompt."""
    bits = shape.head_weight_bits or shape.weight_bits
    weights = shape.hidden_size * shape.vocab_size / load.tensor_parallel
    moved = load.batch * (shape.hidden_size + shape.vocab_size / load.tensor_parallel)
    return Operation(
        name="head",
        flops=2.0 * load.batch * weights,
        weight_bytes=weights * bits / 8.0,
        activation_bytes=moved * shape.activation_bits / 8.0,
    )
