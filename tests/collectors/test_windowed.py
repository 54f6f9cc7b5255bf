"""What the devices did in each short time: rows of GPM by their middle, beside an engine's windows or alone."""

from __future__ import annotations

from typing import Any

import pytest

from collectors.engines.spans import MOST, Span
from collectors.nvml.fold import activity_between, observations
from collectors.windowed import windowed
from heuristics.observations import Activity, Board, LoadCurve, Observation, Serving
from heuristics.operations import Phase
from tests.collectors.test_nvml_fold import device, gpm, nvml
from tests.heuristics.cases import serving

Record = dict[str, Any]


def looked(dram: list[float], index: int = 0, apart_s: float = 1.0) -> list[Record]:
    """A device's rows, one for each value, told at the end of its time."""
    rows = [gpm((n + 1) * apart_s, apart_s, index, dram_active=value, sm_active=value) for n, value in enumerate(dram)]
    return [device(index), nvml(0.0, index, energy_j=0.0), nvml(5.0, index, energy_j=9.0), *rows]


def span(begin_s: float, end_s: float) -> Span:
    return Span(begin_s=begin_s, end_s=end_s, source="engine metrics", serving=serving())


def drams(window: tuple[Observation, ...]) -> list[float | None]:
    return [o.payload.dram_active for o in window if isinstance(o.payload, Activity)]


def test_a_row_belongs_where_its_middle_lies() -> None:
    rows = looked([0.1, 0.2, 0.3, 0.4])
    found = activity_between(rows, 0, 1.2, 3.2)
    assert found is not None
    assert found.window_s == 2.0
    assert found.dram_active == pytest.approx(0.25)
    assert activity_between(rows, 0, 4.0, 9.0) is None
    assert activity_between(rows, 1, 0.0, 9.0) is None


def test_the_engines_windows_have_what_the_devices_did_meanwhile() -> None:
    rows = [*looked([0.1, 0.2, 0.3, 0.4]), *looked([0.5, 0.6, 0.7, 0.8], 1)]
    every = [
        *observations(rows),
        Observation(source="engine metrics", payload=serving()),
        Observation(source="engine metrics", payload=serving(), phase=Phase.DECODE),
    ]
    found = windowed([span(0.1, 1.1), span(2.1, 3.1)], every, rows)
    assert [drams(window) for window in found] == [[0.1, 0.5], [0.3, 0.7]]
    for window in found:
        kinds = [type(o.payload) for o in window]
        assert kinds.count(Serving) == 1
        assert kinds.count(Board) == 2
        assert LoadCurve not in kinds
        assert all(o.phase is None for o in window)


def test_without_an_engine_the_times_in_which_a_device_worked() -> None:
    rows = looked([0.0, 0.5, 0.6, 0.0, 0.7])
    assert [drams(window) for window in windowed([], observations(rows), rows)] == [[0.5], [0.6], [0.7]]


def test_a_long_look_has_no_more_windows_than_wanted() -> None:
    rows = looked([0.5] * 305)
    found = windowed([], observations(rows), rows)
    assert len(found) == MOST
    assert {drams(window)[0] for window in found} == {0.5}


def test_an_engine_without_work_leaves_none() -> None:
    rows = looked([0.5] * 5)
    idle = Observation(source="engine metrics", payload=serving(requests_running=0.0))
    assert windowed([], [*observations(rows), idle], rows) == ()


def test_what_an_exporter_says_every_half_minute_is_not_divided() -> None:
    slow = Observation(source="dcgm-exporter", payload=Activity(window_s=30.0, dram_active=0.5))
    (found,) = windowed([span(0.0, 1.0)], [slow], [])
    assert drams(found) == []
    assert windowed([], [slow], []) == ()
