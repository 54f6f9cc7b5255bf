"""``diagnose.check``: files in, outcome out, with a baseline on disk."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from diagnose import DiagnoseError, UnreadableDump, check
from heuristics.regression.outcome import Why
from tests.diagnose.command import run
from tests.make.smi import Reading, dmon
from tests.make.verdicts import baseline, verdict, written


@pytest.fixture
def nights(tmp_path: Path) -> str:
    return baseline(tmp_path / "baseline")


def tonight(tmp_path: Path, slower: float = 0.0, **changes: Any) -> str:
    return written(tmp_path / "tonight.json", verdict(slower, night=20, **changes))


@pytest.mark.parametrize(
    ("slower", "changes", "outcome", "code"),
    [
        (0.01, {}, "pass", 0),
        (0.15, {}, "regression", 1),
        (-0.15, {}, "improvement", 0),
        (0.0, {"regime": "latency"}, "regression", 1),
        (0.15, {"environment": {"gpu": "NVIDIA A100"}}, "cannot_tell", 3),
        (0.15, {"environment": {"throttled": ["thermal"]}}, "cannot_tell", 3),
        (
            0.0,
            {"samples": {"time_per_output_token_s": []}, "measured": {"time_per_output_token_s": None}},
            "cannot_tell",
            3,
        ),
    ],
)
def test_outcomes_and_codes(
    tmp_path: Path, nights: str, slower: float, changes: dict[str, Any], outcome: str, code: int
) -> None:
    path = tonight(tmp_path, slower, **changes)
    found = check(path, baseline=nights)
    assert (found.outcome, found.exit_code) == (outcome, code)
    ran = run("check", path, "--baseline", nights, "--format", "json")
    assert ran.returncode == code
    told = json.loads(ran.stdout)
    assert (told["schema"], told["outcome"], told["exit_code"]) == ("diagnose.check/1", outcome, code)
    assert told["created_at"]


def test_a_verdict_may_be_a_file_a_dict_or_a_result(nights: str, tmp_path: Path) -> None:
    for current in (verdict(0.2, night=20), tonight(tmp_path, 0.2)):
        assert check(current, baseline=nights).outcome == "regression"
    lines = tmp_path / "watch.json"
    lines.write_text("".join(json.dumps(verdict(x, night=20)) + "\n" for x in (0.0, 0.2)), encoding="utf-8")
    assert check(lines, baseline=nights).outcome == "regression", "the last line of a watch counts"


def test_a_regression_says_what_moved(nights: str, tmp_path: Path) -> None:
    ran = run("check", tonight(tmp_path, 0.3, regime="latency"), "--baseline", nights)
    assert ran.returncode == 1
    out = ran.stdout.decode()
    assert out.startswith("REGRESSION: ")
    assert "What moved" in out


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b'{"schema": "diagnose.verdict/1", "subj', "damaged"),
        (b'{"schema": "diagnose.verdict/2"}', "newer"),
        (b'{"schema": "diagnose.verdict/1"}', "nothing was measured"),
        (b"no dump of any kind", "tonight"),
    ],
)
def test_a_current_file_that_cannot_be_used_is_code_2(content: bytes, wrong: str, nights: str, tmp_path: Path) -> None:
    path = tmp_path / "tonight.json"
    path.write_bytes(content)
    with pytest.raises(UnreadableDump, match=wrong):
        check(path, baseline=nights)
    ran = run("check", str(path), "--baseline", nights)
    assert (ran.returncode, ran.stdout) == (2, b"")
    assert ran.stderr.startswith(b"Error: ")
    assert b"Hint: " in ran.stderr


def test_damaged_and_newer_lines_are_passed_over_and_counted(nights: str, tmp_path: Path) -> None:
    path = Path(nights) / "decode-8.jsonl"
    before = path.read_bytes()
    path.write_bytes(b"garbage\n" + before + b'{"schema": "diagnose.verdict/7"}\n{"schema": "diagnose.verd')
    found = check(tonight(tmp_path, 0.2), baseline=nights)
    assert found.outcome == "regression"
    assert any("2 of the baseline's lines damaged" in text for text in found.warnings)
    assert any("1 of the baseline's lines written by a newer diagnose" in text for text in found.warnings)


def test_one_workload_need_not_be_named_and_two_must(tmp_path: Path, nights: str) -> None:
    bare = tonight(tmp_path, 0.2, subject={"workload": None})
    found = check(bare, baseline=nights)
    assert found.outcome == "regression"
    assert any("decode-8" in text for text in found.warnings)
    other = verdict(0.0, night=1, subject={"workload": "prefill"})
    (Path(nights) / "prefill.jsonl").write_text(json.dumps(other) + "\n", encoding="utf-8")
    assert check(bare, baseline=nights).check.why == (Why.UNLIKE,)
    assert check(bare, baseline=nights, workload="decode-8").outcome == "regression"


def test_adding_after_a_pass_and_not_after_a_regression(tmp_path: Path, nights: str) -> None:
    def lines() -> int:
        return len((Path(nights) / "decode-8.jsonl").read_text().splitlines())

    assert check(tonight(tmp_path, 0.3), baseline=nights, add=True).added is None
    assert lines() == 10
    assert check(tonight(tmp_path, 0.01), baseline=nights, add=True).added is not None
    assert lines() == 11
    again = check(tonight(tmp_path, 0.01), baseline=nights, add=True)
    assert lines() == 11
    assert again.outcome == "pass"


def test_the_first_nights_make_the_baseline_they_lack(tmp_path: Path) -> None:
    kept = tmp_path / "new" / "baseline"
    with pytest.raises(DiagnoseError, match="no such folder"):
        check(tonight(tmp_path), baseline=kept)
    codes = []
    for night in range(9):
        path = written(tmp_path / f"{night}.json", verdict(night=night))
        codes.append(check(path, baseline=kept, add=True).exit_code)
    assert codes == [3] * 8 + [0]


def test_a_command_in_place_of_a_file_and_its_confirmation(tmp_path: Path, nights: str) -> None:
    path = tonight(tmp_path, 0.2)
    assert check(run=f"cat {path}", baseline=nights).outcome == "regression"
    good = written(tmp_path / "good.json", verdict(0.0, night=21))
    flag = tmp_path / "flag"
    once = f"test -e {flag} && cat {good} || (touch {flag}; cat {path})"
    found = check(run=once, baseline=nights, confirm=True)
    assert found.outcome == "pass"
    assert Why.NOT_CONFIRMED in found.check.why
    with pytest.raises(DiagnoseError, match="printed no verdict"):
        check(run="echo hello", baseline=nights)
    with pytest.raises(DiagnoseError, match="cannot be measured once more"):
        check(path, baseline=nights, confirm=True)


def test_thresholds_from_the_projects_file(tmp_path: Path, nights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[tool.diagnose.check]\nbaseline = "../baseline"\nmin-effect = "25%"\nroof = false\n', encoding="utf-8"
    )
    monkeypatch.chdir(project)
    path = tonight(tmp_path, 0.2)
    assert check(path).outcome == "pass"
    assert check(path, min_effect=3).outcome == "regression", "what is typed counts more"
    (project / "pyproject.toml").write_text("[tool.diagnose.check]\nmin-efect = 3\n", encoding="utf-8")
    with pytest.raises(DiagnoseError, match="has no option min-efect"):
        check(path)


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"min_effect": "much"}, "must be a number"),
        ({"min_effect": -3}, "must be positive"),
        ({"min_effect": 0.05}, "is in percent"),
        ({"confidence": 100}, "between 50 and 100"),
        ({"confidence": 0.99}, "between 50 and 100"),
        ({"sessions": 5}, "at least 8"),
        ({"latest": 4}, "at least sessions"),
        ({"metric": "speed"}, "no metric named"),
        ({"across": "colour"}, "no trait named"),
        ({"baseline": "/nowhere"}, "no such folder"),
        ({"baseline": None}, "no baseline"),
        ({"timeout": 0}, "must be positive"),
        ({"workload": " "}, "name is empty"),
        ({"allow_noisy": "false"}, "must be true or false"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], wrong: str, tmp_path: Path, nights: str) -> None:
    with pytest.raises(DiagnoseError, match=wrong):
        check(tonight(tmp_path), **{"baseline": nights, **options})


def test_a_dump_is_judged_first(tmp_path: Path, nights: str) -> None:
    """A recording or a trace may stand in place of a verdict; this log tells no speed at all."""
    path = tmp_path / "dmon.log"
    path.write_text(dmon([Reading(sm=90.0, memory=60.0)] * 10), encoding="utf-8")
    found = check(path, baseline=nights)
    assert found.outcome == "cannot_tell"
    assert found.check.why == (Why.MISSING_METRIC,)


def test_a_provisional_verdict_is_no_session(tmp_path: Path, nights: str) -> None:
    with pytest.raises(DiagnoseError, match="provisional"):
        check({**verdict(0.2, night=20), "provisional": True}, baseline=nights, add=True)


def test_compressed_verdicts_are_read_too(tmp_path: Path, nights: str) -> None:
    path = tmp_path / "tonight.json.gz"
    path.write_bytes(gzip.compress(json.dumps(verdict(0.2, night=20)).encode()))
    assert check(path, baseline=nights).outcome == "regression"


SWEEP = "sweep 1,2,4,8 x (32 + 16 tokens)"


def test_a_name_does_not_hide_what_the_verdict_states_of_its_load(tmp_path: Path) -> None:
    kept = str(tmp_path / "kept")
    for night in range(8):
        check(verdict(night=night, subject={"workload": SWEEP}), baseline=kept, workload="chat", add=True)
    other = tonight(tmp_path, subject={"workload": "sweep 1,2,4,8 x (512 + 128 tokens)"})
    found = check(other, baseline=kept, workload="chat")
    assert found.check.why == (Why.UNLIKE,)
    assert "load sweep 1,2,4,8 x (32 + 16 tokens) before" in " ".join(str(found).split())
    assert check(other, baseline=kept, workload="chat", across="load").outcome == "pass"
    assert check(tonight(tmp_path, subject={"workload": SWEEP}), baseline=kept, workload="chat").outcome == "pass"
    unstated = tonight(tmp_path, subject={"workload": None})
    assert check(unstated, baseline=kept, workload="chat").outcome == "pass"


def test_loads_that_nobody_named_are_told_apart_once(tmp_path: Path, nights: str) -> None:
    found = check(tonight(tmp_path, subject={"workload": SWEEP}), baseline=nights)
    assert [d.trait for left in found.check.left_out for d in left.differences] == ["workload"]
    assert check(tonight(tmp_path, subject={"workload": SWEEP}), baseline=nights, across="workload").outcome == "pass"


def test_a_kept_line_may_be_checked_under_its_name(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    for night in range(9):
        check(verdict(night=night, subject={"workload": SWEEP}), baseline=kept, workload="chat", add=True)
    line = tmp_path / "line.json"
    line.write_text((kept / "chat.jsonl").read_text(encoding="utf-8").splitlines()[3], encoding="utf-8")
    found = check(line, baseline=kept)
    assert (found.check.current.identity["workload"], found.check.current.identity["load"]) == ("chat", SWEEP)
    assert (found.outcome, len(found.check.sessions)) == ("pass", 8)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ('allow-noisy = "false"', "allow-noisy must be true or false, not 'false'"),
        ("flips = 0", "flips must be true or false"),
        ("workload = 8", "workload must be a text"),
        ("metric = ['step_s']", "metric must be a text"),
        ("across = 3", "across must be a text or a list of texts"),
        ("across = ['driver', 3]", "across must be a text or a list of texts"),
        ("min-effect = true", "min-effect must be a number"),
        ("sessions = [8]", "sessions must be a number"),
        ("baseline = 1", "baseline must be a text"),
        ("min-effect = 3\nmin_effect = 4", "min-effect twice"),
        ("workload = ''", "name is empty"),
    ],
)
def test_a_projects_file_that_makes_no_sense(
    line: str, wrong: str, tmp_path: Path, nights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.diagnose.check]\n{line}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DiagnoseError, match=wrong):
        check(tonight(tmp_path), **({} if line.startswith("baseline") else {"baseline": nights}))


def test_what_is_typed_undoes_what_the_file_says(tmp_path: Path, nights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text(
        f"[tool.diagnose.check]\nbaseline = {nights!r}\nflips = false\nroof = false\nallow-noisy = true\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    flipped = written(tmp_path / "flipped.json", verdict(night=20, regime="latency"))
    far = written(tmp_path / "far.json", verdict(night=20, measured={"bandwidth_fraction": 0.3}))
    sick = written(tmp_path / "sick.json", verdict(night=20, environment={"throttled": ["thermal"]}))
    for path, switch, code in ((flipped, "flips", 1), (far, "roof", 1), (sick, "no-allow-noisy", 3)):
        assert run("check", path).returncode == 0
        assert run("check", path, f"--{switch}").returncode == code


def test_adding_what_is_there_says_so(tmp_path: Path, nights: str) -> None:
    path = tonight(tmp_path, 0.01)
    assert check(path, baseline=nights, add=True).added is not None
    again = check(path, baseline=nights, add=True)
    assert again.added is None
    assert any("there already" in text for text in again.warnings)
    assert b"added to" not in run("check", path, "--baseline", nights, "--add").stderr.replace(b"not added to", b"")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"regime": "idle"}, "no work"),
        ({"verdict": None}, "nothing was measured"),
        (
            {"samples": {}, "measured": {"time_per_output_token_s": None}},
            "time per output token was not measured",
        ),
        ({"environment": {"throttled": ["thermal"]}}, "not well"),
        ({"verdict": {**verdict()["verdict"], "limits": ["stalled"]}}, "stalled"),
    ],
)
def test_what_is_no_session_is_not_added_and_fails_nothing(
    changes: dict[str, Any], reason: str, tmp_path: Path, nights: str
) -> None:
    before = (Path(nights) / "decode-8.jsonl").read_bytes()
    made = verdict(night=20, **{name: value for name, value in changes.items() if name not in ("samples", "verdict")})
    made |= {name: value for name, value in changes.items() if name in ("samples", "verdict")}
    found = check(made, baseline=nights, add=True)
    assert found.outcome != "regression"
    assert found.added is None
    assert any(text.startswith("not added") and reason in text for text in found.warnings), found.warnings
    assert (Path(nights) / "decode-8.jsonl").read_bytes() == before


def test_after_a_confirmation_the_session_that_passed_is_added(tmp_path: Path, nights: str) -> None:
    slow = written(tmp_path / "slow.json", verdict(0.2, night=20))
    good = written(tmp_path / "good.json", verdict(0.0, night=21))
    flag = tmp_path / "flag"
    once = f"test -e {flag} && cat {good} || (touch {flag}; cat {slow})"
    assert check(run=once, baseline=nights, confirm=True, add=True).added is not None
    last = json.loads((Path(nights) / "decode-8.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert last["created_at"] == verdict(0.0, night=21)["created_at"]


def test_the_same_session_again_confirms_nothing(tmp_path: Path, nights: str) -> None:
    found = check(run=f"cat {tonight(tmp_path, 0.2)}", baseline=nights, confirm=True, add=True)
    assert (found.outcome, found.check.confirmed_by, found.added) == ("regression", None, None)
    assert any("confirms nothing" in text for text in found.check.warnings)
    assert "confirms nothing" in " ".join(str(found).split())


def test_what_the_verdict_warns_of_is_told(tmp_path: Path, nights: str) -> None:
    made = {**verdict(night=20), "warnings": ["one", "two", "three", "four"], "tool_version": "0.2.0"}
    found = check(written(tmp_path / "t.json", made), baseline=nights)
    told = ["measured by diagnose 0.2.0, the sessions by 0.1.0", "one", "two", "three"]
    assert found.to_dict()["warnings"] == told
    mind = str(found).split("\nMind\n")[1]
    assert all(text in mind for text in told)
    assert check(tonight(tmp_path), baseline=nights).to_dict()["warnings"] == []


def test_a_metric_may_be_typed_with_hyphens(tmp_path: Path, nights: str) -> None:
    path = tonight(tmp_path)
    assert run("check", path, "--baseline", nights, "--metric", "tokens-per-s").returncode == 0
    assert run("baseline", "show", "--baseline", nights, "--metric", "tokens-per-s").returncode == 0


def test_a_report_that_cannot_be_written_loses_no_other(tmp_path: Path, nights: str) -> None:
    junit, summary, nowhere = tmp_path / "junit.xml", tmp_path / "summary.md", tmp_path / "no" / "report.txt"
    github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    path = tonight(tmp_path, 0.2)
    lost = run("check", path, "--baseline", nights, "--junit", junit, "--github", "-o", nowhere, **github)
    assert lost.returncode == 2
    assert b"report.txt: cannot be written" in lost.stderr
    assert b"::error" in lost.stderr
    assert "failure" in junit.read_text(encoding="utf-8")
    assert "REGRESSION" in summary.read_text(encoding="utf-8")
    (tmp_path / "file").write_text("", encoding="utf-8")
    kept = run("check", path, "--baseline", nights, "--junit", tmp_path / "file" / "junit.xml")
    assert kept.returncode == 2
    assert kept.stdout.startswith(b"REGRESSION")
    assert b"junit.xml: cannot be written" in kept.stderr
