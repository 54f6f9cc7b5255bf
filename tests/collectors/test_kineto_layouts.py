"""The same events give the same timeline, whichever generation recorded them and whoever wrote the JSON down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.kineto.scanner import EventScanner
from heuristics.observations import Timeline
from tests.make import kineto as make
from tests.make import kineto_layouts as layouts
from tests.make.kineto_layouts import RENDERERS

JOB = make.decoding(steps=4, layers=3)
EXPECTED = make.timeline(layouts.kineto(make.document(JOB)))


def without_blocks(timeline: Timeline) -> Timeline:
    return replace(timeline, kernels=tuple(replace(kernel, blocks_per_sm=None) for kernel in timeline.kernels))


def test_the_reference_is_no_empty_timeline() -> None:
    assert EXPECTED.launches == 48
    assert 0.0 < EXPECTED.busy_s < EXPECTED.window_s
    assert EXPECTED.host_gap_s
    assert EXPECTED.operations
    assert len(EXPECTED.step_s) == 4


@pytest.mark.parametrize("render", RENDERERS)
@pytest.mark.parametrize("era", make.ERAS)
def test_every_era_in_every_layout_gives_the_same_timeline(era: str, render: Any) -> None:
    found = make.timeline(render(make.document(JOB, make.ERAS[era])))
    if era == "ROCm":
        assert found == without_blocks(EXPECTED)
    else:
        assert found == EXPECTED


@pytest.mark.parametrize("render", RENDERERS)
def test_phases_are_the_same_in_every_layout(render: Any) -> None:
    def phases(content: bytes) -> dict[Any, Timeline]:
        return {o.phase: make.payload(o) for o in make.read(content).observations if o.phase is not None}

    assert phases(render(make.document(JOB))) == phases(layouts.kineto(make.document(JOB)))


@pytest.mark.parametrize("change", [lambda c: b"\xef\xbb\xbf" + c, lambda c: c.replace(b"\n", b"\r\n")])
@pytest.mark.parametrize("render", [layouts.kineto, layouts.indented, layouts.dumped])
def test_byte_order_marks_and_carriage_returns_change_nothing(render: Any, change: Any) -> None:
    assert make.timeline(change(render(make.document(JOB)))) == EXPECTED


GPUS = tuple(make.Gpu(id=i, name=f"Made-up GPU {i}", sms=100 + i) for i in range(8))


@pytest.mark.parametrize("render", [r for r in RENDERERS if r is not layouts.bare_array])
@pytest.mark.parametrize("behind", [False, True])
def test_devices_are_known_whether_they_stand_before_the_events_or_behind(render: Any, behind: bool) -> None:
    doc = make.document(JOB, gpus=GPUS, distributedInfo={"groups": [{"rank": 0}, {"rank": 1}]})
    if behind:
        doc = {"traceEvents": doc.pop("traceEvents"), **doc}
    contents = make.read(render(doc))
    assert contents.warnings == ()
    assert contents.observations[0].payload == EXPECTED
    device = contents.observations[0].device
    assert device is not None
    assert (device.name, device.sm_count, device.memory_bytes) == ("Made-up GPU 0", 100, 85e9)


@pytest.mark.parametrize("render", RENDERERS)
def test_lists_of_objects_inside_an_event_do_not_part_it(render: Any) -> None:
    doc = make.document(JOB)
    for event in doc["traceEvents"][::5]:
        event["args"] = {"rows": [{"a": 1}, {"ph": "X", "id": 3}, {"b": [{}, {}]}], **event.get("args", {})}
    found = make.read(render(doc))
    assert found.warnings == ()
    assert found.observations[0].payload == EXPECTED


@pytest.mark.parametrize("render", RENDERERS)
@pytest.mark.parametrize(
    "name", ["void f<g>()::{lambda(int)#1}", '"quoted", {"x"', "}, { ", "a\\", '\\"}], [{', "[]{}"]
)
def test_names_may_hold_brackets_quotes_and_separators(render: Any, name: str) -> None:
    works = [make.Work(name=name, start_ns=20_000 * i, length_ns=5_000) for i in range(40)]
    found = make.timeline(render(make.document(works)))
    assert [(k.name, k.launches) for k in found.kernels] == [(name, 40)]


@pytest.mark.parametrize("render", RENDERERS)
def test_a_name_that_ends_like_an_event_is_read_or_reported(render: Any) -> None:
    names = ["}, {", "},{", "real_kernel"]
    works = [make.Work(name=names[i % 3], start_ns=20_000 * i, length_ns=5_000) for i in range(60)]
    found = make.read(render(make.document(works)))
    kernels = {k.name: k.launches for o in found.observations for k in make.payload(o).kernels}
    assert found.warnings or kernels == dict.fromkeys(names, 20)


@pytest.mark.parametrize("first", [{}, {"name": "thread_name", "ph": "M", "args": {"name": "x" * 200_000}}])
@pytest.mark.parametrize("render", RENDERERS)
def test_an_odd_first_event_does_not_hide_the_others(render: Any, first: dict[str, Any]) -> None:
    doc = make.document(JOB)
    doc["traceEvents"].insert(0, first)
    assert make.timeline(render(doc)) == EXPECTED


def test_events_of_which_each_opens_differently_are_all_found() -> None:
    doc = make.document(JOB)
    doc["traceEvents"] = [
        dict(sorted(event.items(), key=lambda item: (i * 7 + len(item[0]) * 3) % 11))
        for i, event in enumerate(doc["traceEvents"])
    ]
    for render in RENDERERS:
        assert make.timeline(render(doc)) == EXPECTED


# Cutting into pieces, whatever the chunks.

LONG = make.document(make.decoding(steps=24, layers=6), gpus=GPUS)
LONG_EVENTS = json.loads(layouts.dumped(LONG))["traceEvents"]


def pieces_of(content: bytes, size: int) -> tuple[list[Any], EventScanner]:
    """The events as the scanner cuts them, from chunks of a size."""
    scanner = EventScanner(content[at : at + size] for at in range(0, len(content), size))
    found: list[Any] = []
    for block in scanner.blocks():
        found += json.loads(scanner.layout.joined(block))
    return found, scanner


def behind(doc: dict[str, Any]) -> dict[str, Any]:
    return {"traceEvents": doc["traceEvents"], **{k: v for k, v in doc.items() if k != "traceEvents"}}


@cache
def written(render: Any, order: Any) -> bytes:
    return render(order(LONG))


@given(
    render=st.sampled_from(RENDERERS),
    order=st.sampled_from([dict, behind]),
    size=st.integers(min_value=5_000, max_value=400_000),
)
def test_chunk_boundaries_fall_anywhere_without_effect(render: Any, order: Any, size: int) -> None:
    found, scanner = pieces_of(written(render, order), size)
    assert found == LONG_EVENTS
    assert not scanner.truncated
    assert scanner.tail is not None
    if render is not layouts.bare_array:
        around = json.loads(scanner.head + scanner.tail)
        assert len(around["deviceProperties"]) == 8


def test_a_long_tail_across_chunks_is_no_event() -> None:
    many = tuple(make.Gpu(id=i) for i in range(2_500))
    for render in (layouts.dumped, layouts.indented, layouts.an_event_a_line):
        content = render(behind(make.document(make.decoding(steps=200), gpus=many)))
        found, scanner = pieces_of(content, 1 << 16)
        assert len(found) == len(make.document(make.decoding(steps=200))["traceEvents"])
        assert len(json.loads(scanner.head + (scanner.tail or b""))["deviceProperties"]) == 2_500


def test_a_tail_beyond_any_size_is_not_read_to_its_end() -> None:
    def chunks() -> Iterator[bytes]:
        yield layouts.dumped(make.document(JOB))[:-1] + b', "later": "'
        for _ in range(40):
            yield b"x" * (1 << 20)
        raise AssertionError("read on to the end of a tail that nobody needs")

    scanner = EventScanner(chunks())
    assert sum(len(block) for block in scanner.blocks()) > 100
