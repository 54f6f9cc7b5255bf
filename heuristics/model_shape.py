"""The shape of a transformer, as far as bytes and FLOPs depend on it."""

from __future__ import annotations

from dataclasses import dataclass

from heuristics.errors import UnusableModel


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentAttention:
    """Multi-head latent attention (DeepSeek): one compressed vector a token replaces keys and values."""

    kv_lora_rank: int
    qk_rope_head_dim: int
    qk_nope_head_dim: int
    v_head_dim: int
    q_lora_rank: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """A mixture of experts in ``layers`` of the model's layers.

    ``weight_bits`` are those of the routed experts where they differ from the other layers': many checkpoints
    narrow the experts alone.
    """

    count: int
    per_token: int
    intermediate_size: int
    layers: int
    shared_intermediate_size: int = 0
    weight_bits: float | None = None

    def expected_distinct(self, tokens: float) -> float:
        """Distinct experts that ``tokens`` uniformly routed tokens touch: E(1 − (1 − k/E)^tokens)."""
        untouched: float = (1.0 - self.per_token / self.count) ** tokens
        return self.count * (1.0 - untouched)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """Dimensions of a decoder, and how many bits its weights, activations and cache take.

    ``gated_mlp`` models have three matrices in the feed-forward block, others two. ``sliding_layers`` of
    the layers see at most ``sliding_window`` tokens; ``uncached_layers`` of them keep a state of fixed size in
    place of keys and values (linear attention, state spaces). A tied head shares the embedding's matrix, which
    is then streamed once as the head; an untied embedding is a row gather and is not streamed.
    """

    layers: int
    hidden_size: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    gated_mlp: bool = True
    tied_embedding: bool = False
    latent_attention: LatentAttention | None = None
    sliding_window: int | None = None
    sliding_layers: int = 0
    uncached_layers: int = 0
    experts: Experts | None = None
    weight_bits: float = 16.0
    head_weight_bits: float | None = None
    activation_bits: float = 16.0
    kv_bits: float = 16.0
    name: str | None = None

    def __post_init__(self) -> None:
        positive = {
            "layers": self.layers,
            "hidden_size": self.hidden_size,
            "heads": self.heads,
            "kv_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "vocab_size": self.vocab_size,
        }
        for field, value in positive.items():
            if value <= 0:
                raise UnusableModel(f"{field} must be positive, not {value}")
        if self.heads % self.kv_heads:
            raise UnusableModel(
                f"{self.heads} attention heads cannot share {self.kv_heads} KV heads evenly",
                hint="the number of heads is a multiple of that of KV heads",
            )
        if self.experts is not None and not 0 < self.experts.per_token <= self.experts.count:
            raise UnusableModel(f"{self.experts.per_token} of {self.experts.count} experts a token")
        if self.dense_layers < 0:
            raise UnusableModel(f"experts in more than the {self.layers} layers there are")
        if not 0 <= self.uncached_layers < self.layers:
            raise UnusableModel(f"{self.uncached_layers} of {self.layers} layers keep no cache: is this a transformer?")
        if not 0 <= self.sliding_layers <= self.cached_layers:
            raise UnusableModel(
                f"{self.sliding_layers} layers with a window and {self.uncached_layers} without a cache, "
                f"of {self.layers} layers"
            )

    @property
    def cached_layers(self) -> int:
        """Layers that cache every token, or those of a window."""
        return self.layers - self.uncached_layers

    @property
    def dense_layers(self) -> int:
        """Layers whose feed-forward block is not a mixture."""
        return self.layers - (self.experts.layers if self.experts else 0)

    def kv_bytes_per_token(self) -> float:
        """Bytes one token adds to the cache of L layers: 2·L·h_kv·d·b, or L·(rank + rope)·b with latent attention."""
        if self.latent_attention is not None:
            width = self.latent_attention.kv_lora_rank + self.latent_attention.qk_rope_head_dim
            return self.cached_layers * width * self.kv_bits / 8.0
        return 2.0 * self.cached_layers * self.kv_heads * self.head_dim * self.kv_bits / 8.0
