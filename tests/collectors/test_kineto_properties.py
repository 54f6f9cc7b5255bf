"""Any bytes are read or refused with a reason, and what a trace says does not depend on how it is written down."""

from __future__ import annotations

import copy
import gzip
import io
import json
import math
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collectors import dump as dumps
from collectors.dump import Contents, Dump
from collectors.kineto import trace
from heuristics.errors import UnreadableDump
from heuristics.observations import Timeline
from tests.make import kineto as make
from tests.make import kineto_layouts as layouts

JOB = make.decoding(steps=3, layers=2)
STATED: dict[str, Any] = {
    "record_shapes": 1,
    "with_stack": 1,
    "distributedInfo": {"rank": 0, "pg_config": [{"ranks": [0, 1]}]},
}
TRACES = {
    f"{era}, {render.__name__}": render(make.document(JOB, make.ERAS[era], **STATED))
    for era in make.ERAS
    for render in (layouts.kineto, layouts.key_a_line, layouts.dumped, layouts.indented, layouts.bare_array)
}
traces = st.sampled_from(list(TRACES.values()))


def dump_of(content: bytes) -> Dump:
    return Dump(path="trace.json", stream=io.BytesIO(content))


def read_or_refused(content: bytes) -> Contents | None:
    """No other exception than the project's own, and no number in what was read that cannot be."""
    try:
        dump = dump_of(content)
        trace.recognises(dump)
        contents = trace.read(dump)
    except UnreadableDump:
        return None
    for observation in contents.observations:
        timeline = observation.payload
        assert isinstance(timeline, Timeline)
        sound(timeline)
    return contents


def sound(found: Timeline) -> None:
    """Parts within their wholes, all of them finite."""
    slack = 1e-9 * (1.0 + found.window_s)
    assert 0.0 <= found.busy_s <= found.window_s + slack
    assert 0.0 <= found.roof_busy_s <= found.busy_s + slack
    assert found.communication_s + found.transfer_s + found.roof_busy_s <= found.busy_s + slack
    assert 0.0 <= (found.host_gap_s or 0.0) <= found.window_s - found.busy_s + slack
    assert 0.0 <= found.underfill_s <= found.roof_busy_s + slack
    assert found.excluded_s >= -slack
    assert found.launches == sum(kernel.launches for kernel in found.kernels)
    numbers = [found.window_s, found.excluded_s, found.launch_delay_s or 0.0, *found.step_s]
    numbers += [kernel.total_s for kernel in found.kernels]
    numbers += [kernel.blocks_per_sm or 0.0 for kernel in found.kernels]
    numbers += [number for o in found.operations for number in (o.flops, o.bytes, o.device_s)]
    assert all(math.isfinite(number) and number >= 0.0 for number in numbers)


@given(st.binary(max_size=400))
@example(b"")
@example(b"[")
@example(b'{"traceEvents"')
@example(b'{"traceEvents":[')
@example(b'{"traceEvents":[{]')
@example(b'{"traceEvents":[[]]}')
@example(b'[{"ph":"X","cat":"kernel","ts":1e400,"dur":1}]')
@example(b'[{"ph":"X","cat":"kernel","ts":-1e15,"dur":9e14,"name":"\xff\xfe\x00"}]')
def test_arbitrary_bytes_are_read_or_refused(content: bytes) -> None:
    for before in (b"", b'{"traceEvents": [', b'{"traceEvents": [{"ph": "X", "cat": "kernel", "name": "'):
        read_or_refused(before + content)


@given(st.lists(st.sampled_from('{}[]",:\\ \n0x') | st.sampled_from(['"cat"', '"kernel"', '"ts"', "1.5"]), max_size=60))
def test_arbitrary_json_like_text_is_read_or_refused(parts: list[str]) -> None:
    read_or_refused(('{"traceEvents": [{"ph": "X", "cat": "kernel", ' + "".join(parts)).encode())


@given(st.data(), traces)
def test_a_trace_cut_off_anywhere_is_read_as_far_as_it_goes(data: st.DataObject, content: bytes) -> None:
    at = data.draw(st.integers(0, len(content) - 1))
    whole = make.timelines(content)[0]
    found = read_or_refused(content[:at])
    for timeline in [o.payload for o in found.observations if o.phase is None] if found else []:
        assert isinstance(timeline, Timeline)
        assert timeline.launches <= whole.launches
        assert timeline.busy_s <= whole.busy_s + 1e-12
    if found is not None and at <= content.rindex(b"]"):
        assert "the file ends in the middle of the trace" in " ".join(found.warnings)


