"""The stored calibration: read back, or refused with a reason."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collectors.calibration.figures import Calibration, Gpu
from collectors.calibration.machine import Machine
from collectors.calibration.store import NoCalibration, default_path, load, save
from tests.collectors.test_calibration import TWO_CPUS, USUAL

FULL = replace(
    USUAL,
    gpus=(Gpu(index=0, name="A GPU", memory_bytes=8e10, bandwidth_bytes_per_s=3e12, flops_per_s={"bf16": 7e14}),),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "roofs.json"


def reason(file: Path, machine: Machine = TWO_CPUS) -> str:
    found = load(machine, file)
    assert isinstance(found, NoCalibration)
    return found.reason


@pytest.mark.parametrize("calibration", [USUAL, FULL])
def test_what_was_saved_is_loaded(file: Path, calibration: Calibration) -> None:
    assert save(calibration, file) is None
    assert load(TWO_CPUS, file) == calibration
    assert [p.name for p in file.parent.iterdir()] == ["roofs.json"]


def test_machines_that_share_a_folder_keep_their_own(file: Path) -> None:
    other = replace(USUAL, machine=replace(TWO_CPUS, cpu="Another CPU"))
    assert "calibrated" in reason(file)
    save(USUAL, file)
    assert "no calibration of this machine" in reason(file, other.machine)
    save(other, file)
    again = replace(USUAL, taken_at="2027-01-01T00:00:00Z")
    save(again, file)
    assert load(TWO_CPUS, file) == again
    assert load(other.machine, file) == other


def changed(**changes: Any) -> bytes:
    """A stored file with fields of its only entry changed."""
    entry = json.loads(json.dumps(USUAL.to_dict())) | changes
    return json.dumps({"schema": "diagnose.roofs/1", "machines": {TWO_CPUS.key: entry}}).encode()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "damaged"),
        (b"{", "damaged"),
        (b"\xff\xfe\x00", "damaged"),
        (b"[]", "damaged"),
        (b"null", "damaged"),
        (b" " * (1 << 21), "damaged"),
        (b"{}", "another program's"),
        (b'{"schema": 3}', "damaged"),
        (b'{"schema": "colours/1"}', "another program's"),
        (b'{"schema": "diagnose.roofs/"}', "another program's"),
        (b'{"schema": "diagnose.roofs/2", "machines": []}', "newer version"),
        (b'{"schema": "diagnose.roofs/1"}', "no calibration of this machine"),
        (b'{"schema": "diagnose.roofs/1", "machines": 5}', "damaged"),
        (changed(levels=[]), "damaged"),
        (changed(levels="many"), "damaged"),
        (changed(taken_at=None), "damaged"),
        (changed(levels=[{"threads": 1, "bandwidth_bytes_per_s": -1, "flops_per_s": {}}]), "damaged"),
        (changed(levels=[{"threads": 1, "bandwidth_bytes_per_s": 1, "flops_per_s": {"fp32": 0}}]), "damaged"),
        (changed().replace(b"30000000000.0", b"1e999"), "damaged"),
        (changed().replace(b"30000000000.0", b"NaN"), "damaged"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_a_reason(file: Path, content: bytes, why: str) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    assert why in reason(file)
    if why == "newer version":
        assert "newer version" in (save(USUAL, file) or "")
        assert file.read_bytes() == content
    else:
        assert save(USUAL, file) is None
        assert load(TWO_CPUS, file) == USUAL


def test_a_field_from_elsewhere_is_no_damage(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(changed(remark="hello"))
    assert load(TWO_CPUS, file) == USUAL


def test_places_that_cannot_be_written_are_told_of(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="ascii")
    assert "cannot be written" in (save(USUAL, blocked / "roofs.json") or "")
    folder = tmp_path / "folder"
    folder.mkdir()
    assert "cannot be read" in reason(folder)
    assert "cannot be" in (save(USUAL, folder) or "")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_it_lies_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_path() == Path("/somewhere/diagnose/roofs.json")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_path() == Path("/home/someone/.cache/diagnose/roofs.json")
