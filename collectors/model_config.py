"""Reader of a model's config.json (Hugging Face): its many names for the same dimensions, and their nesting."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from heuristics.errors import UnusableModel
from heuristics.model_shape import Experts, LatentAttention, ModelShape

NESTED = ("text_config", "llm_config", "language_config", "thinker_config")
"""Where multimodal models keep their decoder's dimensions."""

_LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_HIDDEN = ("hidden_size", "n_embd", "d_model", "dim")
_HEADS = ("num_attention_heads", "n_head", "num_heads", "n_heads")
_KV_HEADS = ("num_key_value_heads", "n_head_kv", "num_kv_heads", "multi_query_group_num", "num_attention_groups")
_HEAD_DIM = ("head_dim", "hidden_size_per_head", "kv_channels")
_INNER = ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "hidden_dim")
_EXPERTS = ("num_experts", "moe_num_experts", "n_routed_experts", "num_local_experts")
_PER_TOKEN = ("num_experts_per_tok", "num_experts_per_token", "top_k_experts", "moe_topk", "moe_top_k", "top_k")
_SHARED = ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts")

_BITS = {"float32": 32.0, "float16": 16.0, "bfloat16": 16.0, "float8_e4m3fn": 8.0, "float64": 64.0}
_METHOD_BITS = {
    "fp8": 8.0,
    "modelopt": 8.0,
    "fbgemm_fp8": 8.0,
    "awq": 4.0,
    "gptq": 4.0,
    "mxfp4": 4.25,
    "modelopt_fp4": 4.5,
}

_TIED = ("gpt2", "gpt_neo", "gpt_bigcode", "opt", "bloom", "falcon", "mpt", "starcoder2")
_TIED_FAMILIES = ("gemma", "cohere")
"""Model types whose head is the embedding unless their configuration says otherwise."""

MOST = 1 << 40
"""More of anything than a model has."""

LONGEST_FILE_BYTES = 1 << 24
"""Configurations take kilobytes; who gives the weights themselves should not wait for them to be read."""

_WEIGHTS: tuple[tuple[Callable[[bytes], bool], str], ...] = (
    (lambda c: c.startswith(b"GGUF"), "a GGUF file"),
    (lambda c: c[8:10] == b'{"' and not c.startswith(b"{"), "a safetensors file of weights"),
    (lambda c: c.startswith((b"PK\x03\x04", b"\x80\x02")), "a PyTorch file of weights"),
)
_BESIDE = "give the config.json of the model it holds or was made from"

_PLAIN_MLP = (
    "gpt2",
    "gpt_neox",
    "opt",
    "bloom",
    "falcon",
    "gptj",
    "gpt_bigcode",
    "mpt",
    "phi",
    "starcoder2",
    "codegen",
    "nemotron",
    "persimmon",
    "gpt_neo",
)
"""Model types whose feed-forward block has two matrices and no gate."""


