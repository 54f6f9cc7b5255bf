"""How often devices are read: less often where a reading is dear."""

from __future__ import annotations

import time

import pytest

from collectors import devices_source
from collectors.devices_source import EARLY_READINGS, LONGEST_S, PERIOD_S, SPENT_FRACTION, DeviceSource
from collectors.record import Record, record


class Costly:
    """Stands in for NVML; a reading takes so much processor time."""

    def __init__(self, cost_s: float) -> None:
        self.cost_s = cost_s

    def sample(self, t_s: float) -> list[Record]:
        until_s = time.thread_time() + self.cost_s
        while time.thread_time() < until_s:
            pass
        return [record("nvml", t_s, device=0)]

    def close(self) -> None:
        """Nothing to close."""


def source(cost_s: float) -> DeviceSource:
    made = DeviceSource(list, visible=None, holds_device=True)
    made._source = Costly(cost_s)  # type: ignore[assignment]
    return made


def test_the_first_readings_come_at_the_usual_pace_whatever_they_cost() -> None:
    costly = source(0.03)
    for _ in range(EARLY_READINGS):
        assert costly.period_s == PERIOD_S
        assert costly.sample(0.0)
    assert costly.period_s > PERIOD_S


@pytest.mark.parametrize("cost_s", [0.008, 0.012, 0.03])
def test_reading_takes_no_more_of_a_core_than_it_may(cost_s: float) -> None:
    costly = source(cost_s)
    for _ in range(EARLY_READINGS + 1):
        costly.sample(0.0)
    assert min(LONGEST_S, cost_s / SPENT_FRACTION) <= costly.period_s <= LONGEST_S


def test_what_costs_nothing_is_read_at_the_usual_pace() -> None:
    cheap = source(0.0)
    for _ in range(5):
        cheap.sample(0.0)
    assert cheap.period_s == PERIOD_S
    assert DeviceSource(list, visible=None, holds_device=True).sample(0.0) == []
    assert devices_source.LONGEST_S < 14.0


def test_memory_is_this_process_s_own_not_that_of_the_program_that_started_it() -> None:
    """``ru_maxrss`` of a child begins with the memory of the parent that forked it."""
    import json
    import subprocess
    import sys

    ballast = bytearray(b"x") * (300 << 20)
    code = (
        "from collectors.watch import Watch; import json; w = Watch([], lambda r: None); w.start(); w.stop();"
        "print(json.dumps(w.overhead()))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(ballast) == 300 << 20
    assert json.loads(answer.stdout)["rss_bytes"] < 200e6
