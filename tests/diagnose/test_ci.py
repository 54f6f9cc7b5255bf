"""Publishing a check: what is written and printed where, and what happens where it cannot be."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from diagnose.ci import publish
from heuristics.errors import DiagnoseError
from reports import github
from tests.reports.situations import SITUATIONS

Capture = pytest.CaptureFixture[str]


def on_github(folder: Path) -> dict[str, str]:
    return {"GITHUB_ACTIONS": "true", "CI": "true", "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}


def test_everything_on_github(tmp_path: Path, capsys: Capture) -> None:
    environ = on_github(tmp_path)
    (tmp_path / "summary.md").write_text("what an earlier command said", encoding="utf-8")
    junit = tmp_path / "reports" / "junit.xml"
    publish(
        SITUATIONS["slower"](),
        junit=str(junit),
        summary=True,
        annotations=True,
        environ=environ,
        baseline="perf/baseline",
    )
    assert ET.parse(junit).getroot().get("failures") == "2"
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert summary.startswith("what an earlier command said\n### ❌ REGRESSION: time per output token +12 %")
    assert "--baseline perf/baseline" in summary
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("::error title=diagnose check%3A REGRESSION::time per output token +12 %25, slower")


@pytest.mark.parametrize("environ", [{}, {"CI": "true"}, {"GITHUB_ACTIONS": "false"}, {"GITHUB_STEP_SUMMARY": ""}])
def test_away_from_github_nothing_is_said(environ: dict[str, str], capsys: Capture) -> None:
    publish(SITUATIONS["slower"](), summary=True, annotations=True, environ=environ)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


def test_nothing_is_written_that_was_not_asked_for(tmp_path: Path, capsys: Capture) -> None:
    publish(SITUATIONS["slower"](), environ=on_github(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("path", ["file/junit.xml", "a-folder", "nul\0.xml", ""])
def test_a_file_that_cannot_be_written_is_an_error_and_the_rest_is_published(
    path: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "a-folder").mkdir()
    with pytest.raises(DiagnoseError, match="cannot be written") as raised:
        publish(SITUATIONS["pass"](), junit=path, summary=True, annotations=True, environ=on_github(tmp_path))
    assert raised.value.hint is not None
    assert "--junit FILE" in raised.value.hint
    assert "✅ PASS" in (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert capsys.readouterr().err.startswith("::notice title=diagnose check%3A PASS::")


def test_a_summary_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    environ = {"GITHUB_STEP_SUMMARY": str(tmp_path)}
    with pytest.raises(DiagnoseError, match="cannot be written") as raised:
        publish(SITUATIONS["pass"](), summary=True, environ=environ)
    assert "--github" in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("name", "level"), [("slower", "error"), ("too_few", "warning"), ("pass", "notice"), ("improvement", "notice")]
)
def test_the_level_of_the_annotation_is_that_of_the_outcome(name: str, level: str) -> None:
    assert github.commands(SITUATIONS[name]())[0].startswith(f"::{level} title=")


def test_an_annotation_says_what_to_run_next() -> None:
    (line,) = github.commands(SITUATIONS["too_few"](), baseline="perf")
    assert "%0ANext: 3 of 8 like sessions; add 5 more nights: diagnose baseline add night-11.json" in line


def test_guards_that_do_not_count_are_warned_of() -> None:
    found = github.commands(SITUATIONS["sick_but_allowed"]())
    assert found[0].startswith("::error ")
    assert len(found) == 6
    assert all(line.startswith("::warning title=diagnose check%3A the host::") for line in found[1:])


def test_a_summary_that_github_would_not_take_is_cut_to_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(github, "LONGEST_SUMMARY", 500)
    found = github.summary(SITUATIONS["slower"]())
    assert len(found.encode()) < 500
    assert "REGRESSION: time per output token +12 %, slower" in found