@given(st.data(), traces, st.binary(max_size=3))
def test_a_trace_with_a_few_wrong_bytes_is_read_or_refused(data: st.DataObject, content: bytes, wrong: bytes) -> None:
    at = data.draw(st.one_of(st.integers(0, len(content)), st.integers(0, 600)))
    taken = data.draw(st.integers(0, 3))
    read_or_refused(content[:at] + wrong + content[at + taken :])


@given(st.data(), traces)
def test_a_trace_that_lost_a_stretch_keeps_most_of_its_events(data: st.DataObject, content: bytes) -> None:
    at = data.draw(st.integers(content.index(b"nvjet"), len(content)))
    found = read_or_refused(content[:at] + content[at + 40 :])
    whole = make.timelines(content)[0].launches
    kept = sum(make.payload(o).launches for o in found.observations if o.phase is None) if found else 0
    assert kept > 0
    assert kept <= whole or (found is not None and found.warnings)


VALUES: list[Any] = [
    None,
    True,
    False,
    "",
    "x",
    "12",
    "NaN",
    "\0",
    [],
    [[]],
    {},
    {"a": 1},
    math.nan,
    math.inf,
    -math.inf,
]
VALUES += [0, -1, 0.5, -0.0, 1e300, -1e300, 2**31, 2**53 + 1, 2**62, 2**63, 2**64, -(2**63), 10**30, 1e-320, "é" * 100]


changes = st.tuples(st.integers(0, 89), st.sampled_from(["event", "args", "top"]), st.integers(0, 20))


@given(st.lists(st.tuples(changes, st.sampled_from(VALUES)), min_size=1, max_size=8))
def test_values_of_wrong_types_and_sizes_are_passed_over(changed: list[tuple[tuple[int, str, int], Any]]) -> None:
    doc = json.loads(layouts.dumped(make.document(JOB, **STATED)))
    for (which, where, at), value in changed:
        event = doc["traceEvents"][which]
        target = {"event": event, "args": event.get("args"), "top": doc}[where]
        keys = [key for key in target if key != "traceEvents"] if isinstance(target, dict) else []
        if keys:
            target[keys[at % len(keys)]] = value
    assert read_or_refused(json.dumps(doc, indent=len(changed) % 2 or None, ensure_ascii=False).encode()) is not None


@given(st.integers(1, 60), st.integers(0, 80))
def test_ids_that_repeat_give_a_sound_timeline(modulus: int, offset: int) -> None:
    events = [
        replace(e, correlation=(e.correlation + offset) % modulus)
        if isinstance(e, make.Work | make.Call) and e.correlation is not None
        else e
        for e in JOB
    ]
    found = make.timeline(layouts.dumped(make.document(events)))
    sound(found)
    assert found.busy_s == make.timeline(layouts.dumped(make.document(JOB))).busy_s


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"traceEvents":'])
@pytest.mark.parametrize("where", ["args", "name", "ts", "top"])
def test_nesting_of_any_depth_is_read_or_refused(opening: str, where: str) -> None:
    closing = "".join({"[": "]", "{": "}"}[c] for c in reversed(opening) if c in "[{")
    deep = opening * 20_000 + "1" + closing * 20_000
    doc = make.document(JOB)
    doc["traceEvents"][40] |= {where: "DEEP"}
    content = layouts.dumped(doc | {"more": "DEEP"} if where == "top" else doc)
    found = read_or_refused(content.replace(b'"DEEP"', deep.encode()))
    assert (
        found is None
        or make.payload(found.observations[0]).launches >= len([e for e in JOB if isinstance(e, make.Work)]) - 1
    )


@pytest.mark.parametrize("render", [layouts.kineto, layouts.dumped, layouts.indented])
def test_a_name_of_megabytes_is_a_name(render: Any) -> None:
    name = "k<" + "x" * 5_000_000 + ">"
    works = [make.Work(name=n, start_ns=10_000 * i, length_ns=1000) for i, n in enumerate(["a", name, "b"])]
    found = make.timeline(render(make.document(works)))
    assert [len(kernel.name) for kernel in found.kernels] == [1, 1, len(name)] or found.launches == 3


def test_escaped_names_are_unescaped() -> None:
    name = 'k<"\\", é, \u0001, \U0001f600, \t>'
    works = [make.Work(name=name, start_ns=0), make.Work(name="b", start_ns=20_000)]
    for render in layouts.RENDERERS:
        assert name in {kernel.name for kernel in make.timeline(render(make.document(works))).kernels}


# Nothing depends on chunks, compression or order.

LONG = make.decoding(steps=7, layers=4)


@cache
def written(render: Any) -> tuple[bytes, Contents]:
    content = render(make.document(LONG, **STATED))
    return content, make.read(content)


