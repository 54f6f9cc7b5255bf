"""How the probe measures: warm-up, turns, calm rounds, graphs; on a device with a clock of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.marks import phase_of
from collectors.probe.backend import usage
from collectors.probe.ranges import range_name, warm_up_name
from collectors.probe.rounds import MOST_PATIENCE, MOST_WARM_UPS, Plan, measure
from heuristics.operations import Phase
from tests.make.steps import FakeDevice

MS = 1e-3


def test_a_step_comes_out_at_the_time_that_it_takes() -> None:
    device = FakeDevice()
    found = measure({b: device.step(b * MS) for b in (4, 1, 2)}, device, Plan(seconds=0.1, rounds=5))
    assert [t.batch for t in found] == [1, 2, 4]
    for timing in found:
        assert timing.median_s("step_s") == pytest.approx(timing.batch * MS)
        assert timing.median_s("device_s") is None
        assert timing.spread("step_s") == pytest.approx(0.0, abs=1e-9)
        assert timing.steps == max(1, round(20 / timing.batch))
        assert len(timing.groups) == 5


def test_the_device_may_be_slower_than_the_host_or_wait_for_it() -> None:
    device = FakeDevice(asynchronous=True)
    runs = {1: device.step(2 * MS, 0.5 * MS), 64: device.step(2 * MS, 8 * MS)}
    waiting, working = measure(runs, device, Plan(seconds=1.0))
    assert waiting.median_s("step_s") == pytest.approx(2 * MS, rel=0.05)
    assert waiting.median_s("device_s") == pytest.approx(0.5 * MS)
    assert working.median_s("step_s") == pytest.approx(8 * MS, rel=0.1)
    assert working.median_s("device_s") == pytest.approx(8 * MS)


def test_warming_up_goes_on_until_steps_become_no_faster() -> None:
    device = FakeDevice()
    lengths = iter([90 * MS, 40 * MS, 20 * MS, 10 * MS, 5 * MS, 5 * MS, 5 * MS])

    def run() -> None:
        device.clock_s += next(lengths, 5 * MS)

    (found,) = measure({1: run}, device, Plan())
    assert found.warm_ups == 7
    assert found.steady
    assert found.median_s("step_s") == pytest.approx(5 * MS)


def test_steps_that_never_settle_are_told() -> None:
    device, length = FakeDevice(), [0.1]

    def run() -> None:
        length[0] *= 0.9
        device.clock_s += length[0]

    (found,) = measure({1: run}, device, Plan())
    assert not found.steady
    assert found.warm_ups == MOST_WARM_UPS


def test_a_stated_number_of_warm_ups_is_kept_to() -> None:
    device = FakeDevice()
    (found,) = measure({1: device.step(MS)}, device, Plan(warm_up=17))
    assert (found.warm_ups, found.steady) == (17, True)


def test_disturbed_rounds_do_not_count_where_calm_ones_remain() -> None:
    device = FakeDevice(waits=lambda group: 0.5 if group % 3 else 0.0)
    (found,) = measure({1: device.step(MS)}, device, Plan(rounds=9))
    assert len(found.groups) == 9
    assert len(found.calm) == 3
    assert not found.disturbed


def test_more_rounds_are_taken_while_too_few_are_calm_and_then_the_calmest_count() -> None:
    device = FakeDevice(waits=lambda group: 0.5 - 0.01 * group)
    (found,) = measure({1: device.step(MS)}, device, Plan(rounds=5))
    assert len(found.groups) == 5 * MOST_PATIENCE
    assert found.disturbed
    assert found.calm == sorted(found.groups, key=lambda g: g.waited_s or 0.0)[:3]


def test_every_round_has_an_order_of_its_own_and_the_same_seed_the_same() -> None:
    def order(seed: int) -> list[str]:
        device = FakeDevice()
        measure({b: device.step(MS) for b in range(1, 9)}, device, Plan(seed=seed, rounds=6))
        return [name for name in device.names if "warm" not in name]

    first = order(0)
    rounds = [tuple(first[i : i + 8]) for i in range(0, len(first), 8)]
    assert len(rounds) == len(set(rounds)) == 6
    assert all(sorted(r) == sorted(rounds[0]) for r in rounds)
    assert first == order(0) != order(1)


@given(drift=st.floats(0.0, 0.5))
def test_a_machine_that_becomes_slower_bends_no_curve(drift: float) -> None:
    """In turns every batch meets the same drift; one after another the last would have met all of it."""
    device = FakeDevice()

    def run() -> None:
        device.clock_s += MS * (1.0 + drift * min(1.0, device.clock_s))

    found = measure(dict.fromkeys((1, 2, 4, 8), run), device, Plan(seconds=0.2, rounds=10))
    times = [t.median_s("step_s") or 0.0 for t in found]
    assert max(times) / min(times) < 1.0 + 0.25 * drift + 1e-6


def test_a_graph_is_timed_beside_the_step() -> None:
    device = FakeDevice(asynchronous=True, graph_speedup=4.0)
    (found,) = measure({1: device.step(4 * MS, MS)}, device, Plan(graph=True))
    assert device.captured_steps == 1
    step_s, graph_s = found.median_s("step_s"), found.median_s("graph_s")
    assert step_s is not None
    assert graph_s is not None
    assert 2.0 < step_s / graph_s < 6.0


def test_a_capture_that_fails_leaves_the_step_and_the_reason() -> None:
    device = FakeDevice(asynchronous=True)
    (found,) = measure({1: device.step(MS, MS)}, device, Plan(graph=True))
    assert found.median_s("graph_s") is None
    assert found.refusal == "operation not permitted when stream is capturing"


def test_the_devices_own_time_is_taken_outside_the_ranges_that_tools_look_at() -> None:
    device = FakeDevice(asynchronous=True)
    (found,) = measure({1: device.step(MS, MS)}, device, Plan(rounds=3))
    assert found.median_s("device_s") == pytest.approx(MS)
    assert device.asked_inside == []
    (found,) = measure({1: device.step(MS, MS)}, device, Plan(rounds=3, device_time=False))
    assert found.median_s("device_s") is None


def test_what_comes_between_is_called_before_every_round() -> None:
    device, calls = FakeDevice(), []
    measure({1: device.step(MS)}, device, Plan(rounds=4), lambda: calls.append(len(device.names)))
    assert len(calls) == 4


@pytest.mark.parametrize("phase", Phase)
def test_dumps_tell_the_measured_steps_by_phase_and_leave_out_the_warm_up(phase: Phase) -> None:
    assert phase_of(range_name(phase, 8)) is phase
    assert phase_of(warm_up_name(8)) is None


def test_what_this_process_took_is_told_by_the_kernel(tmp_path: Path) -> None:
    before = usage()
    after = usage()
    assert after.on_cpu_s >= before.on_cpu_s
    assert usage(tasks=tmp_path / "none").waited_s is None
