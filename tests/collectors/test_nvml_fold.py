"""What records of NVML and GPM amount to: means over time, differences of counters, absent where not stated."""

from __future__ import annotations

import json
import random
from typing import Any, TypeVar

import numpy as np
import pytest

from collectors.nvml.fold import observations
from heuristics.assemble import Given
from heuristics.diagnosis import judge_devices
from heuristics.observations import Activity, Board, Observation, Samples
from heuristics.roofs import Device
from heuristics.vocabulary import Regime
from tests.make.nvml import seen

Record = dict[str, Any]
Payload = TypeVar("Payload", Samples, Activity, Board)


def device(index: int = 0, **facts: Any) -> Record:
    return {"what": "device", "t_s": 0.0, "index": index, "name": "NVIDIA H200", "vendor": "NVIDIA", **facts}


def nvml(t_s: float, index: int = 0, **values: Any) -> Record:
    return {"what": "nvml", "t_s": t_s, "device": index, **values}


def gpm(t_s: float, window_s: float = 1.0, index: int = 0, **values: Any) -> Record:
    return {"what": "gpm", "t_s": t_s, "device": index, "window_s": window_s, **values}


def payload(kind: type[Payload], records: list[Record], index: int = 0) -> Payload:
    (found,) = [
        o.payload for o in observations(records) if isinstance(o.payload, kind) and o.device and o.device.index == index
    ]
    return found


def kinds(records: list[Record]) -> list[tuple[str, int | None]]:
    return [(type(o.payload).__name__, o.device.index if o.device else None) for o in observations(records)]


# --- samples


def test_a_row_stands_for_each_of_the_drivers_samples() -> None:
    found = payload(
        Samples,
        [
            nvml(1.0, sm=[0.9, 0.8, 0.7], memory=[0.4, 0.5], power_w=500.0, sm_clock_hz=1.7e9, clock_reasons=4),
            nvml(2.0, power_w=510.0, clock_reasons=0),
            nvml(3.0, sm=[0.6], memory=[0.3], video=0.2),
        ],
    )
    assert found.sm.tolist()[:3] == [0.9, 0.8, 0.7]
    assert np.isnan(found.sm[3])
    assert found.sm[4] == 0.6
    assert np.isnan(found.memory[2])
    assert found.power_w.tolist()[:4] == [500.0, 500.0, 500.0, 510.0]
    assert np.isnan(found.power_w[4])
    assert found.power_limited.tolist()[:4] == [1.0, 1.0, 1.0, 0.0]
    assert np.isnan(found.power_limited[4])
    assert np.isnan(found.video[:4]).all()
    arrays = (found.sm, found.memory, found.video, found.power_w, found.sm_clock_hz, found.memory_clock_hz)
    assert {a.size for a in (*arrays, found.power_limited, found.thermally_limited)} == {5}


@pytest.mark.parametrize(
    ("reasons", "power", "thermal"),
    [
        (0x00, 0.0, 0.0),
        (0x01, 0.0, 0.0),
        (0x02, 0.0, 0.0),
        (0x04, 1.0, 0.0),
        (0x80, 1.0, 0.0),
        (0x08, 0.0, 1.0),
        (0x20, 0.0, 1.0),
        (0x40, 0.0, 1.0),
        (0x10, 0.0, 0.0),
        (0x24, 1.0, 1.0),
    ],
)
def test_reasons_for_lowered_clocks_are_told_apart(reasons: int, power: float, thermal: float) -> None:
    found = payload(Samples, [nvml(1.0, sm=[0.5], clock_reasons=reasons)])
    assert (found.power_limited.tolist(), found.thermally_limited.tolist()) == ([power], [thermal])


def test_the_interval_is_that_of_the_drivers_samples() -> None:
    found = payload(Samples, [nvml(float(t), sm=[0.5] * 5) for t in range(4)])
    assert found.interval_s == pytest.approx(0.2)
    assert payload(Samples, [nvml(1.0, sm=[0.5])]).interval_s is None


