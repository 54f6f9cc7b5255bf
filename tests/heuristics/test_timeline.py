"""From device events to busy time, gaps and their authors, and the stretches that are no work at all."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heuristics.kernel_class import KernelClass
from heuristics.observations import KernelTotal, Timeline
from heuristics.timeline import Recording, step_lengths_s, summarise, time_with_work, timeline_of_sums
from tests.heuristics.device_events import (
    GEMM,
    MS,
    NORM,
    ON_DEVICE,
    REDUCE_ALL,
    TO_DEVICE,
    Ran,
    device_events,
    spans,
)

HOST_EVERYWHERE = Recording(host=spans((-(10**15), 10**15)))


def told(*rows: Ran, recording: Recording = HOST_EVERYWHERE) -> Timeline:
    return summarise(device_events(rows), recording)


def ns(seconds: float | None) -> int:
    assert seconds is not None
    return round(seconds * 1e9)


# Any set of events, against counting moments one by one.

times = st.integers(0, 60)
kernels = st.builds(
    lambda start, length, name, launch, took, blocks: Ran(
        start, start + length, name, None if launch is None else (launch, launch + took), blocks=blocks
    ),
    times,
    st.integers(0, 15),
    st.sampled_from([GEMM, NORM, REDUCE_ALL, TO_DEVICE, ON_DEVICE]),
    st.none() | times,
    st.integers(0, 5),
    st.sampled_from([np.nan, 0.25, 1.0, 7.0]),
)
jobs = st.lists(kernels, min_size=1, max_size=14)


def moments(rows: list[Ran], *names: str) -> set[int]:
    return {n for row in rows if row.name in names for n in range(row.start, row.end)}


@given(jobs)
def test_times_are_those_of_counting_moments(rows: list[Ran]) -> None:
    found = told(*rows)
    at_work = moments(rows, GEMM, NORM, ON_DEVICE)
    talking, copying = moments(rows, REDUCE_ALL), moments(rows, TO_DEVICE)
    busy = at_work | talking | copying
    assert ns(found.busy_s) == len(busy)
    assert ns(found.window_s) == (max(busy) + 1 - min(busy) if busy else 0)
    assert ns(found.roof_busy_s) == len(at_work)
    assert ns(found.communication_s) == len(talking - at_work)
    assert ns(found.transfer_s) == len(copying - at_work - talking)
    assert found.launches == len(rows)
    assert ns(sum(k.total_s for k in found.kernels)) == sum(row.end - row.start for row in rows)


@given(jobs)
def test_parts_stay_within_the_whole(rows: list[Ran]) -> None:
    found = told(*rows)
    assert found.roof_busy_s + found.communication_s + found.transfer_s == pytest.approx(found.busy_s, abs=1e-12)
    assert found.capable_s <= found.roof_busy_s + 1e-12
    assert 0.0 <= found.underfill_s <= found.roof_busy_s + 1e-12
    assert 0.0 <= (found.host_gap_s or 0.0) <= found.window_s - found.busy_s + 1e-12


def rounded(found: Timeline) -> Timeline:
    """Sums of floats taken in another order differ in their last digits."""
    return replace(
        found,
        capable_s=round(found.capable_s, 15),
        underfill_s=round(found.underfill_s, 15),
        kernels=tuple(replace(k, blocks_per_sm=k.blocks_per_sm and round(k.blocks_per_sm, 9)) for k in found.kernels),
    )


@given(jobs, st.randoms(use_true_random=False))
def test_the_order_of_events_changes_nothing(rows: list[Ran], random: Random) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert rounded(told(*shuffled)) == rounded(told(*rows))


@given(jobs, st.integers(0, 14), st.integers(0, 13))
def test_a_kernel_cut_in_two_touching_ones_is_as_busy(rows: list[Ran], at: int, which: int) -> None:
    row = rows[which % len(rows)]
    cut = min(row.start + at, row.end)
    parts = [replace(row, end=cut), replace(row, start=cut)]
    whole, parted = told(*rows), told(*[r for r in rows if r is not row], *parts)
    for name in ("window_s", "busy_s", "roof_busy_s", "communication_s", "transfer_s"):
        assert ns(getattr(parted, name)) == ns(getattr(whole, name))
    assert parted.capable_s == pytest.approx(whole.capable_s)


@given(jobs, st.integers(2, 1000), st.integers(-(10**15), 10**15))
def test_slower_clocks_and_shifted_ones_scale_and_shift(rows: list[Ran], factor: int, shift: int) -> None:
    def moved(time: int) -> int:
        return time * factor + shift

    changed = [
        replace(r, start=moved(r.start), end=moved(r.end), launch=r.launch and (moved(r.launch[0]), moved(r.launch[1])))
        for r in rows
    ]
    whole, other = told(*rows), told(*changed)
    for name in ("window_s", "busy_s", "roof_busy_s", "capable_s", "underfill_s", "host_gap_s", "launch_delay_s"):
        expected = getattr(whole, name)
        assert getattr(other, name) == (None if expected is None else pytest.approx(factor * expected, abs=1e-15))


# Kernels on the device.


def test_streams_that_overlap_count_once() -> None:
    found = told(Ran(0, 100), Ran(20, 60), Ran(90, 150))
    assert (ns(found.busy_s), ns(found.capable_s)) == (150, 150)


def test_only_kernels_that_could_multiply_are_capable() -> None:
    found = told(Ran(0, 100, GEMM), Ran(100, 300, NORM), Ran(300, 310, ON_DEVICE))
    assert ns(found.capable_s) == 100


def test_a_small_grid_is_capable_of_its_part_and_leaves_the_rest_unfilled() -> None:
    found = told(Ran(0, 100, blocks=0.25), Ran(100, 200, blocks=3.0), Ran(200, 300))
    assert ns(found.capable_s) == 225
    assert ns(found.underfill_s) == 75


def test_totals_are_by_name_longest_first() -> None:
    found = told(Ran(0, 10, NORM, blocks=2.0), Ran(10, 40, NORM, blocks=4.0), Ran(50, 70, GEMM), Ran(70, 75, TO_DEVICE))
    assert [(k.name, k.kind, k.launches, ns(k.total_s)) for k in found.kernels] == [
        (NORM, KernelClass.NORM, 2, 40),
        (GEMM, KernelClass.GEMM, 1, 20),
        (TO_DEVICE, KernelClass.COPY_HOST, 1, 5),
    ]
    assert found.kernels[0].blocks_per_sm == pytest.approx((10 * 2 + 30 * 4) / 40)
    assert found.kernels[1].blocks_per_sm is None


# Gaps and who let them happen.


@pytest.mark.parametrize(
    ("launch", "host_gap"),
    [((100, 101), 1), ((0, 40), 0), ((120, 130), 30), ((170, 175), 75), ((190, 230), 100), (None, None)],
)
def test_a_gap_is_the_hosts_until_the_launch_that_ends_it_returned(
    launch: tuple[int, int] | None, host_gap: int | None
) -> None:
    found = told(Ran(0, 100), Ran(200, 250, launch=launch))
    assert (None if found.host_gap_s is None else ns(found.host_gap_s)) == host_gap


def test_gaps_inside_a_graph_are_not_the_hosts() -> None:
    rows = [Ran(100 * i, 100 * i + 60, launch=(-30, -20), graph=True) for i in range(10)]
    found = told(*rows)
    assert found.graph_launched == 10
    assert ns(found.window_s - found.busy_s) == 9 * 40
    assert found.host_gap_s == 0.0


def test_a_gap_is_filled_by_communication_too() -> None:
    found = told(Ran(0, 100), Ran(100, 190, REDUCE_ALL, launch=(90, 92)), Ran(200, 250, launch=(198, 199)))
    assert (ns(found.busy_s), ns(found.communication_s), ns(found.host_gap_s)) == (240, 90, 9)


def test_events_that_start_together_share_the_earlier_launch() -> None:
    together = [Ran(200, 250, launch=(190, 195)), Ran(200, 260, NORM, launch=(10, 20))]
    assert told(Ran(0, 100), *together).host_gap_s == told(Ran(0, 100), *together[::-1]).host_gap_s == 0.0


def test_the_launch_delay_is_the_median_of_single_launches_of_kernels() -> None:
    single = [Ran(100 * i, 100 * i + 10, launch=(100 * i - 7, 100 * i - 5)) for i in range(3)]
    graph = [Ran(1000 + i, 1001 + i, launch=(0, 1), graph=True) for i in range(9)]
    copy = Ran(5000, 5001, TO_DEVICE, launch=(0, 1))
    assert ns(told(*single, *graph, copy).launch_delay_s) == 7
    assert told(*graph, copy).launch_delay_s is None


def test_a_kernel_that_starts_before_its_launch_by_another_clock_has_no_delay() -> None:
    assert told(Ran(0, 10, launch=(50, 60))).launch_delay_s == 0.0


# Stretches without work.


def work_ns(*rows: Ran, host: Recording) -> int:
    return time_with_work(device_events(rows), host.host).total_ns


TEN_MINUTES = 600_000 * MS
BLIND = Recording()


def steps(begin: int, count: int = 100) -> list[Ran]:
    """Half a millisecond of work every millisecond."""
    return [Ran(begin + i * MS, begin + i * MS + MS // 2) for i in range(count)]


@pytest.mark.parametrize("recording", [BLIND, Recording(host=spans((0, 100 * MS)))])
def test_one_event_ten_minutes_away_does_not_stretch_the_window(recording: Recording) -> None:
    found = told(*steps(0), Ran(TEN_MINUTES, TEN_MINUTES + MS), recording=recording)
    assert found.busy_s / found.window_s == pytest.approx(0.5, abs=0.01)
    assert found.excluded_s == pytest.approx(600.0, abs=0.2)
    assert found.window_s + found.excluded_s == pytest.approx((TEN_MINUTES + MS) / 1e9)


def test_a_pause_counts_only_where_the_host_was_active() -> None:
    pause = 12_000 * MS
    rows = [*steps(0), *steps(100 * MS + pause)]
    around = spans((0, 100 * MS), (100 * MS + pause, 200 * MS + pause))
    throughout = spans((0, 200 * MS + pause))
    partly = spans((0, 100 * MS), (4_000 * MS, 6_000 * MS), (100 * MS + pause, 200 * MS + pause))
    assert work_ns(*rows, host=Recording(host=around)) == pytest.approx(200 * MS, rel=0.01)
    assert work_ns(*rows, host=Recording(host=throughout)) == pytest.approx(200 * MS + pause, rel=0.01)
    assert work_ns(*rows, host=Recording(host=partly)) == pytest.approx(2_200 * MS, rel=0.01)


def test_short_gaps_are_work_whatever_the_host_did() -> None:
    rows = [Ran(i * 9 * MS, i * 9 * MS + MS) for i in range(20)]
    assert work_ns(*rows, host=Recording(host=spans((0, 1)))) == 19 * 9 * MS + MS


def test_without_host_records_only_pauses_beyond_a_second_are_left_out() -> None:
    rows = [Ran(0, MS), Ran(900 * MS, 901 * MS), Ran(2_900 * MS, 2_901 * MS)]
    assert work_ns(*rows, host=BLIND) == 902 * MS


def test_no_events_are_no_time() -> None:
    found = told()
    assert (found.window_s, found.busy_s, found.launches, found.kernels) == (0.0, 0.0, 0, ())
    assert found.host_gap_s is found.launch_delay_s is None


def test_a_window_given_bounds_everything_and_excludes_nothing() -> None:
    events = device_events([Ran(0, 100), Ran(150, 300, NORM)])
    found = summarise(events, BLIND, spans((50, 120), (200, 250)))
    assert (ns(found.window_s), ns(found.busy_s), found.excluded_s) == (120, 100, 0.0)


def test_a_window_counts_what_follows_the_last_event_in_it() -> None:
    found = summarise(device_events([Ran(10, 100)]), BLIND, spans((0, 40), (60, 500)))
    assert (ns(found.window_s), ns(found.busy_s)) == (480, 70)


@pytest.mark.parametrize("recording", [BLIND, Recording(host=spans((0, 100 * MS)))])
def test_a_pause_inside_a_window_is_left_out_of_it(recording: Recording) -> None:
    found = summarise(device_events([*steps(0), *steps(TEN_MINUTES)]), recording, spans((0, TEN_MINUTES + 100 * MS)))
    assert found.window_s == pytest.approx(0.2, rel=0.01)


# Steps and sums.


def test_steps_run_from_first_event_to_first_event_by_launch() -> None:
    rows = [Ran(100 + i * 50, 140 + i * 50, launch=(i * 40, i * 40 + 5)) for i in range(9)]
    found = step_lengths_s(device_events(rows), np.array([0, 120, 240]))
    assert [ns(x) for x in found] == [150, 150, 140]


@pytest.mark.parametrize(
    ("rows", "begun"),
    [([Ran(0, 1, launch=(5, 6))], []), ([Ran(0, 1)], [0]), ([Ran(9, 10, launch=(5, 6))], [7]), ([], [0])],
)
def test_without_steps_or_launches_there_are_no_step_lengths(rows: list[Ran], begun: list[int]) -> None:
    assert step_lengths_s(device_events(rows), np.array(begun, np.int64)) == ()


def total(name: str, seconds: float, kind: KernelClass) -> KernelTotal:
    return KernelTotal(name=name, kind=kind, launches=3, total_s=seconds)


SUMS = [
    total("n", 1.0, KernelClass.NORM),
    total("g", 4.0, KernelClass.GEMM),
    total("c", 2.0, KernelClass.COMMUNICATION),
    total("h", 0.5, KernelClass.COPY_HOST),
]


def test_sums_alone_know_no_gaps() -> None:
    found = timeline_of_sums(list(SUMS))
    assert (found.window_s, found.busy_s, found.roof_busy_s, found.capable_s) == (7.5, 7.5, 5.0, 4.0)
    assert (found.communication_s, found.transfer_s, found.host_gap_s, found.gaps_known) == (2.0, 0.5, None, False)
    assert [k.name for k in found.kernels] == ["g", "c", "n", "h"]


def test_a_longer_host_total_shows_time_in_which_the_device_was_not_fed() -> None:
    found = timeline_of_sums(list(SUMS), window_s=10.0)
    assert (found.window_s, found.busy_s, found.host_gap_s, found.gaps_known) == (10.0, 7.5, 2.5, True)


def test_kernels_that_are_not_listed_count_as_capable() -> None:
    found = timeline_of_sums(list(SUMS), device_s=9.0, window_s=8.0)
    assert (found.window_s, found.busy_s, found.capable_s, found.gaps_known) == (9.0, 9.0, 5.5, False)
