"""Sessions over time: who belongs together, what is marked, and how many the gate still needs."""

from __future__ import annotations

from typing import Any

import pytest

from collectors.verdict_json import session_of
from heuristics.regression.change_points import Kind
from heuristics.regression.history import Group, history
from heuristics.regression.metrics import metric_named
from heuristics.regression.session import Session, distinct
from tests.make.nights import nights, upgraded


def sessions(verdicts: list[dict[str, Any]]) -> list[Session]:
    return [session_of(found, "x") for found in verdicts]


def only(groups: list[Group]) -> Group:
    (group,) = groups
    return group


def test_a_step_at_an_upgrade_is_found_and_beside_its_version() -> None:
    group = only(history(sessions(nights(changes=upgraded))))
    assert [(e.place, e.trait, e.after) for e in group.events] == [
        (28, "engine_version", "0.33.1"),
        (12, "driver", "580.82"),
    ]
    assert group.primary is not None
    (change,) = group.primary.changes
    assert (change.kind, change.first) == (Kind.STEP, 28)
    assert change.low < 0.0488 < change.high
    assert group.missing == 0
    assert len(group.sessions) == 40


def test_direction_is_the_metrics() -> None:
    group = only(history(sessions(nights())))
    for trend in group.trends:
        assert [trend.metric.worsening(c.size) > 0.0 for c in trend.changes] == [True]


@pytest.mark.parametrize(("trait", "value"), [("gpu", "NVIDIA A100"), ("dtype", "fp8")])
def test_another_device_or_type_is_another_group(trait: str, value: str) -> None:
    made = nights(20, changes=lambda night: {"environment": {trait: value}} if night % 2 else {})
    assert [len(group.sessions) for group in history(sessions(made))] == [10, 10]


def test_the_order_of_the_lines_and_repeated_ones_make_no_difference() -> None:
    told = sessions(nights(16))
    again = history([*reversed(told), *told])
    assert again == history(told)
    assert len(distinct([*told, *told])) == 16


def test_the_gate_needs_eight_like_the_newest() -> None:
    counts = [only(history(sessions(nights(count)), changes=False)).missing for count in (1, 7, 8, 9)]
    assert counts == [7, 1, 0, 0]
    group = only(history(sessions(nights(31, changes=upgraded)), changes=False))
    assert group.missing == 8 - 3


def test_regimes_over_time() -> None:
    made = nights(12, changes=lambda night: {"regime": "latency"} if 4 <= night < 7 else {})
    regimes = only(history(sessions(made))).regimes
    assert [(r.first, r.last, str(r.regime), str(r.cause)) for r in regimes] == [
        (0, 3, "memory", "weights"),
        (4, 6, "latency", "host"),
        (7, 11, "memory", "weights"),
    ]


def test_sessions_that_lack_a_metric_are_left_out_of_its_trend() -> None:
    made = nights(12, changes=lambda night: {"measured": {"step_s": None}} if night < 3 else {})
    group = only(history(sessions(made), metric=metric_named("step_s")))
    (trend,) = group.trends
    assert trend.places == tuple(range(3, 12))
    assert trend.last_against_median == pytest.approx(trend.values[-1] / trend.median - 1.0)


def test_a_trait_that_some_do_not_state_parts_no_group() -> None:
    made = nights(12)
    for found in made[::3]:
        del found["environment"]["driver"], found["environment"]["engine_version"]
    group = only(history(sessions(made)))
    assert group.events == ()


def test_no_sessions_no_groups() -> None:
    assert history([]) == []
