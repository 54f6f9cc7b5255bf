"""dcgm-exporter: activity and readings of boards and MIG instances, over one snapshot or several."""

from __future__ import annotations

import numpy as np
import pytest

from heuristics.observations import Activity, Observation, Samples
from heuristics.roofs import Device
from tests.make.prometheus import NEW_NAMES, OLD_NAMES, Board, boards, dcgm, page

Found = dict[int | None, tuple[Device, Activity | None, Samples | None]]


def of(*texts: str) -> Found:
    found: Found = {}
    for o in boards(*texts):
        assert o.device is not None
        _, activity, samples = found.get(o.device.index, (o.device, None, None))
        activity = o.payload if isinstance(o.payload, Activity) else activity
        samples = o.payload if isinstance(o.payload, Samples) else samples
        found[o.device.index] = (o.device, activity, samples)
    return found


@pytest.mark.parametrize("names", [OLD_NAMES, NEW_NAMES], ids=["until 4.5", "from 4.6 on"])
def test_activity_is_a_fraction_under_both_generations_of_names(names: dict[str, str]) -> None:
    activity = of(page(dcgm([Board()], names=names)))[0][1]
    assert activity == Activity(window_s=None, engine_active=0.99, sm_active=0.88, tensor_active=0.07, dram_active=0.74)


def test_both_generations_at_once_are_one_figure() -> None:
    text = page(dcgm([Board()]), dcgm([Board()], names=NEW_NAMES))
    assert of(text)[0][1] == of(page(dcgm([Board()])))[0][1]


def test_percent_is_recognised_for_all_metrics_at_once() -> None:
    quiet = Board(gpu=1, engine=0.009, sm=0.008, tensor=0.001, dram=0.004)
    found = of(page(dcgm([Board(), quiet], factor=100.0)))
    assert found[0][1] == Activity(
        window_s=None,
        engine_active=pytest.approx(0.99),
        sm_active=pytest.approx(0.88),
        tensor_active=pytest.approx(0.07),
        dram_active=pytest.approx(0.74),
    )
    assert found[1][1] is not None
    assert found[1][1].sm_active == pytest.approx(0.008)


def test_activity_is_averaged_over_snapshots() -> None:
    texts = [page(dcgm([Board(dram=dram, sm=None)])) for dram in (0.5, 0.7, 0.9)]
    activity = of(*texts)[0][1]
    assert activity is not None
    assert activity.dram_active == pytest.approx(0.7)
    assert activity.sm_active is None


def test_readings_are_one_value_a_snapshot() -> None:
    texts = [page(dcgm([Board(util=util, power_w=power)])) for util, power in ((100.0, 500.0), (90.0, None))]
    samples = of(*texts)[0][2]
    assert samples is not None
    assert samples.sm.tolist() == [1.0, 0.9]
    assert samples.power_w[0] == 500.0
    assert np.isnan(samples.power_w[1])
    assert samples.memory_clock_hz.tolist() == [2619e6] * 2
    assert np.isnan(samples.power_limited).all()


def test_decoding_video_is_video() -> None:
    samples = of(page(dcgm([Board(decoder=60.0)])))[0][2]
    assert samples is not None
    assert samples.video.tolist() == [0.6]


def test_a_reading_that_is_no_number_is_unknown_not_zero() -> None:
    samples = of(page(dcgm([Board(util="ERROR - FAILED TO CONVERT TO STRING")])))[0][2]
    assert samples is not None
    assert np.isnan(samples.sm).all()
    assert samples.power_w.tolist() == [512.5]


def test_boards_are_told_apart_and_described() -> None:
    found = of(page(dcgm([Board(dram=0.1), Board(gpu=3, dram=0.2)])))
    assert {index: a.dram_active for index, (_, a, _) in found.items() if a} == {0: 0.1, 3: 0.2}
    device = found[3][0]
    assert device.name == "NVIDIA H100 80GB HBM3"
    assert device.uuid == "GPU-0f0f0f0f-5a5a-4b4b-8c8c-000000000003"
    assert device.memory_clock_hz == 2619e6
    assert device.mig_profile is None


def test_every_mig_instance_is_a_device_of_its_own() -> None:
    cut = [
        Board(instance=("1", "3g.40gb"), dram=0.3, util=None),
        Board(instance=("9", "1g.10gb"), dram=0.1, util=None),
        Board(gpu=1, dram=0.8),
        Board(gpu=1, instance=("1", "3g.40gb"), dram=0.5),
    ]
    found = of(page(dcgm(cut)))
    assert sorted(a.dram_active or 0.0 for _, a, _ in found.values() if a) == [0.1, 0.3, 0.5, 0.8]
    assert sorted(d.mig_profile or "" for d, _, _ in found.values()) == ["", "1g.10gb", "3g.40gb", "3g.40gb"]


@pytest.mark.parametrize("index", ["²", "x", "9" * 5000, ""])
def test_a_label_that_is_no_index_is_the_first_board(index: str) -> None:
    assert list(of(page(dcgm([Board()])).replace('gpu="0"', f'gpu="{index}"'))) == [0]


def test_other_exporters_give_nothing() -> None:
    assert boards(page(["vllm:num_requests_running 1.0"])) == []


def test_sources_are_named_once_each() -> None:
    found: list[Observation] = boards(page(dcgm([Board()])), page(dcgm([Board()])))
    assert {o.source for o in found} == {"0.prom, 1.prom"}


@pytest.mark.parametrize("wrong", [3.0, 5e22, 140737488355328.0])
def test_one_ratio_that_is_none_leaves_the_others_as_they_are(wrong: float) -> None:
    text = page(dcgm([Board(dram=wrong), Board(gpu=1)]))
    first, second = (o.payload for o in boards(text) if isinstance(o.payload, Activity))
    assert (first.dram_active, first.sm_active) == (None, 0.88)
    assert second.dram_active == 0.74


def test_a_clock_that_no_board_has_is_none() -> None:
    device = boards(page(dcgm([Board(memory_clock_mhz=1e20)])))[0].device
    assert device is not None
    assert device.memory_clock_hz is None
