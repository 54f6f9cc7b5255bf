"""``diagnose diff``: verdicts, dumps and results in; always exit code 0 for a comparison, 2 where there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from diagnose import DiagnoseError, UnreadableDump, analyze, diff
from tests.diagnose.command import run
from tests.heuristics.regression.verdicts import verdict
from tests.make.before_after import served, trace


@pytest.fixture
def traces(tmp_path: Path) -> tuple[Path, Path]:
    return trace(tmp_path / "before.json"), trace(tmp_path / "after.json", kernels=40, added="new_kernel")


def test_the_first_three_lines_answer(traces: tuple[Path, Path]) -> None:
    done = run("diff", *traces)
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "Slower: 520 µs a step, 260 µs before (+260 µs, +100 %)"
    assert lines[1].endswith("of 260 µs are latency: kernels launched 20 → 40 a step")
    assert lines[2] == "Still latency-bound, host (99 %)"
    assert max(map(len, lines)) <= 80


def test_verdicts_and_the_dumps_they_are_of_come_to_the_same(traces: tuple[Path, Path], tmp_path: Path) -> None:
    kept = []
    for path in traces:
        kept.append(tmp_path / f"verdict of {path.name}")
        kept[-1].write_text(json.dumps(analyze(path).to_dict(), indent=2), encoding="utf-8")
    by_dump, by_verdict, by_result = diff(*traces), diff(*kept), diff(*(analyze(path) for path in traces))
    told = [{**d.to_dict(), "before": None, "after": None} for d in (by_dump, by_verdict, by_result)]
    assert told[0] == told[1] == told[2]


def test_several_dumps_of_a_side_are_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, other = served(tmp_path, "a", step_s=7.8e-3, batch=8.0), served(tmp_path, "b", step_s=8.6e-3, batch=8.0)
    found = diff(one["files"], other["files"], model="config.json")
    assert "+10 %" in str(found).splitlines()[0]
    assert not found.nothing


@pytest.mark.parametrize("format_", ["text", "json", "markdown"])
def test_every_format_goes_to_a_file(format_: str, traces: tuple[Path, Path], tmp_path: Path) -> None:
    done = run("diff", *traces, "--format", format_, "-o", tmp_path / "out")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    text = (tmp_path / "out").read_text(encoding="utf-8")
    assert json.loads(text)["schema"] == "diagnose.diff/1" if format_ == "json" else "of 260 µs are latency" in text


def test_a_frame_holds_the_kernels_that_moved(traces: tuple[Path, Path]) -> None:
    frame = diff(*traces).to_frame()
    assert list(frame["name"]) == ["new_kernel"]


BAD = {
    "missing.json": None,
    "empty.json": "",
    "cut.json": json.dumps(verdict())[:200],
    "newer.json": json.dumps(verdict() | {"schema": "diagnose.verdict/2"}),
    "endless.json": json.dumps(verdict() | {"schema": f"diagnose.verdict/{'9' * 5000}"}),
    "list.json": json.dumps([verdict()]),
    "other.json": '{"schema": "something/1", "note": "about diagnose.verdict/1"}',
    "deep.json": '{"schema": "diagnose.verdict/1", "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "number.json": '{"schema": "diagnose.verdict/1", "x": ' + "9" * 5000 + "}",
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("place", [0, 1])
def test_what_is_no_verdict_is_refused_on_either_side(name: str, place: int, tmp_path: Path) -> None:
    good = tmp_path / "good.json"
    good.write_text(json.dumps(verdict()), encoding="utf-8")
    if (text := BAD[name]) is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    sides = [good, good]
    sides[place] = tmp_path / name
    with pytest.raises(UnreadableDump) as raised:
        diff(*sides)
    assert name in str(raised.value)
    assert raised.value.hint


def test_the_command_says_what_is_wrong_and_ends_with_two(tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text(json.dumps(verdict()), encoding="utf-8")
    for bad in ("missing.json", "cut.json"):
        (tmp_path / "cut.json").write_text(json.dumps(verdict())[:200], encoding="utf-8")
        done = run("diff", tmp_path / "good.json", tmp_path / bad)
        assert (done.returncode, done.stdout) == (2, b"")
        error, hint = done.stderr.decode().splitlines()
        assert error.startswith("Error: ")
        assert bad in error
        assert hint.startswith("Hint: ")


def test_a_side_that_is_nothing_is_refused() -> None:
    with pytest.raises(DiagnoseError):
        diff(7, verdict())  # type: ignore[arg-type]


def test_verdicts_need_nothing_heavy(tmp_path: Path) -> None:
    path = str(tmp_path / "a.json")
    Path(path).write_text(json.dumps(verdict()), encoding="utf-8")
    script = (
        f"import sys\nfrom diagnose import diff\nstr(diff({path!r}, {path!r}))\n"
        "print([m for m in ('pandas', 'rich', 'pynvml', 'torch', 'psutil', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
