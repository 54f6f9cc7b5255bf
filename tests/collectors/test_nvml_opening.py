"""NVML that cannot be opened: which of several causes, and what would unlock it. And what a survey says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.make.nvml import NAME, ROOT, Seen, seen, stub

FOLDER = ROOT / "collectors" / "nvml"


def only_missing(run: Seen) -> tuple[str, str]:
    """Reason and unlock of a run of which nothing else came."""
    (record,) = run.records
    assert (record["what"], record["source"]) == ("missing", "NVML")
    return record["reason"], record["unlock"]


# --- the library


@pytest.mark.parametrize(
    ("code", "reason", "unlock"),
    [
        (4, "no permission", "/dev/nvidia"),
        (9, "the driver is not loaded", "modprobe nvidia"),
        (18, "driver and library differ in version", "reboot"),
        (17, "blocked by the operating system", "--gpus all"),
        (999, "unknown error", "nvidia-smi"),
        (777, "NVMLError: an error of the stub", "nvidia-smi"),
    ],
)
def test_a_refusal_at_the_door_is_told_with_what_unlocks_it(code: int, reason: str, unlock: str) -> None:
    told, way = only_missing(seen(f"h200,driver={code}"))
    assert told == reason
    assert unlock in way


def test_without_the_library(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("no library")
    reason, unlock = only_missing(seen("", folder=tmp_path))
    assert reason == "libnvidia-ml.so.1 is not found"
    assert "install NVIDIA's driver" in unlock


# --- the binding


def test_another_module_of_that_name_is_told_from_the_binding(tmp_path: Path) -> None:
    (tmp_path / "pynvml.py").write_text("answer = 42\n")
    reason, unlock = only_missing(seen("h200", path=[tmp_path]))
    assert reason == f"the module pynvml in {tmp_path / 'pynvml.py'} is not NVIDIA's binding: it lacks nvmlInit, " + (
        "nvmlShutdown"
    )
    assert "nvidia-ml-py" in unlock


@pytest.mark.parametrize("content", ["raise ValueError('broken')\n", "def (\n", "import no_such_module_at_all\n"])
def test_a_module_that_cannot_be_imported_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "pynvml.py").write_text(content)
    reason, unlock = only_missing(seen("h200", path=[tmp_path]))
    assert "pynvml" in reason
    assert "nvidia-ml-py" in unlock


def test_a_binding_that_warns_and_lacks_gpm_is_used_for_the_rest(tmp_path: Path) -> None:
    """As the distribution of another name did."""
    import pynvml

    (tmp_path / "pynvml.py").write_text(
        "import warnings\n"
        "warnings.warn('deprecated', FutureWarning)\n"
        f"exec(compile(open({pynvml.__file__!r}).read(), 'pynvml.py', 'exec'))\n"
        "for name in [n for n in globals() if 'Gpm' in n or 'EventReasons' in n]:\n"
        "    del globals()[name]\n"
    )
    run = seen("h200,pids=4000", known={4000: 700}, path=[tmp_path])
    assert run.missing == ["GPM of GPU 0: function not found"]
    assert run.of("nvml")[0]["clock_reasons"] == 4


# --- a promise


def test_no_function_that_changes_anything_is_named() -> None:
    named = {name for file in FOLDER.glob("*.py") for name in re.findall(r"\bnvml[A-Z]\w+", file.read_text())}
    assert len(named) > 20
    assert not [n for n in named if re.search(r"Set|Reset|Clear|Create|Destroy|Modify|Register|Activate|Freeze", n)]


# --- the survey


def test_a_survey_names_versions_devices_and_what_is_locked(tmp_path: Path) -> None:
    params = tmp_path / "params"
    params.write_text("ResmanDebugLevel: 4294967295\nRmProfilingAdminOnly: 1\nPreserveVideoMemoryAllocations: 0\n")
    run = seen("two,a100,unopened,pids=4000:4001", survey=params)
    (driver,) = run.of("driver")
    assert driver == {
        "what": "driver",
        "t_s": 0.0,
        "driver": "555.58.02",
        "nvml": "12.555.58.02",
        "gpus": 2,
        "profiling_admin_only": True,
    }
    (device,) = run.of("device")
    assert (device["index"], device["gpm"], device["mig"], device["processes"]) == (0, False, False, 2)
    assert run.missing == [
        "GPU 1: no permission",
        "GPM of GPU 0: not supported",
        "profiling counters of ncu and DCGM before Hopper: the driver keeps them for administrators "
        "(RmProfilingAdminOnly: 1)",
    ]
    assert "NVreg_RestrictProfilingToAdminUsers=0" in run.of("missing")[-1]["unlock"]
    assert run.counts["stub_gpm_samples"] == 0


def test_a_survey_shows_instances_and_gpm(tmp_path: Path) -> None:
    run = seen("mig", survey=tmp_path / "absent")
    assert "profiling_admin_only" not in run.of("driver")[0]
    assert [(d["index"], d["mig"], d["gpm"]) for d in run.of("device")] == [
        (0, True, True),
        (101, True, True),
        (109, True, True),
    ]
    assert run.missing == []


def test_a_survey_says_when_processes_are_hidden(tmp_path: Path) -> None:
    run = seen("h200,noprocs", survey=tmp_path / "absent")
    assert run.missing == ["processes of GPU 0: no permission"]


def test_a_survey_without_a_driver_says_what_the_parameters_say(tmp_path: Path) -> None:
    params = tmp_path / "params"
    params.write_text("RmProfilingAdminOnly: 0\n")
    run = seen("driver=18", survey=params)
    assert run.of("driver") == [{"what": "driver", "t_s": 0.0, "profiling_admin_only": False}]
    assert run.missing == ["NVML: driver and library differ in version"]


def test_the_stub_would_notice_a_change() -> None:
    """The count that other tests find at zero does count."""
    import ctypes

    library = ctypes.CDLL(str(stub() / NAME))
    before = library.stub_sets()
    library.nvmlDeviceSetPersistenceMode()
    assert library.stub_sets() == before + 1
