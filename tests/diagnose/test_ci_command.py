"""``diagnose check`` as a build runs it: what goes to which stream and file."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema
import pytest

from tests.diagnose.command import run
from tests.make.verdicts import baseline, verdict, written
from tests.reports.contract import CHECK_JSON


@pytest.fixture
def slow(tmp_path: Path) -> str:
    return written(tmp_path / "slow.json", verdict(0.12, night=11))


def test_a_regression_on_github(tmp_path: Path, slow: str) -> None:
    nights = baseline(tmp_path / "baseline")
    junit, summary = tmp_path / "junit.xml", tmp_path / "summary.md"
    done = run(
        *("check", slow, "--baseline", nights, "--format", "json", "--junit", junit, "--github"),
        GITHUB_ACTIONS="true",
        GITHUB_STEP_SUMMARY=str(summary),
    )
    assert done.returncode == 1
    found = json.loads(done.stdout)
    jsonschema.Draft202012Validator(CHECK_JSON).validate(found)
    assert (found["outcome"], found["exit_code"]) == ("regression", 1)
    (line,) = [line for line in done.stderr.decode().splitlines() if line.startswith("::")]
    assert line.startswith("::error title=diagnose check%3A REGRESSION::time per output token +13 %25, slower")
    suite = ET.parse(junit).getroot()[0]
    assert (suite.get("name"), suite.get("failures"), suite.get("errors")) == ("diagnose.decode-8", "2", "0")
    for report in (summary.read_text(encoding="utf-8"), suite.findtext("testcase/failure") or ""):
        assert "slower" in report
        assert "401 → 354 tokens/s" in report, "what moved is told with it"


def test_cannot_tell_is_red_in_the_file_and_a_warning(tmp_path: Path, slow: str) -> None:
    nights = baseline(tmp_path / "baseline", 3)
    done = run(
        "check", slow, "--baseline", nights, "--junit", tmp_path / "junit.xml", "--github", GITHUB_ACTIONS="true"
    )
    assert done.returncode == 3
    assert b"::warning title=diagnose check%3A CANNOT TELL::3 of 8 like sessions" in done.stderr
    assert b"::" not in done.stdout
    assert ET.parse(tmp_path / "junit.xml").getroot().get("errors") == "1"


def test_away_from_github_it_is_quiet_and_markdown_goes_to_its_file(tmp_path: Path, slow: str) -> None:
    nights = baseline(tmp_path / "baseline")
    comment = tmp_path / "comment.md"
    done = run(
        *("check", slow, "--baseline", nights, "--github", "--format", "markdown", "-o", comment),
        GITHUB_ACTIONS="",
        GITHUB_STEP_SUMMARY="",
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")
    assert comment.read_text(encoding="utf-8").startswith("### ❌ REGRESSION")


def test_a_file_that_cannot_be_written_is_code_2_after_the_report(tmp_path: Path, slow: str) -> None:
    nights = baseline(tmp_path / "baseline")
    done = run("check", slow, "--baseline", nights, "--junit", f"{slow}/junit.xml")
    assert done.returncode == 2
    assert done.stdout.startswith(b"REGRESSION")
    assert b"cannot be written" in done.stderr
    assert b"Hint: --junit FILE" in done.stderr


def test_pairs_name_their_commands(tmp_path: Path) -> None:
    sides = []
    for name, step_s in (("a.sh", 0.020), ("b.sh", 0.023)):
        (tmp_path / name).write_text(f"echo '{{\"time_per_output_token_s\": {step_s}}}'\n", encoding="utf-8")
        sides.append(f"sh '{tmp_path / name}'")
    done = run("check", "--paired", *sides, "--pairs", 5, "--warm-up", 0, "--format", "json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    jsonschema.Draft202012Validator(CHECK_JSON).validate(found)
    assert found["commands"] == {"a": sides[0], "b": sides[1]}
    assert found["next"][0]["command"].endswith("--confirm")
