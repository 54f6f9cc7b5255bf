"""Finding a model where the process that uses it sees it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from collectors.model_files import ProcessView, Unread, read_given
from tests.make.model_files import cached, config, folder, gguf, gguf_llama, llama, record, refused, view

HUBS = {
    "HF_HUB_CACHE": ("/hub", "/hub"),
    "HUGGINGFACE_HUB_CACHE": ("/hub", "/hub"),
    "HF_HOME": ("/hf", "/hf/hub"),
    "XDG_CACHE_HOME": ("/cache", "/cache/huggingface/hub"),
}


def beneath(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


@pytest.mark.parametrize(
    ("stated", "cwd"),
    [
        ("/models/tiny", "/"),
        ("models/tiny", "/"),
        ("tiny", "/models"),
        ("./tiny/", "/models"),
        ("../models/tiny", "/srv"),
    ],
)
def test_a_folder_is_found_from_the_process_s_root_and_working_folder(stated: str, cwd: str, tmp_path: Path) -> None:
    (tmp_path / "srv").mkdir()
    folder(tmp_path / "models/tiny", tensors=llama())
    found = record(stated, view(tmp_path, cwd=cwd))
    assert found["name"] == "tiny"
    assert found["source"] == "config.json and the header of 1 safetensors file in a local folder"
    assert str(tmp_path) not in json.dumps(found)


def test_a_working_folder_may_be_given_as_this_machine_names_it(tmp_path: Path) -> None:
    folder(tmp_path / "models/tiny")
    assert record("tiny", view(tmp_path, cwd=str(tmp_path / "models")))["name"] == "tiny"


def test_a_process_s_own_entries_in_proc_are_a_view(tmp_path: Path) -> None:
    folder(tmp_path / "tiny")
    proc = Path(f"/proc/{os.getpid()}")
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        seen = ProcessView(root=proc / "root", cwd=proc / "cwd", env={})
        assert record("tiny", seen)["name"] == "tiny"
        assert record(str(tmp_path / "tiny"), seen)["name"] == "tiny"
    finally:
        os.chdir(before)


@pytest.mark.parametrize("variable", HUBS)
def test_a_hub_s_model_is_found_where_the_process_s_environment_puts_the_cache(variable: str, tmp_path: Path) -> None:
    value, hub = HUBS[variable]
    cached(beneath(tmp_path, hub), "ours/tiny-7b", folder(tmp_path / "made", tensors=llama(), shards=2))
    found = record("ours/tiny-7b", view(tmp_path, **{variable: value}))
    assert found["name"] == found["shape"]["name"] == "ours/tiny-7b"
    assert found["source"] == "config.json and the headers of 2 safetensors files in the hub's cache"


def test_without_an_environment_the_cache_is_in_the_process_s_home(tmp_path: Path) -> None:
    cached(tmp_path / "home/user/.cache/huggingface/hub", "ours/tiny", folder(tmp_path / "made"))
    assert record("ours/tiny", view(tmp_path))["name"] == "ours/tiny"
    assert "nor in the hub's cache" in refused("ours/tiny", view(tmp_path, home=None)).reason


def test_the_cache_that_comes_first_wins(tmp_path: Path) -> None:
    for number, hub in enumerate(("flag", "hub", "old", "hf/hub"), start=1):
        made = folder(tmp_path / f"made{number}", config(num_hidden_layers=number))
        cached(tmp_path / hub, "ours/tiny", made)
    env = {"HF_HUB_CACHE": "/hub", "HUGGINGFACE_HUB_CACHE": "/old", "HF_HOME": "/hf"}
    assert record("ours/tiny", view(tmp_path, **env), download_dir="/flag")["shape"]["layers"] == 1
    assert record("ours/tiny", view(tmp_path, **env))["shape"]["layers"] == 2
    del env["HF_HUB_CACHE"]
    assert record("ours/tiny", view(tmp_path, **env))["shape"]["layers"] == 3


def test_weights_may_lie_in_the_engine_s_own_folder_beside_a_configuration_in_the_cache(tmp_path: Path) -> None:
    cached(tmp_path / "hub", "ours/tiny", folder(tmp_path / "made"))
    weights = folder(tmp_path / "weights", tensors=llama())
    (weights / "config.json").unlink()
    cached(tmp_path / "flag", "ours/tiny", weights)
    assert "stored_bytes" in record("ours/tiny", view(tmp_path, HF_HUB_CACHE="/hub"), download_dir="/flag")


def test_a_revision_is_a_reference_or_a_commit(tmp_path: Path) -> None:
    for layers, commit, reference in ((1, "a" * 40, "main"), (2, "b" * 40, "v2"), (3, "c" * 40, None)):
        made = folder(tmp_path / f"made{layers}", config(num_hidden_layers=layers))
        cached(tmp_path / "hub", "ours/tiny", made, commit=commit, reference=reference)
    seen = view(tmp_path, HF_HUB_CACHE="/hub")
    assert record("ours/tiny", seen)["shape"]["layers"] == 1
    assert record("ours/tiny", seen, revision="v2")["shape"]["layers"] == 2
    assert record("ours/tiny", seen, revision="c" * 40)["shape"]["layers"] == 3
    for absent in ("v3", "../snapshots"):
        assert "nor in the hub's cache" in refused("ours/tiny", seen, revision=absent).reason


def test_a_single_snapshot_without_a_reference_is_the_model(tmp_path: Path) -> None:
    cached(tmp_path / "hub", "ours/tiny", folder(tmp_path / "made"), reference=None)
    assert record("ours/tiny", view(tmp_path, HF_HUB_CACHE="/hub"))["name"] == "ours/tiny"


def test_a_snapshot_given_by_its_path_has_the_model_s_name(tmp_path: Path) -> None:
    snapshot = cached(tmp_path / "hub", "ours/tiny-7b", folder(tmp_path / "made"))
    assert record(f"/{snapshot.relative_to(tmp_path)}", view(tmp_path))["name"] == "ours/tiny-7b"


# --- links


def test_absolute_links_start_at_the_process_s_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    folder(root / "data/tiny", config(num_hidden_layers=2))
    folder(tmp_path / "outside", config(num_hidden_layers=9))
    (root / "models").symlink_to("/data")
    (root / "data/also").symlink_to("tiny")
    (root / "data/up").symlink_to("../../../../data/tiny")
    for path in ("/models/tiny", "/models/also", "/models/up", "/data/also/../tiny"):
        assert record(path, view(root))["shape"]["layers"] == 2


def test_a_link_that_leads_outside_finds_nothing(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    outside = folder(tmp_path / "outside")
    (root / "out").symlink_to(outside)
    (root / "up").symlink_to("../outside")
    for path in ("/out", "/up", "/../outside", str(outside)):
        assert "no such file" in refused(path, view(root)).reason


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("/a")
    assert "loop of symbolic links" in refused("/a", view(tmp_path)).reason


# --- GGUF and Ollama


def test_a_gguf_is_a_model_whatever_its_name(tmp_path: Path) -> None:
    gguf(tmp_path / "tiny.Q4_0.gguf")
    (tmp_path / "tiny.bin").write_bytes((tmp_path / "tiny.Q4_0.gguf").read_bytes())
    assert record("/tiny.Q4_0.gguf", view(tmp_path))["name"] == "tiny.Q4_0"
    assert record("/tiny.bin", view(tmp_path))["source"] == "a GGUF file"


def test_one_gguf_of_a_folder_or_a_cache_is_the_model(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    gguf(made / "tiny-Q4_0.gguf")
    assert record("/made", view(tmp_path))["name"] == "tiny-Q4_0"
    gguf(made / "tiny-Q8_0.gguf", tensors=gguf_llama("Q8_0"))
    gguf(made / "mmproj-tiny.gguf")
    cached(tmp_path / "hub", "ours/tiny-GGUF", made)
    seen = view(tmp_path, HF_HUB_CACHE="/hub")
    for stated in ("/made", "ours/tiny-GGUF"):
        assert refused(stated, seen).reason == "2 GGUF files in the model's folder, and nothing says which"
    found = record("ours/tiny-GGUF:q8_0", seen)
    assert (found["name"], found["shape"]["weight_bits"]) == ("ours/tiny-GGUF", 8.5)


def test_ollama_s_blobs_are_found_by_path_digest_and_name(tmp_path: Path) -> None:
    digest = "ab" * 32
    store = tmp_path / "home/user/.ollama/models"
    (store / "blobs").mkdir(parents=True)
    gguf(store / f"blobs/sha256-{digest}", title="Tiny 7B")
    manifest = store / "manifests/registry.ollama.ai/library/tiny/7b"
    manifest.parent.mkdir(parents=True)
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}"}
    manifest.write_text(json.dumps({"layers": [{"mediaType": "other", "digest": "sha256:00"}, layer]}))
    for stated in (f"/home/user/.ollama/models/blobs/sha256-{digest}", f"sha256:{digest}"):
        found = record(stated, view(tmp_path))
        assert (found["name"], found["source"]) == ("Tiny 7B", "an Ollama blob")
    assert record("tiny:7b", view(tmp_path))["name"] == "tiny:7b"
    assert record("tiny:7b", view(tmp_path, home=None, OLLAMA_MODELS="/home/user/.ollama/models"))["name"] == "tiny:7b"
    manifest.write_text("[" * 50_000)
    assert "names no model" in refused("tiny:7b", view(tmp_path)).reason


# --- what a user names


def test_a_user_s_own_model_is_read_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = folder(tmp_path / "tiny", tensors=llama())
    cached(tmp_path / "hub", "ours/tiny-7b", made)
    gguf(tmp_path / "tiny.gguf")
    (tmp_path / "other.json").write_text(json.dumps(config()))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    names = {"tiny": "tiny", "tiny/config.json": "tiny", "ours/tiny-7b": "ours/tiny-7b", "tiny.gguf": "tiny"}
    for given, name in (names | {str(made): "tiny", "other.json": "other"}).items():
        found = read_given(given)
        assert not isinstance(found, Unread), found
        assert found["name"] == name
    assert isinstance(read_given("ours/absent"), Unread)
