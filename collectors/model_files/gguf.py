"""The shape of a model and its stored bytes from a GGUF, or from the parts of one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collectors.model_config import MOST
from collectors.model_files.gguf_header import Header, Tensor, read_header
from collectors.model_files.view import CannotRead, ProcessView
from heuristics.model_shape import Experts, LatentAttention, ModelShape

_BLOCK = re.compile(r"blk\.(\d{1,5})\.(.+)")
_ROUTED = re.compile(r"ffn_(gate|up|down|gate_up)_exps\b|ffn_(gate|up|down)\.\d+\.")
_STATE = re.compile(r"ssm_|shortconv\.|time_mix_")
_KEYS = re.compile(r"attn_(k|kv_a_mqa|kv_b|k_b)\.weight")

_WINDOW_EVERY = {"gemma2": 2, "gemma3": 6, "gemma3n": 5, "gpt-oss": 2, "cohere2": 4, "exaone4": 4, "olmo2": 4}
"""Architectures whose windows the engine knows without being told: one layer in so many sees everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufModel:
    """A model as a GGUF states it: its shape, all bytes and parameters, and the name it gives itself."""

    shape: ModelShape
    bytes: int
    parameters: int
    title: str | None
    warnings: tuple[str, ...] = ()


def read_gguf(parts: Sequence[str], view: ProcessView) -> GgufModel:
    """The model in one GGUF or in all parts of a split one.

    Raises:
        CannotRead: a part is absent or damaged, or no shape can be told.
        UnusableModel: its dimensions contradict each other.
    """
    headers = [read_header(view.file(part), part.rsplit("/", 1)[-1]) for part in parts]
    fields = _Fields(headers[0])
    tensors = [tensor for header in headers for tensor in header.tensors]
    warnings: list[str] = []
    stated = headers[0].fields.get("split.count")
    if isinstance(stated, int) and stated > len(parts):
        warnings.append(f"the model is split into {stated} files and {len(parts)} were read: bytes are too few")
    title = headers[0].fields.get("general.name")
    return GgufModel(
        shape=_shape(fields, tensors, warnings),
        bytes=sum(t.bytes for t in tensors),
        parameters=sum(t.elements for t in tensors),
        title=title if isinstance(title, str) and title.strip() else None,
        warnings=tuple(warnings),
    )


@dataclass(frozen=True, slots=True)
class _Fields:
    """An architecture's own fields, which may state a number for every layer in place of one."""

    header: Header

    @property
    def architecture(self) -> str:
        return str(self.header.fields.get("general.architecture", ""))

    def get(self, name: str) -> Any:
        return self.header.fields.get(f"{self.architecture}.{name}")

    def each(self, name: str) -> list[int]:
        """The numbers stated, one of all layers or one a layer."""
        value = self.get(name)
        values = value if isinstance(value, list) else [value]
        return [int(v) for v in values if isinstance(v, int) and 0 <= v < MOST]

    def whole(self, name: str) -> int | None:
        """The number, and of several the largest; None where it is absent or zero."""
        return max(self.each(name), default=0) or None

    def needed(self, name: str) -> int:
        found = self.whole(name)
        if found is None:
            raise CannotRead(f"the GGUF does not state {self.architecture or 'an architecture'}.{name}")
        return found


