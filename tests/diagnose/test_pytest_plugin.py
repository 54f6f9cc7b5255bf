"""The plugin in real runs of pytest: what it asserts, how it fails, what it keeps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.make.smi import Reading, dmon
from tests.make.verdicts import baseline, verdict, written

PASSING = """
import pytest

@pytest.mark.diagnose(regime="memory", cause="weights", roof=0.5, confidence=0.9)
def test_decode(diagnose):
    found = diagnose("tonight.json")
    assert found.regime == "memory"
    assert found.roof > 0.5
    assert found.to_dict()["measured"]["batch"] == 8.0
"""


def ran(folder: Path, content: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A run of pytest on one file, with this plugin and no other."""
    (folder / "test_it.py").write_text(content, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "diagnose.pytest_plugin", "--strict-markers", "-rA", *arguments],
        cwd=folder,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_job_that_is_as_expected(tmp_path: Path) -> None:
    written(tmp_path / "tonight.json", verdict())
    done = ran(tmp_path, PASSING)
    assert done.returncode == 0, done.stdout


def test_failures_show_the_verdict(tmp_path: Path) -> None:
    written(tmp_path / "tonight.json", verdict(0.4, regime="latency"))
    done = ran(tmp_path, PASSING)
    assert done.returncode == 1
    assert "expected memory-bound, found latency (95 %)" in done.stdout
    assert "expected cause weights, found host" in done.stdout
    assert "expected 50 % of the nearest roof or more; what was reached is 43 %" in done.stdout
    assert "latency: host, confidence 95 %" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_dump_is_judged_and_its_report_shown(tmp_path: Path) -> None:
    (tmp_path / "dmon.log").write_text(dmon([Reading(sm=0.03, memory=0.01)] * 20), encoding="utf-8")
    content = "def test_it(diagnose):\n    diagnose('dmon.log', regime='compute', gpu='H100')\n"
    done = ran(tmp_path, content)
    assert done.returncode == 1
    assert "expected compute-bound, found" in done.stdout
    assert "Evidence" in done.stdout


def test_sessions_are_kept_and_a_slow_down_fails(tmp_path: Path) -> None:
    for night in range(9):
        written(tmp_path / f"{night}.json", verdict(night=night))
    nights = (
        "import pytest\n@pytest.mark.parametrize('night', range(9))\n"
        "def test_it(diagnose, night):\n    diagnose(f'{night}.json', workload='decode-8')\n"
    )
    done = ran(tmp_path, nights, "--diagnose-baseline", "kept", "--diagnose-update")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("added to the baseline") == 9
    assert len((tmp_path / "kept" / "decode-8.jsonl").read_text().splitlines()) == 9
    assert "test_it[8]: PASS: " in done.stdout
    content = "def test_it(diagnose):\n    diagnose('tonight.json', workload='decode-8')\n"
    written(tmp_path / "tonight.json", verdict(0.2, night=20))
    slow = ran(tmp_path, content, "--diagnose-baseline", "kept", "--diagnose-update")
    assert slow.returncode == 1
    assert "REGRESSION: time per output token +2" in slow.stdout
    assert "20.0 ms before" in slow.stdout
    assert len((tmp_path / "kept" / "decode-8.jsonl").read_text().splitlines()) == 9


def test_two_calls_in_a_test_are_two_workloads(tmp_path: Path) -> None:
    content = "def test_it(diagnose):\n    for night in range(3):\n        diagnose(f'{night}.json')\n"
    for night in range(3):
        written(tmp_path / f"{night}.json", verdict(night=night))
    done = ran(tmp_path, content, "--diagnose-baseline", "kept", "--diagnose-update")
    assert done.returncode == 0, done.stdout
    lines = [line for file in (tmp_path / "kept").glob("*.jsonl") for line in file.read_text().splitlines()]
    names = {json.loads(line)["subject"]["workload"] for line in lines}
    assert names == {"test_it.py::test_it", "test_it.py::test_it #2", "test_it.py::test_it #3"}


