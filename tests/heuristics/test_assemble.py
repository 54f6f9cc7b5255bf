"""Observations of one device pooled."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from heuristics.assemble import _timelines
from heuristics.observations import Timeline
from tests.heuristics.cases import timeline

MARKS = ("recorded_stacks", "recorded_shapes", "recorded_memory", "of_sums")


@pytest.mark.parametrize("name", MARKS)
def test_what_weakens_one_trace_weakens_all_of_them_together(name: str) -> None:
    marked: dict[str, Any] = {name: True}
    assert getattr(_timelines([timeline(), replace(timeline(), **marked)]), name)


def test_no_field_is_forgotten_when_traces_are_pooled() -> None:
    one = timeline(busy=0.8, step_s=(0.5,), excluded_s=0.1, graph_launched=3, communication_s=0.01, transfer_s=0.02)
    pooled = _timelines([one, one])
    kept = {f.name for f in fields(Timeline) if getattr(pooled, f.name) == getattr(one, f.name)}
    assert kept == {"launch_delay_s", "operations", "gaps_known", "underfill_s", *MARKS}
    assert pooled.window_s == 2 * one.window_s


def test_gaps_are_known_only_if_they_are_in_every_trace() -> None:
    assert not _timelines([timeline(), timeline(gaps_known=False)]).gaps_known