def read(path: str) -> ModelShape:
    """The shape in a config.json, or in the folder that holds one.

    Raises:
        UnusableModel: no such file, not JSON, or without the dimensions that the arithmetic needs.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "config.json"
    try:
        with file.open("rb") as stream:
            content = stream.read(LONGEST_FILE_BYTES)
    except (OSError, ValueError) as error:
        raise UnusableModel(
            f"{path}: no config.json to read ({getattr(error, 'strerror', None) or error})",
            hint="give the model's config.json or its folder",
        ) from error
    found = parsed(content, path)
    try:
        return shape_of(found, name=file.resolve().parent.name if file.name == "config.json" else file.stem)
    except UnusableModel as error:
        raise UnusableModel(f"{path}: {error}", hint=error.hint) from error


def parsed(content: bytes, path: str) -> dict[str, Any]:
    """A configuration's fields; ``path`` is what messages call the file.

    Raises:
        UnusableModel: the file is no configuration, and what it is instead.
    """
    weights = next((said for mark, said in _WEIGHTS if mark(content)), None)
    if weights is not None:
        raise UnusableModel(f"{path}: {weights}, from which no shape is read", hint=_BESIDE)
    if not content.strip():
        raise UnusableModel(f"{path}: empty, not a config.json", hint="give the model's config.json")
    try:
        found = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UnusableModel(f"{path}: not a config.json, but binary", hint="give the model's config.json") from error
    except (ValueError, RecursionError) as error:
        raise UnusableModel(f"{path}: not JSON: {error}", hint="give the model's config.json") from error
    if not isinstance(found, dict):
        raise UnusableModel(f"{path}: not a model's configuration", hint="give the model's config.json")
    return found


def shape_of(config: Mapping[str, Any], name: str | None = None) -> ModelShape:
    """The shape of a configuration already parsed.

    Raises:
        UnusableModel: a needed dimension is missing or is no number.
    """
    fields = _flattened(config)
    hidden = _needed(fields, _HIDDEN)
    heads = _needed(fields, _HEADS)
    layers = _needed(fields, _LAYERS)
    intermediate = _whole(fields, _INNER) or 4 * hidden
    activation_bits = _dtype_bits(fields)
    weight_bits, head_bits = _weight_bits(fields, activation_bits)
    uncached = _uncached_layers(fields, layers)
    return ModelShape(
        name=_name(config, name),
        layers=layers,
        hidden_size=hidden,
        heads=heads,
        kv_heads=_kv_heads(fields, heads),
        head_dim=_whole(fields, _HEAD_DIM) or hidden // heads,
        intermediate_size=intermediate,
        vocab_size=_needed(fields, ("vocab_size", "padded_vocab_size")),
        gated_mlp=str(fields.get("model_type", "")) not in _PLAIN_MLP,
        tied_embedding=_tied(fields),
        latent_attention=_latent(fields),
        sliding_window=_window(fields),
        sliding_layers=min(_sliding_layers(fields, layers), layers - uncached),
        uncached_layers=uncached,
        experts=_experts(fields, layers, intermediate),
        weight_bits=weight_bits,
        head_weight_bits=head_bits,
        activation_bits=activation_bits,
        kv_bits=_kv_bits(fields, activation_bits),
    )


def _tied(fields: Mapping[str, Any]) -> bool:
    """As stated, else as the model's type has it: files leave out what is the type's default."""
    stated = fields.get("tie_word_embeddings")
    kind = str(fields.get("model_type", ""))
    return kind in _TIED or kind.startswith(_TIED_FAMILIES) if stated is None else bool(stated)


def _flattened(config: Mapping[str, Any]) -> dict[str, Any]:
    """The decoder's fields over the whole model's."""
    fields = dict(config)
    for _ in NESTED:
        inner = next((fields.pop(k) for k in NESTED if isinstance(fields.get(k), dict)), None)
        fields.update(inner or {})
    return fields


def _name(config: Mapping[str, Any], name: str | None) -> str:
    stated = str(config.get("_name_or_path") or name or config.get("model_type") or "")
    return stated.rstrip("/").rsplit("/", 1)[-1] or "model"


def _kv_heads(fields: Mapping[str, Any], heads: int) -> int:
    """One where all heads share them, which older Falcon states beside a number that does not count."""
    if fields.get("multi_query") and not fields.get("new_decoder_architecture"):
        return 1
    return _whole(fields, _KV_HEADS) or heads


def _whole(fields: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """The first of the names that holds a positive whole number."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < MOST:
            return value
    return None


def _needed(fields: Mapping[str, Any], names: tuple[str, ...]) -> int:
    found = _whole(fields, names)
    if found is None:
        stated = next((name for name in names if fields.get(name) is not None), None)
        wrong = f"lacks {names[0]}"
        if stated is not None:
            wrong = f"states {stated} as {str(fields[stated])[:40]!r}, which is no whole number above 0"
        raise UnusableModel(f"the model's configuration {wrong}", hint="is this the decoder's config.json?")
    return found


def _dtype_bits(fields: Mapping[str, Any]) -> float:
    stated = str(fields.get("dtype") or fields.get("torch_dtype") or "bfloat16").removeprefix("torch.")
    return _BITS.get(stated, 16.0)


def states_dtype(config: Mapping[str, Any]) -> bool:
    """The configuration says in which type its numbers are, as older ones do not."""
    fields = _flattened(config)
    return bool(fields.get("dtype") or fields.get("torch_dtype"))


def _weight_bits(fields: Mapping[str, Any], plain: float) -> tuple[float, float | None]:
    """(bits of the layers' weights, bits of the head's); quantised models leave the head alone."""
    quantisation = fields.get("quantization_config")
    if not isinstance(quantisation, dict):
        return plain, None
    return _stated_bits(quantisation) or _METHOD_BITS.get(_method(quantisation), plain), plain


def _kv_bits(fields: Mapping[str, Any], plain: float) -> float:
    """Bits of a cached number, where the checkpoint brings scales for a quantised cache."""
    quantisation = fields.get("quantization_config")
    if not isinstance(quantisation, dict):
        return plain
    scheme = quantisation.get("kv_cache_scheme")
    stated = _whole(scheme, ("num_bits",)) if isinstance(scheme, dict) else None
    if stated is None and "fp8" in str(quantisation.get("kv_cache_quant_algo", "")).lower():
        return 8.0
    return plain if stated is None or stated > 32 else float(stated)


