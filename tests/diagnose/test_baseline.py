"""``diagnose baseline`` and ``Baseline``: what is told, what is refused, and that both say the same."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from diagnose import Baseline, DiagnoseError, UnreadableDump, analyze
from diagnose.cli import main
from tests.diagnose.command import run
from tests.golden_files import FOLDER, compare_text
from tests.make.nights import kept, nights, upgraded
from tests.make.smi import Reading, dmon
from tests.make.verdicts import verdict, written

TORN = '{"schema": "diagnose.verdict/1", "tool'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Forty nights with a step, twenty of another job that changes its regime, and what can go wrong with lines."""
    monkeypatch.chdir(tmp_path)
    place = kept(Path("baseline"), nights(changes=upgraded))
    other = nights(
        20,
        slower=lambda night: 0.0,
        seed=7,
        changes=lambda night: {
            "subject": {"workload": "prompts", "model": "ours/70b"},
            "regime": "compute" if night < 14 else "latency",
        },
    )
    lines = [*map(json.dumps, [*other, *other[:2]]), TORN, '{"schema": "diagnose.verdict/7"}']
    Path(place, "prompts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return place


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs ``diagnose baseline ...`` in this process: (exit code, standard output, standard error)."""
    monkeypatch.setenv("COLUMNS", "80")

    def ran(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["diagnose", "baseline", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return ran


@pytest.mark.parametrize(
    ("name", "suffix", "arguments"),
    [
        ("baseline_list", "txt", ["list"]),
        ("baseline_list", "json", ["list", "--format", "json"]),
        ("baseline_list", "md", ["list", "--format", "markdown"]),
        ("baseline_list", "csv", ["list", "--format", "csv"]),
        ("baseline_show", "txt", ["show"]),
        ("baseline_show", "md", ["show", "--workload", "prompts", "--format", "markdown"]),
        ("baseline_metric", "txt", ["show", "--workload", "decode-8", "--metric", "tokens_per_s"]),
        ("baseline_metric", "json", ["show", "--workload", "prompts", "--metric", "step_s", "--format", "json"]),
        ("baseline_metric", "csv", ["show", "--workload", "prompts", "--metric", "step_s", "--format", "csv"]),
        ("baseline_prune", "txt", ["prune", "--keep", "12", "--dry-run"]),
        ("baseline_prune", "json", ["prune", "--keep", "18", "--workload", "prompts", "--dry-run", "--format", "json"]),
    ],
)
def test_whole_outputs(name: str, suffix: str, arguments: list[str], folder: str, typed: Any) -> None:
    code, out, err = typed(*arguments, "--baseline", folder)
    assert (code, err) == (0, "")
    if suffix == "txt":
        assert max(map(len, out.splitlines())) <= 80
        assert "\033" not in out
    compare_text(name, suffix, out)


def test_facade_and_command_say_the_same(folder: str, typed: Any) -> None:
    baseline = Baseline(folder)
    assert typed("list", "--baseline", folder)[1] == str(baseline.list())
    assert typed("show", "--baseline", folder)[1] == str(baseline.history())
    assert json.loads(typed("show", "--baseline", folder, "--format", "json")[1]) == baseline.history().to_dict()
    rows = list(csv.DictReader(io.StringIO(typed("show", "--baseline", folder, "--format", "csv")[1])))
    frame = baseline.history().to_frame()
    assert len(frame) == len(rows) == 60 * 5
    assert list(frame.columns) == list(rows[0])
    assert [row["metric"] for row in rows] == list(frame["metric"])
    assert len(baseline.list().to_frame()) == 2


@pytest.mark.parametrize("workload", [None, "mine"])
def test_a_verdict_is_added_once(workload: str | None, tmp_path: Path, typed: Any) -> None:
    path, place = written(tmp_path / "v.json", verdict()), tmp_path / "b"
    named = ["--workload", workload] if workload else []
    code, out, err = typed("add", path, "--baseline", place, *named)
    assert (code, err) == (0, "")
    assert out.startswith(f"added: {workload or 'decode-8'}, of 2026-11-01T02:00:00+00:00, memory: weights 95 %")
    code, out, _ = typed("add", path, "--baseline", place, *named)
    assert code == 0
    assert out.startswith("known already: ")
    assert len(Baseline(place).list().groups[0].sessions) == 1


def test_what_may_be_added(tmp_path: Path) -> None:
    baseline = Baseline(tmp_path / "b")
    lines = tmp_path / "watch.json"
    lines.write_text("".join(json.dumps(verdict(night=n)) + "\n" for n in range(3)), encoding="utf-8")
    packed = tmp_path / "v.json.gz"
    packed.write_bytes(gzip.compress(json.dumps(verdict(night=3), indent=2).encode()))
    found = baseline.add([lines, packed, verdict(night=4)], workload="chat")
    assert [item["created_at"][8:10] for item in found.to_dict()["added"]] == ["03", "04", "05"]
    assert len(found.to_frame()) == 3
    dump = tmp_path / "dmon.log"
    dump.write_text(dmon([Reading(sm=95)] * 8), encoding="utf-8")
    (item,) = baseline.add(dump, workload="chat", gpu="H100").items
    assert not item.known
    assert baseline.add(analyze([dump], gpu="H100"), workload="dumped").items[0].known is False


def test_standard_input_is_a_verdict_too(tmp_path: Path) -> None:
    done = run("baseline", "add", "-", stdin=json.dumps(verdict()).encode(), DIAGNOSE_BASELINE=str(tmp_path / "b"))
    assert (done.returncode, done.stderr) == (0, b"")
    assert run("baseline", "list", DIAGNOSE_BASELINE=str(tmp_path / "b")).stdout.startswith(b"workload")


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("", "the file is empty"),
        (json.dumps(verdict())[:-9], "no whole JSON"),
        (json.dumps(verdict()) + "\n" + TORN + "\n", "line 2: damaged"),
        (json.dumps(verdict() | {"schema": "diagnose.verdict/2"}), "newer diagnose"),
        ('{"schema": "diagnose.check/1"}', "x.json"),
        (json.dumps(verdict() | {"verdict": None}), "nothing was measured"),
        (json.dumps(verdict() | {"provisional": True}), "is provisional"),
        (json.dumps(verdict() | {"verdict": {"regime": "idle", "confidence": 0.9}}), "the job was idle"),
        (json.dumps(verdict()).replace("10.0", "NaN", 1), "NaN is no number"),
    ],
)
def test_what_is_no_session_is_refused_and_nothing_is_written(
    content: str, wrong: str, tmp_path: Path, typed: Any
) -> None:
    good = written(tmp_path / "good.json", verdict(night=1))
    bad = tmp_path / "x.json"
    bad.write_text(content, encoding="utf-8")
    code, out, err = typed("add", good, bad, "--baseline", tmp_path / "b")
    assert (code, out) == (2, "")
    error, hint = err.splitlines()
    assert error.startswith("Error: ")
    assert wrong in error
    assert "x.json" in error
    assert hint.startswith("Hint: ")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("arguments", "wrong", "hint"),
    [
        (["list"], "Missing option '--baseline'", "diagnose baseline list --help"),
        (["show", "--baseline", "nowhere"], "nowhere: no such folder", "baseline add"),
        (["show", "--baseline", "{file}"], "is no folder", "baseline add"),
        (["show", "--baseline", "{b}", "--workload", "x"], "no workload named 'x'", "one of decode-8, prompts"),
        (["show", "--baseline", "{b}", "--metric", "speed"], "no metric named 'speed'", "time_per_output_token_s"),
        (["show", "--baseline", "{b}", "--format", "xml"], "'xml' is not one of", "diagnose baseline show --help"),
        (["show", "--baseline", "{b}", "-o", "/proc/x/y"], "cannot be written", "-o FILE"),
        (["prune", "--baseline", "{b}"], "nothing says which sessions are old", "--keep 60"),
        (["prune", "--baseline", "{b}", "--keep", "0"], "keep must be 1 or more", "--keep 60"),
        (["prune", "--baseline", "{b}", "--keep", "few"], "keep must be a whole number", "--keep 60"),
        (["prune", "--baseline", "{b}", "--before", "May"], "before must be a date", "--before 2026-01-31"),
        (["prune", "--baseline", "{b}", "--keep", "3", "--workload", "x"], "no workload named 'x'", "one of"),
        (["add", "{file}"], "Missing option '--baseline'", "diagnose baseline add --help"),
        (["add", "--baseline", "{b}"], "Missing argument 'FILE...'", "diagnose baseline add --help"),
        (["add", "{file}", "--baseline", "{file}"], "is no folder", "baseline add"),
        (["add", "{file}", "--baseline", "{b}", "--workload", " "], "workload's name is empty", "--workload"),
        (["add", "nowhere.json", "--baseline", "{b}"], "no such file", "check the path"),
        (["add", "{b}", "--baseline", "{b}"], "is a directory", "give the files in it"),
        (["remove"], "No such command 'remove'", "diagnose baseline --help"),
    ],
)
def test_mistakes(
    arguments: list[str],
    wrong: str,
    hint: str,
    folder: str,
    tmp_path: Path,
    typed: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DIAGNOSE_BASELINE", raising=False)
    places = {"{b}": folder, "{file}": written(tmp_path / "v.json", verdict(night=11))}
    code, out, err = typed(*(places.get(a, a) for a in arguments))
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert wrong in lines[0]
    assert hint in lines[1]


@pytest.mark.parametrize("name", ["add", "list", "show", "prune"])
def test_every_help_ends_with_an_example(name: str, typed: Any) -> None:
    code, out, _ = typed(name, "--help")
    assert code == 0
    assert out.rstrip().splitlines()[-1].strip().startswith(f"Example: diagnose baseline {name} ")


def test_pruning_by_number_by_date_and_by_both(folder: str) -> None:
    baseline = Baseline(folder)
    limit = datetime(2026, 1, 11, tzinfo=UTC)
    assert len(baseline.prune(before=limit, workload="decode-8", dry_run=True).lines) == 10
    assert len(baseline.prune(before="2026-01-11", keep=35, workload="decode-8", dry_run=True).lines) == 5
    assert len(baseline.prune(before="2026-01-02T02:00:00+00:00", dry_run=True).lines) == 3
    gone = baseline.prune(keep=15)
    assert (len(gone.lines), gone.left) == (25 + 5 + 2, 30)
    assert len(gone.to_frame()) == len(gone.lines)
    assert [len(group.sessions) for group in baseline.list().groups] == [15, 15]
    assert baseline.list().to_dict()["damaged"] == 1
    assert TORN in Path(folder, "prompts.jsonl").read_text(encoding="utf-8")
    assert str(baseline.prune(keep=15)) == "nothing removed; 30 sessions left\n"


def test_an_empty_baseline_says_so(tmp_path: Path, typed: Any) -> None:
    (tmp_path / "b").mkdir()
    for name in ("list", "show"):
        assert typed(name, "--baseline", tmp_path / "b") == (0, f"No sessions in {tmp_path / 'b'}\n", "")


def test_names_from_outside_do_not_steer_the_terminal(tmp_path: Path, typed: Any) -> None:
    hostile = verdict(subject={"workload": "a\033[31mb\nc", "model": "x|y\r\n"}, environment={"gpu": "G\007" * 200})
    Baseline(tmp_path / "b").add(hostile)
    for arguments in (["list"], ["show"], ["show", "--format", "markdown"], ["list", "--format", "markdown"]):
        code, out, _ = typed(*arguments, "--baseline", tmp_path / "b")
        assert code == 0
        assert not set("\033\007\r") & set(out)


def test_errors_are_typed(tmp_path: Path) -> None:
    with pytest.raises(UnreadableDump):
        Baseline(tmp_path).add(tmp_path / "nowhere.json")
    with pytest.raises(DiagnoseError, match="no file given"):
        Baseline(tmp_path).add([])


def test_the_page_shows_what_the_command_prints() -> None:
    page = (Path(__file__).parents[2] / "docs" / "history.md").read_text(encoding="utf-8")
    printed = (FOLDER / "baseline_show.txt").read_text(encoding="utf-8")
    assert printed.split("\n\nprompts\n")[0] in page
