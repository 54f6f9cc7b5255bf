"""``diagnose doctor``: what it finds of the driver, the roofs and a job, and what would unlock the rest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from collectors.calibration.machine import this_machine
from collectors.calibration.store import save
from diagnose.cli import main
from diagnose.commands.doctor import command
from tests.collectors.test_calibration import USUAL
from tests.diagnose.command import run
from tests.make.nvml import NAME, ROOT, stub
from tests.make.stand_ins import JOBS, Job, Page, Running, running, started_plain, vllm_pages

Json = dict[str, Any]

NOT_SUPPORTED: Page = {
    "status": 501,
    "body": json.dumps({"error": {"code": 501, "message": "Start it with `--metrics`", "type": "not_supported_error"}}),
    "type": "application/json",
}
UNCOUNTED: Page = {"body": "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 1.7e9\n"}


def _with(name: str, **pages: Page) -> Job:
    """A job of which some pages are others; ``_`` stands for ``/`` in their names."""
    changed = {path.replace("_", "/"): page for path, page in pages.items()}
    return replace(JOBS[name], pages=lambda: {**JOBS[name].pages(), **changed})


ENGINES: dict[str, Job] = {
    "vLLM": replace(JOBS["vLLM"], pages=vllm_pages),
    "vLLM that does not count": _with("vLLM", _metrics=UNCOUNTED),
    "vLLM with an empty page": _with("vLLM", _metrics={"body": ""}),
    "vLLM with a key": _with("vLLM", _metrics={"status": 401, "body": "{}"}),
    "llama.cpp": JOBS["llama.cpp"],
    "llama.cpp without --metrics": _with("llama.cpp", _metrics=NOT_SUPPORTED),
    "llama.cpp without slots": _with("llama.cpp", _metrics=NOT_SUPPORTED, _slots=NOT_SUPPORTED),
    "MLC-LLM": JOBS["MLC-LLM"],
}


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Running]]:
    """All of them, at work."""
    with ExitStack() as stack:
        folders = {name: tmp_path_factory.mktemp("engine") for name in ENGINES}
        yield {name: stack.enter_context(running(job, folders[name])) for name, job in ENGINES.items()}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is calibrated."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def told(*arguments: object) -> list[Json]:
    """The findings, as JSON."""
    done = CliRunner().invoke(command, [*map(str, arguments), "--format", "json"])
    assert (done.exit_code, done.stderr) == (0, "")
    return findings(done.stdout)


def findings(text: str) -> list[Json]:
    """Of a document that has what it should."""
    found = json.loads(text)
    assert found.keys() == {"system", "findings"}
    assert "Python" in found["system"]
    for finding in found["findings"]:
        assert finding.keys() - {"unlock"} == {"name", "state", "text"}
        assert finding["state"] in ("ok", "limited", "missing")
        assert all(isinstance(value, str) and value for value in finding.values())
    listed: list[Json] = found["findings"]
    return listed


def named(found: list[Json], name: str) -> Json:
    """The only finding of that name."""
    (finding,) = [f for f in found if f["name"] == name]
    return finding


# --- the driver


SURVEYS = {
    "h200": "0",
    "h200,pids=1": "1",
    "a100": "1",
    "h200,nogpm": "0",
    "mig": "0",
    "two,unopened": "0",
    "driver=18": "1",
}
"""Scenarios of the stub with what the module's parameters say of profiling."""

SURVEYING = """
import json, os, sys
from dataclasses import asdict
from diagnose.checkup import checkup
for scenario, params in json.loads(sys.argv[1]):
    os.environ["NVML_STUB"] = scenario
    print(json.dumps([asdict(f) for f in checkup(int(sys.argv[2]), params=params)]))
"""


@pytest.fixture(scope="module")
def surveyed(tmp_path_factory: pytest.TempPathFactory, engines: dict[str, Running]) -> dict[str, list[Json]]:
    """What is found where the driver is in each of these states. One process asks in all of them."""
    folder = tmp_path_factory.mktemp("params")
    for word in "01":
        (folder / word).write_text(f"ResmanDebugLevel: 4294967295\nRmProfilingAdminOnly: {word}\n", encoding="utf-8")
    order = [(scenario, str(folder / word)) for scenario, word in SURVEYS.items()]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SURVEYING, json.dumps(order), str(engines["llama.cpp"].pid)],
        env=os.environ | {"LD_LIBRARY_PATH": str(stub()), "XDG_CACHE_HOME": str(folder)},
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(SURVEYS, map(json.loads, done.stdout.splitlines()), strict=True))


