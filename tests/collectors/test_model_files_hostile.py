"""Files that are no model, or are made to hang or flood their reader: a reason each, and never a traceback."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.model_files import StatedModel, Unread, read_model
from tests.make.model_files import cached, config, folder, gguf, llama, record, refused, safetensors_bytes, view

GGUF_HEAD = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "config.json: empty, not a config.json"),
        (b"{}", "the model's configuration lacks hidden_size"),
        (b"[1]", "config.json: not a model's configuration"),
        (b"[" * 100_000, "config.json: not JSON"),
        (b'{"hidden_size": ' + b"9" * 5000 + b"}", "config.json: not JSON"),
        (b"\xff\xfe\x00", "config.json: not a config.json, but binary"),
        (json.dumps(config(num_hidden_layers=1 << 39, hidden_size=1 << 39)).encode(), "describe no model"),
    ],
)
def test_a_configuration_that_is_none_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/config.json").write_bytes(content)
    found = refused("/tiny", view(tmp_path))
    assert reason in found.reason
    assert str(tmp_path) not in found.reason


def test_a_configuration_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    where = folder(tmp_path / "tiny")
    with (where / "config.json").open("r+b") as stream:
        stream.truncate(1 << 40)
    assert "larger than the" in refused("/tiny", view(tmp_path)).reason


def test_pipes_folders_and_devices_are_no_files(tmp_path: Path) -> None:
    for name in ("pipe", "folder"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "pipe/config.json")
    (tmp_path / "folder/config.json").mkdir()
    os.mkfifo(tmp_path / "model.gguf")
    for path in ("/pipe", "/folder"):
        assert "neither config.json nor a GGUF" in refused(path, view(tmp_path)).reason
    assert refused("/model.gguf", view(tmp_path)).reason == "model.gguf: not a regular file"


def test_a_pipe_among_the_weights_is_not_waited_for(tmp_path: Path) -> None:
    where = folder(tmp_path / "tiny")
    os.mkfifo(where / "model.safetensors")
    assert record("/tiny", view(tmp_path))["warnings"][0].startswith("model.safetensors: not a regular file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_cache_that_is_closed_is_passed_over_for_one_that_is_not(tmp_path: Path) -> None:
    made = folder(tmp_path / "made")
    cached(tmp_path / "flag", "ours/tiny", made)
    cached(tmp_path / "hub", "ours/tiny", made)
    seen = view(tmp_path, HF_HUB_CACHE="/hub")
    (tmp_path / "flag").chmod(0)
    try:
        assert record("ours/tiny", seen, download_dir="/flag")["name"] == "ours/tiny"
        assert "enter the folder flag" in refused("ours/other", seen, download_dir="/flag").reason
    finally:
        (tmp_path / "flag").chmod(0o755)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_is_closed_says_which_right_is_missing(tmp_path: Path) -> None:
    where = folder(tmp_path / "closed/tiny")
    (tmp_path / "closed").chmod(0)
    try:
        found = refused("/closed/tiny", view(tmp_path))
    finally:
        (tmp_path / "closed").chmod(0o755)
    assert found.reason == "tiny: this user may not enter the folder closed"
    assert "as the user of the process, or as root" in (found.unlock or "")
    (where / "config.json").chmod(0)
    assert refused("/closed/tiny", view(tmp_path)).reason == "this user may not read config.json"


def test_a_process_that_has_ended_has_no_files(tmp_path: Path) -> None:
    assert "no such file" in refused("/models/tiny", view(tmp_path / "gone")).reason


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        (1 << 60).to_bytes(8, "little") + b"{}",
        (1 << 24).to_bytes(8, "little") + b"{}",
        (100_000).to_bytes(8, "little") + b"[" * 100_000,
        (8).to_bytes(8, "little") + b"\xff" * 8,
        safetensors_bytes(llama())[:-1],
        b'{"weights": 1}',
    ],
)
def test_damaged_weights_leave_the_configuration(content: bytes, tmp_path: Path) -> None:
    where = folder(tmp_path / "tiny")
    (where / "model.safetensors").write_bytes(content)
    found = record("/tiny", view(tmp_path))
    assert found["source"] == "config.json in a local folder"
    assert found["warnings"][0].startswith("model.safetensors: ")


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ("{}", "not an index of weights"),
        ("[" * 100_000, "not an index of weights"),
        ('{"weight_map": [1]}', "not an index of weights"),
        ('{"weight_map": {"a": 7}}', "no safetensors files"),
        ('{"weight_map": {"a": "/etc/passwd"}}', "no safetensors files"),
        ('{"weight_map": {"a": "absent.safetensors"}}', "absent.safetensors: no such file"),
        ('{"weight_map": {"a": "../../../../x.safetensors"}}', "x.safetensors: no such file"),
    ],
)
def test_an_index_that_names_no_weights_leaves_the_configuration(index: str, reason: str, tmp_path: Path) -> None:
    where = folder(tmp_path / "tiny")
    (where / "model.safetensors.index.json").write_text(index)
    assert reason in record("/tiny", view(tmp_path))["warnings"][0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"GGUF", "not a GGUF file, or truncated"),
        (b"GGUF" + struct.pack("<IQQ", 9, 0, 0), "a GGUF of version 9"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "of the other byte order"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0), "a damaged GGUF"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60), "a damaged GGUF"),
        (GGUF_HEAD, "truncated, damaged"),
        (GGUF_HEAD + struct.pack("<Q", 1 << 60), "a damaged GGUF"),
        (GGUF_HEAD + struct.pack("<Q", 1 << 20) + b"key", "truncated, damaged"),
        (GGUF_HEAD + struct.pack("<Q1sII", 1, b"k", 99, 0), "truncated, damaged"),
        (GGUF_HEAD + struct.pack("<Q1sIIQ", 1, b"k", 9, 8, 1 << 60), "a damaged GGUF"),
        (GGUF_HEAD + struct.pack("<Q1sIIQQ", 1, b"k", 9, 8, 2, 1 << 63), "truncated, damaged"),
        (GGUF_HEAD + struct.pack("<Q1sIIQ", 1, b"k", 9, 4, 1 << 60), "a damaged GGUF"),
        (GGUF_HEAD + struct.pack("<Q1sIIQ", 1, b"k", 9, 9, 1), "arrays of arrays"),
        (GGUF_HEAD + struct.pack("<Q1sII", 1, b"k", 4, 0), "does not state an architecture.block_count"),
    ],
)
def test_a_damaged_gguf_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(content)
    found = refused("/tiny.gguf", view(tmp_path))
    assert reason in found.reason
    assert str(tmp_path) not in found.reason


def test_a_gguf_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    whole = gguf(tmp_path / "tiny.gguf").read_bytes()
    for length in (30, 100, 300, 1000, 2000, len(whole) // 2, len(whole) - 4096):
        (tmp_path / "cut.gguf").write_bytes(whole[:length])
        assert refused("/cut.gguf", view(tmp_path)).reason.startswith("cut.gguf: ")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.data())
def test_any_byte_may_be_wrong(tmp_path: Path, data: st.DataObject) -> None:
    where = tmp_path / "tiny"
    if not where.exists():
        folder(where, tensors=llama())
        gguf(tmp_path / "sound.gguf")
    sound = (tmp_path / "sound.gguf").read_bytes()
    weights = safetensors_bytes(llama())
    for path, content, most in ((tmp_path / "x.gguf", sound, 3000), (where / "model.safetensors", weights, 2500)):
        at = data.draw(st.integers(0, most))
        path.write_bytes(content[:at] + data.draw(st.binary(min_size=1, max_size=9)) + content[at + 1 :])
    for path in ("/x.gguf", "/tiny"):
        found = read_model(StatedModel(name_or_path=path), view(tmp_path))
        if isinstance(found, Unread):
            assert found.reason
        else:
            assert found["shape"]["layers"] > 0


@given(st.text(max_size=60) | st.from_regex(r"[./~a-z-]{0,30}", fullmatch=True))
def test_any_text_may_be_stated_as_a_model(text: str) -> None:
    assert isinstance(read_model(StatedModel(name_or_path=text), view(Path("/nonexistent"), HF_HOME="/hf")), Unread)


@pytest.mark.parametrize(
    "stated",
    [
        "s3://user:pa55@bucket/tiny?X-Amz-Signature=abc",
        "https://user:pa55@host/org/tiny",
        "",
        " ",
        "a\0b",
        "x" * 5000,
        "a b",
        "~/tiny",
    ],
)
def test_what_names_no_local_model_is_refused_without_its_secrets(stated: str, tmp_path: Path) -> None:
    found = refused(stated, view(tmp_path, home=None))
    assert "pa55" not in found.reason
    assert "Signature" not in found.reason
    assert found.unlock is not None


def test_a_reference_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    made = folder(tmp_path / "made")
    cached(tmp_path / "hub", "ours/tiny", made)
    reference = tmp_path / "hub/models--ours--tiny/refs/main"
    for content in (b"../../../made", b"", b"\xff\xfe", b"0" * 200_000):
        reference.write_bytes(content)
        assert isinstance(refused("ours/tiny", view(tmp_path, HF_HUB_CACHE="/hub")), Unread)
