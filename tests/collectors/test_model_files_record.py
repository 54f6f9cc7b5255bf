"""A shape through a record and back, and the shapes of well-known models."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.model_files import shape_from_record
from collectors.model_files.record import plain
from collectors.model_files.runtime import layer_parameters
from heuristics.errors import UnusableModel
from heuristics.model_shape import Experts, LatentAttention, ModelShape
from tests.heuristics.cases import LLAMA_8B
from tests.make.model_files import folder, record, view

SIZE = st.integers(1, 1 << 40)
BITS = st.floats(0.5, 64.0)


@st.composite
def shapes(draw: st.DrawFn) -> ModelShape:
    kv_heads, layers = draw(st.integers(1, 64)), draw(st.integers(2, 200))
    latent = st.builds(
        LatentAttention,
        kv_lora_rank=SIZE,
        qk_rope_head_dim=SIZE,
        qk_nope_head_dim=SIZE,
        v_head_dim=SIZE,
        q_lora_rank=st.none() | SIZE,
    )
    experts = st.builds(
        Experts,
        count=st.integers(8, 512),
        per_token=st.integers(1, 8),
        intermediate_size=SIZE,
        layers=st.integers(1, layers),
        shared_intermediate_size=st.integers(0, 1 << 20),
        weight_bits=st.none() | BITS,
    )
    return ModelShape(
        layers=layers,
        hidden_size=draw(SIZE),
        heads=kv_heads * draw(st.integers(1, 16)),
        kv_heads=kv_heads,
        head_dim=draw(SIZE),
        intermediate_size=draw(SIZE),
        vocab_size=draw(SIZE),
        gated_mlp=draw(st.booleans()),
        tied_embedding=draw(st.booleans()),
        latent_attention=draw(st.none() | latent),
        sliding_window=draw(st.none() | SIZE),
        sliding_layers=draw(st.integers(0, layers // 2)),
        uncached_layers=draw(st.integers(0, layers // 2 - 1)),
        experts=draw(st.none() | experts),
        weight_bits=draw(BITS),
        head_weight_bits=draw(st.none() | BITS),
        activation_bits=draw(BITS),
        kv_bits=draw(BITS),
        name=draw(st.none() | st.text(max_size=20)),
    )


@given(shapes())
def test_a_shape_comes_back_from_a_record_as_it_was(shape: ModelShape) -> None:
    assert shape_from_record(json.loads(json.dumps({"what": "model", "shape": plain(shape)}))) == shape


def test_fields_of_a_later_version_are_passed_over() -> None:
    stated = plain(LLAMA_8B) | {"of_tomorrow": [1], "experts": None}
    assert shape_from_record({"shape": stated, "more": 1}) == LLAMA_8B


@pytest.mark.parametrize(
    "change",
    [
        {"layers": "32"},
        {"layers": 32.5},
        {"layers": True},
        {"layers": -1},
        {"layers": None},
        {"weight_bits": float("nan")},
        {"weight_bits": float("inf")},
        {"weight_bits": 0},
        {"gated_mlp": 1},
        {"name": 7},
        {"experts": 8},
        {"experts": {"count": 8}},
        {"experts": {"count": 8, "per_token": 9, "intermediate_size": 1, "layers": 1}},
        {"experts": {"count": 8, "per_token": 2, "intermediate_size": 1, "layers": 99}},
        {"latent_attention": {"kv_lora_rank": [1]}},
        {"kv_heads": 7},
        {"uncached_layers": 32},
        {"sliding_layers": 33},
    ],
)
def test_a_record_without_a_sound_shape_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UnusableModel):
        shape_from_record({"shape": plain(LLAMA_8B) | change})


@pytest.mark.parametrize("record", [{}, {"shape": None}, {"shape": [1]}])
def test_a_record_without_a_shape_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(UnusableModel, match="no shape"):
        shape_from_record(record)


LLAMA_31_8B: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "torch_dtype": "bfloat16",
    "tie_word_embeddings": False,
}
QWEN3_30B_A3B: dict[str, Any] = {
    "model_type": "qwen3_moe",
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "moe_intermediate_size": 768,
    "num_hidden_layers": 48,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "vocab_size": 151936,
    "sliding_window": None,
    "use_sliding_window": False,
    "torch_dtype": "bfloat16",
}
DEEPSEEK_V3: dict[str, Any] = {
    "model_type": "deepseek_v3",
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "num_hidden_layers": 61,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "kv_lora_rank": 512,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "first_k_dense_replace": 3,
    "moe_layer_freq": 1,
    "vocab_size": 129280,
    "torch_dtype": "bfloat16",
    "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
}
GEMMA3_27B: dict[str, Any] = {
    "model_type": "gemma3",
    "text_config": {
        "model_type": "gemma3_text",
        "hidden_size": 5376,
        "intermediate_size": 21504,
        "num_hidden_layers": 62,
        "num_attention_heads": 32,
        "num_key_value_heads": 16,
        "head_dim": 128,
        "sliding_window": 1024,
        "sliding_window_pattern": 6,
        "vocab_size": 262208,
    },
    "vision_config": {"hidden_size": 1152},
    "torch_dtype": "bfloat16",
}
QWEN3_NEXT: dict[str, Any] = QWEN3_30B_A3B | {"full_attention_interval": 4, "num_key_value_heads": 2, "head_dim": 256}


@pytest.mark.parametrize(
    ("config", "flags", "kv_bytes", "layer_parameters_wanted"),
    [
        (LLAMA_31_8B, {}, 131_072, 8.03e9 - 2 * 128256 * 4096),
        (LLAMA_31_8B, {"kv_cache_dtype": "fp8"}, 65_536, 8.03e9 - 2 * 128256 * 4096),
        (LLAMA_31_8B, {"dtype": "float32"}, 262_144, 8.03e9 - 2 * 128256 * 4096),
        (QWEN3_30B_A3B, {}, 2 * 48 * 4 * 128 * 2, 30.5e9 - 2 * 151936 * 2048),
        (DEEPSEEK_V3, {}, 61 * 576 * 2, 671e9 - 2 * 129280 * 7168),
        (GEMMA3_27B, {}, 2 * 62 * 16 * 128 * 2, 27.0e9 - 262208 * 5376),
        (QWEN3_NEXT, {}, 2 * 12 * 2 * 256 * 2, None),
    ],
)
def test_well_known_models_have_their_published_figures(
    config: dict[str, Any],
    flags: dict[str, str],
    kv_bytes: float,
    layer_parameters_wanted: float | None,
    tmp_path: Path,
) -> None:
    folder(tmp_path / "known", config)
    shape = shape_from_record(record("/known", view(tmp_path), **flags))
    assert shape.kv_bytes_per_token() == kv_bytes
    if layer_parameters_wanted is not None:
        assert layer_parameters(shape) == pytest.approx(layer_parameters_wanted, rel=0.01)


def test_gemma_sees_a_window_in_five_layers_of_six(tmp_path: Path) -> None:
    folder(tmp_path / "known", GEMMA3_27B)
    shape = shape_from_record(record("/known", view(tmp_path)))
    assert (shape.sliding_window, shape.sliding_layers) == (1024, 52)


def test_a_shape_is_the_same_whatever_the_model_is_called(tmp_path: Path) -> None:
    folder(tmp_path / "one", LLAMA_31_8B)
    folder(tmp_path / "two", LLAMA_31_8B | {"_name_or_path": "/secret/place"})
    one, two = (shape_from_record(record(path, view(tmp_path))) for path in ("/one", "/two"))
    assert (one.name, two.name) == ("one", "two")
    assert replace(one, name="two") == two
