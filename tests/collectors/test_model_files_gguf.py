"""A model's shape from a GGUF's header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFReader

from collectors.model_files import shape_from_record
from collectors.model_files.gguf_header import read_header
from heuristics.model_shape import Experts, LatentAttention, ModelShape
from tests.make.model_files import GGUF_FIELDS, gguf, gguf_llama, record, refused, view


def read(path: Path, **flags: str) -> ModelShape:
    return shape_from_record(record(f"/{path.name}", view(path.parent), **flags))


def test_a_gguf_states_every_dimension(tmp_path: Path) -> None:
    path = gguf(tmp_path / "tiny.gguf")
    assert read(path) == ModelShape(
        name="tiny",
        layers=2,
        hidden_size=256,
        heads=8,
        kv_heads=2,
        head_dim=32,
        intermediate_size=512,
        vocab_size=50,
        weight_bits=4.5,
        head_weight_bits=8.5,
    )
    layer = 2 * 256 * 256 + 2 * 64 * 256 + 3 * 512 * 256
    found = record("/tiny.gguf", view(tmp_path))
    assert found["parameters"] == 2 * (layer + 256) + 2 * 50 * 256 + 256
    assert found["stored_bytes"] == 2 * (layer * 18 // 32 + 4 * 256) + 50 * 256 * 2 + 50 * 256 * 34 // 32 + 4 * 256


def test_a_tied_head_has_the_embedding_s_bits(tmp_path: Path) -> None:
    found = read(gguf(tmp_path / "tiny.gguf", tensors=gguf_llama(head=None)))
    assert found.tied_embedding
    assert found.head_weight_bits == 16.0


@pytest.mark.parametrize(
    ("flags", "bits"),
    [
        ({}, 16.0),
        ({"kv_cache_dtype": "f16"}, 16.0),
        ({"kv_cache_dtype": "q8_0", "value_cache_dtype": "q8_0"}, 8.5),
        ({"kv_cache_dtype": "q4_0"}, 4.5),
        ({"kv_cache_dtype": "f32"}, 32.0),
    ],
)
def test_the_cache_is_f16_unless_a_flag_says_otherwise(flags: dict[str, str], bits: float, tmp_path: Path) -> None:
    assert read(gguf(tmp_path / "tiny.gguf"), **flags).kv_bits == bits


def test_keys_and_values_may_have_widths_of_their_own(tmp_path: Path) -> None:
    more = {"attention.key_length": 192, "attention.value_length": 128}
    found = read(gguf(tmp_path / "tiny.gguf", fields=GGUF_FIELDS | more))
    assert found.kv_bytes_per_token() == 2 * 2 * (192 + 128) * 2


def test_layers_may_state_numbers_of_their_own(tmp_path: Path) -> None:
    more: dict[str, Any] = {"attention.head_count_kv": [2, 0], "feed_forward_length": [512, 256]}
    path = gguf(tmp_path / "tiny.gguf", fields=GGUF_FIELDS | more)
    found = read(path)
    assert (found.kv_heads, found.uncached_layers, found.intermediate_size) == (2, 1, 512)
    assert record("/tiny.gguf", view(tmp_path))["warnings"] == [
        "layers differ in heads or width: the widest stands for all"
    ]


@pytest.mark.parametrize(
    ("arch", "more", "layers", "window"),
    [
        ("llama", {}, 0, None),
        ("llama", {"attention.sliding_window": 1024}, 0, None),
        ("gemma2", {"attention.sliding_window": 1024}, 3, 1024),
        ("gemma3", {"attention.sliding_window": 512}, 5, 512),
        ("new", {"attention.sliding_window": 512, "attention.sliding_window_pattern": 3}, 4, 512),
        ("new", {"attention.sliding_window": 64, "attention.sliding_window_pattern": [True, False] * 3}, 3, 64),
    ],
)
def test_windows_are_as_the_engine_applies_them(
    arch: str, more: dict[str, Any], layers: int, window: int | None, tmp_path: Path
) -> None:
    fields = GGUF_FIELDS | {"block_count": 6} | more
    found = read(gguf(tmp_path / "tiny.gguf", arch=arch, fields=fields, tensors=gguf_llama(layers=6)))
    assert (found.sliding_layers, found.sliding_window) == (layers, window)


def mixture(kind: str = "Q4_0") -> dict[str, Any]:
    """The second layer of two mixes four experts and a shared one."""
    found = {n: t for n, t in gguf_llama("F16").items() if not n.startswith("blk.1.ffn")}
    found |= {f"blk.1.ffn_{n}_exps.weight": ((4, 128, 256), kind) for n in ("gate", "up")}
    found["blk.1.ffn_down_exps.weight"] = ((4, 256, 128), kind)
    found |= {f"blk.1.ffn_{n}_shexp.weight": ((128, 256), "F16") for n in ("gate", "up")}
    return found | {"blk.1.ffn_gate_inp.weight": ((4, 256), "F32")}


def test_experts_and_their_own_bits(tmp_path: Path) -> None:
    more = {"expert_count": 4, "expert_used_count": 2, "expert_feed_forward_length": 128, "expert_shared_count": 1}
    found = read(gguf(tmp_path / "tiny.gguf", arch="qwen2moe", fields=GGUF_FIELDS | more, tensors=mixture()))
    assert found.experts == Experts(
        count=4, per_token=2, intermediate_size=128, layers=1, shared_intermediate_size=128, weight_bits=4.5
    )
    assert found.weight_bits == pytest.approx(16.0, rel=0.05)
    assert found.dense_layers == 1


def test_latent_attention_where_the_file_was_made_for_it(tmp_path: Path) -> None:
    more = {
        "attention.head_count_kv": 1,
        "attention.kv_lora_rank": 512,
        "attention.q_lora_rank": 1536,
        "attention.key_length": 576,
        "attention.value_length": 512,
        "attention.key_length_mla": 192,
        "attention.value_length_mla": 128,
        "rope.dimension_count": 64,
    }
    found = read(gguf(tmp_path / "tiny.gguf", arch="deepseek2", fields=GGUF_FIELDS | more))
    assert found.latent_attention == LatentAttention(
        kv_lora_rank=512, q_lora_rank=1536, qk_rope_head_dim=64, qk_nope_head_dim=128, v_head_dim=128
    )
    assert found.kv_bytes_per_token() == 2 * 576 * 2
    older = {n: v for n, v in more.items() if not n.endswith("_mla")} | {"attention.head_count_kv": 8}
    assert read(gguf(tmp_path / "old.gguf", arch="deepseek2", fields=GGUF_FIELDS | older)).latent_attention is None


def test_layers_that_draft_tokens_are_not_part_of_a_step(tmp_path: Path) -> None:
    fields = GGUF_FIELDS | {"block_count": 3, "nextn_predict_layers": 1}
    tensors = gguf_llama() | {n: (d, "F32") for n, (d, _) in gguf_llama(layers=3).items() if n.startswith("blk.2.")}
    found = read(gguf(tmp_path / "tiny.gguf", fields=fields, tensors=tensors))
    assert (found.layers, found.weight_bits) == (2, 4.5)


@pytest.mark.parametrize(("up", "gated"), [(512, False), (1024, True)])
def test_a_gate_may_share_the_matrix_of_the_block_s_input(up: int, gated: bool, tmp_path: Path) -> None:
    tensors = {n: t for n, t in gguf_llama().items() if "ffn_gate" not in n and "ffn_up" not in n}
    tensors |= {f"blk.{i}.ffn_up.weight": ((up, 256), "Q4_0") for i in range(2)}
    assert read(gguf(tmp_path / "tiny.gguf", arch="phi3", tensors=tensors)).gated_mlp is gated


def test_layers_with_a_state_cache_no_tokens(tmp_path: Path) -> None:
    tensors = {n: t for n, t in gguf_llama().items() if not n.startswith("blk.1.attn_k")}
    tensors["blk.1.ssm_conv1d.weight"] = ((64, 4), "F32")
    found = read(gguf(tmp_path / "tiny.gguf", arch="hybrid", tensors=tensors))
    assert found.uncached_layers == 1
    assert found.kv_bytes_per_token() == 2 * 2 * 32 * 2


def parts(folder: Path) -> list[Path]:
    tensors = list(gguf_llama().items())
    names = [folder / f"tiny-{i:05d}-of-00003.gguf" for i in (1, 2, 3)]
    for i, path in enumerate(names):
        gguf(path, tensors=dict(tensors[i::3]), more={"split.count": 3, "split.no": i})
    return names


def test_parts_of_a_split_file_add_up(tmp_path: Path) -> None:
    whole = record("/whole.gguf", view(gguf(tmp_path / "whole.gguf").parent))
    first, *_ = parts(tmp_path)
    found = record(f"/{first.name}", view(tmp_path))
    assert (found["name"], found["source"]) == ("tiny", "a GGUF file in 3 parts")
    assert found["shape"] == whole["shape"] | {"name": "tiny"}
    assert (found["stored_bytes"], found["parameters"]) == (whole["stored_bytes"], whole["parameters"])


def test_a_part_that_is_missing_is_named(tmp_path: Path) -> None:
    first, second, _ = parts(tmp_path)
    second.unlink()
    assert refused(f"/{first.name}", view(tmp_path)).reason == f"{second.name}: no such file"
    first.rename(tmp_path / "renamed.gguf")
    (warning,) = record("/renamed.gguf", view(tmp_path))["warnings"]
    assert warning == "the model is split into 3 files and 1 were read: bytes are too few"


def test_the_vocabulary_is_stepped_over_and_nothing_else_is(tmp_path: Path) -> None:
    path = gguf(tmp_path / "tiny.gguf", tokens=5000, title="Tiny")
    ours, theirs = read_header(path, "tiny"), GGUFReader(path)
    assert ours.lengths == {"tokenizer.ggml.tokens": 5000, "tokenizer.ggml.scores": 5000}
    for name, value in ours.fields.items():
        assert value == theirs.fields[name].contents()
    assert set(theirs.fields) - set(ours.fields) == {"tokenizer.ggml.tokens", "tokenizer.ggml.scores"}
    assert [(t.name, t.elements, t.bytes) for t in ours.tensors] == [
        (t.name, t.n_elements, t.n_bytes) for t in theirs.tensors
    ]
