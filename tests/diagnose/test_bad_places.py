"""Paths that hold no plain file: absent, a folder, a device, a pipe, or one that may not be read."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.diagnose.command import DIAGNOSE, run, started
from tests.diagnose.outcomes import Outcome, analysed, outcome
from tests.make.families import FAMILIES, sound

PIPED = [family for family in FAMILIES if family != "nsys"]


def from_pipe(fifo: Path, content: bytes) -> Outcome:
    """The analysis of what another process writes into a named pipe."""
    os.mkfifo(fifo)
    with started("analyze", fifo, "--format", "json", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        fifo.write_bytes(content)
        out, err = process.communicate(timeout=60)
    return outcome(process.returncode, out.decode(), err.decode())


def as_file(content: bytes, path: Path) -> Outcome:
    path.write_bytes(content)
    return analysed(path)


@pytest.mark.parametrize("family", PIPED)
def test_a_pipe_is_as_good_as_a_file(family: str, tmp_path: Path) -> None:
    piped, filed = from_pipe(tmp_path / "fifo", sound(family)), as_file(sound(family), tmp_path / "file")
    assert piped.result is not None
    assert filed.result is not None
    assert piped.result["verdict"] == filed.result["verdict"]
    assert piped.warnings == filed.warnings


@pytest.mark.parametrize("path", ["-", "/dev/stdin"])
@pytest.mark.parametrize("family", ["ncu raw", "engine"])
def test_standard_input_is_as_good_as_a_file(family: str, path: str, tmp_path: Path) -> None:
    done = run("analyze", path, "--format", "json", stdin=sound(family))
    found = outcome(done.returncode, done.stdout.decode(), done.stderr.decode())
    assert found.result is not None
    assert found.regime == as_file(sound(family), tmp_path / "file").regime


def test_a_database_needs_a_file(tmp_path: Path) -> None:
    found = from_pipe(tmp_path / "fifo", sound("nsys"))
    assert found.wrong.endswith("a database cannot be read from a pipe")
    assert found.hint == "save it to a file first"


def test_a_pipe_that_is_closed_at_once_is_an_empty_file(tmp_path: Path) -> None:
    assert from_pipe(tmp_path / "fifo", b"").wrong.endswith("is empty")


def test_process_substitution_is_read(tmp_path: Path) -> None:
    path = tmp_path / "dmon.log"
    path.write_bytes(sound("dmon"))
    command = f"{shlex.join(DIAGNOSE)} analyze <(cat {shlex.quote(str(path))}) --format json"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False)
    found = outcome(done.returncode, done.stdout.decode(), done.stderr.decode())
    assert found.regime == analysed(path).regime


@pytest.mark.parametrize(
    ("path", "why", "hint"),
    [
        ("absent.log", "no such file", "check the path"),
        ("absent/a.log", "no such file", "check the path"),
        (".", "is a directory", "give the files in it"),
        ("file/a.log", "cannot be opened: Not a directory", "ls -l"),
        ("loop", "cannot be opened: Too many levels of symbolic links", "ls -l"),
        ("x" * 300, "cannot be opened: File name too long", "ls -l"),
        ("dangling", "no such file", "check the path"),
    ],
)
def test_what_is_no_file_is_named(path: str, why: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(sound("dmon"))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    found = analysed(f"{tmp_path}/{path}")
    assert why in found.wrong
    assert found.hint.startswith(hint)


def test_a_missing_file_is_an_error_even_beside_a_sound_one(tmp_path: Path) -> None:
    (tmp_path / "dmon.log").write_bytes(sound("dmon"))
    assert "absent.log: no such file" in analysed(tmp_path / "dmon.log", tmp_path / "absent.log").wrong


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sound_dump_beside_one_that_is_none_is_judged_with_a_warning(family: str, tmp_path: Path) -> None:
    path, other = tmp_path / FAMILIES[family][0], tmp_path / "notes.txt"
    path.write_bytes(sound(family))
    other.write_text("Dear colleague,\nthe job is slow.\n")
    alone = analysed(path)
    both = analysed(path, other)
    assert both.result is not None
    assert alone.result is not None
    assert both.result["verdict"] == alone.result["verdict"]
    assert f"{other}: is of no kind that is known; it was left out" in both.warnings


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "secret.log"
    path.write_bytes(sound("dmon"))
    path.chmod(0)
    found = analysed(path)
    assert "cannot be opened: Permission denied" in found.wrong
    assert found.hint == f"ls -l {path}"


def test_an_empty_device_is_an_empty_file() -> None:
    assert "is empty" in analysed("/dev/null").wrong


def test_a_name_that_is_no_unicode_is_no_obstacle(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/dmon-\xff.log"
    with open(path, "wb") as stream:
        stream.write(sound("dmon"))
    done = run("analyze", os.fsdecode(path), "--format", "json")
    assert outcome(done.returncode, done.stdout.decode(), done.stderr.decode()).result is not None
