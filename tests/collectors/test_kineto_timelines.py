"""What a trace says of launches, hosts, devices, steps and operations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest

from heuristics.kernel_class import KernelClass
from heuristics.observations import OperationTotal, Timeline
from heuristics.operations import Phase
from heuristics.roofs import Device
from heuristics.vocabulary import Dtype
from tests.make import kineto as make
from tests.make import kineto_layouts as layouts
from tests.make.kineto import Call, Event, Note, Operation, Stack, Work, launched

US = 1_000
MS = 1_000_000
S = 1_000_000_000

FIRST = MS // US
"""The id of the first of some kernels that start at a millisecond."""


def told(events: Iterable[Event], era: str = "2023", **more: Any) -> Timeline:
    return make.timeline(layouts.kineto(make.document(events, make.ERAS[era], **more)))


def ns(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1e9)


def kernels(count: int, *, every: int = 20 * US, length: int = 5 * US, at: int = MS, **more: Any) -> list[Work]:
    return [
        Work(name="k", start_ns=at + i * every, length_ns=length, correlation=at // US + i, **more)
        for i in range(count)
    ]


def singly(works: Iterable[Work], **more: Any) -> list[Event]:
    return list(chain.from_iterable(launched(work, **more) for work in works))


# Launches.


@pytest.mark.parametrize(
    ("call", "era", "driver"),
    [
        ("cudaLaunchKernel", "2023", False),
        ("cudaLaunchKernel", "torch 1.9", False),
        ("cudaLaunchKernelExC", "2023", False),
        ("cuLaunchKernel", "2023", True),
        ("cuLaunchKernelEx", "2026", True),
        ("cudaLaunchKernel", "ROCm", False),
        ("hipExtModuleLaunchKernel", "ROCm", False),
    ],
)
def test_every_kind_of_launch_is_one(call: str, era: str, driver: bool) -> None:
    found = told(singly(kernels(4), call=call, driver=driver), era)
    assert (found.launches, found.graph_launched, ns(found.launch_delay_s)) == (4, 0, 5 * US)


@pytest.mark.parametrize(
    ("call", "era"),
    [
        ("cudaGraphLaunch", "2023"),
        ("cudaGraphLaunch", "torch 1.9"),
        ("cuGraphLaunch", "2023"),
        ("cudaGraphLaunch", "ROCm"),
    ],
)
def test_kernels_of_a_graph_have_no_queue_of_their_own(call: str, era: str) -> None:
    graph = [replace(work, correlation=9) for work in kernels(50)]
    launch = Call(name=call, start_ns=0, length_ns=100 * US, correlation=9)
    found = told([launch, *graph], era)
    assert (found.launches, found.graph_launched, found.launch_delay_s) == (50, 50, None)
    assert found.host_gap_s == 0.0


def test_beside_a_graph_only_single_launches_have_a_delay() -> None:
    graph = [replace(work, correlation=9) for work in kernels(50, at=2 * MS)]
    launch = Call(name="cudaGraphLaunch", start_ns=0, length_ns=100 * US, correlation=9)
    found = told([launch, *graph, *singly(kernels(3), before_ns=10 * US)])
    assert (found.graph_launched, ns(found.launch_delay_s)) == (50, 10 * US)


def test_a_graph_that_kernels_name_themselves_needs_no_launch() -> None:
    assert told(kernels(20, graph=3), "2026").graph_launched == 20


def test_without_calls_it_is_not_known_who_waited() -> None:
    found = told(kernels(4))
    assert (found.host_gap_s, found.launch_delay_s) == (None, None)


def test_of_calls_that_share_an_id_the_earliest_launched() -> None:
    later = Call(name="cudaLaunchKernel", start_ns=MS + 2 * US, correlation=FIRST)
    first = Call(name="cudaLaunchKernel", start_ns=MS - 9 * US, correlation=FIRST)
    for calls in ([later, first], [first, later]):
        assert ns(told([*calls, *kernels(1)]).launch_delay_s) == 9 * US


def test_calls_without_an_id_launch_nothing() -> None:
    calls: list[Event] = [Call(name="cudaLaunchKernel", start_ns=0, correlation=None)]
    works: list[Event] = [replace(work, correlation=None) for work in kernels(2)]
    assert told(calls + works).launch_delay_s is None


# Pauses.

STEPS = singly(kernels(500, every=100 * US, length=50 * US))
FAR = 600 * S


def host(start: int, end: int, every: int = MS) -> list[Operation]:
    return [Operation(name="aten::add", start_ns=t, length_ns=20 * US) for t in range(start, end, every)]


@pytest.mark.parametrize("era", ["2023", "torch 1.9", "nanoseconds", "ROCm"])
def test_an_event_far_away_does_not_stretch_the_time_with_work(era: str) -> None:
    found = told([*STEPS, *launched(Work(name="k", start_ns=FAR, correlation=7))], era)
    assert found.busy_s / found.window_s == pytest.approx(0.5, abs=0.03)
    assert found.excluded_s == pytest.approx(600, abs=0.2)


def test_a_pause_in_which_the_host_worked_is_time_with_work() -> None:
    again = singly(kernels(500, every=100 * US, length=50 * US, at=S))
    idle, at_work = told([*STEPS, *again]), told([*STEPS, *again, *host(50 * MS, S)])
    assert idle.window_s == pytest.approx(0.1, rel=0.05)
    assert at_work.window_s == pytest.approx(1.05, rel=0.01)
    assert at_work.excluded_s == pytest.approx(0.0, abs=0.01)
    assert at_work.host_gap_s == pytest.approx(0.995, rel=0.01)


@pytest.mark.parametrize("name", ["aten::to", "cudaStreamSynchronize"])
def test_one_long_operation_or_call_is_the_host_at_work(name: str) -> None:
    again = singly(kernels(500, every=100 * US, length=50 * US, at=S))
    long: Event = Operation(name=name, start_ns=52 * MS, length_ns=945 * MS)
    if name.startswith("cuda"):
        long = Call(name=name, start_ns=52 * MS, length_ns=945 * MS, correlation=None)
    assert told([*STEPS, long, *again]).window_s == pytest.approx(1.05, rel=0.01)


@pytest.mark.parametrize("count", [200, 2_000])
def test_host_activity_is_outlined_alike_in_small_and_large_traces(count: int) -> None:
    chatter = [Operation(name="aten::add", start_ns=i * 10 * US) for i in range(count)]
    again = singly(kernels(500, every=100 * US, length=50 * US, at=S))
    found = told([*chatter, *STEPS, *host(300 * MS, 500 * MS, every=1_900 * US), *again])
    assert found.window_s == pytest.approx(0.3, rel=0.05)


# Devices.


def test_each_device_has_its_own_timeline() -> None:
    gpus = tuple(make.Gpu(id=i, name=f"Made-up {i}", sms=50 + i, memory=(i + 1) * 10**9) for i in range(3))
    works = [replace(w, device=d, correlation=None) for d in (0, 2) for w in kernels(3 + d, every=(10 + d) * US)]
    for render in layouts.RENDERERS[:-1]:
        found = make.read(render(make.document(works, gpus=gpus))).observations
        assert [o.device for o in found] == [
            Device(index=0, name="Made-up 0", memory_bytes=1e9, sm_count=50),
            Device(index=2, name="Made-up 2", memory_bytes=3e9, sm_count=52),
        ]
        assert [make.payload(o).launches for o in found] == [3, 5]


@pytest.mark.parametrize("stated", [None, "", 0, "x", {"a": 1}, [], float("inf"), -5, 1e40])
def test_what_a_device_does_not_soundly_state_is_unknown(stated: Any) -> None:
    doc = make.document(kernels(2))
    doc["deviceProperties"] = [3, {"id": 0, "name": "A", "totalGlobalMem": stated, "numSms": stated}]
    (found,) = make.read(layouts.dumped(doc)).observations
    assert found.device == Device(index=0, name="A")


def test_a_rocm_trace_is_read_as_any_other() -> None:
    copies = [Work(name="CopyHostToDevice", what="memcpy", start_ns=0, length_ns=3 * US)]
    gemm = Work(name="Cijk_Ailk_Bljk_HHS_BH_MT128x128x32", start_ns=5 * US, length_ns=40 * US, correlation=8)
    document = make.document([*copies, *launched(gemm, before_ns=5 * US)], make.ERAS["ROCm"], gpus=(make.Gpu(name=""),))
    (found,) = make.read(layouts.kineto(document)).observations
    timeline = make.payload(found)
    assert [(k.kind, k.blocks_per_sm) for k in timeline.kernels] == [
        (KernelClass.GEMM, None),
        (KernelClass.COPY_HOST, None),
    ]
    assert (ns(timeline.transfer_s), ns(timeline.launch_delay_s), ns(timeline.host_gap_s)) == (3 * US, 5 * US, 0)
    assert found.device is not None
    assert found.device.name is None


# Steps, phases and how it was recorded.


def test_steps_are_the_profilers() -> None:
    notes = [Note(name=f"ProfilerStep#{i}", start_ns=i * 10 * MS, length_ns=9 * MS) for i in range(3)]
    works = singly(kernels(30, every=MS, at=2 * MS))
    assert [ns(step) for step in told([*notes, *works]).step_s] == [9 * MS, 10 * MS, 10 * MS + 5 * US]


def test_phases_are_those_of_annotations_on_the_host() -> None:
    notes = [
        Note(name="prefill", start_ns=0, length_ns=5 * MS),
        Note(name="decode", start_ns=5 * MS, length_ns=30 * MS),
        Note(name="prefill", start_ns=0, length_ns=90 * MS, on_device=True),
        Note(name="attention", start_ns=0, length_ns=90 * MS),
    ]
    document = make.document([*notes, *singly(kernels(30, every=MS))])
    found = {o.phase: make.payload(o) for o in make.read(layouts.kineto(document)).observations}
    assert {phase: timeline.launches for phase, timeline in found.items()} == {
        None: 30,
        Phase.PREFILL: 5,
        Phase.DECODE: 25,
    }
    assert found[Phase.PREFILL].window_s + found[Phase.DECODE].window_s == pytest.approx(found[None].window_s)


@pytest.mark.parametrize(
    ("events", "more", "flags"),
    [
        ([], {}, (False, False, False)),
        ([], {"with_stack": 1}, (True, False, False)),
        ([], {"record_shapes": 1, "profile_memory": 1}, (False, True, True)),
        ([Stack(name="serve.py(3): main", start_ns=0)], {}, (True, False, False)),
    ],
)
def test_what_was_recorded_beside_is_known(
    events: list[Event], more: dict[str, Any], flags: tuple[bool, bool, bool]
) -> None:
    found = told([*events, *kernels(3)], **more)
    assert (found.recorded_stacks, found.recorded_shapes, found.recorded_memory) == flags


# Operations with shapes.

HALF = "c10::Half"
Q = [2, 8, 128, 64]


def operations(name: str, dims: Any, types: Any = None, *, era: str = "2023") -> tuple[OperationTotal, ...]:
    ops = [Operation(name=name, start_ns=i * 20 * US, external=5 + i, dims=dims, types=types) for i in range(3)]
    works = [Work(name="k", start_ns=i * 20 * US, length_ns=10 * US, external=5 + i // 2) for i in range(6)]
    return told([*ops, *works], era).operations


@pytest.mark.parametrize("era", ["torch 1.9", "2023", "2026"])
def test_products_are_counted_with_the_time_of_their_kernels(era: str) -> None:
    (found,) = operations("aten::mm", [[8, 4096], [4096, 1024]], ["c10::BFloat16", "c10::BFloat16"], era=era)
    assert found.flops == 3 * 2 * 8 * 4096 * 1024
    assert found.bytes == 3 * 2 * (8 * 4096 + 4096 * 1024 + 8 * 1024)
    assert (found.launches, found.dtype, ns(found.device_s)) == (3, Dtype.BF16, 60 * US)


@pytest.mark.parametrize(
    ("name", "dims", "flops"),
    [
        ("aten::addmm", [[16], [8, 32], [32, 16]], 2 * 8 * 32 * 16),
        ("aten::bmm", [[4, 8, 32], [4, 32, 16]], 4 * 2 * 8 * 32 * 16),
        ("aten::_scaled_dot_product_flash_attention", [Q, Q, Q], 4 * 2 * 8 * 128 * 128 * 64),
        (
            "aten::_flash_attention_forward",
            [[2, 128, 8, 64], [2, 128, 8, 64], [2, 128, 8, 64], [], []],
            4 * 2**17 * 128 * 64 // 64,
        ),
    ],
)
def test_rules_count_what_an_operation_costs(name: str, dims: Any, flops: int) -> None:
    (found,) = operations(name, dims, [HALF] * len(dims))
    assert found.flops == 3 * flops


@pytest.mark.parametrize(
    ("name", "dims"),
    [
        ("aten::linear", [[8, 32], [16, 32]]),
        ("aten::mm", [[8, 32], [31, 16]]),
        ("aten::mm", [[8, 32]]),
        ("aten::mm", [[8], [32]]),
        ("aten::mm", [[0, 32], [32, 16]]),
        ("aten::mm", [["a", 32], [32, 16]]),
        ("aten::mm", [[10**30, 32], [32, 10**30]]),
        ("aten::mm", {"a": 1}),
        ("aten::_flash_attention_forward", [[2, 128, 8, 64]] * 3 + [[9], [9]]),
    ],
)
def test_shapes_that_do_not_tell_the_cost_are_passed_over(name: str, dims: Any) -> None:
    assert operations(name, dims, [HALF, HALF]) == ()
