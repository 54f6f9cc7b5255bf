"""The command line: what it prints where, with which exit code, and what it imports to do so."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from diagnose.cli import COMMANDS, main
from tests.diagnose.command import run, started

SAMPLE = Path(__file__).parents[2] / "diagnose" / "samples" / "vllm_cpu_decode"
SNAPSHOTS = (SAMPLE / "before.prom", SAMPLE / "after.prom")
ROOFS = ("--bandwidth-gb-s", "24.6", "--tflops", "0.18", "--dtype", "fp32", "--model", SAMPLE / "config.json")

HEAVY = ("numpy", "pandas", "rich", "pynvml", "torch", "msgspec", "prometheus_client", "psutil")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys\nfrom diagnose.cli import main\n"
        f"sys.argv = ['diagnose', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"sys.stderr.write(','.join(m for m in {HEAVY!r} if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    assert "diagnose" in done.stdout


def test_importing_the_facade_imports_nothing_heavy() -> None:
    script = f"import sys, diagnose\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_a_small_file_needs_neither_pandas_nor_rich() -> None:
    script = (
        "import sys\nfrom diagnose import analyze\n"
        f"str(analyze({[str(s) for s in SNAPSHOTS]!r}))\n"
        "print([m for m in ('pandas', 'rich', 'pynvml', 'torch', 'psutil') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_every_help_ends_with_an_example(name: str | None) -> None:
    done = run(*([name] if name else []), "--help")
    assert done.returncode == 0
    last = done.stdout.decode().rstrip().splitlines()[-1]
    assert last.strip().startswith("Example: diagnose ")


def test_the_first_three_lines_answer() -> None:
    done = run("analyze", *SNAPSHOTS, *ROOFS)
    assert done.returncode == 0
    assert done.stderr == b""
    first, second, third = done.stdout.decode().splitlines()[:3]
    assert first == "Memory-bound: streaming weights, confidence 99 %"
    assert "█ memory" in second
    assert "% of the peak bandwidth" in third
    assert max(map(len, done.stdout.decode().splitlines())) <= 80
    assert "\033" not in done.stdout.decode()


def test_json_is_one_object_on_standard_output() -> None:
    done = run("analyze", *SNAPSHOTS, *ROOFS, "--format", "json")
    found = json.loads(done.stdout)
    assert found["schema"] == "diagnose.verdict/1"
    assert found["verdict"]["regime"] == "memory"
    assert isinstance(found["verdict"]["confidence"], float)


def test_the_result_goes_into_a_file(tmp_path: Path) -> None:
    out = tmp_path / "verdict.json"
    done = run("analyze", *SNAPSHOTS, *ROOFS, "--format", "json", "-o", out)
    assert (done.returncode, done.stdout) == (0, b"")
    assert json.loads(out.read_text(encoding="utf-8"))["verdict"]["regime"] == "memory"


def test_standard_input_is_a_file_too() -> None:
    done = run("analyze", "-", stdin=SNAPSHOTS[0].read_bytes())
    assert done.returncode == 0
    assert done.stdout.decode().startswith("Inconclusive")


def test_a_named_pipe_is_read_once(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with started("analyze", fifo, "--format", "json", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        fifo.write_bytes(SNAPSHOTS[0].read_bytes())
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert json.loads(out)["subject"]["engine"] == "vLLM"


@pytest.mark.parametrize(
    ("arguments", "wrong", "hint"),
    [
        (["analyze"], "Missing argument 'FILE...'", "diagnose analyze --help"),
        (["analyze", "--colour", "x"], "No such option", "diagnose analyze --help"),
        (["analyze", "--format", "yaml", "x"], "'yaml' is not one of", "diagnose analyze --help"),
        (["atach", "1"], "No such command 'atach'", "diagnose --help"),
        (["analyze", "nowhere.json"], "nowhere.json: no such file", "check the path"),
        (["analyze", "{tmp}"], "is a directory", "give the files in it"),
        (["analyze", "{prom}", "nowhere.json"], "nowhere.json: no such file", "check the path"),
        (["analyze", "{prom}", "--gpu", "RTX 9999"], "no GPU named 'RTX 9999'", "known parts: RTX"),
        (["analyze", "{prom}", "--gpu", "A100 PCIe"], "fits several parts", "A100 80GB PCIe"),
        (["analyze", "{prom}", "--tflops", "many"], "tflops must be a number", "--tflops"),
        (["analyze", "{prom}", "--tflops", "nan"], "tflops must be positive", "--tflops"),
        (["analyze", "{prom}", "--bandwidth-gb-s", "-1"], "bandwidth-gb-s must be positive", "--bandwidth-gb-s"),
        (["analyze", "{prom}", "--tensor-parallel", "1.5"], "must be a whole number", "--tensor-parallel"),
        (["analyze", "{prom}", "--dtype", "bf17"], "no arithmetic type named 'bf17'", "one of"),
        (["analyze", "{prom}", "--model", "nowhere"], "no config.json to read", "config.json"),
        (["analyze", "{prom}", "-o", "/proc/nowhere/x"], "cannot be written", "-o FILE"),
        (["attach", "0"], "no process number", "diagnose attach PID"),
        (["doctor", "x"], "no process number", "diagnose doctor PID"),
        (["sweep", "0"], "no process number", "diagnose sweep PID"),
        (["sweep", "99999999"], "no process 99999999", "diagnose sweep PID"),
        (["record", "99999999", "-o", "x"], "no process 99999999", "diagnose record PID"),
        (["doctor", "99999999"], "no process 99999999", "diagnose doctor PID"),
    ],
)
def test_mistakes_are_told_in_two_lines_with_exit_code_2(
    arguments: list[str],
    wrong: str,
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"{tmp}": str(tmp_path), "{prom}": str(SNAPSHOTS[0])}
    monkeypatch.setattr(sys, "argv", ["diagnose", *(places.get(a, a) for a in arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert lines[0].startswith("Error: ")
    assert wrong in lines[0]
    assert len(lines) == 2
    assert lines[1].startswith("Hint: ")
    assert hint in lines[1]


def test_a_fault_of_ours_is_one_line_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("float division")

    monkeypatch.setattr("diagnose.api.diagnose_files", broken)
    monkeypatch.setattr(sys, "argv", ["diagnose", "analyze", str(SNAPSHOTS[0])])
    monkeypatch.delenv("DIAGNOSE_TRACEBACK", raising=False)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "a fault in diagnose itself: ZeroDivisionError" in capsys.readouterr().err
    monkeypatch.setenv("DIAGNOSE_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        main()


def test_interrupted_reading_is_judged_by_what_was_read(tmp_path: Path) -> None:
    """The second snapshot never arrives: Ctrl-C ends the waiting, and one snapshot is judged."""
    fifo = tmp_path / "never"
    os.mkfifo(fifo)
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with started("analyze", SNAPSHOTS[0], fifo, "--format", "json", **piped) as process:
        with suppress(BrokenPipeError), fifo.open("wb") as open_end:
            open_end.write(SNAPSHOTS[1].read_bytes()[:2000])
            open_end.flush()
            process.send_signal(signal.SIGINT)
            open_end.write(b"# nothing\n" * 30_000)
        out, err = process.communicate(timeout=60)
    assert b"Traceback" not in err
    assert process.returncode == 0
    found = json.loads(out)
    assert found["subject"]["engine"] == "vLLM"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("format_", ["text", "json"])
def test_a_full_disk_behind_standard_output_is_told(format_: str) -> None:
    with Path("/dev/full").open("wb") as full:
        question = ("roofline", "--gpu", "H100", "--params", "8B", "--format", format_)
        with started(*question, stdout=full, stderr=subprocess.PIPE) as process:
            _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    wrong, hint = err.decode().splitlines()
    assert wrong.startswith("Error: standard output cannot be written")
    assert hint.startswith("Hint: -o FILE")


def test_a_closed_pipe_is_no_error() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with started("analyze", *SNAPSHOTS, stdout=write_end, stderr=subprocess.PIPE) as process:
        os.close(write_end)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")


def test_an_output_that_is_not_unicode_is_no_error() -> None:
    done = run("analyze", *SNAPSHOTS, *ROOFS, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.startswith(b"Memory-bound")


def on_a_terminal(*arguments: object, **environment: str) -> str:
    """What the command writes to a terminal."""
    leader, follower = pty.openpty()
    text = b""
    with started(*arguments, stdout=follower, stderr=subprocess.DEVNULL, env=os.environ | environment) as process:
        os.close(follower)
        with suppress(OSError):
            while piece := os.read(leader, 65536):
                text += piece
        os.close(leader)
        assert process.wait(timeout=60) == 0
    return text.decode()


def test_colour_on_a_terminal_unless_it_is_unwanted() -> None:
    assert "\033[1mMemory-bound\033[0m" in on_a_terminal("analyze", *SNAPSHOTS, *ROOFS, TERM="xterm", NO_COLOR="")
    assert "\033" not in on_a_terminal("analyze", *SNAPSHOTS, *ROOFS, TERM="xterm", NO_COLOR="1")
    assert "\033" not in on_a_terminal("analyze", *SNAPSHOTS, *ROOFS, "--no-color", TERM="xterm", NO_COLOR="")


def test_without_a_command_the_overview_is_shown() -> None:
    done = run()
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.startswith(b"Usage: ")
    assert b"Error" not in done.stderr
