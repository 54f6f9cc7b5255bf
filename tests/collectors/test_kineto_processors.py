"""Traces of processors alone: nested operations of one thread as a timeline."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.dump import Dump
from collectors.kineto import processors
from collectors.kineto.processors import innermost
from heuristics.errors import UnreadableDump
from heuristics.observations import Timeline


def operation(name: str, begin_us: float, length_us: float, tid: int = 1) -> dict[str, Any]:
    return {"ph": "X", "cat": "cpu_op", "name": name, "pid": 1, "tid": tid, "ts": begin_us, "dur": length_us}


def read(tmp_path: Path, events: list[dict[str, Any]]) -> Timeline | None:
    path = tmp_path / "trace.json"
    path.write_text(json.dumps({"schemaVersion": 1, "traceEvents": events}))
    dump = Dump(path=str(path))
    found = processors.read(dump).observations
    dump.close()
    assert all(isinstance(o.payload, Timeline) for o in found)
    return found[0].payload if found else None  # type: ignore[return-value]


def test_time_between_operations_is_the_hosts(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        [
            operation("aten::linear", 0, 40),
            operation("aten::addmm", 5, 30),
            operation("aten::silu", 60, 40),
            {"ph": "M", "name": "process_name", "pid": 1, "args": {"name": "python"}},
            operation("aten::mul", 0, 10, tid=2),
        ],
    )
    assert found is not None
    assert found.window_s == pytest.approx(100e-6)
    assert found.busy_s == pytest.approx(80e-6)
    assert found.host_gap_s == pytest.approx(20e-6)
    by_name = {k.name: k.total_s for k in found.kernels}
    assert by_name["aten::addmm"] == pytest.approx(30e-6)
    assert by_name["aten::linear"] == pytest.approx(10e-6)
    assert "aten::mul" not in by_name


def test_a_trace_without_operations_says_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, [{"ph": "X", "cat": "user_annotation", "name": "step", "ts": 0, "dur": 5}]) is None


def test_what_is_no_trace_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    path.write_text("{")
    dump = Dump(path=str(path))
    with pytest.raises(UnreadableDump, match="not a trace"):
        processors.read(dump)
    dump.close()


@given(st.recursive(st.integers(1, 50), lambda inner: st.lists(inner, min_size=1, max_size=4), max_leaves=20))
def test_calls_within_calls_cover_the_outermost_once(tree: Any) -> None:
    operations: list[tuple[int, int, str]] = []

    def grow(node: Any, begin: int, depth: int) -> int:
        end = begin + node if isinstance(node, int) else begin + 1
        if not isinstance(node, int):
            for child in node:
                end = grow(child, end, depth + 1) + 1
        operations.append((begin, end, f"depth {depth}"))
        return end

    last = grow(tree, 0, 0)
    found = innermost(operations)
    assert sum(end - begin for begin, end, _ in found) == last
    assert all(a[1] <= b[0] for a, b in pairwise(found))
