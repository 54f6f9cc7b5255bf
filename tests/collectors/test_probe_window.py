"""A window of the profiler: kernels as traced, gaps as they are without it."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from collectors.probe.window import traced, unslowed
from tests.heuristics.cases import timeline
from tests.make.steps import FakeDevice


def test_the_same_kernels_in_the_time_that_they_take_unwatched() -> None:
    slow = timeline(busy=0.25)
    found = unslowed(slow, 0.5 * slow.window_s)
    assert found.busy_s == slow.busy_s
    assert found.window_s == pytest.approx(0.5 * slow.window_s)


def test_a_window_is_never_shorter_than_its_kernels() -> None:
    slow = timeline(busy=0.5)
    found = unslowed(slow, 0.1 * slow.window_s)
    assert found.window_s == found.busy_s


def torch_that_writes(text: str) -> Any:
    @contextmanager
    def profile(activities: list[str]) -> Any:
        yield SimpleNamespace(export_chrome_trace=lambda path: Path(path).write_text(text))

    return SimpleNamespace(profiler=SimpleNamespace(ProfilerActivity=SimpleNamespace(CPU="cpu"), profile=profile))


def test_a_trace_that_cannot_be_read_is_told_and_not_raised() -> None:
    device = FakeDevice()
    found = traced(torch_that_writes("{"), device.step(1e-3), device, 1e-3)
    assert found.timeline is None
    assert found.reason is not None
    assert "no trace" in found.reason


def test_a_few_long_operations_show_nothing_and_are_no_trouble() -> None:
    event = '{"ph": "X", "cat": "cpu_op", "name": "aten::mm", "tid": 1, "ts": 0, "dur": 1000}'
    device = FakeDevice()
    found = traced(torch_that_writes(f'{{"traceEvents": [{event}]}}'), device.step(1.0), device, 1.0)
    assert (found.timeline, found.reason) == (None, None)


def test_many_operations_are_a_timeline_of_the_steps_own_length() -> None:
    events = ",".join(
        f'{{"ph": "X", "cat": "cpu_op", "name": "aten::mm", "tid": 1, "ts": {20 * i}, "dur": 10}}' for i in range(40)
    )
    device = FakeDevice()
    found = traced(torch_that_writes(f'{{"traceEvents": [{events}]}}'), device.step(50e-6), device, 50e-6)
    assert found.timeline is not None
    assert found.timeline.window_s == pytest.approx(found.steps * 50e-6)
    assert found.timeline.busy_s == pytest.approx(400e-6)