def test_the_clock_is_that_under_load() -> None:
    records = [
        nvml(t, sm=[sm], sm_clock_hz=hz) for t, sm, hz in ((1.0, 0.0, 3e8), (2.0, 0.5, 1.7e9), (3.0, 0.9, 1.8e9))
    ]
    (found,) = {o.device.sm_clock_hz for o in observations([device(), *records]) if o.device}
    assert found == pytest.approx(1.75e9)


def test_a_board_without_load_has_no_clock_under_load() -> None:
    records = [device(), nvml(1.0, sm=[0.0], sm_clock_hz=3e8)]
    assert [o.device.sm_clock_hz for o in observations(records) if o.device] == [None]


def test_of_an_instance_gpm_tells_whether_there_was_load() -> None:
    """Utilisation is not stated under MIG."""
    clocks = [device(101), *[nvml(t, 101, sm_clock_hz=1.7e9) for t in (1.0, 2.0)]]
    busy, idle = [gpm(1.0, index=101, engine_active=0.8)], [gpm(1.0, index=101, engine_active=0.0)]
    assert {o.device.sm_clock_hz for o in observations([*clocks, *busy]) if o.device} == {1.7e9}
    assert {o.device.sm_clock_hz for o in observations([*clocks, *idle]) if o.device} == {None}


def test_readings_that_state_neither_use_nor_power_are_no_samples() -> None:
    records = [device(101), nvml(1.0, 101, memory_used_bytes=5e9), gpm(1.0, index=101, dram_active=0.5)]
    assert kinds(records) == [("Activity", 101), ("Board", 101)]


# --- activity


def test_activity_is_a_mean_over_time() -> None:
    found = payload(Activity, [gpm(1.0, 1.0, dram_active=0.2, sm_active=0.5), gpm(4.0, 3.0, dram_active=0.6)])
    assert found.window_s == 4.0
    assert found.dram_active == pytest.approx(0.5)
    assert found.sm_active == 0.5
    assert found.tensor_active is None


def test_gpm_that_states_only_links_is_no_activity() -> None:
    assert kinds([gpm(1.0, pcie_rx_bytes_per_s=1e9)]) == [("Board", 0)]


# --- board


def test_counters_are_differences_over_the_time_between_readings() -> None:
    records = [
        device(other_processes=1, pcie_peak_bytes_per_s=63e9, nvlink_peak_bytes_per_s=478e9),
        nvml(1.0, energy_j=1000.0, memory_used_bytes=50e9, ecc_errors=3.0, nvlink_rx_bytes=1e9, nvlink_tx_bytes=2e9),
        nvml(2.0, energy_j=1600.0, memory_used_bytes=70e9),
        nvml(3.0, energy_j=2200.0, memory_used_bytes=60e9, ecc_errors=5.0, nvlink_rx_bytes=9e9, nvlink_tx_bytes=4e9),
        nvml(4.0, memory_used_bytes=60e9),
        device(other_processes=0),
    ]
    assert payload(Board, records) == Board(
        window_s=2.0,
        energy_j=1200.0,
        pcie_peak_bytes_per_s=63e9,
        nvlink_rx_bytes_per_s=4e9,
        nvlink_tx_bytes_per_s=1e9,
        nvlink_peak_bytes_per_s=478e9,
        memory_used_bytes=70e9,
        ecc_errors=2.0,
        other_processes=1,
    )


def test_links_are_gpms_where_it_states_them_else_the_mean_of_the_readings() -> None:
    readings = [nvml(1.0, pcie_rx_bytes_per_s=1e9, nvlink_rx_bytes=0.0), nvml(3.0, pcie_rx_bytes_per_s=3e9)]
    assert payload(Board, readings).pcie_rx_bytes_per_s == 2e9
    assert payload(Board, readings).nvlink_rx_bytes_per_s is None
    activity = [gpm(1.0, 1.0, pcie_rx_bytes_per_s=5e9), gpm(2.0, 3.0, pcie_rx_bytes_per_s=9e9)]
    assert payload(Board, [*readings, *activity]).pcie_rx_bytes_per_s == 8e9