def test_a_driver_with_gpm(surveyed: dict[str, list[Json]]) -> None:
    found = surveyed["h200"]
    assert named(found, "driver")["text"] == "555.58.02, NVML 12.555.58.02, 1 GPU"
    device = named(found, "GPU 0")
    assert (device["state"], device["text"], device["unlock"]) == ("ok", "NVIDIA H200, with GPM", None)
    assert named(found, "profiling")["state"] == "ok"
    assert not [f for f in found if f["name"].startswith(("GPM", "NVML"))]


def test_profiling_that_is_kept_for_administrators(surveyed: dict[str, list[Json]]) -> None:
    (locked,) = [f for f in surveyed["h200,pids=1"] if "RmProfilingAdminOnly: 1" in f["text"]]
    assert locked["state"] == "missing"
    assert "NVreg_RestrictProfilingToAdminUsers=0" in locked["unlock"]
    assert not [f for f in surveyed["h200,pids=1"] if f["name"] == "profiling"]


@pytest.mark.parametrize(
    ("scenario", "reason", "unlock", "never"),
    [("a100", "not supported", "dcgm-exporter", "as root"), ("h200,nogpm", "no permission", "root", "Hopper")],
)
def test_a_device_without_gpm(
    scenario: str, reason: str, unlock: str, never: str, surveyed: dict[str, list[Json]]
) -> None:
    """Only what applies to the cause is advised, and only once."""
    device, gpm = named(surveyed[scenario], "GPU 0"), named(surveyed[scenario], "GPM of GPU 0")
    assert device["state"] == "limited"
    assert device["text"].endswith("without GPM")
    assert device["unlock"] is None
    assert gpm["text"] == reason
    assert unlock in gpm["unlock"]
    assert never not in gpm["unlock"]


def test_instances_of_mig(surveyed: dict[str, list[Json]]) -> None:
    devices = [(f["name"], f["text"]) for f in surveyed["mig"] if f["name"].startswith("GPU")]
    assert devices == [
        ("GPU 0", "NVIDIA H100 80GB HBM3, cut into MIG instances, with GPM"),
        ("GPU 101", "NVIDIA H100 80GB HBM3, MIG 3g.40gb, with GPM"),
        ("GPU 109", "NVIDIA H100 80GB HBM3, MIG 1g.10gb, with GPM"),
    ]


def test_a_device_that_cannot_be_opened(surveyed: dict[str, list[Json]]) -> None:
    found = surveyed["two,unopened"]
    assert named(found, "driver")["text"].endswith("2 GPUs")
    assert (named(found, "GPU 1")["state"], named(found, "GPU 1")["text"]) == ("missing", "no permission")
    assert named(found, "GPU 0")["state"] == "ok"


def test_a_driver_that_does_not_fit_its_library(surveyed: dict[str, list[Json]]) -> None:
    found = surveyed["driver=18"]
    nvml = named(found, "NVML")
    assert (nvml["state"], nvml["text"]) == ("missing", "driver and library differ in version")
    assert "reboot" in nvml["unlock"]
    assert not [f for f in found if f["name"].startswith(("driver", "GPU"))]
    assert [f for f in found if "RmProfilingAdminOnly: 1" in f["text"]]


def test_without_the_library(tmp_path: Path, engines: dict[str, Running]) -> None:
    (tmp_path / NAME).write_text("no library")
    done = run("doctor", engines["llama.cpp"].pid, "--format", "json", LD_LIBRARY_PATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, b"")
    nvml = named(findings(done.stdout.decode()), "NVML")
    assert (nvml["state"], nvml["text"]) == ("missing", f"{NAME} is not found")
    assert "install NVIDIA's driver" in nvml["unlock"]


