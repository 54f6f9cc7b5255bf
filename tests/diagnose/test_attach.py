"""``diagnose attach`` and ``diagnose record`` on processes that stand in for engines.

Watching takes its time, so scenarios run side by side: each is a function that gives what it saw, and starts with
the first test of this module. A test takes what its scenario saw.
"""

from __future__ import annotations

import gzip
import io
import json
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from collectors.recording import Writer
from diagnose import analyze, attach
from diagnose.cli import main
from heuristics.errors import DiagnoseError
from heuristics.signals import requests
from tests.diagnose.command import DIAGNOSE, started
from tests.diagnose.outcomes import impatient, outcome
from tests.make.configs import PLAIN
from tests.make.stand_ins import BATCH, JOBS, RATE, TOKENS_PER_S, Job, Running, place_of, running
from tests.reports.contract import VERDICT_JSON

PATIENCE_S = 60.0
LOOK_S = 1.5
"""Two scrapes and a last one."""
SIDE_BY_SIDE = 6

CONTRACT = jsonschema.Draft202012Validator(VERDICT_JSON)
ROOFS: dict[str, Any] = {"bandwidth_gb_s": 14.3, "tflops": 1.0, "dtype": "bf16"}
"""What a step of the model below reads, ``RATE`` times a second, is 70 % of that bandwidth."""

Scenario = Callable[["Place"], Any]
SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    """Have it run side by side with the others; the test named after it gets what it gives."""
    SCENARIOS[function.__name__] = function
    return function


@dataclass(frozen=True)
class Place:
    """A scenario's own folder, the model that all share, and vLLM at work on it."""

    folder: Path
    model: Path
    engine: Running

    def of_model(self, name: str = "vLLM", **changes: Any) -> Job:
        """An engine that runs the model."""
        return replace(JOBS[name], model=str(self.model), **changes)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder."""
    folder = tmp_path_factory.mktemp("models") / "tiny-of-ours"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(PLAIN), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def engine(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """vLLM at work on that model, on the CPU; a home folder without anything measured or cached."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "COLUMNS": "80"}.items():
            patch.setenv(name, value)
        job = replace(JOBS["vLLM"], model=str(model), works=0.3, command=("serve", "{model}", "--port", "{port}"))
        with running(job, tmp_path_factory.mktemp("engine")) as made:
            yield made


@pytest.fixture(scope="module")
def every_scenario(
    request: pytest.FixtureRequest, model: Path, engine: Running, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Any]]]:
    """Those of the tests that were asked for."""
    names = {getattr(item, "originalname", item.name).removeprefix("test_") for item in request.session.items}
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        yield {
            name: pool.submit(SCENARIOS[name], Place(tmp_path_factory.mktemp(name), model, engine))
            for name in SCENARIOS
            if name in names
        }


@pytest.fixture
def seen(request: pytest.FixtureRequest, every_scenario: dict[str, Future[Any]]) -> Any:
    """What the scenario of the test saw."""
    name: str = request.function.__name__
    return every_scenario[name.removeprefix("test_")].result(PATIENCE_S)


def judged(pid: int, for_: float = LOOK_S, **options: Any) -> dict[str, Any]:
    """The verdict's JSON, which keeps the contract."""
    return kept(json.dumps(attach(pid, for_=for_, **options).to_dict(), allow_nan=False))


