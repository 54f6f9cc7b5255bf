"""Models' configurations: many names for the same dimensions, and dimensions inside of others."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from collectors.model_config import shape_of
from heuristics.errors import UnusableModel
from heuristics.model_shape import Experts
from tests.make.configs import PLAIN, Config, shape


def of_mixture(**fields: Any) -> Experts | None:
    return shape(**fields).experts


# --- names


def test_a_plain_configuration_states_every_dimension() -> None:
    found = shape()
    assert (found.layers, found.hidden_size, found.heads, found.kv_heads) == (6, 512, 8, 2)
    assert (found.head_dim, found.intermediate_size, found.vocab_size) == (64, 1536, 32000)
    assert found.gated_mlp
    assert (found.weight_bits, found.activation_bits, found.kv_bits) == (16.0, 16.0, 16.0)
    assert found.kv_bytes_per_token() == 2 * 6 * 2 * 64 * 2


@pytest.mark.parametrize(
    ("usual", "other"),
    [
        ("hidden_size", "n_embd"),
        ("hidden_size", "d_model"),
        ("hidden_size", "dim"),
        ("num_hidden_layers", "n_layer"),
        ("num_hidden_layers", "num_layers"),
        ("num_hidden_layers", "n_layers"),
        ("num_attention_heads", "n_head"),
        ("num_attention_heads", "n_heads"),
        ("num_key_value_heads", "n_head_kv"),
        ("num_key_value_heads", "num_kv_heads"),
        ("num_key_value_heads", "multi_query_group_num"),
        ("intermediate_size", "n_inner"),
        ("intermediate_size", "ffn_dim"),
        ("intermediate_size", "ffn_hidden_size"),
        ("vocab_size", "padded_vocab_size"),
    ],
)
def test_the_same_dimension_under_another_name_is_the_same_model(usual: str, other: str) -> None:
    assert asdict(shape(**{usual: None, other: PLAIN[usual]})) == asdict(shape())


@pytest.mark.parametrize(
    "nest", ["text_config", "llm_config", "language_config", "thinker_config", "thinker_config/text_config"]
)
def test_the_decoder_inside_a_multimodal_model_is_the_model(nest: str) -> None:
    config: Config = PLAIN
    for name in reversed(nest.split("/")):
        config = {"model_type": "ours_vl", "hidden_size": 7, "vision_config": {"hidden_size": 9}, name: config}
    assert asdict(shape_of(config, "ours")) == asdict(shape_of(PLAIN, "ours"))


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"_name_or_path": "ours/tiny-7b"}, "tiny-7b"),
        ({"_name_or_path": "/models/tiny-7b/"}, "tiny-7b"),
        ({"_name_or_path": ""}, "llama"),
        ({"model_type": None}, "model"),
    ],
)
def test_a_model_is_named_by_the_last_part_of_what_it_states(fields: Config, name: str) -> None:
    assert shape(**fields).name == name


# --- heads


@pytest.mark.parametrize(
    ("fields", "kv_heads"),
    [
        ({"num_key_value_heads": None}, 8),
        ({"num_key_value_heads": 8}, 8),
        ({"num_key_value_heads": 1}, 1),
        ({"num_key_value_heads": None, "multi_query": True, "model_type": "gpt_bigcode"}, 1),
        ({"num_key_value_heads": None, "num_kv_heads": 8, "multi_query": True, "model_type": "falcon"}, 1),
        ({"num_key_value_heads": 2, "multi_query": True, "new_decoder_architecture": True}, 2),
    ],
)
def test_heads_of_the_cache_are_as_many_as_the_model_has(fields: Config, kv_heads: int) -> None:
    assert shape(**fields).kv_heads == kv_heads


@pytest.mark.parametrize(("fields", "width"), [({"head_dim": 128}, 128), ({"kv_channels": 96}, 96), ({}, 64)])
def test_the_width_of_a_head_may_be_its_own(fields: Config, width: int) -> None:
    assert shape(**fields).head_dim == width


def test_latent_attention_caches_one_narrow_vector_a_token() -> None:
    fields = {"kv_lora_rank": 128, "qk_rope_head_dim": 16, "qk_nope_head_dim": 32, "v_head_dim": 32}
    found = shape(**fields, q_lora_rank=None)
    assert found.latent_attention is not None
    assert asdict(found.latent_attention) == fields | {"q_lora_rank": None}
    assert found.kv_bytes_per_token() == 6 * (128 + 16) * 2


def test_latent_attention_without_its_widths_is_refused() -> None:
    with pytest.raises(UnusableModel, match="lacks qk_rope_head_dim"):
        shape(kv_lora_rank=128)


@pytest.mark.parametrize(
    ("fields", "window", "layers"),
    [
        ({}, None, 0),
        ({"sliding_window": None}, None, 0),
        ({"sliding_window": 4096}, 4096, 6),
        ({"sliding_window": 4096, "use_sliding_window": False}, None, 0),
        ({"sliding_window": 4096, "use_sliding_window": True, "max_window_layers": 4}, 4096, 2),
        ({"sliding_window": 128, "layer_types": ["sliding_attention", "full_attention"] * 3}, 128, 3),
        ({"sliding_window": 1024, "sliding_window_pattern": 6}, 1024, 5),
        ({"sliding_window": 4096, "model_type": "gemma2"}, 4096, 3),
    ],
)
def test_layers_that_see_a_window_are_counted(fields: Config, window: int | None, layers: int) -> None:
    found = shape(**fields)
    assert (found.sliding_window, found.sliding_layers) == (window, layers)


# --- feed-forward blocks


@pytest.mark.parametrize(
    ("kind", "gated"), [("llama", True), ("qwen3", True), ("gemma2", True), ("gpt2", False), ("opt", False)]
)
def test_old_models_have_two_matrices_and_no_gate(kind: str, gated: bool) -> None:
    assert shape(model_type=kind).gated_mlp is gated


def test_a_block_without_a_stated_width_is_four_times_as_wide() -> None:
    assert shape(intermediate_size=None).intermediate_size == 2048


@pytest.mark.parametrize(
    ("fields", "experts"),
    [
        ({}, None),
        ({"num_local_experts": 1, "num_experts_per_tok": 1}, None),
        (
            {"num_local_experts": 8, "num_experts_per_tok": 2},
            Experts(count=8, per_token=2, intermediate_size=1536, layers=6),
        ),
        (
            {"num_experts": 64, "num_experts_per_tok": 8, "moe_intermediate_size": 256, "mlp_only_layers": [0, 5]},
            Experts(count=64, per_token=8, intermediate_size=256, layers=4),
        ),
        (
            {"num_experts": 64, "num_experts_per_tok": 8, "moe_intermediate_size": 256, "decoder_sparse_step": 2},
            Experts(count=64, per_token=8, intermediate_size=256, layers=3),
        ),
        (
            {
                "n_routed_experts": 160,
                "num_experts_per_tok": 6,
                "moe_intermediate_size": 96,
                "n_shared_experts": 2,
                "first_k_dense_replace": 1,
                "moe_layer_freq": 1,
            },
            Experts(count=160, per_token=6, intermediate_size=96, layers=5, shared_intermediate_size=192),
        ),
        (
            {"num_experts": 60, "num_experts_per_tok": 4, "shared_expert_intermediate_size": 640},
            Experts(count=60, per_token=4, intermediate_size=1536, layers=6, shared_intermediate_size=640),
        ),
        (
            {"num_experts": 16, "moe_topk": 4, "moe_layer_freq": [0, 0, 1, 1, 1, 1]},
            Experts(count=16, per_token=4, intermediate_size=1536, layers=4),
        ),
    ],
)
def test_mixtures_state_their_experts_in_many_ways(fields: Config, experts: Experts | None) -> None:
    found = of_mixture(**fields)
    assert (found and asdict(found)) == (experts and asdict(experts))


def test_more_experts_a_token_than_there_are_is_refused() -> None:
    with pytest.raises(UnusableModel, match="9 of 8 experts a token"):
        shape(num_local_experts=8, num_experts_per_tok=9)


# --- bits


@pytest.mark.parametrize(
    ("fields", "bits"),
    [
        ({"torch_dtype": "float16"}, 16.0),
        ({"torch_dtype": "torch.float32"}, 32.0),
        ({"torch_dtype": None, "dtype": "float32"}, 32.0),
        ({"torch_dtype": None}, 16.0),
        ({"torch_dtype": "auto"}, 16.0),
    ],
)
def test_numbers_are_as_wide_as_the_type_says(fields: Config, bits: float) -> None:
    found = shape(**fields)
    assert (found.weight_bits, found.activation_bits, found.kv_bits) == (bits, bits, bits)


@pytest.mark.parametrize(
    ("quantisation", "bits"),
    [
        ({"quant_method": "gptq", "bits": 4}, 4.0),
        ({"quant_method": "gptq", "bits": 8}, 8.0),
        ({"quant_method": "awq", "w_bit": 4}, 4.0),
        ({"quant_method": "awq"}, 4.0),
        ({"quant_method": "fp8"}, 8.0),
        ({"quant_method": "mxfp4"}, 4.25),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 4.0),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, 8.0),
        ({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 8}}}}, 8.0),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, 8.0),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, 4.5),
        ({"quant_method": "of tomorrow"}, 16.0),
        ({"quant_method": "gptq", "bits": 4096}, 4.0),
        ("int4", 16.0),
    ],
)
def test_quantised_weights_are_narrower_and_the_rest_is_not(quantisation: object, bits: float) -> None:
    found = shape(quantization_config=quantisation)
    assert found.weight_bits == bits
    assert (found.activation_bits, found.kv_bits) == (16.0, 16.0)
    assert found.head_weight_bits == (16.0 if isinstance(quantisation, dict) else None)


@pytest.mark.parametrize(
    ("more", "bits"),
    [
        ({}, 16.0),
        ({"kv_cache_scheme": {"num_bits": 8, "type": "float"}}, 8.0),
        ({"kv_cache_scheme": None}, 16.0),
        ({"kv_cache_quant_algo": "FP8"}, 8.0),
    ],
)
def test_a_quantised_cache_is_one_that_the_checkpoint_has_scales_for(more: Config, bits: float) -> None:
    assert shape(quantization_config={"quant_method": "fp8"} | more).kv_bits == bits


@pytest.mark.parametrize(("stated", "tied"), [(True, True), (False, False), (None, False)])
def test_a_head_may_share_the_embedding(stated: bool | None, tied: bool) -> None:
    assert shape(tie_word_embeddings=stated).tied_embedding is tied


@pytest.mark.parametrize(
    ("kind", "tied"),
    [("gemma2", True), ("gemma3_text", True), ("cohere", True), ("gpt2", True), ("llama", False), ("mixtral", False)],
)
def test_where_nothing_is_said_the_type_tells_whether_the_head_is_the_embedding(kind: str, tied: bool) -> None:
    assert shape(model_type=kind).tied_embedding is tied
    assert shape(model_type=kind, tie_word_embeddings=not tied).tied_embedding is not tied
