"""What an undecided case asks for: what it lacks, and of that the gentlest that would help."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from heuristics.budget import weigh
from heuristics.next_measurement import CANDIDATES, expected_confidence
from heuristics.simplex import Prior, triangle
from heuristics.vocabulary import Regime
from tests.heuristics.cases import H100, activity, judged, profile, samples, serving, timeline


def asked(**parts: Any) -> str:
    found = judged(parts.pop("roofs", None), **parts)
    assert found.verdict is not None
    assert found.verdict.regime is Regime.INCONCLUSIVE
    assert found.next_measurement is not None
    return found.next_measurement


def test_one_snapshot_asks_for_a_second() -> None:
    assert asked(serving=serving(lifetime=True)).startswith("a second snapshot of /metrics")


def test_work_per_time_without_roofs_asks_for_the_roofs() -> None:
    kernels = profile({"name": "k", "duration_s": 1e-4, "bytes": 1e8, "flops": 1e9})
    assert asked(profile=kernels).startswith("the device's roofs")


def test_low_activity_asks_whether_requests_ran() -> None:
    assert "/metrics" in asked(samples=samples(sm=0.4, memory=0.2))


def test_busy_time_fractions_ask_for_counters() -> None:
    assert asked(samples=samples(sm=0.99, memory=0.5)).startswith("DRAM and tensor activity")


def test_a_busy_timeline_asks_for_counters() -> None:
    assert asked(timeline=timeline(busy=0.97), roofs=H100).startswith("DRAM and tensor activity")


def test_what_is_in_hand_is_not_asked_for() -> None:
    middling = activity(engine_active=0.97, tensor_active=0.30, dram_active=0.38, fp32_active=0.01)
    assert not asked(activity=middling).startswith("DRAM and tensor activity")
    assert asked(activity=middling, timeline=timeline(busy=0.97)).startswith("the speed of light")


def test_a_decided_case_asks_for_nothing() -> None:
    found = judged(activity=activity(dram_active=0.85, tensor_active=0.05, sm_active=0.95))
    assert found.verdict is not None
    assert found.verdict.regime is Regime.MEMORY
    assert found.next_measurement is None


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda c: c.text.split(":")[0])
def test_outcomes_are_probabilities_and_a_measurement_is_expected_to_help(candidate: Any) -> None:
    grid = triangle()
    outcomes = candidate.outcomes(grid)
    assert np.all(outcomes >= -1e-12)
    assert np.allclose(outcomes.sum(axis=0), 1.0)
    density = weigh([], Prior()).density
    blind = float((density @ grid.winner).max())
    assert blind + 0.1 < expected_confidence(outcomes, density, grid) <= 1.0 + 1e-9


def test_a_measurement_that_shows_nothing_changes_nothing() -> None:
    grid = triangle()
    density = weigh([], Prior()).density
    nothing = np.ones((1, density.size))
    assert expected_confidence(nothing, density, grid) == pytest.approx(float((density @ grid.winner).max()))
