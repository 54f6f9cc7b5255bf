"""JUnit XML: what is red, what is not, and that the names stay the same."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heuristics.regression.outcome import Outcome
from reports import check_text, junit
from reports.check_words import Answer
from tests.reports.situations import LATENCY, SICK, SITUATIONS, checked, in_turns, nights, session

COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped", "tests": "testcase"}


def suite(answer: Answer) -> ET.Element:
    root = ET.fromstring(junit.render(answer).encode())
    (found,) = root
    assert found.tag == "testsuite"
    for name, tag in COUNTED.items():
        assert root.get(name) == found.get(name) == str(len(list(found.iter(tag))))
    return found


def states(answer: Answer) -> dict[str, str]:
    """By case, the tag that says how it went."""
    said = {"failure", "error", "skipped"}
    return {
        case.attrib["name"]: next((e.tag for e in case if e.tag in said), "passed")
        for case in suite(answer).iter("testcase")
    }


def red_as_the_outcome(answer: Answer) -> None:
    found = states(answer)
    assert ("failure" in found.values()) is (answer.outcome is Outcome.REGRESSION)
    assert ("error" in found.values()) is (answer.outcome is Outcome.CANNOT_TELL)
    assert all(state in ("passed", "skipped") for name, state in found.items() if name.endswith("(told)"))


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in SITUATIONS.items()])
def test_what_is_red_is_what_the_exit_code_says(make: object) -> None:
    assert callable(make)
    red_as_the_outcome(make())


@settings(max_examples=60, deadline=None)
@given(
    slower=st.floats(-0.3, 0.5),
    roof=st.floats(0.3, 0.9),
    sessions=st.integers(0, 10),
    flipped=st.booleans(),
    sick=st.booleans(),
    missing=st.booleans(),
    gates=st.booleans(),
)
def test_so_it_is_whatever_comes_together(
    slower: float, roof: float, sessions: int, flipped: bool, sick: bool, missing: bool, gates: bool
) -> None:
    changes = (LATENCY if flipped else {}) | ({"health": SICK} if sick else {})
    without = ("time_per_output_token_s",) if missing else ()
    current = session(slower=slower, roof=roof, without=without, **changes)
    red_as_the_outcome(checked(current, nights(sessions), flips_gate=gates))


@settings(max_examples=30, deadline=None)
@given(slower=st.floats(-0.3, 0.5), pairs=st.integers(0, 12), noise=st.floats(0.1, 20.0))
def test_and_of_pairs(slower: float, pairs: int, noise: float) -> None:
    red_as_the_outcome(in_turns(slower, pairs, noise))


def test_a_regression_shows_the_report_and_a_type() -> None:
    answer = SITUATIONS["slower"]()
    found = suite(answer)
    (failure, roof) = found.iter("failure")
    assert failure.get("type") == "slower"
    assert roof.get("type") == "farther_from_roof"
    assert failure.get("message") == check_text.brief(answer)
    assert failure.text == check_text.render(answer)


def test_cannot_tell_is_an_error_of_its_own_type() -> None:
    (error,) = suite(SITUATIONS["sick"]()).iter("error")
    assert error.get("type") == "cannot_tell"
    assert "Next" in (error.text or "")


def test_names_are_the_same_on_good_nights_and_bad_ones() -> None:
    good = set(states(SITUATIONS["pass"]()))
    assert all(set(states(SITUATIONS[name]())) == good for name in ("slower", "sick", "too_few", "regime_flip", "idle"))
    assert "time per output token (gate)" in good
    assert {"roof (gate)", "regime (gate)", "tokens/s (told)"} <= good


def test_figures_are_properties() -> None:
    case = next(suite(SITUATIONS["slower"]()).iter("testcase"))
    found = {p.attrib["name"]: p.attrib["value"] for p in case.iter("property")}
    assert found["n"] == "10"
    assert float(found["expected_low"]) < float(found["expected_high"]) < float(found["current"])
    assert 0.0 < float(found["spread"]) < 0.02


def test_a_flip_that_is_told_only_is_not_red() -> None:
    assert states(SITUATIONS["flip_told_only"]())["regime (told)"] == "passed"
    assert states(SITUATIONS["regime_flip"]())["regime (gate)"] == "failure"
