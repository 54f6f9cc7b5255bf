"""Measuring roofs: what comes of a measurement, never how fast this machine is."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.calibration.cpu import read_bytes, thread_counts
from collectors.calibration.figures import Calibration, Level, at_threads, roofs_of
from collectors.calibration.machine import Machine
from collectors.calibration.measure import measure
from collectors.calibration.rounds import Work, trial
from heuristics.case import Case
from heuristics.roofs import overridden
from heuristics.simplex import (
    LOADED_CEILINGS,
    MEASURED_CEILINGS,
    STATED_CEILINGS,
    UNKNOWN_ARITHMETIC_CEILING,
)
from heuristics.vocabulary import Dtype

TWO_CPUS = Machine(cpu="A CPU", cpus=2, memory_bytes=8e9, last_level_cache_bytes=32e6)


def calibration(*rates: tuple[int, float, float], others: float = 0.0) -> Calibration:
    """From (threads, bandwidth in GB/s, FP32 in GFLOP/s)."""
    levels = tuple(
        Level(threads=n, bandwidth_bytes_per_s=bandwidth * 1e9, flops_per_s={"fp32": flops * 1e9})
        for n, bandwidth, flops in rates
    )
    return Calibration(machine=TWO_CPUS, taken_at="2026-01-02T03:04:05Z", others_fraction=others, levels=levels)


USUAL = calibration((1, 20, 80), (2, 30, 160), (8, 60, 600))


def test_a_measurement_covers_every_number_of_threads() -> None:
    heard: list[str] = []
    found = measure(
        seconds=0.0, with_torch=False, machine=TWO_CPUS, stream_bytes=1e6, edges=(16, 32), told=heard.append
    )
    assert [level.threads for level in found.levels] == [1, 2]
    assert all(level.bandwidth_bytes_per_s > 0 and level.flops_per_s["fp32"] > 0 for level in found.levels)
    assert all(0 <= spread < 1 for level in found.levels for spread in (level.bandwidth_spread or 0.0,))
    assert 0 <= found.others_fraction <= 1
    assert len(heard) == 2


@pytest.mark.parametrize(("cpus", "wanted"), [(1, (1,)), (2, (1, 2)), (6, (1, 2, 4, 6)), (8, (1, 2, 4, 8))])
def test_thread_counts_double_up_to_all(cpus: int, wanted: tuple[int, ...]) -> None:
    assert thread_counts(cpus) == wanted


def test_what_is_read_exceeds_the_cache_and_leaves_memory_to_others() -> None:
    assert read_bytes(64e6, 64e9) >= 8 * 64e6
    assert read_bytes(None, None) > 0
    assert read_bytes(1e9, 1e9) <= 0.25e9


def test_each_thread_takes_part_in_every_round() -> None:
    done: dict[int, int] = {}

    def make() -> list[Work]:
        def run() -> None:
            me = threading.get_ident()
            done[me] = done.get(me, 0) + 1

        return [Work(amount=1.0, run=run)]

    found = trial(make, threads=3, seconds=0.02)
    assert len(done) == 3
    assert len(set(done.values())) == 1
    assert found.best_per_s > 0
    assert 0 <= found.spread < 1
    assert found.rounds >= 3


@pytest.mark.parametrize("broken", ["making", "running"])
def test_what_a_thread_raises_is_raised_and_ends_the_others(broken: str) -> None:
    first = threading.Lock()

    def fail() -> None:
        if first.acquire(blocking=False):
            raise MemoryError(broken)

    def make() -> list[Work]:
        if broken == "making":
            fail()
        return [Work(amount=1.0, run=fail if broken == "running" else lambda: None)]

    with pytest.raises(MemoryError, match=broken):
        trial(make, threads=3, seconds=0.05)


def test_measured_numbers_of_threads_are_given_back() -> None:
    level = USUAL.for_threads(2)
    assert (level.bandwidth_bytes_per_s, level.flops_per_s["fp32"]) == (30e9, 160e9)


def test_between_measured_numbers_lies_the_line() -> None:
    assert USUAL.for_threads(5).bandwidth_bytes_per_s == pytest.approx(45e9)
    assert USUAL.for_threads(5).flops_per_s["fp32"] == pytest.approx(380e9)


@pytest.mark.parametrize(("threads", "same"), [(0, 1), (-3, 1), (64, 8)])
def test_outside_them_the_nearest_holds(threads: int, same: int) -> None:
    assert USUAL.for_threads(threads).bandwidth_bytes_per_s == USUAL.for_threads(same).bandwidth_bytes_per_s


@given(st.lists(st.tuples(st.floats(1, 1e3), st.floats(1, 1e3)), min_size=1, max_size=6), st.integers(1, 80))
def test_more_threads_never_reach_less(rates: list[tuple[float, float]], threads: int) -> None:
    found = calibration(*((1 << k, *rate) for k, rate in enumerate(rates)))
    fewer, more = found.for_threads(threads), found.for_threads(threads + 1)
    assert more.bandwidth_bytes_per_s >= fewer.bandwidth_bytes_per_s * (1 - 1e-12)
    assert more.flops_per_s["fp32"] >= fewer.flops_per_s["fp32"] * (1 - 1e-12)


def test_a_type_measured_at_few_numbers_of_threads_holds_between_them() -> None:
    levels = list(USUAL.levels)
    for place, rate in ((0, 1e9), (2, 8e9)):
        levels[place] = replace(levels[place], flops_per_s={**levels[place].flops_per_s, "bf16": rate})
    found = replace(USUAL, levels=tuple(levels))
    assert found.for_threads(2).flops_per_s["bf16"] == pytest.approx(2e9)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf"), float("nan")])
def test_rates_that_cannot_be_are_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        calibration((1, rate, 1))


def test_levels_are_in_order_and_at_least_one() -> None:
    with pytest.raises(ValueError, match="levels"):
        calibration()
    with pytest.raises(ValueError, match="levels"):
        calibration((2, 1, 1), (1, 1, 1))


def test_the_record_is_plain_and_gives_the_same_roofs() -> None:
    record = USUAL.record(threads=2, t_s=0.5)
    levels = record.pop("levels")
    assert record == {
        "t_s": 0.5,
        "what": "calibration",
        "device": "A CPU",
        "threads": 2,
        "bandwidth_bytes_per_s": 30e9,
        "flops_per_s": {"fp32": 160e9},
        "last_level_cache_bytes": 32e6,
        "taken_at": "2026-01-02T03:04:05Z",
        "under_load": False,
    }
    assert roofs_of(record, Dtype.FP32) == USUAL.roofs(threads=2, dtype=Dtype.FP32)
    assert [level["threads"] for level in levels] == [level.threads for level in USUAL.levels]


@pytest.mark.parametrize("threads", [1, 2, 3, 64])
def test_a_record_gives_the_roofs_of_another_number_of_threads(threads: int) -> None:
    chosen = at_threads(USUAL.record(threads=2), threads)
    level = USUAL.for_threads(threads)
    assert chosen["threads"] == threads
    assert chosen["bandwidth_bytes_per_s"] == level.bandwidth_bytes_per_s
    assert chosen["flops_per_s"] == level.flops_per_s


def test_a_roof_whose_rounds_spread_is_reached_less() -> None:
    calm, wild = (
        roofs_of({**USUAL.record(threads=2), "bandwidth_spread": spread}, Dtype.FP32) for spread in (0.05, 0.30)
    )
    assert wild.bandwidth_ceiling < calm.bandwidth_ceiling
    assert wild.arithmetic_ceiling == calm.arithmetic_ceiling


def test_roofs_say_where_they_come_from() -> None:
    roofs = USUAL.roofs(threads=1, dtype=Dtype.FP32)
    assert roofs.source == "calibrated on this machine, 1 thread, 2026-01-02"
    assert (roofs.bandwidth_bytes_per_s, roofs.flops_per_s, roofs.dtype) == (20e9, 80e9, Dtype.FP32)
    assert roofs.ridge_flops_per_byte == pytest.approx(4.0)
    assert not roofs.unproven
    assert roofs.warnings == ()
    assert USUAL.roofs().source == "calibrated on this machine, 2 threads, 2026-01-02"


def test_of_measured_roofs_more_is_reachable_than_of_stated_ones() -> None:
    roofs = USUAL.roofs(threads=1, dtype=Dtype.FP32)
    prior = Case(roofs=roofs).prior
    assert (prior.bandwidth, prior.arithmetic) == (MEASURED_CEILINGS.bandwidth, MEASURED_CEILINGS.arithmetic)
    assert roofs.bandwidth_ceiling > STATED_CEILINGS.bandwidth.mean
    assert roofs.arithmetic_ceiling > STATED_CEILINGS.arithmetic.mean


@pytest.mark.parametrize("dtype", [Dtype.BF16, None])
def test_arithmetic_of_another_type_has_an_unknown_roof(dtype: Dtype | None) -> None:
    roofs = USUAL.roofs(threads=2, dtype=dtype)
    assert roofs.unproven
    assert (roofs.dtype, roofs.flops_per_s) == (Dtype.FP32, 160e9)
    assert Case(roofs=roofs).prior.arithmetic == UNKNOWN_ARITHMETIC_CEILING
    assert Case(roofs=roofs).prior.bandwidth == MEASURED_CEILINGS.bandwidth


def test_a_busy_machine_is_told_of_and_its_roofs_believed_less() -> None:
    busy = calibration((1, 20, 80), others=0.4)
    assert busy.under_load
    roofs = busy.roofs(threads=1, dtype=Dtype.FP32)
    assert roofs.ceilings == LOADED_CEILINGS
    assert any("under load" in warning for warning in roofs.warnings)
    assert not calibration((1, 20, 80), others=0.04).under_load


def test_figures_given_in_place_of_measured_ones_are_peaks_again() -> None:
    roofs = overridden(USUAL.roofs(threads=1, dtype=Dtype.FP32), 50e9, None)
    assert roofs is not None
    assert roofs.ceilings.bandwidth == STATED_CEILINGS.bandwidth
    assert roofs.ceilings.arithmetic == MEASURED_CEILINGS.arithmetic


def test_types_without_a_name_here_are_left_out() -> None:
    record = {**USUAL.record(threads=1), "flops_per_s": {"posit16": 1e9}}
    roofs = roofs_of(record, Dtype.FP32)
    assert roofs.flops_per_s is None
    assert roofs.unknown


def test_system_files_may_be_absent(tmp_path: Path) -> None:
    found = measure(seconds=0.0, with_torch=False, stream_bytes=1e5, edges=(8,), sysfs=tmp_path, proc=tmp_path)
    assert found.machine.last_level_cache_bytes is None
    assert "last_level_cache_bytes" not in found.record()