def test_another_module_in_the_place_of_the_binding(tmp_path: Path, engines: dict[str, Running]) -> None:
    module = tmp_path / "pynvml.py"
    module.write_text("answer = 42\n")
    done = run("doctor", engines["llama.cpp"].pid, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, b"")
    said = " ".join(done.stdout.decode().split())
    assert "is not NVIDIA's binding: it lacks nvmlInit" in said
    assert "pip install --force-reinstall nvidia-ml-py" in said
    assert "libnvidia-ml" not in said


# --- the text


@pytest.mark.parametrize(("columns", "most"), [(80, 80), (20, 50), (50, 50), (300, 100)])
def test_the_text_fits_the_terminal(
    columns: int, most: int, engines: dict[str, Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    done = CliRunner().invoke(command, [str(engines["llama.cpp without --metrics"].pid)])
    assert (done.exit_code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= most
    assert {line[:5] for line in lines} <= {"ok   ", "part ", "no   ", "     "}
    assert all(line == line.rstrip() for line in lines)


def test_the_picture_at_80_columns(engines: dict[str, Running], monkeypatch: pytest.MonkeyPatch) -> None:
    """Names under each other, texts under each other, and what to do under the text."""
    monkeypatch.setenv("COLUMNS", "80")
    pid = engines["llama.cpp without --metrics"].pid
    lines = CliRunner().invoke(command, [str(pid)]).stdout.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith(f"ok   process {pid}"))
    indent = lines[at].index("llama.cpp, 1 process, ports ")
    name = "llama.cpp metrics"
    port = engines["llama.cpp without --metrics"].port
    assert lines[at:] == [
        f"ok   {f'process {pid}':<{indent - 5}}llama.cpp, 1 process, ports {port}",
        f"{'':<{indent}}→ diagnose attach {pid}",
        f"no   {name:<{indent - 5}}llama.cpp: /metrics answered with HTTP 501",
        f"{'':<{indent}}→ llama-server --metrics",
        f"ok   {name:<{indent - 5}}the list of slots answers",
    ]
    assert all(line[:indent].isspace() or line[indent - 2 : indent] == "  " for line in lines)


# --- the roofs of this machine


def test_a_machine_that_was_not_calibrated(engines: dict[str, Running]) -> None:
    found = named(told(engines["llama.cpp"].pid), "calibration")
    assert found["state"] == "missing"
    assert "not been calibrated" in found["text"]
    assert found["unlock"] == "diagnose calibrate"


@pytest.mark.parametrize(("others", "state"), [(0.0, "ok"), (0.4, "limited")])
def test_a_machine_that_was_calibrated(others: float, state: str, engines: dict[str, Running]) -> None:
    saved = replace(USUAL, machine=this_machine(), others_fraction=others, taken_at="2026-11-20T10:00:00Z")
    assert save(saved) is None
    level = saved.for_threads(this_machine().cpus)
    found = named(told(engines["llama.cpp"].pid), "calibration")
    assert found["state"] == state
    assert found["text"].startswith(f"{level.bandwidth_bytes_per_s / 1e9:.3g} GB/s with {level.threads} thread")
    assert "taken 2026-11-20" in found["text"]
    assert ("idle" in found.get("unlock", "")) is (state == "limited")


def test_a_calibration_that_is_damaged(tmp_path: Path, engines: dict[str, Running]) -> None:
    (tmp_path / "diagnose").mkdir()
    (tmp_path / "diagnose" / "roofs.json").write_text("{")
    found = named(told(engines["llama.cpp"].pid), "calibration")
    assert found["state"] == "missing"
    assert "roofs.json" in found["text"]


# --- jobs


def of_engine(found: list[Json], engine: str) -> list[tuple[str, str, str | None]]:
    """What is said of its metrics: state, text and unlock."""
    return [(f["state"], f["text"], f.get("unlock")) for f in found if f["name"] == f"{engine} metrics"]


def test_an_engine_whose_metrics_answer(engines: dict[str, Running]) -> None:
    made = engines["vLLM"]
    found = told(made.pids[-1])
    job = named(found, f"process {made.pid}")
    assert (job["state"], job["text"]) == ("ok", f"vLLM, {len(made.pids)} processes, ports {made.port}")
    assert job["unlock"] == f"diagnose attach {made.pid}"
    assert of_engine(found, "vLLM") == [("ok", "the page of metrics answers", None)]
    assert of_engine(told(engines["llama.cpp"].pid), "llama.cpp") == [
        ("ok", "the page of metrics and the list of slots answer", None)
    ]


def test_a_llama_server_without_metrics(engines: dict[str, Running]) -> None:
    missing, slots = of_engine(told(engines["llama.cpp without --metrics"].pid), "llama.cpp")
    assert (missing[0], missing[2]) == ("missing", "llama-server --metrics")
    assert slots[0] == "ok"
    (missing,) = of_engine(told(engines["llama.cpp without slots"].pid), "llama.cpp")
    assert (missing[0], missing[2]) == ("missing", "llama-server --metrics")


@pytest.mark.parametrize("name", ["vLLM that does not count", "vLLM with an empty page"])
def test_an_engine_that_serves_its_page_without_its_counters(name: str, engines: dict[str, Running]) -> None:
    (found,) = of_engine(told(engines[name].pid), "vLLM")
    assert found[0] == "missing"
    assert "no counter of vLLM" in found[1]
    assert "--disable-log-stats" in str(found[2])


def test_an_engine_that_wants_a_key(engines: dict[str, Running]) -> None:
    (found,) = of_engine(told(engines["vLLM with a key"].pid), "vLLM")
    assert found[0] == "missing"
    assert "--api-key-env" in str(found[2])


def test_an_engine_that_has_no_metrics(engines: dict[str, Running]) -> None:
    (found,) = of_engine(told(engines["MLC-LLM"].pid), "MLC-LLM")
    assert found == ("limited", "it exports no rates: its device and its host tell what they can", None)


def test_a_program_that_is_no_engine() -> None:
    with started_plain("import time; print('x', flush=True); time.sleep(600)") as pid:
        found = told(pid)
    job = named(found, f"process {pid}")
    assert (job["state"], job["text"]) == ("limited", "unknown program, 1 process, ports none seen")
    assert job["unlock"] == f"diagnose attach {pid}"


def test_every_engine_here_where_no_pid_is_given(engines: dict[str, Running]) -> None:
    """As many as are listed at all: others may run on this machine meanwhile."""
    listed = [f["name"] for f in told() if f["name"].startswith("process ")]
    ours = {f"process {made.pid}" for made in engines.values()}
    assert ours <= set(listed) or len(listed) == 8


@pytest.mark.parametrize("pid", [2**22 + 1, "abc", "0", "-1", "1.5"])
def test_a_pid_that_is_no_process(pid: object, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["diagnose", "doctor", "--", str(pid)])
    with pytest.raises(SystemExit) as stopped:
        main()
    out, err = capsys.readouterr()
    assert (stopped.value.code, out) == (2, "")
    wrong, hint = err.splitlines()
    assert wrong.startswith("Error: ")
    assert str(pid) in wrong
    assert hint.startswith("Hint: ")


# --- promises


PASSIVE = {
    "vLLM": {"/metrics", "/version", "/v1/models"},
    "llama.cpp": {"/metrics", "/slots", "/v1/models", "/props"},
    "MLC-LLM": {"/v1/models"},
}


def test_no_request_beyond_the_passive_paths_and_no_signal(engines: dict[str, Running]) -> None:
    for name, made in engines.items():
        told(made.pid)
        asked = made.requests()
        assert {(r["method"], r["path"]) for r in asked} <= {("GET", path) for path in PASSIVE[name.split()[0]]}
        assert not any(r["body_bytes"] or "Authorization" in r["headers"] for r in asked)
        assert made.signals() == []


def test_its_help_imports_nothing_heavy() -> None:
    heavy = ("numpy", "pandas", "torch", "rich", "pynvml", "psutil", "collectors.nvml", "collectors.job")
    script = (
        "import sys\nfrom diagnose.cli import main\nsys.argv = ['diagnose', 'doctor', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"sys.stderr.write(','.join(m for m in {heavy!r} if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True, timeout=60)
    assert done.stderr == b""
    assert b"what is missing" in done.stdout
