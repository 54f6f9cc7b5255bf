"""Every kind of check in every form: whole outputs, and what must hold of all of them."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from heuristics.regression.metrics import METRICS
from heuristics.regression.outcome import Check, Guard, Outcome, Why
from heuristics.regression.paired import PairedCheck
from reports import check_json, check_markdown, check_text, junit
from reports.check_next import next_steps
from reports.check_words import OUTCOMES, SHORT, WHYS, Answer, decisive, guard, plain, sign
from reports.words import FORMATS
from tests.golden_files import compare_text
from tests.reports.contract import CHECK_JSON
from tests.reports.situations import LATENCY, SICK, SITUATIONS, checked, session

WHOLE = ("slower", "too_few", "not_confirmed", "paired_slower")
"""Situations whose output is kept in every form; the others are as text alone."""

every = pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in SITUATIONS.items()])
Make = Callable[[], Answer]


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_text(name: str) -> None:
    compare_text(f"check_{name}", "txt", check_text.render(SITUATIONS[name]()))


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize(
    ("suffix", "render"), [("json", check_json.render), ("md", check_markdown.render), ("xml", junit.render)]
)
def test_the_other_forms(name: str, suffix: str, render: Callable[..., str]) -> None:
    compare_text(f"check_{name}", suffix, render(SITUATIONS[name](), baseline="perf/baseline"))


def test_situations_show_every_outcome_and_every_reason() -> None:
    made = [make() for make in SITUATIONS.values()]
    assert {answer.outcome for answer in made} == set(Outcome)
    assert {why for answer in made for why in answer.why} == set(Why)


def test_every_reason_metric_and_unit_has_its_words() -> None:
    assert set(WHYS) == set(Why)
    assert set(OUTCOMES) == set(Outcome)
    assert set(SHORT) == {metric.name for metric in METRICS}
    assert {metric.unit for metric in METRICS} <= set(FORMATS)


@every
def test_the_first_line_begins_with_the_answer(make: Make) -> None:
    answer = make()
    first = check_text.render(answer).splitlines()[0]
    assert first.startswith(f"{OUTCOMES[answer.outcome]}: ")
    assert check_text.brief(answer).startswith(first)


@pytest.mark.parametrize("name", ["pass", "slower", "improvement", "too_few", "sick", "noisy", "paired_slower"])
def test_the_first_three_lines_say_by_how_much_and_against_what(name: str) -> None:
    _, second, third = check_text.render(SITUATIONS[name]()).splitlines()[:3]
    assert re.search(r"\d ms now, [\d.]+ ms before: the median of \d+ like sessions|^A .* B .* of 10 pairs", second)
    assert re.match(r"(Expected|Between) .*\(99 %\)", third)


@every
@pytest.mark.parametrize("width", [20, 50, 64, 80, 100, 300])
def test_no_line_is_wider_than_the_terminal_but_commands_are_whole(make: Make, width: int) -> None:
    answer = make()
    lines = check_text.render(answer, width=width).splitlines()
    commands = [step.command for step in next_steps(answer) if step.command is not None]
    wide = [line for line in lines if len(line) > max(50, min(width, 100))]
    assert all(line.strip() in commands for line in wide)
    assert {f"    {command}" for command in commands} <= set(lines)


@every
def test_colour_changes_nothing_but_the_colour(make: Make) -> None:
    answer = make()
    coloured = check_text.render(answer, colour=True)
    assert "\x1b[1;3" in coloured.splitlines()[0]
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == check_text.render(answer)


@every
def test_the_contract(make: Make) -> None:
    answer = make()
    found = json.loads(check_json.render(answer))
    jsonschema.Draft202012Validator(CHECK_JSON).validate(found)
    assert found["exit_code"] == {"regression": 1, "cannot_tell": 3}.get(found["outcome"], 0)
    assert found["kind"] == ("paired" if isinstance(answer, PairedCheck) else "sessions")
    assert [metric["name"] for metric in found["metrics"]][:1] == [found["primary"]] or found["primary"] is None


def test_the_numbers_of_the_json_are_those_of_the_gate() -> None:
    answer = SITUATIONS["slower"]()
    assert isinstance(answer, Check)
    found = check_json.to_dict(answer)
    for told, known in zip(found["metrics"], answer.comparisons, strict=True):
        for name, value in (("change", known.change), ("expected_low", known.low), ("p", known.p)):
            assert value is not None
            assert math.isclose(told[name], value, rel_tol=1e-5)
    assert found["metrics"][0]["current"] == pytest.approx(0.0224448, rel=1e-3)


@every
def test_whoever_cannot_tell_is_told_what_to_run(make: Make) -> None:
    answer = make()
    steps = next_steps(answer)
    if answer.outcome is Outcome.CANNOT_TELL:
        assert steps
    for step in steps:
        assert plain(step.text)
        if step.command is not None and "PID" not in step.command:
            assert shlex.split(step.command)


def test_commands_name_what_is_known() -> None:
    """The folder, the workload and the file, quoted as a shell needs it."""
    odd = session(identity={"workload": "chat; rm -rf /"}, name="to night.json")
    first = next_steps(checked(odd, []), "perf base")[0]
    assert first.command is not None
    assert shlex.split(first.command) == [
        *("diagnose", "baseline", "add", "to night.json", "--baseline", "perf base"),
        *("--workload", "chat; rm -rf /"),
    ]


def test_too_few_counts_what_lacks() -> None:
    text = " ".join(check_text.render(SITUATIONS["too_few"]()).split())
    assert "3 of 8 like sessions; add 5 more nights" in text
    assert "diagnose check --paired 'CMD_A' 'CMD_B'" in text


def test_unlike_traits_are_named_with_the_option_that_lets_them_differ() -> None:
    text = check_text.render(SITUATIONS["unlike"]())
    assert "--across engine_version --across driver" in text
    assert "560.35.03" in text
    assert "570.10" in text


def test_more_pairs_are_asked_for_where_they_would_do() -> None:
    answer = SITUATIONS["paired_unsettled"]()
    assert answer.why == (Why.TOO_NOISY,)
    found = re.search(r"about (\d+) pairs would do", check_text.render(answer))
    assert found
    assert len(answer.a) < int(found[1]) < 100  # type: ignore[union-attr]


def test_a_first_session_that_was_not_confirmed_is_told_as_the_regression_that_it_was() -> None:
    answer = SITUATIONS["not_confirmed"]()
    text = check_text.render(answer)
    assert text.startswith("PASS: time per output token +0.1 %; the regression was not confirmed")
    assert "first session: REGRESSION, time per output token +12 %" in text
    assert "second session: PASS, time per output token +0.1 %" in text
    assert isinstance(answer, Check)
    assert decisive(answer) is answer.confirmed_by


def test_a_flip_that_is_told_only_says_so() -> None:
    text = " ".join(check_text.render(checked(session(**LATENCY), flips_gate=False)).split())
    assert text.startswith("PASS")
    assert "latency-bound now (90 % confidence), memory-bound before" in text
    assert "told only (--no-flips)" in text


def test_every_guard_is_told_with_its_figures_and_not_by_its_field() -> None:
    answer = checked(session(health=SICK))
    told = [plain(guard(found)) for found in answer.guards]
    assert len(told) == 5
    assert not any("_" in text for text in [*told, *(plain(sign(found)) for found in answer.guards)])
    assert "clock sm at 1.41 GHz" in told[1]
    assert plain(guard(Guard(name="wait_fraction", current=0.4, baseline=0.1))).count(" %") == 2
    assert plain(guard(Guard(name="fan_speed", current="full"))) == "fan_speed full; none before"


def test_markdown_tables_are_tables_and_details_are_closed() -> None:
    for make in SITUATIONS.values():
        text = check_markdown.render(make())
        for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.M):
            assert len({line.count("|") for line in block.splitlines()}) == 1
        assert text.count("<details>") == text.count("</details>") == text.count("</summary>")


def json_of(name: str) -> dict[str, Any]:
    return check_json.to_dict(SITUATIONS[name]())


def test_both_kinds_have_the_same_fields_where_they_mean_the_same() -> None:
    sessions, paired = json_of("slower"), json_of("paired_slower")
    shared = set(sessions) & set(paired)
    assert shared >= {"outcome", "exit_code", "why", "primary", "metrics", "regime", "policy", "next", "confirmed_by"}
    of_both = set(sessions["metrics"][0]) & set(paired["metrics"][0])
    assert of_both >= {"name", "outcome", "why", "current", "baseline", "change", "spread", "p"}
