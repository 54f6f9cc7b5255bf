"""``diagnose calibrate``: what it prints and keeps. Sizes are tiny: nothing here depends on the figures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import collectors.calibration.measure as measuring
from collectors.calibration.figures import Calibration, Gpu
from collectors.calibration.machine import this_machine
from collectors.calibration.store import load, save
from diagnose.commands.calibrate import command, table
from heuristics.errors import DiagnoseError
from tests.collectors.test_calibration import USUAL


def here(**changes: Any) -> Calibration:
    """A calibration of the machine that the tests run on."""
    return replace(USUAL, machine=this_machine(), **changes)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "diagnose" / "roofs.json"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What ``measure`` was asked for; it answers at once."""
    asked: list[dict[str, Any]] = []

    def answer(**options: Any) -> Calibration:
        asked.append(options)
        return here()

    monkeypatch.setattr(measuring, "measure", answer)
    return asked


def test_it_measures_prints_and_keeps(measured: list[dict[str, Any]], cache: Path) -> None:
    done = CliRunner().invoke(command, [])
    assert done.exit_code == 0
    assert f"Saved to {cache}" in done.stdout
    assert done.stderr == ""
    assert load(this_machine()) == here()
    assert len(measured) == 1


def test_a_real_measurement_goes_all_the_way(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    small = measuring.measure

    def smaller(**options: Any) -> Calibration:
        return small(**options, seconds=0.0, stream_bytes=1e5, edges=(8,))

    monkeypatch.setattr(measuring, "measure", smaller)
    done = CliRunner().invoke(command, ["--no-torch", "--format", "json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["levels"][0]["threads"] == 1
    assert isinstance(load(this_machine()), Calibration)


def test_every_number_of_threads_has_a_line() -> None:
    lines = list(table(USUAL))
    assert lines[:2] == ["A CPU", "2 CPUs, 7.45 GiB of memory, 30.5 MiB of last-level cache"]
    rows = [line.split() for line in lines[4:7]]
    assert rows[0] == ["1", "20", "GB/s", "80", "GFLOP/s", "4.0", "FLOP/byte"]
    assert [row[0] for row in rows] == ["1", "2", "8"]
    assert lines[-1] == "Taken on 2026-01-02 03:04 UTC; others took 0.0 % of the processors' time."


def test_it_fits_80_columns_whatever_was_found() -> None:
    level = replace(
        USUAL.levels[-1],
        flops_per_s={"fp32": 9.87654e14, "bf16": 1.23456e15, "int8": 1.23456e15},
        bandwidth_spread=0.123,
        arithmetic_spread=0.456,
    )
    gpu = Gpu(
        index=0, name="A " + "long " * 30, bandwidth_bytes_per_s=3.35e12, flops_per_s={"bf16": 7e14, "fp16": 7e14}
    )
    machine = replace(USUAL.machine, cpu="A " + "long " * 30)
    lines = list(table(replace(USUAL, machine=machine, levels=(level,), gpus=(gpu,))))
    assert max(map(len, lines)) <= 80
    assert any("int8" in line and "OP/s" in line for line in lines)
    assert any("GPU 0" in line for line in lines)


def test_json_is_one_object_that_says_where_it_was_saved(measured: list[dict[str, Any]], cache: Path) -> None:
    done = CliRunner().invoke(command, ["--format", "json", "--no-torch"])
    found = json.loads(done.stdout)
    assert found["schema"] == "diagnose.roofs/1"
    assert [level["threads"] for level in found["levels"]] == [1, 2, 8]
    assert (found["saved_to"], found["under_load"], found["warnings"]) == (str(cache), False, [])
    assert measured[0]["with_torch"] is False


def test_a_busy_machine_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "measure", lambda **_: here(others_fraction=0.3))
    done = CliRunner().invoke(command, [])
    assert done.exit_code == 0
    assert "others took 30 %" in done.stdout
    assert "measured under load: may be up to three times too low; run again when idle" in done.stderr


def test_the_stored_one_is_shown_without_measuring(measured: list[dict[str, Any]], cache: Path) -> None:
    save(here())
    done = CliRunner().invoke(command, ["--show"])
    assert done.exit_code == 0
    assert f"Stored in {cache}" in done.stdout
    assert measured == []


def test_without_a_stored_one_it_says_what_to_type() -> None:
    done = CliRunner().invoke(command, ["--show"])
    assert isinstance(done.exception, DiagnoseError)
    assert done.exception.hint == "diagnose calibrate"


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_cache_that_cannot_be_written_still_prints(
    measured: list[dict[str, Any]], form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="ascii")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    done = CliRunner().invoke(command, ["--format", form])
    assert done.exit_code == 0
    assert "GFLOP/s" in done.stdout or json.loads(done.stdout)["saved_to"] is None
    assert "cannot be written" in done.output


def test_the_result_goes_into_a_file(measured: list[dict[str, Any]], tmp_path: Path) -> None:
    out = tmp_path / "roofs.txt"
    done = CliRunner().invoke(command, ["-o", str(out)])
    assert (done.exit_code, done.stdout) == (0, "")
    assert "GFLOP/s" in out.read_text(encoding="utf-8")
    wrong = CliRunner().invoke(command, ["-o", str(tmp_path / "nowhere" / "x")])
    assert isinstance(wrong.exception, DiagnoseError)
