"""The committed captures: what each source read of workloads whose needs are known by construction."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from collectors.watched import Watched
from heuristics.observations import Activity, Observation
from tests.ground_truth.answers import CAPTURES
from tests.ground_truth.sources import FILES, contents
from tests.ground_truth.twice import STREAMING

H100 = CAPTURES / "h100"
PEAK_BYTES_PER_S = 2 * 2619e6 * 5120 / 8
MANIFEST: dict[str, Any] = json.loads((H100 / "capture.json").read_text())
WORKLOADS: dict[str, Any] = MANIFEST["workloads"]


def activity(path: Path) -> Activity:
    """The one activity in a capture."""
    return next(o.payload for o in contents(path).observations if isinstance(o.payload, Activity))


def test_the_manifest_names_what_is_there() -> None:
    folders = {path.name for path in H100.iterdir() if path.is_dir()}
    assert folders == set(WORKLOADS)
    assert len(folders) >= 24
    for name in folders:
        assert (H100 / name / FILES["dmon"]).exists()
        assert (H100 / name / FILES["gpm"]).exists()


@pytest.mark.parametrize("name", STREAMING)
def test_dram_activity_of_gpm_is_bytes_over_time(name: str) -> None:
    """The counter and the arithmetic restate one quantity: within a twentieth of the peak."""
    built, step_s = WORKLOADS[name]["built"], WORKLOADS[name]["watched"]["step_s"]
    needed = built["bytes"] / step_s / PEAK_BYTES_PER_S
    assert activity(H100 / name / FILES["gpm"]).dram_active == pytest.approx(needed, abs=0.05)


@pytest.mark.parametrize("name", ["stream-add", "gemm-b4096", "decode-8b-b64-long", "copying", "underfill"])
def test_dmon_and_the_library_read_the_same_counters(name: str) -> None:
    logged, recorded = activity(H100 / name / "dmon_gpm.log"), activity(H100 / name / FILES["gpm"])
    for field in ("sm_active", "tensor_active", "dram_active", "fp32_active"):
        assert getattr(logged, field) == pytest.approx(getattr(recorded, field), abs=0.03), field


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_recordings_hold_no_name_of_a_machine_or_a_card(name: str) -> None:
    watched = contents(H100 / name / FILES["gpm"])
    assert isinstance(watched, Watched)
    uuids = {o.device.uuid for o in watched.observations if isinstance(o, Observation) and o.device is not None}
    assert uuids <= {None, "GPU-00000000-0000-0000-0000-000000000000"}


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_watching_a_job_does_not_slow_it(name: str) -> None:
    """Beside the step alone, in the same minute. Steps that the host holds up vary by themselves and are left out."""
    capture = WORKLOADS[name]
    alone, watched = capture["alone"], capture["watched"]["step_s"]
    if alone["high_s"] > 1.05 * alone["low_s"]:
        pytest.skip("its steps vary by more than that by themselves")
    assert watched < 1.10 * alone["step_s"]
