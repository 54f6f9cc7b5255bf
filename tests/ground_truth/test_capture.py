"""The capture, run dry on the machine at hand: every step of it but the GPU's own tools, in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from collectors.watched import Watched
from heuristics.observations import Host
from tests.ground_truth.capture import JOB
from tests.ground_truth.known import known_of, roof_parts
from tests.ground_truth.pack import packed
from tests.ground_truth.sources import FILES, ON_CPU, contents, judged
from tests.ground_truth.truth import truth_of

ROOT = Path(__file__).parents[2]
STAND_IN = "tests.ground_truth.stand_in"
NAME = "gemv-cpu"

needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="the workloads themselves are torch's")


@pytest.fixture(params=[STAND_IN, pytest.param(JOB, marks=needs_torch)], scope="module")
def captured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A packed capture of one workload, and its manifest."""
    raw, out = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("packed") / "here"
    options = ["--device", "cpu", "--seconds", "1.5", "--timing", "0.1", "--only", NAME, "--job", request.param]
    command = [sys.executable, "-m", "tests.ground_truth.capture", str(raw), *options]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert answer.returncode == 0, answer.stderr
    assert NAME in answer.stdout
    packed(out, [raw])
    manifest: dict[str, Any] = json.loads((out / "capture.json").read_text())
    assert set(manifest["workloads"]) == {NAME}, answer.stdout
    return out, manifest


def test_each_part_is_there(captured: tuple[Path, dict[str, Any]]) -> None:
    folder, manifest = captured
    capture = manifest["workloads"][NAME]
    assert capture["alone"]["step_s"] > 0.0
    assert capture["watched"]["step_s"] > 0.0
    assert all(v["step_s"] > 0.0 for v in capture["varied"]["variants"])
    assert manifest["runs"][0]["ceilings"]["bandwidth_bytes_per_s"] > 0.0
    assert manifest["runs"][0]["ceilings_after"]["ok"]
    assert (folder / NAME / FILES["trace"]).exists()


def test_the_recording_is_of_the_job(captured: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = captured
    found = contents(folder / NAME / FILES["gpm"])
    assert isinstance(found, Watched)
    hosts = [o.payload for o in found.observations if isinstance(o.payload, Host)]
    assert len(hosts) == 1
    assert hosts[0].busy_cores is not None
    assert hosts[0].busy_cores > 0.05


def test_it_can_be_scored(captured: tuple[Path, dict[str, Any]]) -> None:
    folder, manifest = captured
    capture = manifest["workloads"][NAME]
    assert truth_of(NAME, capture) is not None
    assert known_of(NAME, manifest, watched=True) is not None
    assert roof_parts(capture, manifest, from_cache=True) is not None
    for sources in ON_CPU.values():
        assert judged(folder / NAME, capture, sources, manifest) is not None
