"""Configurations that cannot be used: what is wrong with each, in one line with its path."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.model_config import read, shape_of
from heuristics.errors import UnusableModel
from tests.make.configs import PLAIN, Config, shape


@pytest.mark.parametrize("field", ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"])
@pytest.mark.parametrize("value", [None, "64", 64.5, -2, 0, True, [64], {"of": 64}, 1 << 50, float("nan")])
def test_a_dimension_that_is_missing_or_no_whole_number_is_named(field: str, value: object) -> None:
    with pytest.raises(UnusableModel, match=field) as raised:
        shape(**{field: value})
    assert ("lacks" in str(raised.value)) is (value is None)
    assert raised.value.hint == "is this the decoder's config.json?"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"num_attention_heads": 6, "num_key_value_heads": 4}, "6 attention heads cannot share 4 KV heads evenly"),
        ({"num_attention_heads": 1024, "num_key_value_heads": None}, "head_dim must be positive"),
    ],
)
def test_dimensions_that_contradict_each_other_are_refused(fields: Config, why: str) -> None:
    with pytest.raises(UnusableModel, match=why):
        shape(**fields)


HEADER = json.dumps({"layer": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}).encode()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty, not a config.json"),
        (b" \n", "empty, not a config.json"),
        (b"{}", "the model's configuration lacks hidden_size"),
        (b"[1]", "not a model's configuration"),
        (b'{"hidden_size": 64', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\x93\xff\x00junk", "not a config.json, but binary"),
        (b"GGUF\x03\x00\x00\x00" + bytes(64), "a GGUF file, from which no shape is read"),
        (len(HEADER).to_bytes(8, "little") + HEADER, "a safetensors file of weights"),
        (b"PK\x03\x04" + bytes(64), "a PyTorch file of weights"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_with_its_path(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(UnusableModel) as raised:
        read(str(path))
    assert str(raised.value).startswith(f"{path}: {says}")
    assert "config.json" in (raised.value.hint or "")


def test_a_folder_stands_for_the_configuration_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "tiny-7b"
    folder.mkdir()
    with pytest.raises(UnusableModel, match=r"no config\.json to read"):
        read(str(folder))
    (folder / "config.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(PLAIN).encode())
    for path in (folder, folder / "config.json"):
        assert asdict(read(str(path))) == asdict(shape_of(PLAIN, "tiny-7b"))


@pytest.mark.parametrize("path", ["nowhere", "ours/tiny-7b", "a\0b", ""])
def test_a_path_without_a_configuration_is_refused(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnusableModel, match=r"no config\.json to read") as raised:
        read(path)
    assert raised.value.hint == "give the model's config.json or its folder"


NAMES = [*PLAIN, "head_dim", "kv_lora_rank", "sliding_window", "layer_types", "sliding_window_pattern", "num_experts"]
NAMES += [
    "num_experts_per_tok",
    "moe_layer_freq",
    "mlp_only_layers",
    "quantization_config",
    "text_config",
    "multi_query",
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 1 << 62) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*NAMES, "bits"]), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES | st.integers(1, 64), max_size=6))
def test_any_configuration_is_a_sound_shape_or_refused(fields: Config) -> None:
    try:
        found = shape_of(PLAIN | fields)
    except UnusableModel:
        return
    assert 0 <= found.sliding_layers <= found.layers
    assert found.dense_layers >= 0
    assert 0 < found.weight_bits <= 64
    assert 0 < found.kv_bytes_per_token() < float("inf")