class Trickle(io.RawIOBase):
    """A stream that gives a few bytes at a time, as pipes do."""

    def __init__(self, content: bytes, sizes: list[int]) -> None:
        self._content = content
        self._sizes = sizes
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        self._sizes.append(self._sizes.pop(0))
        found = self._content[self._at : self._at + min(size, self._sizes[-1])]
        self._at += len(found)
        return found


@given(st.sampled_from(layouts.RENDERERS), st.lists(st.integers(100, 60_000), min_size=1, max_size=5))
def test_reads_of_any_size_give_the_same(render: Any, sizes: list[int]) -> None:
    content, expected = written(render)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dumps, "HEAD_BYTES", 1 << 10)
        found = trace.read(Dump(path="trace.json", stream=Trickle(content, list(sizes))))  # type: ignore[arg-type]
    assert found == expected


@pytest.mark.parametrize("render", layouts.RENDERERS)
def test_gzip_changes_nothing(render: Any) -> None:
    content, expected = written(render)
    assert make.read(gzip.compress(content, 1)) == expected
    half = len(content) // 2
    assert make.read(gzip.compress(content[:half], 1) + gzip.compress(content[half:], 1)) == expected


def test_gzip_cut_off_anywhere_is_read_as_far_as_it_goes() -> None:
    packed = gzip.compress(written(layouts.kineto)[0], 1)
    whole = make.payload(written(layouts.kineto)[1].observations[0])
    for at in range(20, len(packed), len(packed) // 40):
        found = read_or_refused(packed[:at])
        if found is not None:
            assert found.warnings[0].startswith("the gzip data end early")
            assert all(make.payload(o).launches <= whole.launches for o in found.observations)


@given(st.sampled_from(layouts.RENDERERS), st.randoms(use_true_random=False))
def test_the_order_of_events_changes_nothing(render: Any, random: Random) -> None:
    doc = copy.copy(make.document(LONG, **STATED))
    random.shuffle(doc["traceEvents"])
    expected = written(render)[1].observations
    found = make.read(render(doc)).observations
    assert [rounded(make.payload(o)) for o in found] == [rounded(make.payload(o)) for o in expected]
    assert [(o.phase, o.device) for o in found] == [(o.phase, o.device) for o in expected]


def rounded(found: Timeline) -> Timeline:
    """Sums of floats taken in another order differ in their last digits."""
    return replace(found, capable_s=round(found.capable_s, 15), underfill_s=round(found.underfill_s, 15))


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 10**5)), min_size=1, max_size=40))
def test_busy_time_lies_between_the_longest_and_the_sum(kernels: list[tuple[int, int]]) -> None:
    works = [make.Work(name="k", start_ns=s, length_ns=n, stream=s % 5) for s, n in kernels]
    found = make.timeline(layouts.kineto(make.document(works, make.ERAS["nanoseconds"])))
    busy = round(found.busy_s * 1e9)
    assert max(n for _, n in kernels) <= busy <= sum(n for _, n in kernels)


# Memory.


def repeated(events: int, name: str, more: str = "") -> Iterator[bytes]:
    """One kernel and its launch many times over, a chunk at a time."""
    yield b'{"schemaVersion": 1, "traceEvents": ['
    step = 1 + 100_000 // (300 + len(more))
    for at in range(0, events, step):
        rows = []
        for i in range(at, min(events, at + step)):
            args = f'"args": {{"device": 0, "stream": 7, "correlation": {i}, "more": "{more}"}}}}'
            rows.append(f'\n  {{\n    "ph": "X", "cat": "kernel", "name": "{name}", "pid": 0, "tid": 7,')
            rows.append(f'\n    "ts": {1_700_000_000_000_000 + 10 * i}, "dur": 7,\n    {args},')
            rows.append('\n  {\n    "ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 1, "tid": 1,')
            rows.append(f'\n    "ts": {1_700_000_000_000_000 + 10 * i - 5}, "dur": 2,\n    {args},')
        yield "".join(rows).encode()
    yield b'\n  {\n    "ph": "M", "name": "end"\n  }\n]}'


class Generated(io.RawIOBase):
    """A stream of chunks made as they are read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def read(self, size: int = -1) -> bytes:
        return next(self._chunks, b"")


@pytest.mark.parametrize(("events", "more", "most"), [(50_000, "", 30e6), (2_000, "x" * 20_000, 60e6)])
def test_traces_are_read_in_memory_of_a_few_blocks(events: int, more: str, most: float) -> None:
    tracemalloc.start()
    try:
        contents = trace.read(Dump(path="t", stream=Generated(repeated(events, "gemm", more))))  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    (kernel,) = make.payload(contents.observations[0]).kernels
    assert kernel.launches == events
    assert peak < most
