"""What the gate promises, on made-up nights: few false alarms, slow-downs found, nothing failed on little evidence."""

from __future__ import annotations

import pytest

from heuristics.regression.outcome import Outcome
from tests.heuristics.regression.simulation import Night, Paired, nights, paired

NIGHTS = 700
"""The script, with thousands, prints the rates of docs/check.md."""

R = Outcome.REGRESSION


@pytest.mark.parametrize(("spread", "most"), [(0.015, 0.01), (0.03, 0.02)])
@pytest.mark.parametrize("host", ["normal", "heavy tails", "drifting", "wandering", "trending"])
def test_false_alarms(host: str, spread: float, most: float) -> None:
    assert nights(Night(host, spread, 8), NIGHTS).of(R) <= most


@pytest.mark.parametrize(
    ("host", "least"),
    [("normal", 0.95), ("heavy tails", 0.95), ("drifting", 0.95), ("trending", 0.95), ("wandering", 0.90)],
)
def test_a_slow_down_of_a_tenth_is_found_after_eight_sessions(host: str, least: float) -> None:
    assert nights(Night(host, 0.015, 8, 0.10), NIGHTS).of(R) >= least


def test_a_job_that_got_faster_half_way_is_held_to_its_new_speed() -> None:
    assert nights(Night("stepping", 0.015, 20, 0.10), NIGHTS).of(R) >= 0.95
    assert nights(Night("stepping", 0.015, 20), NIGHTS).of(R) <= 0.01


@pytest.mark.parametrize("host", ["normal", "heavy tails"])
def test_seven_sessions_fail_nothing(host: str) -> None:
    assert nights(Night(host, 0.015, 7, 0.50), 200).of(Outcome.CANNOT_TELL) == 1.0


def test_where_nights_differ_by_a_tenth_it_mostly_cannot_tell() -> None:
    found = nights(Night("normal", 0.10, 8), NIGHTS)
    assert found.of(Outcome.CANNOT_TELL) >= 0.9
    assert found.of(R) <= 0.02


@pytest.mark.parametrize("host", ["normal", "heavy tails", "drifting"])
def test_pairs(host: str) -> None:
    assert paired(Paired(host, 0.03), NIGHTS).of(R) <= 0.005
    assert paired(Paired(host, 0.03, 0.05), NIGHTS).of(R) >= 0.99
