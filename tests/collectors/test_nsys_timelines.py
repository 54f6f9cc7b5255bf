"""A database of Nsight Systems gives the timeline that its events give, whatever tables and columns it has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.dump import Contents
from collectors.nsys.events import HOST_GRAIN_NS
from heuristics.intervals import union
from heuristics.observations import Timeline
from heuristics.operations import Phase
from heuristics.roofs import Device
from heuristics.timeline import NOT_LAUNCHED, DeviceEvents, Recording, summarise
from tests.make import nsys
from tests.make.dumps import read_file
from tests.make.nsys import CALLS, COPIES, GRAPHS, KERNELS, MEMSETS, REDUCED, Call, Event, Gpu, Profile, Range

US = 1000
NAMES = {
    KERNELS: lambda e: f"void {e.name}(Params)",
    COPIES: lambda e: f"Memcpy {e.name}",
    MEMSETS: lambda e: "Memset (Device)",
    GRAPHS: lambda e: f"CUDA graph {e.graph}",
}


def steps(count: int = 20, *, gap: int = 40, busy: int = 60, process: int = 1001, device: int = 0) -> list[Event]:
    """Kernels of ``busy`` microseconds with gaps between, launched one by one 25 microseconds ahead."""
    starts = [(1000 + n * (gap + busy)) * US for n in range(count)]
    return [
        Event(start=s, end=s + busy * US, call=Call(s - 25 * US, s - 20 * US), process=process, device=device)
        for s in starts
    ]


def contents(path: Path, profile: Profile, **how: Any) -> Contents:
    return read_file(nsys.write(path / "run.sqlite", profile, **how))


def timelines(found: Contents) -> dict[tuple[int | None, Phase | None], Timeline]:
    return {
        (o.device.index if o.device else None, o.phase): o.payload
        for o in found.observations
        if isinstance(o.payload, Timeline)
    }


def expected(events: Sequence[Event], calls: Sequence[Call] = (), sms: float = 132.0) -> Timeline:
    """The timeline of the same events, put together by hand."""
    ordered = [e for kind in (KERNELS, COPIES, MEMSETS, GRAPHS) for e in events if e.kind == kind]
    names = [NAMES[e.kind](e) for e in ordered]
    listed = list(dict.fromkeys(names))
    launched = [e.call for e in ordered if e.call is not None]
    every = list(dict.fromkeys([*launched, *calls]))
    host = (
        union(np.array([c.start for c in every]), np.array([c.end for c in every]) + HOST_GRAIN_NS) if every else None
    )
    shared = [sum(c is call for c in launched) > 2 for call in (e.call for e in ordered)]
    blocks = [float(np.prod(e.grid)) / sms if e.kind == KERNELS else np.nan for e in ordered]
    return summarise(
        DeviceEvents(
            names=listed,
            name_index=np.array([listed.index(n) for n in names], np.int32),
            start=np.array([e.start for e in ordered], np.int64),
            end=np.array([e.end for e in ordered], np.int64),
            launch_start=np.array([e.call.start if e.call else NOT_LAUNCHED for e in ordered], np.int64),
            launch_end=np.array([e.call.end if e.call else NOT_LAUNCHED for e in ordered], np.int64),
            from_graph=np.array(
                [
                    bool(e.node or e.graph) or e.kind == GRAPHS or together
                    for e, together in zip(ordered, shared, strict=True)
                ]
            ),
            blocks_per_sm=np.array(blocks, np.float32),
        ),
        Recording(host=host),
    )


MIXED = [
    *steps(),
    Event(start=3100 * US, end=3180 * US, name="HtoD", kind=COPIES, call=Call(3000 * US, 3010 * US)),
    Event(start=3200 * US, end=3210 * US, kind=MEMSETS, call=Call(3190 * US, 3195 * US)),
    Event(start=3220 * US, end=3260 * US, name="ncclDevKernel_AllReduce", grid=(24, 1, 1)),
    Event(start=3240 * US, end=3300 * US, name="layer_norm", grid=(33, 2, 1), call=Call(3100 * US, 3110 * US)),
]


def test_a_full_export_gives_the_timeline_of_its_events(tmp_path: Path) -> None:
    assert timelines(contents(tmp_path, Profile(events=MIXED))) == {(0, None): expected(MIXED)}


def test_names_in_place_of_string_ids_give_the_same(tmp_path: Path) -> None:
    assert timelines(contents(tmp_path, Profile(events=MIXED), text_names=True)) == {(0, None): expected(MIXED)}


def test_an_export_of_six_tables_gives_the_same_without_the_number_of_sms(tmp_path: Path) -> None:
    kept = [e for e in MIXED if e.kind != MEMSETS]
    found = contents(tmp_path, Profile(events=kept), lacking=REDUCED)
    calls = [e.call for e in kept if e.call]
    assert timelines(found) == {(0, None): expected(kept, calls, sms=np.nan)}
    assert found.observations[0].device == Device(
        index=0, name="NVIDIA H100 80GB HBM3", vendor="NVIDIA", bandwidth_source="stated by Nsight Systems"
    )


moments = st.integers(0, 10_000_000)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([KERNELS, MEMSETS, COPIES]),
            moments,
            st.integers(0, 50_000),
            st.booleans(),
            st.integers(0, 1),
        ),
        min_size=1,
        max_size=25,
    )
)
def test_any_events_give_their_own_timeline(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, int, int, bool, int]]
) -> None:
    events = [
        Event(
            start=start,
            end=start + length,
            kind=kind,
            name="DtoD" if kind == COPIES else f"kernel_{start % 3}",
            device=device,
            call=Call(start - 30_000, start - 20_000) if launched else None,
        )
        for kind, start, length, launched, device in drawn
    ]
    calls = [e.call for e in events if e.call]
    found = timelines(contents(tmp_path_factory.mktemp("any"), Profile(events=events, gpus=(Gpu(), Gpu(id=1, cuda=1)))))
    wanted = {e.device for e in events}
    assert set(found) == {(device, None) for device in wanted}
    for device in wanted:
        mine = [e for e in events if e.device == device]
        assert found[device, None] == expected(mine, calls)


def test_the_launch_delay_is_the_time_from_call_to_kernel(tmp_path: Path) -> None:
    assert timelines(contents(tmp_path, Profile(events=steps())))[0, None].launch_delay_s == pytest.approx(25e-6)


def test_gaps_before_a_late_launch_are_the_hosts(tmp_path: Path) -> None:
    late = timelines(contents(tmp_path, Profile(events=steps(gap=40))))[0, None]
    assert late.host_gap_s == pytest.approx(19 * 20e-6)
    assert late.window_s - late.busy_s == pytest.approx(19 * 40e-6)


@pytest.mark.parametrize("mark", [{"node": 12}, {"graph": 3}])
def test_kernels_of_a_graph_have_no_launch_delay_of_their_own(tmp_path: Path, mark: dict[str, int]) -> None:
    launch = Call(900 * US, 910 * US)
    kernels = [
        Event(
            start=(1000 + 50 * n) * US,
            end=(1040 + 50 * n) * US,
            call=launch,
            node=mark.get("node"),
            graph=mark.get("graph"),
        )
        for n in range(2)
    ]
    found = timelines(contents(tmp_path, Profile(events=kernels)))[0, None]
    assert found.graph_launched == 2
    assert found.launch_delay_s is None


def test_many_kernels_of_one_call_are_a_graph_though_no_id_says_so(tmp_path: Path) -> None:
    launch = Call(900 * US, 910 * US)
    kernels = [Event(start=(1000 + 50 * n) * US, end=(1040 + 50 * n) * US, call=launch) for n in range(3)]
    found = contents(tmp_path, Profile(events=kernels), lacking={f"{KERNELS}.graphNodeId", f"{KERNELS}.graphId"})
    assert timelines(found)[0, None].graph_launched == 3


def test_whole_graphs_keep_the_device_busy(tmp_path: Path) -> None:
    graphs = [
        Event(
            start=n * 1000 * US,
            end=(n * 1000 + 950) * US,
            kind=GRAPHS,
            graph=109,
            call=Call(n * 1000 * US - 9, n * 1000 * US),
        )
        for n in range(1, 30)
    ]
    found = timelines(contents(tmp_path, Profile(events=graphs)))[0, None]
    assert found == expected(graphs)
    assert found.busy_s / found.window_s == pytest.approx(0.95, abs=0.01)
    assert found.graph_launched == 29
    assert [k.name for k in found.kernels] == ["CUDA graph 109"]


def test_a_graph_whose_times_were_not_collected_is_no_event(tmp_path: Path) -> None:
    lost = Event(start=0, end=0, kind=GRAPHS, graph=1)
    assert timelines(contents(tmp_path, Profile(events=[*steps(), lost])))[0, None].launches == 20


def test_processes_with_the_same_correlation_ids_keep_their_own_launches(tmp_path: Path) -> None:
    mine, other = steps(process=1001, device=0), steps(process=2002, device=1, gap=300)
    gpus = (Gpu(), Gpu(id=1, cuda=1))
    found = timelines(contents(tmp_path, Profile(events=[*mine, *other], gpus=gpus)))
    calls = [e.call for e in (*mine, *other) if e.call]
    assert found == {(0, None): expected(mine, calls), (1, None): expected(other, calls)}


def test_without_process_ids_launches_of_several_processes_are_not_guessed(tmp_path: Path) -> None:
    mine, other = steps(process=1001), steps(process=2002, gap=41)
    found = contents(tmp_path, Profile(events=[*mine, *other]), lacking={f"{KERNELS}.globalPid"})
    assert timelines(found)[0, None].launch_delay_s is None


def test_processes_that_all_count_their_boards_from_zero_are_told_apart(tmp_path: Path) -> None:
    gpus = (Gpu(id=0, seen_as=[(1001, 0)]), Gpu(id=1, seen_as=[(2002, 0)], bandwidth=2_000_000_000_000))
    mine, other = steps(process=1001), steps(process=2002, gap=300)
    found = contents(tmp_path, Profile(events=[*mine, *other], gpus=gpus))
    calls = [e.call for e in (*mine, *other) if e.call]
    assert timelines(found) == {(0, None): expected(mine, calls), (1, None): expected(other, calls)}
    assert [o.device.bandwidth_bytes_per_s for o in found.observations if o.device] == [3.352e12, 2e12]


def test_the_device_is_as_the_export_states_it(tmp_path: Path) -> None:
    found = contents(
        tmp_path, Profile(events=steps(device=1), gpus=(Gpu(id=4, cuda=1, sms=108, bandwidth=1_935_360_000_000),))
    )
    device = found.observations[0].device
    assert device is not None
    assert device.index == 1
    assert device.sm_count == 108
    assert device.bandwidth_bytes_per_s == 1_935_360_000_000
    assert device.memory_bytes == 80 << 30
    assert device.max_sm_clock_hz == 1.98e9
    assert device.last_level_cache_bytes == 50 << 20


def test_a_bandwidth_of_zero_is_not_stated(tmp_path: Path) -> None:
    device = contents(tmp_path, Profile(events=steps(), gpus=(Gpu(bandwidth=0),))).observations[0].device
    assert device is not None
    assert device.bandwidth_bytes_per_s is None


@pytest.mark.parametrize("registered", [False, True])
def test_ranges_tell_phases_apart(tmp_path: Path, registered: bool) -> None:
    prefill = [
        Event(start=(1800 + 100 * n) * US, end=(1900 + 100 * n) * US, name="gemm", call=Call(950 * US, 955 * US))
        for n in range(2)
    ]
    decode = [
        Event(
            start=(2000 + 100 * n) * US,
            end=(2050 + 100 * n) * US,
            name="gemv",
            call=Call((1960 + n) * US, (1961 + n) * US),
        )
        for n in range(8)
    ]
    ranges = [
        Range(text="run prefill", start=940 * US, end=960 * US, registered=registered),
        Range(text="decode step", start=1950 * US, end=1990 * US, registered=registered),
        Range(text="decode, never closed", start=0, end=None, registered=registered),
        Range(text="something else", start=0, end=9000 * US, registered=registered),
    ]
    found = timelines(contents(tmp_path, Profile(events=[*prefill, *decode], ranges=ranges)))
    assert set(found) == {(0, None), (0, Phase.PREFILL), (0, Phase.DECODE)}
    assert [k.name for k in found[0, Phase.PREFILL].kernels] == ["void gemm(Params)"]
    assert [k.name for k in found[0, Phase.DECODE].kernels] == ["void gemv(Params)"]
    assert found[0, Phase.PREFILL].window_s == pytest.approx(200e-6)
    assert found[0, Phase.DECODE].window_s == pytest.approx(750e-6)


@pytest.mark.parametrize(
    "lacking", [{nsys.NVTX}, {f"{nsys.NVTX}.text"}, {f"{nsys.NVTX}.textId"}, {f"{nsys.NVTX}.end"}, {nsys.STRINGS}]
)
def test_phases_fail_quietly_where_their_tables_or_columns_lack(tmp_path: Path, lacking: set[str]) -> None:
    found = contents(
        tmp_path,
        Profile(events=steps(), ranges=[Range(text="decode", start=0, end=99, registered=True)]),
        lacking=lacking,
    )
    assert timelines(found)[0, None].launches == 20


@pytest.mark.parametrize("table", [CALLS, COPIES, MEMSETS, GRAPHS, nsys.GPUS, nsys.CUDA_DEVICES, nsys.STRINGS])
def test_every_table_but_that_of_the_kernels_may_lack(tmp_path: Path, table: str) -> None:
    found = timelines(contents(tmp_path, Profile(events=steps()), lacking={table}))[0, None]
    assert found.launches == 20
    assert found.busy_s == pytest.approx(20 * 60e-6)
    assert (found.host_gap_s is None) == (table == CALLS)


@pytest.mark.parametrize("column", [c for c in nsys.TABLES[KERNELS].split() if c not in ("start", "end")])
def test_every_column_of_the_kernels_but_their_times_may_lack(tmp_path: Path, column: str) -> None:
    found = timelines(contents(tmp_path, Profile(events=steps()), lacking={f"{KERNELS}.{column}"}))[0, None]
    assert found.launches == 20
    assert found.busy_s == pytest.approx(20 * 60e-6)