def test_what_cannot_be_told_passes_unless_strict(tmp_path: Path) -> None:
    baseline(tmp_path / "kept", 3)
    written(tmp_path / "tonight.json", verdict(night=20))
    content = "def test_it(diagnose):\n    diagnose('tonight.json', workload='decode-8')\n"
    done = ran(tmp_path, content, "--diagnose-baseline", "kept")
    assert done.returncode == 0
    assert "CANNOT TELL: 3 of 8 like sessions" in done.stdout
    assert ran(tmp_path, content, "--diagnose-baseline", "kept", "--diagnose-strict").returncode == 1


def test_the_folder_may_stand_in_the_projects_file(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\ndiagnose_baseline = kept\n", encoding="utf-8")
    baseline(tmp_path / "kept")
    written(tmp_path / "tonight.json", verdict(0.3, night=20))
    content = "def test_it(diagnose):\n    diagnose('tonight.json', workload='decode-8')\n"
    assert ran(tmp_path, content).returncode == 1


@pytest.mark.parametrize(
    ("mark", "wrong"),
    [
        ("regime='fast'", "regime 'fast' is none of memory"),
        ("rof=0.5", "no keyword 'rof'"),
        ("'memory'", "takes keywords only"),
        ("roof=50", "roof must lie between 0 and 1"),
    ],
)
def test_a_marker_that_makes_no_sense(tmp_path: Path, mark: str, wrong: str) -> None:
    content = f"import pytest\n@pytest.mark.diagnose({mark})\ndef test_it(diagnose):\n    pass\n"
    done = ran(tmp_path, content)
    assert done.returncode != 0
    assert wrong in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_marker_that_is_held_against_nothing(tmp_path: Path) -> None:
    mark = "import pytest\n@pytest.mark.diagnose(regime='memory')\n"
    unused = ran(tmp_path, f"{mark}def test_it():\n    pass\n")
    assert unused.returncode != 0
    assert "does not use the fixture diagnose" in unused.stdout + unused.stderr
    uncalled = ran(tmp_path, f"{mark}def test_it(diagnose):\n    pass\n")
    assert uncalled.returncode != 0
    assert "judged nothing" in uncalled.stdout


def test_an_update_of_no_baseline(tmp_path: Path) -> None:
    done = ran(tmp_path, "def test_it():\n    pass\n", "--diagnose-update")
    assert done.returncode != 0
    assert "needs --diagnose-baseline" in done.stderr


def test_errors_for_the_user_keep_their_hint(tmp_path: Path) -> None:
    done = ran(tmp_path, "def test_it(diagnose):\n    diagnose('missing.json')\n")
    assert done.returncode == 1
    assert "Error: missing.json: no such file" in done.stdout
    assert "Hint: " in done.stdout
    assert "Traceback" not in done.stdout


def test_a_failure_on_the_first_night_keeps_nothing(tmp_path: Path) -> None:
    written(tmp_path / "tonight.json", verdict(regime="latency"))
    done = ran(tmp_path, PASSING, "--diagnose-baseline", "kept", "--diagnose-update")
    assert done.returncode == 1
    assert "expected memory-bound, found latency" in done.stdout
    assert list((tmp_path / "kept").glob("*.jsonl")) == []


def test_a_live_process_by_its_pid(tmp_path: Path) -> None:
    content = (
        "import subprocess, sys\n"
        "def test_it(diagnose):\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "    try:\n"
        "        diagnose(child.pid, for_=1, regime='memory')\n"
        "    finally:\n"
        "        child.kill()\n"
    )
    done = ran(tmp_path, content)
    assert done.returncode == 1
    assert "expected memory-bound, found" in done.stdout
    assert "1.0" in done.stdout, "the report says how long it was watched"


def test_it_is_light_to_import() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import diagnose.pytest_plugin; "
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = json.loads(done.stdout.replace("'", '"'))
    assert set(loaded) <= {"diagnose", "diagnose.pytest_plugin"}


def test_runs_without_the_marker_load_nothing_of_it(tmp_path: Path) -> None:
    content = "import sys\ndef test_it():\n    assert 'diagnose.expecting' not in sys.modules\n"
    done = ran(tmp_path, content)
    assert done.returncode == 0, done.stdout


def test_it_is_found_by_pytest_itself() -> None:
    from importlib.metadata import entry_points

    assert any(e.value == "diagnose.pytest_plugin" for e in entry_points(group="pytest11"))
