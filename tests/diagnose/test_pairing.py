"""Two commands in turns: real processes, of known speed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from collectors.dump import Interrupt
from diagnose.checking import check
from diagnose.running import CommandFailed
from heuristics.errors import DiagnoseError
from heuristics.regression.outcome import Outcome, Why
from tests.make.verdicts import verdict


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
    with pytest.raises(DiagnoseError, match="does not tell its step time"):
        check(paired=(a, "true"), pairs=5)
    with pytest.raises(DiagnoseError, match="does not tell its tokens/s"):
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
    few = check(paired=(a, b), warm_up=0, interrupt=interrupt)
    assert few.outcome == "cannot_tell"


def test_one_question_at_a_time(tmp_path: Path) -> None:
    with pytest.raises(DiagnoseError, match="two questions"):
        check("a.json", paired=("true", "true"))
    with pytest.raises(DiagnoseError, match="nothing to check"):
        check()
