"""Two commands in turns: real processes, of known speed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collectors.dump import Interrupt
from diagnose.checking import check
from diagnose.running import CommandFailed
from heuristics.errors import DiagnoseError
from heuristics.regression.outcome import Outcome, Why
from heuristics.regression.paired import PairedCheck
from tests.diagnose.command import run
from tests.make.verdicts import baseline, verdict


def stepping(tmp_path: Path, name: str, *objects: dict[str, Any]) -> str:
    """A command that prints one of the objects after the other, each time it is run."""
    (tmp_path / f"{name}.json").write_text("\n".join(map(json.dumps, objects)), encoding="utf-8")
    (tmp_path / f"{name}.count").write_text("0", encoding="utf-8")
    (tmp_path / "step.sh").write_text(
        "n=$(cat $1.count); echo $((n + 1)) > $1.count; echo $1 >> order\n"
        "sed -n $((n % $(grep -c '' $1.json) + 1))p $1.json\n",
        encoding="utf-8",
    )
    with (tmp_path / f"{name}.json").open("a") as stream:
        stream.write("\n")
    return f"cd {tmp_path} && sh step.sh {name}"


def speeds(tmp_path: Path, name: str, step_s: float, **more: Any) -> str:
    """One that tells step times about this one."""
    return stepping(
        tmp_path, name, *({"step_s": step_s * (1.0 + e), **more} for e in (0.0, 0.004, -0.004, 0.002, -0.001))
    )


def test_a_b_b_a_and_what_comes_out(tmp_path: Path) -> None:
    told: list[str] = []
    a, b = speeds(tmp_path, "a", 0.020), speeds(tmp_path, "b", 0.0212)
    found = check(paired=(a, b), pairs=5, tell=told.append)
    assert (tmp_path / "order").read_text().split() == ["a", "b", *"abbaabbaab"]
    assert (found.outcome, found.exit_code) == ("regression", 1)
    assert found.check.why == (Why.SLOWER,)
    assert found.check.change == pytest.approx(0.06, abs=0.005)
    assert len(told) == 7
    assert "pair 5 of 5" in told[-1]


def test_the_same_twice_passes_and_faster_is_an_improvement(tmp_path: Path) -> None:
    a, b = speeds(tmp_path, "a", 0.020), speeds(tmp_path, "b", 0.0201)
    assert check(paired=(a, b), pairs=6).outcome == "pass"
    assert check(paired=(a, speeds(tmp_path, "c", 0.018)), pairs=6).outcome == "improvement"


def test_fewer_than_five_pairs_and_wild_ones_tell_nothing(tmp_path: Path) -> None:
    a, b = speeds(tmp_path, "a", 0.02), speeds(tmp_path, "b", 0.03)
    few = check(paired=(a, b), pairs=4)
    assert (few.outcome, few.exit_code) == ("cannot_tell", 3)
    wild = stepping(tmp_path, "w", *({"step_s": s} for s in (0.02, 0.03, 0.015, 0.025, 0.04)))
    assert check(paired=(a, wild), pairs=5).check.why == (Why.TOO_NOISY,)


def test_a_flip_between_verdicts_fails_at_the_same_speed(tmp_path: Path) -> None:
    a = stepping(tmp_path, "a", *(verdict(night=n) for n in range(5)))
    b = stepping(tmp_path, "b", *(verdict(night=n, regime="latency") for n in range(5)))
    found = check(paired=(a, b), pairs=6).check
    assert (found.outcome, found.why) == (Outcome.REGRESSION, (Why.REGIME_FLIP,))
    assert found.flip is not None
    assert (found.flip.baseline, found.flip.current) == ("memory", "latency")
    assert check(paired=(a, b), pairs=6, flips=False).outcome == "pass"


def test_the_time_of_commands_that_tell_nothing() -> None:
    found = check(paired=("sleep 0.05", "sleep 0.2"), pairs=5, warm_up=0).check
    assert found.metric.name == "wall_s"
    assert len(found.a) == 5
    assert min(found.a) >= 0.05
    assert min(found.b) >= 0.2
    assert found.change is not None
    assert found.change > 0.0


def test_a_confirmation_runs_all_pairs_again(tmp_path: Path) -> None:
    a, b = speeds(tmp_path, "a", 0.02), speeds(tmp_path, "b", 0.025)
    found = check(paired=(a, b), pairs=5, confirm=True, warm_up=0).check
    assert found.outcome is Outcome.REGRESSION
    assert found.confirmed_by is not None
    assert len((tmp_path / "order").read_text().split()) == 20


def test_a_slow_down_that_does_not_come_back_is_not_confirmed(tmp_path: Path) -> None:
    a = stepping(tmp_path, "a", *[{"step_s": 0.02}] * 10)
    b = stepping(tmp_path, "b", *[{"step_s": 0.03}] * 5, *[{"step_s": 0.02}] * 5)
    found = check(paired=(a, b), pairs=5, confirm=True, warm_up=0).check
    assert found.outcome is Outcome.PASS
    assert Why.NOT_CONFIRMED in found.why


def test_what_fails_or_hangs_is_an_error_and_no_pass(tmp_path: Path) -> None:
    a = speeds(tmp_path, "a", 0.02)
    with pytest.raises(CommandFailed, match="exit code 1"):
        check(paired=(a, "false"), pairs=5)
    with pytest.raises(CommandFailed, match="did not end"):
        check(paired=(a, "sleep 60"), pairs=5, timeout=0.3)
    with pytest.raises(DiagnoseError, match="prints no JSON object, and a run before it a JSON object of figures"):
        check(paired=(a, "true"), pairs=5)
    with pytest.raises(DiagnoseError, match=r"does not tell its tokens/s .tokens_per_s.: it has step_s"):
        check(paired=(a, a), pairs=5, metric="tokens_per_s")


def test_more_of_what_is_better_is_no_regression(tmp_path: Path) -> None:
    a = stepping(tmp_path, "a", *({"tokens_per_s": x} for x in (100.0, 101.0, 99.0)))
    b = stepping(tmp_path, "b", *({"tokens_per_s": x} for x in (120.0, 121.0, 119.0)))
    assert check(paired=(a, b), pairs=6).outcome == "improvement"
    assert check(paired=(b, a), pairs=6).outcome == "regression"


def test_ctrl_c_ends_the_runs_and_judges_what_there_is(tmp_path: Path) -> None:
    interrupt = Interrupt()
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        interrupt.requested = len(told) == 6

    a, b = speeds(tmp_path, "a", 0.020), speeds(tmp_path, "b", 0.023)
    found = check(paired=(a, b), warm_up=0, interrupt=interrupt, tell=tell)
    assert found.outcome == "regression"
    assert found.check.warnings == ("ended early: 6 of 10 pairs",)
    none = check(paired=(a, b), warm_up=0, interrupt=interrupt).check
    assert (none.outcome, none.why) == (Outcome.CANNOT_TELL, (Why.ENDED_EARLY,))


def after(lines: int) -> tuple[Interrupt, Callable[[str], None]]:
    """An interrupt that comes after so many runs were told of."""
    interrupt = Interrupt()
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        interrupt.requested = len(told) >= lines

    return interrupt, tell


@pytest.mark.parametrize("b_s", [0.020, 0.015])
def test_what_was_ended_early_does_not_pass(tmp_path: Path, b_s: float) -> None:
    interrupt, tell = after(7)
    a, b = speeds(tmp_path, "a", 0.020), speeds(tmp_path, "b", b_s)
    found = check(paired=(a, b), warm_up=0, interrupt=interrupt, tell=tell)
    assert (found.exit_code, found.check.why) == (3, (Why.ENDED_EARLY,))
    assert found.check.warnings == ("ended early: 7 of 10 pairs",)
    assert "--pairs 10" in found.to_text()


def test_a_confirmation_that_was_ended_early_confirms_nothing_and_says_so(tmp_path: Path) -> None:
    a = stepping(tmp_path, "a", *[{"step_s": 0.02}] * 11)
    b = stepping(tmp_path, "b", *[{"step_s": 0.03}] * 6, *[{"step_s": 0.02}] * 5)
    interrupt, tell = after(6 + 1 + 5)
    found = check(paired=(a, b), pairs=6, confirm=True, warm_up=0, interrupt=interrupt, tell=tell).check
    assert (found.outcome, found.why) == (Outcome.CANNOT_TELL, (Why.ENDED_EARLY, Why.NOT_CONFIRMED))
    assert found.warnings == ("ended early: 5 of 6 pairs",)


@pytest.mark.parametrize("ending", ["", "; echo bye", "; echo; echo 'took 3 s {about}'"])
def test_what_is_printed_after_the_object_hides_no_slow_down(ending: str) -> None:
    a, b = (f"echo '{{\"step_s\": {step_s}}}'{ending}" for step_s in (0.02, 0.04))
    assert check(paired=(a, b), pairs=5, warm_up=0).outcome == "regression"


@pytest.mark.parametrize(
    ("printed", "named"),
    [
        ('{"tpot_ms": 3.5, "other": 1}', "a metric that is known: it has tpot_ms, other"),
        ('{"step_s": 0}', "it has step_s 0"),
        ('{"step_s": -1}', "it has step_s -1"),
        ('{"step_s": NaN}', "it has step_s nan"),
        ('{"step_s": 5e-320}', "it has step_s 5e-320"),
        ('{"step_s": 1' + 400 * "0" + "}", "it has step_s 1000"),
        ('{"step_s": 1' + 5000 * "0" + "}", "it has step_s inf"),
        ('{"step_s": "0.02"}', "it has step_s 0.02"),
        ("{}", "it has nothing"),
        ('{"step_s": .02}', "prints no JSON: .* .02"),
        ('{"step_s": 0.02', "prints no JSON"),
    ],
)
def test_figures_that_cannot_be_used_are_no_wall_time(printed: str, named: str) -> None:
    command = f"echo '{printed}'"
    with pytest.raises(DiagnoseError, match=named) as found:
        check(paired=(command, command), pairs=5)
    assert "--metric wall_s" in str(found.value.hint)
    assert check(paired=(command, command), pairs=5, warm_up=0, metric="wall-s").check.metric.name == "wall_s"


def test_a_metric_that_nobody_knows_is_named_with_those_that_are() -> None:
    with pytest.raises(DiagnoseError, match="no metric named 'bogus'") as found:
        check(paired=("true", "true"), metric="bogus")
    assert str(found.value.hint).endswith("joules_per_token, wall_s")


def test_runs_that_print_different_things_are_not_compared(tmp_path: Path) -> None:
    figures, nothing = "echo '{\"step_s\": 0.02}'", "echo done"
    told = stepping(tmp_path, "a", verdict())
    for pair in ((figures, nothing), (nothing, figures), (told, figures), (figures, told), (nothing, told)):
        with pytest.raises(DiagnoseError, match="and a run before it"):
            check(paired=pair, pairs=5, warm_up=0)
    now_and_then = stepping(tmp_path, "c", {"step_s": 0.02}, {"step_s": 0.02}, {"tokens_per_s": 50.0})
    with pytest.raises(DiagnoseError, match="does not tell its step time"):
        check(paired=(figures, now_and_then), pairs=5, warm_up=0)


def verdicts(tmp_path: Path, name: str, slower: float = 0.0, **changes: Any) -> str:
    return stepping(tmp_path, name, *(verdict(slower, night=night, **changes) for night in range(5)))


@pytest.mark.parametrize(
    ("changes", "trait"),
    [
        ({"environment": {"gpu": "NVIDIA L40S"}}, "gpu"),
        ({"environment": {"gpu": None}}, "gpu"),
        ({"subject": {"workload": "chat"}}, "workload"),
        ({"subject": {"kind": "numbers"}}, "measured_by"),
    ],
)
def test_verdicts_of_unlike_runs_tell_nothing(tmp_path: Path, changes: dict[str, Any], trait: str) -> None:
    a = verdicts(tmp_path, "a")
    for slower in (-0.3, 0.3):
        found = check(paired=(a, verdicts(tmp_path, "b", slower, **changes)), pairs=5)
        assert (found.exit_code, found.check.why) == (3, (Why.UNLIKE,))
        assert isinstance(found.check, PairedCheck)
        assert [apart.trait for apart in found.check.unlike] == [trait]
        assert "A and B are unlike" in found.to_text()


def test_what_is_under_test_may_differ(tmp_path: Path) -> None:
    other: dict[str, Any] = {
        "environment": {"driver": "590.1", "engine_version": "0.40.0", "dtype": "fp8"},
        "subject": {"engine": "SGLang", "model": "ours/9b", "workload": None},
    }
    a, b = verdicts(tmp_path, "a"), verdicts(tmp_path, "b", -0.2, **other)
    assert check(paired=(a, b), pairs=5).outcome == "improvement"
    assert check(paired=(b, a), pairs=5).outcome == "regression"


def test_a_provisional_verdict_is_an_error_and_an_idle_one_tells_nothing(tmp_path: Path) -> None:
    a = verdicts(tmp_path, "a")
    with pytest.raises(DiagnoseError, match="provisional"):
        check(paired=(a, verdicts(tmp_path, "b", provisional=True)), pairs=5)
    for bare in ({}, {"measured": None, "samples": {}}):
        idle = verdicts(tmp_path, "c", -0.3, regime="idle", **bare)
        for pair in ((a, idle), (idle, a), (idle, idle)):
            found = check(paired=pair, pairs=5)
            assert (found.exit_code, found.check.why) == (3, (Why.NO_WORK,))
            assert found.to_text().startswith("CANNOT TELL: the job was idle")
    stalled = verdicts(tmp_path, "d", verdict={**verdict()["verdict"], "limits": ["stalled"]})
    assert check(paired=(a, stalled), pairs=5).check.why == (Why.STALLED,)


def test_another_load_fails_for_a_flip_alone(tmp_path: Path) -> None:
    a, more = verdicts(tmp_path, "a"), {"measured": {"batch": 16.0}}
    for slower in (-0.3, 0.0, 0.3):
        found = check(paired=(a, verdicts(tmp_path, "b", slower, **more)), pairs=5)
        assert (found.exit_code, found.check.why) == (3, (Why.OTHER_LOAD,))
    flipped = verdicts(tmp_path, "c", -0.3, regime="latency", **more)
    assert check(paired=(a, flipped), pairs=5).check.why == (Why.REGIME_FLIP,)


def test_moving_away_from_the_roof_fails_unless_it_got_faster(tmp_path: Path) -> None:
    a, farther = verdicts(tmp_path, "a"), {"measured": {"bandwidth_fraction": 0.5}}
    b = verdicts(tmp_path, "b", **farther)
    assert check(paired=(a, b), pairs=5).check.why == (Why.FARTHER_FROM_ROOF,)
    assert check(paired=(a, b), pairs=5, roof=False).outcome == "pass"
    assert check(paired=(a, verdicts(tmp_path, "c", -0.3, **farther)), pairs=5).outcome == "improvement"
    silent = verdicts(tmp_path, "d", measured={"bandwidth_fraction": None, "compute_fraction": None})
    assert check(paired=(a, silent), pairs=5).outcome == "pass"


@pytest.mark.parametrize(
    "typed",
    [
        {"baseline": "nights"},
        {"workload": "decode"},
        {"sessions": 8},
        {"latest": 30},
        {"across": ("driver",)},
        {"allow_noisy": True},
        {"add": True},
        {"gpu": "H100"},
    ],
)
def test_options_of_sessions_are_no_options_of_pairs(typed: dict[str, Any]) -> None:
    with pytest.raises(DiagnoseError, match=f"--{next(iter(typed)).replace('_', '-')}: means nothing with --paired"):
        check(paired=("true", "true"), **typed)


@pytest.mark.parametrize("typed", [{"pairs": 5}, {"warm_up": 0}])
def test_options_of_pairs_are_no_options_of_sessions(typed: dict[str, Any]) -> None:
    with pytest.raises(DiagnoseError, match="means nothing without --paired"):
        check(verdict(), baseline="nights", **typed)


def test_a_file_may_have_the_settings_of_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.diagnose.check]\nbaseline = 'nights'\nsessions = 9\nallow-noisy = true\nresolution = 0.01\n"
        "pairs = 5\nwarm-up = 0\npaired-resolution = 40\n"
    )
    monkeypatch.chdir(tmp_path)
    pair = (speeds(tmp_path, "a", 0.02), speeds(tmp_path, "b", 0.02))
    found = check(paired=pair).check
    assert (found.outcome, found.policy.resolution) == (Outcome.PASS, 0.4)
    assert check(paired=pair, resolution=5).check.policy.resolution == 0.05
    folder = baseline(tmp_path / "nights", 10)
    assert check(verdict(night=20), baseline=folder).check.policy.resolution == pytest.approx(0.0001)
    (tmp_path / "pyproject.toml").write_text("[tool.diagnose.check]\nresolution = 40\n")
    assert check(paired=pair, pairs=5).check.policy.resolution == 0.05


def test_a_baseline_of_the_environment_is_for_the_other_mode(tmp_path: Path) -> None:
    done = run("check", "--paired", "true", "true", "--pairs", 1, "--warm-up", 0, DIAGNOSE_BASELINE="nights")
    assert (done.returncode, done.stderr.count(b"Error")) == (3, 0)
    typed = run("check", "--paired", "true", "true", "--baseline", "nights")
    assert (typed.returncode, typed.stdout) == (2, b"")
    assert b"Hint: " in typed.stderr


def test_one_question_at_a_time(tmp_path: Path) -> None:
    with pytest.raises(DiagnoseError, match="two questions"):
        check("a.json", paired=("true", "true"))
    with pytest.raises(DiagnoseError, match="nothing to check"):
        check()