def _shape(fields: _Fields, tensors: Sequence[Tensor], warnings: list[str]) -> ModelShape:
    layers = fields.needed("block_count") - (fields.whole("nextn_predict_layers") or 0)
    hidden = fields.needed("embedding_length")
    heads = fields.needed("attention.head_count")
    inner = [width for width in fields.each("feed_forward_length") if width]
    blocks = _blocks(tensors, layers)
    named = {t.name: t for t in tensors}
    routed = [t for of in blocks.values() for name, t in of.items() if _ROUTED.match(name)]
    dense = [t for of in blocks.values() for name, t in of.items() if not _ROUTED.match(name)]
    head = named.get("output.weight") or named.get("token_embd.weight")
    bits = _bits(dense) or _bits(routed)
    if bits is None or head is None:
        raise CannotRead("the GGUF holds no decoder's weights")
    if len(set(fields.each("attention.head_count"))) > 1 or len(set(inner)) > 1:
        warnings.append("layers differ in heads or width: the widest stands for all")
    uncached = _uncached(fields, blocks, layers)
    window, sliding = _window(fields, layers - uncached)
    return ModelShape(
        layers=layers,
        hidden_size=hidden,
        heads=heads,
        kv_heads=fields.whole("attention.head_count_kv") or heads,
        head_dim=_head_dim(fields, hidden // heads),
        intermediate_size=max(inner, default=0) or 4 * hidden,
        vocab_size=_vocabulary(fields, named),
        gated_mlp=_gated(blocks, max(inner, default=0)),
        tied_embedding="output.weight" not in named,
        latent_attention=_latent(fields),
        sliding_window=window,
        sliding_layers=sliding,
        uncached_layers=uncached,
        experts=_experts(fields, blocks, layers, max(inner, default=0), _bits(routed)),
        weight_bits=bits,
        head_weight_bits=_bits([head]),
        activation_bits=32.0 if bits >= 32.0 else 16.0,
        kv_bits=16.0,
    )


def _blocks(tensors: Iterable[Tensor], layers: int) -> Mapping[int, Mapping[str, Tensor]]:
    """Tensors by layer and by their name within it; what lies beyond the layers drafts tokens."""
    found: dict[int, dict[str, Tensor]] = {}
    for tensor in tensors:
        matched = _BLOCK.fullmatch(tensor.name)
        if matched is not None and int(matched[1]) < layers:
            found.setdefault(int(matched[1]), {})[matched[2]] = tensor
    return found


def _bits(tensors: Iterable[Tensor]) -> float | None:
    """Mean bits of a weight in matrices; vectors are few."""
    matrices = [t for t in tensors if len(t.dimensions) > 1]
    elements = sum(t.elements for t in matrices)
    return 8.0 * sum(t.bytes for t in matrices) / elements if elements else None


def _head_dim(fields: _Fields, otherwise: int) -> int:
    """Width of a head; the mean where keys and values differ, so that the cache's bytes are right."""
    key = fields.whole("attention.key_length") or otherwise
    return (key + (fields.whole("attention.value_length") or key)) // 2


def _vocabulary(fields: _Fields, named: Mapping[str, Tensor]) -> int:
    """Rows of the embedding; the vocabulary itself is not read."""
    embedding = named.get("token_embd.weight") or named.get("output.weight")
    if embedding is not None and len(embedding.dimensions) > 1:
        return embedding.dimensions[1]
    return fields.whole("vocab_size") or fields.header.lengths.get("tokenizer.ggml.tokens", 0)


def _gated(blocks: Mapping[int, Mapping[str, Tensor]], inner: int) -> bool:
    """A gate has a matrix of its own, or shares one that is twice as wide."""
    for of in blocks.values():
        if any(name.startswith(("ffn_gate.", "ffn_gate_exps.", "ffn_gate_up_exps.")) for name in of):
            return True
        up = of.get("ffn_up.weight")
        if up is not None:
            return inner > 0 and len(up.dimensions) > 1 and up.dimensions[1] == 2 * inner
    return True


def _latent(fields: _Fields) -> LatentAttention | None:
    """Latent attention, where the file was made for it; older ones cache whole keys and values."""
    rank, key, value = (fields.whole(f"attention.{n}") for n in ("kv_lora_rank", "key_length_mla", "value_length_mla"))
    rope = fields.whole("rope.dimension_count")
    if rank is None or key is None or value is None or rope is None or rope >= key:
        return None
    return LatentAttention(
        kv_lora_rank=rank,
        qk_rope_head_dim=rope,
        qk_nope_head_dim=key - rope,
        v_head_dim=value,
        q_lora_rank=fields.whole("attention.q_lora_rank"),
    )


def _uncached(fields: _Fields, blocks: Mapping[int, Mapping[str, Tensor]], layers: int) -> int:
    """Layers without keys: by zero heads for them, or by a state's tensors in their place."""
    heads = fields.each("attention.head_count_kv")
    if len(heads) > 1 and 0 in heads:
        return min(layers, heads[:layers].count(0))
    stateful = (of for of in blocks.values() if any(_STATE.match(n) for n in of))
    return sum(1 for of in stateful if not any(_KEYS.match(n) for n in of))


def _window(fields: _Fields, cached: int) -> tuple[int | None, int]:
    """Tokens that layers with a window see, and how many layers have one."""
    window = fields.whole("attention.sliding_window")
    if window is None:
        return None, 0
    pattern = fields.get("attention.sliding_window_pattern")
    if isinstance(pattern, list):
        return window, min(cached, sum(1 for marked in pattern if marked))
    every = pattern if isinstance(pattern, int) and pattern > 0 else _WINDOW_EVERY.get(fields.architecture)
    return (window, cached - cached // every) if every is not None else (None, 0)


def _experts(
    fields: _Fields, blocks: Mapping[int, Mapping[str, Tensor]], layers: int, dense: int, bits: float | None
) -> Experts | None:
    count, used = fields.whole("expert_count"), fields.whole("expert_used_count")
    if count is None or used is None or count < 2:
        return None
    inner = fields.whole("expert_feed_forward_length") or dense
    mixed = sum(1 for of in blocks.values() if any(_ROUTED.match(name) for name in of))
    shared = fields.whole("expert_shared_feed_forward_length") or (fields.whole("expert_shared_count") or 0) * inner
    return Experts(
        count=count,
        per_token=used,
        intermediate_size=inner,
        layers=mixed or max(1, layers - (fields.whole("leading_dense_block_count") or 0)),
        shared_intermediate_size=shared,
        weight_bits=bits,
    )