def kept(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    CONTRACT.validate(found)
    return found


def command(*arguments: object, expect: int = 0, **options: Any) -> tuple[str, str]:
    """The command in a process of its own: standard output and error."""
    line = [*DIAGNOSE, *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, timeout=PATIENCE_S, check=False, text=True, **options)
    assert done.returncode == expect, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def within(*arguments: object) -> tuple[object, str, str]:
    """The command in this process: exit code, standard output and error."""
    out, err, before, code = io.StringIO(), io.StringIO(), sys.argv, None
    sys.argv = ["diagnose", *map(str, arguments)]
    try:
        with impatient(), redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as stopped:
        code = stopped.code
    finally:
        sys.argv = before
    return code or 0, out.getvalue(), err.getvalue()


def near(found: dict[str, Any], name: str, wanted: float) -> bool:
    """Within what a slow machine makes of a rate over a second or two, unless the verdict says how far it is off."""
    unsure = any("took" in text and "to state its counters" in text for text in found.get("warnings", []))
    return unsure or 0.7 * wanted < found["measured"][name] < 1.3 * wanted


def readable(path: Path) -> bytes:
    """As much of a gzip file as is whole by now."""
    found = b""
    with suppress(OSError, EOFError), gzip.open(path) as stream:
        while piece := stream.read(64):
            found += piece
    return found


def until(reached: Callable[[], object]) -> None:
    """Wait for it."""
    until_s = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < until_s
        time.sleep(0.05)


# --- what is found


@scenario
def a_job_is_found_and_judged_from_any_of_its_processes(place: Place) -> dict[str, Any]:
    out, err = command(
        "attach",
        place.engine.pids[-1],
        "--for",
        3.5,
        "--format",
        "json",
        "--bandwidth-gb-s",
        14.3,
        "--tflops",
        1,
        "--dtype",
        "bf16",
    )
    assert err == ""
    return kept(out)


def test_a_job_is_found_and_judged_from_any_of_its_processes(seen: dict[str, Any], engine: Running) -> None:
    assert seen["subject"]["kind"] == "process"
    assert seen["subject"]["pid"] == engine.pids[-1]
    assert seen["subject"]["engine"] == "vLLM"
    assert seen["environment"]["engine_version"] == "0.33.0"
    assert seen["subject"]["files"] == []
    assert near(seen, "tokens_per_s", TOKENS_PER_S)
    assert near(seen, "steps_per_s", RATE)
    assert seen["measured"]["batch"] == pytest.approx(BATCH, rel=0.01)
    assert seen["measured"]["requests_running"] == BATCH
    assert seen["sources"] == ["engine metrics", "host"]
    assert 3.0 < seen["window_s"] < 30.0
    assert seen["measured"]["host_busy_cores"] > 0.02
    assert near(seen, "bandwidth_fraction", 0.7)
    assert "provisional" not in seen
    first = {**seen, "measured": {"tokens_per_s": seen["samples"]["tokens_per_s"][0]}}
    assert near(first, "tokens_per_s", TOKENS_PER_S)
    assert {"time_per_output_token_s", "step_s", "batch", "bandwidth_fraction"} <= set(seen["samples"])
    assert {"processor", "cores", "other_busy_cores"} <= set(seen["environment"]["host"])
    signals = {e["signal"] for e in seen["evidence"] if "abstained" not in e}
    assert {"requests", "bandwidth_saturation", "compute_saturation", "host_time"} <= signals


@scenario
def other_engines(place: Place) -> dict[str, dict[str, Any]]:
    found = {}
    for name in ("SGLang", "llama.cpp", "TGI", "TensorRT-LLM", "Ollama"):
        with running(JOBS[name], place.folder / name) as made:
            found[name] = judged(place_of(made, JOBS[name]))
    return found


@pytest.mark.parametrize("name", ["SGLang", "llama.cpp", "TGI", "TensorRT-LLM", "Ollama"])
def test_other_engines(name: str, seen: dict[str, dict[str, Any]]) -> None:
    found = seen[name]
    assert found["subject"]["engine"] == JOBS[name].engine
    assert near(found, "tokens_per_s", TOKENS_PER_S)
    assert found["measured"]["requests_running"] == BATCH


@scenario
def a_gpus_job_is_not_judged_by_its_sleeping_threads(place: Place) -> dict[str, Any]:
    library = place.folder / "libcuda.so.1"
    library.write_bytes(bytes(8192))
    job = place.of_model(maps=(str(library),), command=("serve", "{model}", "--port", "{port}"))
    with running(job, place.folder / "engine") as made:
        return judged(made.pid, **ROOFS)


def test_a_gpus_job_is_not_judged_by_its_sleeping_threads(seen: dict[str, Any]) -> None:
    """The driver's library is mapped, and nothing of the GPU can be read: then the host's threads bound nothing."""
    (host,) = [e for e in seen["evidence"] if e["signal"] == "host_time"]
    assert host["bounds"] == []
    assert seen["verdict"]["regime"] == "memory"


@scenario
def a_sleeping_job_on_the_cpu_waits(place: Place) -> dict[str, Any]:
    with running(place.of_model(works=0.02), place.folder) as made:
        return judged(made.pid)


def test_a_sleeping_job_on_the_cpu_waits(seen: dict[str, Any]) -> None:
    assert seen["verdict"]["regime"] == "latency"
    assert seen["verdict"]["cause"] == "host"


@scenario
def the_report_for_people(place: Place) -> str:
    return command("attach", place.engine.pid, "--for", LOOK_S, "--tflops", 1)[0]


def test_the_report_for_people(seen: str, engine: Running) -> None:
    assert f"process {engine.pid}" in seen
    assert "vLLM 0.33.0" in seen
    assert "tokens/s" in seen
    assert all(len(line) <= 80 for line in seen.splitlines())


def test_markdown_into_a_file(engine: Running, tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    code, out, err = within("attach", engine.pid, "--for", 0.3, "--format", "markdown", "-o", path)
    assert (code, out, err) == (0, "", "")
    assert "vLLM" in path.read_text(encoding="utf-8")


# --- recordings


def without_circumstances(found: dict[str, Any]) -> dict[str, Any]:
    subject = {k: v for k, v in found["subject"].items() if k not in ("kind", "files")}
    return {k: v for k, v in found.items() if k not in ("created_at", "tool_version")} | {"subject": subject}


@scenario
def a_recording_gives_the_same_verdict(place: Place) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    found = {}
    for name in ("vLLM", "llama.cpp"):
        job = place.of_model(works=0.3) if name == "vLLM" else JOBS[name]
        path = place.folder / f"{name}.rec.gz"
        with running(job, place.folder / name) as made:
            live = judged(made.pid, 2.2, record=path, **ROOFS)
        found[name] = live, kept(json.dumps(analyze(path, **ROOFS).to_dict()))
    return found


@pytest.mark.parametrize("name", ["vLLM", "llama.cpp"])
def test_a_recording_gives_the_same_verdict(name: str, seen: dict[str, Any]) -> None:
    live, again = seen[name]
    assert again["subject"]["kind"] == "dump"
    assert [file["kind"] for file in again["subject"]["files"]] == ["diagnose recording"]
    assert without_circumstances(again) == without_circumstances(live)


@scenario
def record_then_analyze(place: Place) -> tuple[Path, str, str]:
    path = place.folder / "run.rec.gz"
    return (path, *command("record", place.engine.pid, "-o", path, "--for", LOOK_S))


def test_record_then_analyze(seen: tuple[Path, str, str]) -> None:
    path, out, err = seen
    assert out == ""
    assert f"diagnose analyze {path}" in err
    found = kept(within("analyze", path, "--format", "json")[1])
    assert near(found, "tokens_per_s", TOKENS_PER_S)


@scenario
def a_recording_is_readable_while_it_is_written(place: Place) -> dict[str, Any]:
    path = place.folder / "run.rec.gz"
    with started("record", place.engine.pid, "-o", path, stderr=subprocess.DEVNULL) as process:
        until(lambda: b'"host"' in readable(path))
        process.kill()
        process.wait(PATIENCE_S)
    return analyze(path).to_dict()


def test_a_recording_is_readable_while_it_is_written(seen: dict[str, Any]) -> None:
    assert seen["subject"]["engine"] == "vLLM"


@scenario
def a_disk_that_fills_up(place: Place) -> str:
    """A limit on the size of files fails as a full disk does."""

    def little() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))

    path = place.folder / "run.rec.gz"
    return command("record", place.engine.pid, "-o", path, "--for", 3, expect=2, preexec_fn=little)[1]