def _method(quantisation: Mapping[str, Any]) -> str:
    algorithm = str(quantisation.get("quant_algo", "")).lower()
    return "modelopt_fp4" if "fp4" in algorithm else str(quantisation.get("quant_method", "")).lower()


def _stated_bits(quantisation: Mapping[str, Any]) -> float | None:
    """Bits of a weight as the configuration states them: bitsandbytes' flags, one number, or a number a group."""
    if quantisation.get("load_in_4bit") or quantisation.get("_load_in_4bit"):
        return 4.0
    if quantisation.get("load_in_8bit") or quantisation.get("_load_in_8bit"):
        return 8.0
    bits = _whole(quantisation, ("bits", "w_bit"))
    groups = quantisation.get("config_groups")
    if bits is None and isinstance(groups, dict):
        weights = [g.get("weights") for g in groups.values() if isinstance(g, dict)]
        stated = [_whole(w, ("num_bits",)) for w in weights if isinstance(w, dict)]
        bits = min((b for b in stated if b is not None), default=None)
    return None if bits is None or bits > 32 else float(bits)


def _latent(fields: Mapping[str, Any]) -> LatentAttention | None:
    rank = _whole(fields, ("kv_lora_rank",))
    if rank is None:
        return None
    return LatentAttention(
        kv_lora_rank=rank,
        qk_rope_head_dim=_needed(fields, ("qk_rope_head_dim",)),
        qk_nope_head_dim=_needed(fields, ("qk_nope_head_dim",)),
        v_head_dim=_needed(fields, ("v_head_dim",)),
        q_lora_rank=_whole(fields, ("q_lora_rank",)),
    )


def _window(fields: Mapping[str, Any]) -> int | None:
    if fields.get("use_sliding_window") is False:
        return None
    return _whole(fields, ("sliding_window",))


def _sliding_layers(fields: Mapping[str, Any], layers: int) -> int:
    """Layers marked as sliding; all of them where there is a window and nothing says which."""
    if _window(fields) is None:
        return 0
    kinds = fields.get("layer_types")
    if isinstance(kinds, list):
        return min(layers, sum(1 for kind in kinds if kind == "sliding_attention"))
    every = _whole(fields, ("sliding_window_pattern", "_sliding_window_pattern"))
    if every is None and str(fields.get("model_type", "")).startswith("gemma2"):
        every = 2
    if every is not None:
        return layers - layers // every
    from_layer = _whole(fields, ("max_window_layers",)) if fields.get("use_sliding_window") else None
    return max(0, layers - (from_layer or 0))


_STATEFUL = ("linear_attention", "mamba", "mamba2", "conv", "recurrent", "gated_deltanet", "deltanet")
"""Kinds of layers that keep a state of fixed size and cache no tokens."""


def _uncached_layers(fields: Mapping[str, Any], layers: int) -> int:
    """Layers without keys and values: marked one by one, or all but one in each period."""
    kinds = next((fields[k] for k in ("layer_types", "layers_block_type") if isinstance(fields.get(k), list)), None)
    if kinds is not None:
        return min(layers, sum(1 for kind in kinds if kind in _STATEFUL))
    pattern = fields.get("hybrid_override_pattern")
    if isinstance(pattern, str) and "*" in pattern:
        return max(0, layers - pattern.count("*"))
    every = _whole(fields, ("full_attention_interval", "attn_layer_period"))
    return layers - max(1, layers // every) if every is not None else 0


def _experts(fields: Mapping[str, Any], layers: int, intermediate: int) -> Experts | None:
    count, per_token = _whole(fields, _EXPERTS), _whole(fields, _PER_TOKEN)
    if count is None or per_token is None or count < 2:
        return None
    inner = _whole(fields, ("moe_intermediate_size",)) or intermediate
    dense = _whole(fields, ("first_k_dense_replace",)) or 0
    listed = fields.get("mlp_only_layers")
    dense += len(listed) if isinstance(listed, list) else 0
    marked = fields.get("moe_layer_freq")
    if isinstance(marked, list):
        dense = sum(not mark for mark in marked)
    every = _whole(fields, ("decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_freq")) or 1
    shared = _whole(fields, ("shared_expert_intermediate_size",)) or (_whole(fields, _SHARED) or 0) * inner
    return Experts(
        count=count,
        per_token=per_token,
        intermediate_size=inner,
        layers=max(1, (layers - dense) // every),
        shared_intermediate_size=shared,
    )