def test_a_counter_that_went_back_is_absent() -> None:
    records = [nvml(1.0, energy_j=1000.0, ecc_errors=1.0), nvml(2.0, energy_j=5.0, ecc_errors=1.0)]
    assert (payload(Board, records).energy_j, payload(Board, records).ecc_errors) == (None, 0.0)


def test_a_single_reading_is_no_board() -> None:
    assert kinds([device(), nvml(1.0, sm=[0.5], energy_j=10.0)]) == [("Samples", 0)]


# --- devices


def test_a_device_carries_its_facts() -> None:
    facts: Record = {
        "uuid": "GPU-0",
        "memory_bytes": 1.5e11,
        "sm_count": 132,
        "bus_width_bits": 6144,
        "max_memory_clock_hz": 3.2e9,
        "memory_clock_hz": 2.6e9,
        "max_sm_clock_hz": 1.98e9,
        "power_limit_w": 700.0,
        "driver": "555.58.02",
        "pids": [7],
    }
    (found,) = observations([device(**facts), nvml(1.0, sm=[0.5], sm_clock_hz=1.7e9)])
    assert found.device == Device(
        index=0,
        uuid="GPU-0",
        name="NVIDIA H200",
        vendor="NVIDIA",
        memory_bytes=1.5e11,
        sm_count=132,
        bus_width_bits=6144,
        memory_clock_hz=3.2e9,
        max_sm_clock_hz=1.98e9,
        sm_clock_hz=1.7e9,
        power_limit_w=700.0,
    )


def test_devices_are_folded_apart() -> None:
    both = [nvml(1.0, 0, sm=[0.1]), nvml(1.0, 1, sm=[0.9]), gpm(1.0, index=1, dram_active=0.7)]
    assert kinds(both) == [("Samples", 0), ("Samples", 1), ("Activity", 1), ("Board", 1)]
    assert payload(Samples, both, 1).sm.tolist() == [0.9]


def test_a_device_that_was_not_the_jobs_is_left_out() -> None:
    assert kinds([device(), nvml(1.0, sm=[0.5]), device(of_job=False)]) == []
    assert kinds([device(), device(of_job=False), device(), nvml(1.0, sm=[0.5])]) == [("Samples", 0)]


def test_other_records_are_ignored() -> None:
    strangers = [
        {"what": "job", "t_s": 0.0, "pid": 7},
        {"what": "event", "t_s": 1.0, "device": 0, "text": "GPU 0 is lost"},
        {"what": "scrape", "t_s": 1.0, "samples": []},
        {"what": "missing", "t_s": 0.0, "source": "NVML", "reason": "x"},
    ]
    assert observations(strangers) == []
    assert observations([]) == []
    assert kinds([*strangers, nvml(1.0, sm=[0.5])]) == [("Samples", 0)]


# --- as a whole


def same(one: list[Observation], other: list[Observation]) -> bool:
    return repr(one) == repr(other)


def test_records_survive_a_file_and_the_order_of_their_kinds() -> None:
    records = seen("two,pids=4000,pids1=4001", known={4000: 700, 4001: 700}, turns=4).records
    replayed = json.loads(json.dumps(records))
    assert same(observations(records), observations(replayed))
    random.Random(7).shuffle(replayed)
    replayed.sort(key=lambda record: record["t_s"])
    assert same(observations(records), observations(replayed))


def test_what_is_read_live_is_judged() -> None:
    """DRAM at 74 % of its peak in every window, the tensor pipe at 7 %."""
    records = seen("h200,pids=4000", known={4000: 700}, turns=5).records
    (found,) = judge_devices(observations(records), Given())
    assert found.verdict is not None
    assert found.verdict.regime is Regime.MEMORY
    assert found.roofs is not None
    assert found.roofs.bandwidth_bytes_per_s == pytest.approx(4.917e12, rel=0.001)
