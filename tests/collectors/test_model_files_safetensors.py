"""Bits of a model as its safetensors files store them and as an engine's flags make them run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collectors.model_files.runtime import layer_parameters
from collectors.model_files.safetensors import Part, part_of
from tests.make.configs import shape
from tests.make.model_files import LAYER_PARAMETERS, config, folder, llama, record, view


def bits(found: Any) -> tuple[float, float, float, float]:
    """(layers' weights, head, activations, cache)."""
    of = found["shape"]
    return of["weight_bits"], of.get("head_weight_bits", of["weight_bits"]), of["activation_bits"], of["kv_bits"]


@pytest.mark.parametrize("shards", [1, 3])
def test_bytes_and_parameters_are_summed_over_all_files(shards: int, tmp_path: Path) -> None:
    folder(tmp_path / "tiny", tensors=llama(), shards=shards)
    found = record("/tiny", view(tmp_path))
    parameters = 2 * LAYER_PARAMETERS + 2 * 50 * 64 + 64
    assert (found["parameters"], found["stored_bytes"]) == (parameters, 2 * parameters)
    assert bits(found) == (16.0, 16.0, 16.0, 16.0)
    assert "warnings" not in found


def test_parameters_of_layers_are_those_the_shape_describes() -> None:
    described = shape(hidden_size=64, intermediate_size=96, num_hidden_layers=2, vocab_size=50)
    assert layer_parameters(described) == 2 * LAYER_PARAMETERS


@pytest.mark.parametrize(
    ("tensor", "part"),
    [
        ("model.embed_tokens.weight", Part.EMBEDDING),
        ("transformer.wte.weight", Part.EMBEDDING),
        ("language_model.model.embed_tokens.weight", Part.EMBEDDING),
        ("lm_head.weight", Part.HEAD),
        ("language_model.lm_head.weight", Part.HEAD),
        ("output.weight", Part.HEAD),
        ("model.layers.1.mlp.experts.17.down_proj.weight", Part.ROUTED),
        ("model.layers.1.mlp.experts.gate_up_proj_blocks", Part.ROUTED),
        ("model.layers.1.block_sparse_moe.experts.3.w1.weight", Part.ROUTED),
        ("model.layers.1.mlp.shared_experts.up_proj.weight", Part.SHARED),
        ("model.layers.1.mlp.shared_expert_gate.weight", Part.SHARED),
        ("model.layers.1.mlp.gate.weight", Part.LAYERS),
        ("model.layers.1.self_attn.o_proj.weight", Part.LAYERS),
        ("model.norm.weight", Part.LAYERS),
        ("visual.blocks.40.attn.qkv.weight", Part.VISION),
        ("model.visual.merger.mlp.0.weight", Part.VISION),
        ("vision_tower.vision_model.encoder.layers.3.self_attn.q_proj.weight", Part.VISION),
        ("multi_modal_projector.linear_1.weight", Part.VISION),
        ("model.layers.2.self_attn.q_proj.weight", Part.DRAFT),
        ("model.layers.2.mlp.experts.1.up_proj.weight", Part.DRAFT),
        ("mtp.fc.weight", Part.DRAFT),
    ],
)
def test_names_tell_what_a_tensor_is_for(tensor: str, part: Part) -> None:
    assert part_of(tensor, layers=2) is part


def test_vision_and_drafting_layers_are_stored_and_not_streamed(tmp_path: Path) -> None:
    plain = folder(tmp_path / "plain", tensors=llama())
    more = {"visual.blocks.0.attn.qkv.weight": ("F32", (64, 64)), "mtp.fc.weight": ("F32", (64, 64))}
    folder(tmp_path / "more", tensors=llama() | more)
    one, other = record("/plain", view(tmp_path)), record("/more", view(tmp_path))
    assert other["stored_bytes"] - one["stored_bytes"] == 2 * 4 * 64 * 64
    assert other["shape"] == one["shape"] | {"name": "more"}
    assert plain.name == "plain"


def test_a_head_that_is_not_stored_is_the_embedding_s(tmp_path: Path) -> None:
    tensors = llama("F8_E4M3", head=False) | {"model.embed_tokens.weight": ("BF16", (50, 64))}
    folder(tmp_path / "tiny", config(quantization_config={"quant_method": "fp8"}), tensors)
    assert bits(record("/tiny", view(tmp_path)))[1] == 16.0


def awq() -> dict[str, Any]:
    """Four-bit weights, eight in an I32, with a scale and a zero point for every 32."""
    found: dict[str, Any] = {}
    for name, (dtype, (rows, *columns)) in llama("F16").items():
        if "_proj" not in name:
            found[name] = (dtype, (rows, *columns))
            continue
        inputs = columns[0]
        stem = name.removesuffix("weight")
        found[f"{stem}qweight"] = ("I32", (inputs, rows // 8))
        found[f"{stem}qzeros"] = ("I32", (inputs // 32, rows // 8))
        found[f"{stem}scales"] = ("F16", (inputs // 32, rows))
    return found


def test_packed_weights_are_counted_with_their_scales(tmp_path: Path) -> None:
    folder(tmp_path / "tiny", config(quantization_config={"quant_method": "awq", "bits": 4}), awq())
    found = record("/tiny", view(tmp_path))
    assert bits(found)[0] == pytest.approx(4 + 4 / 32 + 16 / 32, rel=0.01)
    assert bits(found)[1:] == (16.0, 16.0, 16.0)
    assert found["parameters"] == 2 * LAYER_PARAMETERS + 2 * 50 * 64 + 64
    assert "warnings" not in found


def test_weights_packed_in_a_way_nobody_states_are_counted_by_the_shape(tmp_path: Path) -> None:
    folder(tmp_path / "tiny", config(quantization_config={"quant_method": "of tomorrow"}), awq())
    found = record("/tiny", view(tmp_path))
    assert bits(found)[0] == pytest.approx(4 + 4 / 32 + 16 / 32, rel=0.01)
    assert "parameters" not in found


def test_experts_may_be_narrower_than_the_rest(tmp_path: Path) -> None:
    fields = config(
        num_local_experts=4,
        num_experts_per_tok=2,
        quantization_config={"quant_method": "mxfp4"},
    )
    tensors = {n: t for n, t in llama().items() if ".mlp." not in n}
    for layer in range(2):
        of = f"model.layers.{layer}.mlp."
        tensors |= {
            f"{of}router.weight": ("BF16", (4, 64)),
            f"{of}experts.gate_up_proj_blocks": ("U8", (4, 192, 2, 16)),
            f"{of}experts.gate_up_proj_scales": ("U8", (4, 192, 2)),
            f"{of}experts.down_proj_blocks": ("U8", (4, 64, 3, 16)),
            f"{of}experts.down_proj_scales": ("U8", (4, 64, 3)),
        }
    folder(tmp_path / "tiny", fields, tensors)
    found = record("/tiny", view(tmp_path))
    assert found["shape"]["weight_bits"] == 16.0
    assert found["shape"]["experts"]["weight_bits"] == pytest.approx(4.25)
    assert "warnings" not in found


def test_files_of_another_model_are_warned_of(tmp_path: Path) -> None:
    folder(tmp_path / "tiny", config(num_hidden_layers=3), llama())
    (warning,) = record("/tiny", view(tmp_path))["warnings"]
    assert "parameters in layers where the configuration describes" in warning


@pytest.mark.parametrize(
    ("fields", "stored", "flags", "wanted"),
    [
        ({}, "BF16", {}, (16, 16, 16, 16)),
        ({}, "BF16", {"dtype": "auto"}, (16, 16, 16, 16)),
        ({}, "BF16", {"dtype": "float32"}, (32, 32, 32, 32)),
        ({}, "BF16", {"dtype": "half"}, (16, 16, 16, 16)),
        ({}, "F32", {}, (16, 16, 16, 16)),
        ({"torch_dtype": "float32"}, "F32", {}, (32, 32, 32, 32)),
        ({"torch_dtype": "float32"}, "F32", {"dtype": "auto"}, (16, 16, 16, 16)),
        ({"torch_dtype": None}, "F32", {}, (32, 32, 32, 32)),
        ({"torch_dtype": None}, "F16", {}, (16, 16, 16, 16)),
        ({}, "BF16", {"quantization": "fp8"}, (8, 16, 16, 16)),
        ({}, "BF16", {"quantization": "bitsandbytes"}, (4.5, 16, 16, 16)),
        ({}, "BF16", {"quantization": "auto"}, (16, 16, 16, 16)),
        ({}, "BF16", {"kv_cache_dtype": "fp8_e5m2"}, (16, 16, 16, 8)),
        ({}, "BF16", {"kv_cache_dtype": "auto"}, (16, 16, 16, 16)),
        ({}, "BF16", {"dtype": "float32", "kv_cache_dtype": "bfloat16"}, (32, 32, 32, 16)),
        ({}, "BF16", {"kv_cache_dtype": "q8_0"}, (16, 16, 16, 8.5)),
        ({}, "BF16", {"kv_cache_dtype": "q8_0", "value_cache_dtype": "q4_0"}, (16, 16, 16, 6.5)),
    ],
)
def test_flags_decide_what_runs(
    fields: dict[str, Any], stored: str, flags: dict[str, str], wanted: tuple[float, ...], tmp_path: Path
) -> None:
    folder(tmp_path / "tiny", config(**fields), llama(stored))
    assert bits(record("/tiny", view(tmp_path), **flags)) == wanted


@pytest.mark.parametrize(
    ("more", "flags", "wanted"),
    [
        ({}, {}, (8, 16, 16, 16)),
        ({}, {"dtype": "float32"}, (8, 32, 32, 32)),
        ({}, {"quantization": "bitsandbytes"}, (8, 16, 16, 16)),
        ({"kv_cache_scheme": {"num_bits": 8}}, {}, (8, 16, 16, 8)),
        ({"kv_cache_scheme": {"num_bits": 8}}, {"kv_cache_dtype": "bf16"}, (8, 16, 16, 16)),
    ],
)
def test_a_quantised_checkpoint_runs_as_it_is_stored(
    more: dict[str, Any], flags: dict[str, str], wanted: tuple[float, ...], tmp_path: Path
) -> None:
    tensors = llama("F8_E4M3") | dict.fromkeys(("model.embed_tokens.weight", "lm_head.weight"), ("BF16", (50, 64)))
    folder(tmp_path / "tiny", config(quantization_config={"quant_method": "fp8"} | more), tensors)
    assert bits(record("/tiny", view(tmp_path), **flags)) == wanted


@pytest.mark.parametrize("flags", [{"dtype": "int3"}, {"quantization": "magic"}, {"kv_cache_dtype": "q1"}])
def test_a_flag_that_is_not_known_changes_nothing_and_is_said(flags: dict[str, str], tmp_path: Path) -> None:
    folder(tmp_path / "tiny", tensors=llama())
    found = record("/tiny", view(tmp_path), **flags)
    assert bits(found) == (16.0, 16.0, 16.0, 16.0)
    (warning,) = found["warnings"]
    assert "not known" in warning


def test_without_weights_the_configuration_alone_is_the_model(tmp_path: Path) -> None:
    folder(tmp_path / "tiny", config(quantization_config={"quant_method": "awq", "bits": 4}))
    found = record("/tiny", view(tmp_path))
    assert found["source"] == "config.json in a local folder"
    assert bits(found) == (4.0, 16.0, 16.0, 16.0)
    assert "bits are as the configuration states them" in found["warnings"][0]
    assert "stored_bytes" not in found
    assert "parameters" not in found


def test_a_second_copy_and_adapters_are_not_counted(tmp_path: Path) -> None:
    where = folder(tmp_path / "tiny", tensors=llama())
    content = (where / "model.safetensors").read_bytes()
    (where / "model.safetensors").rename(where / "model-00001-of-00001.safetensors")
    for name in ("consolidated.safetensors", "adapter_model.safetensors"):
        (where / name).write_bytes(content)
    found = record("/tiny", view(tmp_path))
    assert found["parameters"] == 2 * LAYER_PARAMETERS + 2 * 50 * 64 + 64
