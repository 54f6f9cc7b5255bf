"""The engine's own word on its batch: read away from the edges, twice at least, and of what is no stale gauge."""

from __future__ import annotations

from collectors.load.engine_batch import running
from collectors.load.level import Interval
from collectors.record import Record

ORIGIN_S = 50.0


def scrape(t_s: float, value: float, *, name: str = "vllm:num_requests_running", took_s: float = 0.02) -> Record:
    return {"what": "scrape", "t_s": t_s, "took_s": took_s, "samples": [[name, {}, value]]}


def alone(begin_s: float, end_s: float, *, waiting: int = 0, freed: bool = False) -> Interval:
    return Interval(begin_s=ORIGIN_S + begin_s, end_s=ORIGIN_S + end_s, decoding=4, waiting=waiting, freed=freed)


def test_readings_while_nothing_but_decoding_goes_on() -> None:
    records = [scrape(1.0, 4.0), scrape(2.0, 4.0), scrape(3.0, 1.0)]
    assert running(records, [alone(0.5, 3.5)], ORIGIN_S, 0.05) == 4.0
    assert running(records, [alone(0.5, 2.5)], ORIGIN_S, 0.05) == 4.0


def test_edges_and_other_times_do_not_count() -> None:
    records = [scrape(1.0, 4.0), scrape(2.0, 3.0), scrape(3.0, 4.0)]
    assert running(records, [alone(0.5, 1.005), alone(2.5, 3.5)], ORIGIN_S, 0.05) is None, "one reading is too few"
    assert running(records, [alone(0.98, 2.005)], ORIGIN_S, 0.05) is None
    assert running(records, [alone(0.5, 3.5, waiting=2)], ORIGIN_S, 0.05) is None
    assert running(records, [alone(0.5, 3.5, waiting=2, freed=True)], ORIGIN_S, 0.05) == 4.0


def test_slots_count_and_late_gauges_do_not() -> None:
    slots: list[Record] = [
        {"what": "slots", "t_s": t, "slots": [{"running": True}, {"running": False}, {"running": True}]}
        for t in (1.0, 2.0)
    ]
    assert running(slots, [alone(0.5, 3.5)], ORIGIN_S, None) == 2.0
    late = [scrape(t, 4.0, name="trtllm_num_requests_running") for t in (1.0, 2.0)]
    assert running(late, [alone(0.5, 3.5)], ORIGIN_S, None) is None
    assert running([{"what": "host", "t_s": 1.0}], [alone(0.5, 3.5)], ORIGIN_S, None) is None
