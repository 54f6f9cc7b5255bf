"""What nvidia-smi's cells mean: unknown is not zero, processes add up, boards keep their identity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heuristics.roofs import Device
from tests.make import smi
from tests.make.dumps import damaged, survives
from tests.make.smi import MIG, Process, Reading


def device(text: str, index: int = 0) -> Device:
    """The board of a GPU index."""
    return next(o.device for o in smi.contents(text).observations if o.device and o.device.index == index)


# --- unknown is not zero


def test_a_dash_is_unknown() -> None:
    found = smi.samples(smi.dmon([MIG, Reading(memory_celsius=None)]))[0]
    assert np.isnan(found.sm[0])
    assert np.isnan(found.memory[0])
    assert np.isnan(found.video[0])
    assert found.power_w.tolist() == [366.0, 512.0]
    assert found.sm[1] == 0.93


@pytest.mark.parametrize("absent", ["[N/A]", "N/A", "[Not Supported]", "[Unknown Error]", "[GPU requires reset]"])
def test_every_placeholder_of_a_query_is_unknown(absent: str) -> None:
    reading = Reading(sm=None, power_w=None, power_capped=None, uuid="")
    names = ["name", "utilization.gpu", "power.draw", "clocks_event_reasons.sw_power_cap", "clocks.current.sm"]
    found = smi.samples(smi.query([reading], names, absent=absent))[0]
    assert np.isnan(found.sm).all()
    assert np.isnan(found.power_w).all()
    assert np.isnan(found.power_limited).all()
    assert found.sm_clock_hz.tolist() == [1755e6]


def test_a_board_that_never_states_utilisation_has_no_clock_under_load() -> None:
    board = device(smi.dmon([MIG] * 3))
    assert board.sm_clock_hz is None
    assert board.memory_clock_hz is None


@pytest.mark.parametrize("cell", ["101", "-3", "4000", "9" * 400])
def test_a_percentage_outside_the_possible_is_no_reading(cell: str) -> None:
    text = smi.dmon([Reading(sm=0.5), Reading(sm=0.93)]).replace("    93 ", f" {cell} ")
    found = smi.samples(text)[0]
    assert found.sm[0] == 0.5
    assert np.isnan(found.sm[1])


def test_a_word_in_place_of_a_number_is_no_reading() -> None:
    found = smi.samples(smi.dmon([Reading(), Reading(sm=0.5)]).replace("    93 ", "   ERR ", 1))[0]
    assert np.isnan(found.sm[0])
    assert found.sm[1] == 0.5


# --- boards


def test_rows_go_to_their_board_by_index() -> None:
    found = smi.samples(smi.dmon([Reading(gpu=g, sm=g / 10) for _ in range(3) for g in (0, 1, 5)]))
    assert {index: samples.sm.tolist() for index, samples in found.items()} == {
        0: [0.0] * 3,
        1: [0.1] * 3,
        5: [0.5] * 3,
    }


@pytest.mark.parametrize("identity", ["uuid", "pci.bus_id"])
def test_without_an_index_boards_are_told_apart_by(identity: str) -> None:
    readings = [Reading(gpu=g, sm=g / 10) for _ in range(2) for g in (3, 5)]
    found = smi.samples(smi.query(readings, ["timestamp", identity, "utilization.gpu"]))
    assert {index: s.sm.tolist() for index, s in found.items()} == {0: [0.3, 0.3], 1: [0.5, 0.5]}


def test_a_board_named_by_index_and_by_uuid_in_two_tables_is_one() -> None:
    both = smi.query([Reading(gpu=g, sm=0.2) for g in (0, 1)], ["index", "uuid", "utilization.gpu"])
    later = smi.query([Reading(gpu=g, sm=0.8) for g in (1, 0)], ["uuid", "utilization.gpu"])
    found = smi.samples(both + later)
    assert {index: s.sm.tolist() for index, s in found.items()} == {0: [0.2, 0.8], 1: [0.2, 0.8]}


def test_a_row_whose_index_is_unreadable_goes_nowhere() -> None:
    text = smi.query([Reading(), Reading(gpu=1)], ["index", "utilization.gpu"]).replace("\n1, ", "\n[N/A], ")
    assert list(smi.samples(text)) == [0]
    assert smi.contents(text).warnings == ("1 row does not fit the header: left out",)


def test_a_board_is_described_by_what_the_log_states() -> None:
    names = ["name", "uuid", "memory.total", "enforced.power.limit", "clocks.max.sm", "clocks.max.memory"]
    board = device(smi.query([Reading()], [*names, "utilization.gpu"]))
    assert board.name == "NVIDIA H100 80GB HBM3"
    assert board.uuid == Reading().identity
    assert board.memory_bytes == 81559 * 2**20
    assert board.power_limit_w == 650.0
    assert board.max_sm_clock_hz == 1980e6
    assert board.memory_clock_hz == 2619e6


@pytest.mark.parametrize("names", [("power.limit", "enforced.power.limit"), ("enforced.power.limit", "power.limit")])
def test_the_enforced_power_limit_speaks_before_the_configured_one(names: tuple[str, ...]) -> None:
    assert device(smi.query([Reading()], [*names, "utilization.gpu"])).power_limit_w == 650.0


def test_clocks_are_those_under_load() -> None:
    idle = Reading(sm=0.0, sm_clock_hz=210e6, memory_clock_hz=405e6)
    loaded = [Reading(sm_clock_hz=hz, memory_clock_hz=1593e6) for hz in (1755e6, 1740e6, 1770e6)]
    board = device(smi.dmon([idle] * 10 + loaded + [idle] * 10))
    assert board.sm_clock_hz == 1755e6
    assert board.memory_clock_hz == 1593e6


# --- time


@pytest.mark.parametrize(
    ("written", "interval"),
    [
        ("2027/05/04 13:00:0{}.250", 1.0),
        ("2027-05-04T13:00:0{}.250Z", 1.0),
        ("2027-05-04 13:00:0{}", 1.0),
        ("2027-05-04T13:00:0{}+02:00", 1.0),
        ("13:00:0{}", 1.0),
        ("0.{}5", 0.1),
        ("soon {}", None),
    ],
)
def test_the_interval_follows_from_any_form_of_time(written: str, interval: float | None) -> None:
    rows = "".join(f"{written.format(n)}, 50 %\n" for n in range(4))
    found = smi.samples(f"timestamp, utilization.gpu [%]\n{rows}")[0]
    assert found.interval_s == (None if interval is None else pytest.approx(interval))


# --- pmon


def test_processes_of_a_pass_add_up() -> None:
    passes = [[Process(pid=1, sm=0.3, memory=0.1), Process(pid=2, sm=0.25, memory=0.2)], [Process(pid=1, sm=0.9)]]
    found = smi.samples(smi.pmon(passes))[0]
    assert found.sm.tolist() == pytest.approx([0.55, 0.9])
    assert found.memory.tolist() == pytest.approx([0.3, 0.2])


def test_no_more_than_the_whole_is_used() -> None:
    assert smi.samples(smi.pmon([[Process(pid=1, sm=0.8), Process(pid=2, sm=0.7)]]))[0].sm.tolist() == [1.0]


def test_a_process_without_a_figure_adds_nothing_and_hides_nothing() -> None:
    passes = [[Process(pid=1, sm=None, memory=None), Process(pid=2, sm=0.99)]] * 3
    assert smi.samples(smi.pmon(passes))[0].sm.tolist() == [0.99] * 3


def test_boards_without_processes_are_unknown_in_every_pass() -> None:
    found = smi.samples(smi.pmon([[Process(pid=None)]] * 5))[0]
    assert found.sm.size == 5
    assert np.isnan(found.sm).all()


def test_commands_may_hold_spaces_or_be_empty() -> None:
    passes = [[Process(pid=1, command="python -m serve --port 1"), Process(pid=2, command="")]]
    found = smi.contents(smi.pmon(passes))
    assert found.warnings == ()
    assert smi.samples(smi.pmon(passes))[0].sm.tolist() == [0.8]


def test_a_process_that_comes_or_goes_starts_no_sum_with_another_pass() -> None:
    passes = [
        [Process(gpu=0, pid=1, sm=0.5), Process(gpu=1, pid=2, sm=0.4)],
        [Process(gpu=0, pid=3, sm=0.6), Process(gpu=1, pid=2, sm=0.4)],
        [Process(gpu=0, pid=None), Process(gpu=1, pid=2, sm=0.4)],
    ]
    found = smi.samples(smi.pmon(passes))
    assert found[0].sm[:2].tolist() == [0.5, 0.6]
    assert np.isnan(found[0].sm[2])
    assert found[1].sm.tolist() == [0.4] * 3


def test_passes_are_told_apart_by_their_times() -> None:
    found = smi.samples(smi.pmon([[Process(pid=1, sm=0.5)], [Process(pid=2, sm=0.6)]], dated=True))[0]
    assert found.sm.tolist() == [0.5, 0.6]
    assert found.interval_s == 1.0


# --- GPM

GPM = ("gract", "smutil", "smocc", "anyten", "dram", "fp64", "fp32", "fp16", "pcirx")


def gpm(*values: float | None) -> Reading:
    return Reading(gpm=dict(zip(GPM, values, strict=False)))


def test_gpm_columns_are_averaged_over_the_rows_that_state_them() -> None:
    rows = [gpm(*[None] * 8), gpm(99, 88, 40, 5, 71, 0, 12, 3), gpm(97, 80, 42, 7, 75, 0, 10, 5)]
    found = smi.activities(smi.dmon(rows, gpm=GPM))[0]
    assert found.engine_active == pytest.approx(0.98)
    assert found.sm_active == pytest.approx(0.84)
    assert found.sm_occupancy == pytest.approx(0.41)
    assert found.tensor_active == pytest.approx(0.06)
    assert found.dram_active == pytest.approx(0.73)
    assert found.fp64_active == 0.0
    assert found.fp32_active == pytest.approx(0.11)
    assert found.fp16_active == pytest.approx(0.04)


def test_a_gpm_column_that_is_never_stated_is_none() -> None:
    assert smi.activities(smi.dmon([gpm(50, 40)] * 2, gpm=GPM[:5]))[0].dram_active is None
    assert smi.activities(smi.dmon([gpm()] * 2, gpm=GPM)) == {}
    assert smi.activities(smi.dmon([Reading()])) == {}


def test_the_same_name_without_a_gpm_unit_is_not_activity() -> None:
    assert smi.activities(smi.dmon([gpm(50, 40)], gpm=GPM[:2]).replace("GPM:%", "    %")) == {}


# --- damage

WHOLE = (
    smi.dmon([gpm(99, 88, 40, 5, 71), Reading(gpu=1)] * 4, gpm=GPM[:5])
    + smi.pmon([[Process(), Process(pid=7)]] * 3)
    + smi.query([Reading()] * 4, list(smi.FIELDS))
).encode()


@given(damaged(WHOLE))
def test_a_damaged_log_is_read_in_part_or_refused(content: bytes) -> None:
    survives(content)


@given(st.binary(max_size=400))
def test_anything_may_follow_a_header(tail: bytes) -> None:
    survives(smi.dmon([]).encode() + tail)
    survives(smi.query([], list(smi.FIELDS)).encode() + tail)


@given(st.lists(st.text(alphabet="0123456789.,-+eE%NMWa[]/: \t\"'", max_size=30), min_size=3, max_size=3))
def test_a_cell_may_hold_anything(cells: list[str]) -> None:
    survives(("timestamp, utilization.gpu [%], power.draw [W]\n" + ",".join(cells) + "\n").encode())
