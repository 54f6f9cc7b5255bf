"""Traces with nothing to judge, or with less than all of it: what is said of each, and what to do."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from collectors.dump import Dump, Interrupt
from collectors.kineto import trace
from collectors.readers import reader_of
from heuristics.errors import UnreadableDump
from tests.make import kineto as make
from tests.make import kineto_layouts as layouts

RECORD = "record one with torch.profiler: prof.export_chrome_trace('trace.json')"
UNFINISHED = "let the profiler finish writing, or copy the file again"
JOB = make.decoding()
KERNELS = sum(isinstance(event, make.Work) for event in JOB)


def doc(*events: Any) -> bytes:
    return json.dumps({"traceEvents": list(events)}).encode()


def kernel(**fields: Any) -> dict[str, Any]:
    return {"ph": "X", "cat": "kernel", "name": "k", "ts": 1, "dur": 1, **fields}


@pytest.mark.parametrize(
    ("content", "reason", "hint"),
    [
        (doc(), "the trace holds no events", RECORD),
        (b'{"schemaVersion": 1, "traceEvents": [\n\n], "traceName": "x"}', "the trace holds no events", RECORD),
        (b'{"traceEvents": [', "the file ends before its first event", UNFINISHED),
        (b'{"traceEvents": [{"ph": "X", "cat": "ker', "the file ends before its first event", UNFINISHED),
        (gzip.compress(doc(kernel()))[:-30], "the file ends before its first event", UNFINISHED),
        (doc(1, 2), "looks like a trace but is not: the events are not JSON objects", RECORD),
        (b'["a", "ph", "traceEvents"]', "looks like a trace but is not: the events are not JSON objects", RECORD),
        (b'{"traceEvents": {"a": 1}}', 'looks like a trace but is not: no "traceEvents" array', RECORD),
        (b'{"traceEvents": null}', 'looks like a trace but is not: no "traceEvents" array', RECORD),
        (
            b'{"schemaVersion": 1, "distributedInfo": {"rank": 0}}',
            'looks like a trace but is not: no "traceEvents" array',
            RECORD,
        ),
        (
            b'{"traceEvents": [{"name": "' + b"x" * (33 << 20) + b'"}]}',
            "looks like a trace but is not: an event larger than 32 MB",
            RECORD,
        ),
        (doc(kernel(ts=None), kernel(ts="soon")), "none of its events can be read", RECORD),
        (doc(kernel(dur=-1), kernel(dur=1e18)), "none of its events can be read", RECORD),
        (doc(kernel(args=3)), "none of its events can be read", RECORD),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_cannot_be_judged_is_refused_with_its_reason(content: bytes, reason: str, hint: str) -> None:
    dump = Dump(path="trace.json", stream=io.BytesIO(content))
    assert reader_of(dump) is trace
    with pytest.raises(UnreadableDump) as raised:
        trace.read(dump)
    assert (raised.value.reason, raised.value.hint) == (reason, hint)


@pytest.mark.parametrize(
    "content", [b'{"schema": "1.0", "nodes": []}', b'{"a": 1}', b"[1, 2]", b'"traceEvents"', b"traceEvents: []", b""]
)
def test_what_is_no_trace_is_not_taken_for_one(content: bytes) -> None:
    assert not trace.recognises(Dump(path="trace.json", stream=io.BytesIO(content)))


def warnings(events: list[make.Event], **more: Any) -> tuple[str, ...]:
    return make.read(layouts.kineto(make.document(events, **more))).warnings


def test_a_sound_trace_is_read_without_a_word() -> None:
    assert warnings(JOB) == ()


def test_a_trace_without_device_work_says_so() -> None:
    host = [event for event in JOB if not isinstance(event, make.Work)]
    said = "no GPU activity recorded: trace with ProfilerActivity.CUDA, on a rank that has a GPU"
    assert warnings(host) == (said,)
    assert make.read(layouts.kineto(make.document(host))).observations == ()


def calls(count: int) -> list[make.Event]:
    return [make.Call(name="cudaLaunchKernel", start_ns=5_000 * i, correlation=i) for i in range(count)]


def test_a_capture_of_graphs_is_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "GRAPH_CAPTURE_EVENTS", 500)
    hint = ", as while CUDA graphs are captured; trace a later step"
    assert warnings(calls(501)) == ("no GPU activity recorded: many calls and no kernels" + hint,)
    assert warnings([*calls(501), make.Work(name="k", start_ns=0)]) == ("many calls and hardly a kernel" + hint,)
    assert warnings([*calls(499), make.Work(name="k", start_ns=0)]) == ()


@pytest.mark.parametrize("render", layouts.RENDERERS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_trace_that_ends_early_is_judged_by_what_is_there(render: Callable[..., bytes], share: float) -> None:
    content = render(make.document([event for event in JOB for _ in range(4)]))
    contents = make.read(content[: int(share * len(content))])
    assert contents.warnings == ("the file ends in the middle of the trace: judged by what is there",)
    assert 0 < make.payload(contents.observations[0]).launches <= 4 * KERNELS


def test_a_gzip_file_that_ends_early_is_judged_by_what_is_there() -> None:
    packed = gzip.compress(layouts.kineto(make.document(JOB)))
    contents = make.read(packed[: len(packed) // 2])
    assert contents.warnings == ("the gzip data end early: the file is truncated",)
    assert 0 < make.payload(contents.observations[0]).launches < KERNELS


def test_an_interrupt_leaves_what_was_read() -> None:
    interrupt = Interrupt()

    def stop(path: str, read: int, size: int | None) -> None:
        interrupt.requested = read > 2_000_000

    content = layouts.kineto(make.document(make.decoding(steps=400)))
    dump = Dump(path="trace.json", stream=io.BytesIO(content), interrupt=interrupt, progress=stop)
    contents = trace.read(dump)
    assert contents.warnings == ("interrupted: judged by what was read so far",)
    assert 0 < make.payload(contents.observations[0]).launches < 400 * KERNELS // 3


@pytest.mark.parametrize("render", layouts.RENDERERS)
def test_damaged_events_are_counted_and_left_out(render: Callable[..., bytes]) -> None:
    made = make.document(JOB)
    works = [event for event in made["traceEvents"] if event.get("cat") == "kernel"]
    works[3]["ts"] = "soon"
    works[5]["args"] = "none"
    works[8]["dur"] = -5
    contents = make.read(render(made))
    assert contents.warnings == (f"3 of {len(made['traceEvents'])} events are damaged and were left out",)
    assert make.payload(contents.observations[0]).launches == KERNELS - 3


@pytest.mark.parametrize("constant", ["NaN", "-Infinity", "nan", "inf"])
def test_bare_constants_in_arguments_harm_nothing(constant: str) -> None:
    content = layouts.kineto(make.document(JOB)).replace(b'"queued": 0', f'"queued": {constant}'.encode())
    assert make.read(content) == make.read(layouts.kineto(make.document(JOB)))


def test_raw_control_characters_and_broken_letters_in_names_harm_nothing() -> None:
    content = layouts.kineto(make.document(JOB)).replace(b"nvjet_tst_128x64_TNT", b"nvjet\x01_\xff\xfe_tst")
    contents = make.read(content)
    assert contents.warnings == ()
    assert make.payload(contents.observations[0]).launches == KERNELS


def test_damage_around_the_events_loses_only_what_it_says() -> None:
    sound = make.read(layouts.kineto(make.document(JOB)))
    content = layouts.kineto(make.document(JOB))
    found = make.read(content.replace(b'"traceName": "', b'"traceName": "\xff" oops "'))
    assert found.observations == sound.observations
    found = make.read(content.replace(b'"deviceProperties": [', b'"deviceProperties": [[,'))
    assert found.observations[0].payload == sound.observations[0].payload
    assert found.observations[0].device is not None
    assert found.observations[0].device.name is None


def test_lists_of_ranks_longer_than_the_head_do_not_hide_the_events() -> None:
    groups = [{"pg_name": str(i), "ranks": list(range(16_384))} for i in range(6)]
    content = layouts.kineto(make.document(JOB, distributedInfo={"rank": 0, "pg_config": groups}))
    dump = Dump(path="trace.json", stream=io.BytesIO(content))
    assert b'"traceEvents"' not in dump.head
    assert reader_of(dump) is trace
    assert trace.read(dump).observations == make.read(layouts.kineto(make.document(JOB))).observations