def test_a_disk_that_fills_up(seen: str) -> None:
    wrong, hint = seen.splitlines()
    assert "cannot be written" in wrong
    assert hint.startswith("Hint: ")


def test_a_disk_that_fills_up_while_a_source_writes(
    engine: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said once, as an error that can be acted on; no thread ends with a traceback."""
    left, write = iter(range(6)), Writer.write

    def fails(self: Writer, found: Any) -> None:
        if next(left, None) is None:
            raise DiagnoseError("run.rec.gz: cannot be written: No space left on device", hint="df -h .")
        write(self, found)

    uncaught: list[object] = []
    monkeypatch.setattr(threading, "excepthook", uncaught.append)
    monkeypatch.setattr(Writer, "write", fails)
    with pytest.raises(DiagnoseError, match="cannot be written"):
        attach(engine.pid, for_=LOOK_S, record=tmp_path / "run.rec.gz")
    assert uncaught == []


def test_what_was_recorded_before_is_kept_where_there_is_no_such_job(tmp_path: Path) -> None:
    path = tmp_path / "precious.rec.gz"
    path.write_bytes(b"precious")
    for arguments in (
        ("record", 2**22 + 1, "-o", path),
        ("attach", 2**22 + 1, "--record", path),
        ("attach", 2**22 + 1, "--watch", "--record", path),
    ):
        assert within(*arguments)[0] == 2
        assert path.read_bytes() == b"precious"


# --- again and again


@scenario
def a_watch_speaks_a_line_at_a_time(place: Place) -> tuple[int, bytes, list[str]]:
    line = ("attach", place.engine.pid, "--watch", "--for", 3, "--format", "json")
    with started(*line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [process.stdout.readline().decode()]
        while "provisional" in json.loads(lines[-1]):
            lines.append(process.stdout.readline().decode())
        process.send_signal(signal.SIGINT)
        lines += process.stdout.read().decode().splitlines()
        return process.wait(PATIENCE_S), process.stderr.read(), lines


def test_a_watch_speaks_a_line_at_a_time(seen: tuple[int, bytes, list[str]]) -> None:
    code, err, lines = seen
    assert (code, err) == (0, b"")
    verdicts = [kept(line) for line in lines]
    assert verdicts[0]["provisional"] is True
    assert 3 <= len(verdicts) < 30
    assert "provisional" not in verdicts[-1]
    assert near(verdicts[-1], "tokens_per_s", TOKENS_PER_S)
    assert verdicts[-1]["window_s"] <= 3.0


@scenario
def a_watch_for_people(place: Place) -> tuple[bytes, int]:
    with started("attach", place.engine.pid, "--watch", "--for", 2, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        return said, process.wait(PATIENCE_S)


def test_a_watch_for_people(seen: tuple[bytes, int]) -> None:
    said, code = seen
    assert said.strip()
    assert code == 0


@scenario
def a_reader_that_goes_away_ends_a_watch(place: Place) -> tuple[int, bytes]:
    line = ("attach", place.engine.pid, "--watch", "--for", 1, "--format", "json")
    with started(*line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        return process.wait(PATIENCE_S), process.stderr.read()


def test_a_reader_that_goes_away_ends_a_watch(seen: tuple[int, bytes]) -> None:
    assert seen == (0, b"")


@scenario
def an_interrupt_judges_what_was_seen(place: Place) -> dict[int, tuple[int, bytes, bytes]]:
    found = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        path = place.folder / f"{number}.rec.gz"
        line = ("attach", place.engine.pid, "--for", 600, "--format", "json", "--record", path)
        with started(*line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            until(lambda path=path: readable(path).count(b'"scrape"') >= 2)
            process.send_signal(number)
            out, err = process.communicate(timeout=PATIENCE_S)
            found[int(number)] = process.returncode, out, err
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_judges_what_was_seen(number: int, seen: dict[int, tuple[int, bytes, bytes]]) -> None:
    code, out, err = seen[int(number)]
    assert (code, err) == (0, b"")
    found = kept(out.decode())
    assert near(found, "tokens_per_s", TOKENS_PER_S)
    assert found["window_s"] < 500.0


# --- jobs that change


@scenario
def a_job_that_ends_while_it_is_watched(place: Place) -> tuple[int, int, bytes, bytes]:
    path = place.folder / "run.rec.gz"
    with running(JOBS["vLLM"], place.folder / "engine") as made:
        line = ("attach", made.pids[-1], "--for", 600, "--format", "json", "--record", path)
        with started(*line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            until(lambda: readable(path).count(b'"scrape"') >= 2)
            made.tell("end")
            out, err = process.communicate(timeout=PATIENCE_S)
        return made.pid, process.returncode, out, err


def test_a_job_that_ends_while_it_is_watched(seen: tuple[int, int, bytes, bytes]) -> None:
    pid, code, out, err = seen
    assert (code, err) == (0, b"")
    found = kept(out.decode())
    assert any(f"process {pid} is gone" in text for text in found["events"])
    assert near(found, "tokens_per_s", TOKENS_PER_S)


@scenario
def a_job_that_does_nothing(place: Place) -> dict[str, Any]:
    with running(JOBS["vLLM"], place.folder) as made:
        made.tell("idle")
        return judged(made.pid)


def test_a_job_that_does_nothing(seen: dict[str, Any]) -> None:
    assert seen["verdict"]["regime"] == "idle"
    assert seen["verdict"]["shares"] is None


def test_a_job_whose_counters_stand_still(tmp_path: Path, engine: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "STALL_S", 0.7)
    with running(JOBS["vLLM"], tmp_path) as made:
        made.tell("freeze")
        found = judged(made.pid)
    assert found["verdict"]["limits"] == ["stalled"]


@scenario
def a_program_that_is_no_engine(place: Place) -> dict[str, Any]:
    with subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"]) as program:
        try:
            return judged(program.pid, 0.5)
        finally:
            program.kill()


def test_a_program_that_is_no_engine(seen: dict[str, Any]) -> None:
    assert "engine" not in seen["subject"]
    assert [m["unlock"] for m in seen["missing"] if m["source"] == "engine"] == ["--url http://HOST:PORT/metrics"]


def test_a_server_that_wants_a_key(engine: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = {path: {"status": 401, "body": "{}"} for path in ("/metrics", "/slots", "/props", "/v1/models")}
    with running(replace(JOBS["llama.cpp"], pages=lambda: locked), tmp_path) as made:
        found = judged(made.pid, 0.3)
        assert any("--api-key-env" in m.get("unlock", "") for m in found["missing"])
        assert all("Authorization" not in request["headers"] for request in made.requests())
        monkeypatch.setenv("KEY_OF_OURS", "word-of-ours")
        _, out, err = within("attach", made.pid, "--for", 0.3, "--api-key-env", "KEY_OF_OURS")
        assert any(r["headers"].get("Authorization") == "Bearer word-of-ours" for r in made.requests())
        assert "word-of-ours" not in out + err


# --- wrong arguments


def test_wrong_arguments(engine: Running, tmp_path: Path) -> None:
    pid = engine.pid
    unhelpful = []
    for arguments in (
        ("attach",),
        ("attach", "abc"),
        ("attach", ""),
        ("attach", "-5"),
        ("attach", "--", "-5"),
        ("attach", 0),
        ("attach", "1.5"),
        ("attach", 2**22 + 1),
        ("attach", 2**80),
        ("attach", pid, "--for", "0"),
        ("attach", pid, "--for", "-1"),
        ("attach", pid, "--for", "nan"),
        ("attach", pid, "--for", "soon"),
        ("attach", pid, "--interval", "0"),
        ("attach", pid, "--gpu", "no such part"),
        ("attach", pid, "--dtype", "fp7"),
        ("attach", pid, "--tflops", "-1"),
        ("attach", pid, "--tensor-parallel", "1.5"),
        ("attach", pid, "--format", "xml"),
        ("attach", pid, "-o", tmp_path),
        ("attach", pid, "--for", "1", "-o", tmp_path / "none" / "a"),
        ("attach", pid, "--record", tmp_path),
        ("attach", pid, "--record", tmp_path / "none" / "a"),
        ("attach", pid, "--watch", "-o", tmp_path / "none" / "a"),
        ("attach", pid, "--api-key-env", "NOT_SET_ANYWHERE"),
        ("attach", pid, "--url", "https://127.0.0.1:1/metrics"),
        ("attach", pid, "--url", "http://[::1"),
        ("record", pid),
        ("record", pid, "-o", tmp_path),
        ("record", "abc", "-o", tmp_path / "a"),
    ):
        try:
            assert outcome(*within(*arguments)).hint
        except AssertionError as error:
            unhelpful.append(f"{arguments[0]} {arguments[2:]}: {str(error).splitlines()[0]}")
    assert "\n".join(unhelpful) == ""
    assert not engine.signals()


def test_a_model_that_is_none_is_said_and_nothing_worse(engine: Running, tmp_path: Path) -> None:
    found = judged(engine.pid, 0.3, model=tmp_path / "none")
    assert [m for m in found["missing"] if m["source"] == "model"]
