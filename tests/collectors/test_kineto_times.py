"""Microseconds in a trace become exact nanoseconds, checked against decimal arithmetic."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.kineto.times import NOT_A_TIME, all_nanoseconds, nanoseconds
from tests.make import kineto as make
from tests.make import kineto_layouts as layouts

EPOCH_US = 1_700_000_000_000_000

wholes = st.integers(min_value=-(10**15), max_value=2 * 10**15)
texts = st.tuples(wholes, st.integers(min_value=0, max_value=10**6 - 1), st.integers(min_value=1, max_value=6)).map(
    lambda parts: f"{parts[0]}.{str(parts[1]).zfill(6)[: parts[2]]}"
)


def exact(microseconds: int | str) -> int:
    return int(Decimal(microseconds) * 1000)


@given(st.lists(st.one_of(wholes, texts), min_size=1, max_size=20))
def test_any_mixture_of_ints_and_floats_is_exact(times: list[int | str]) -> None:
    assert all_nanoseconds(list(times)).tolist() == [exact(t) for t in times]


@given(st.lists(st.integers(min_value=0, max_value=10**9), min_size=1, max_size=20), st.sampled_from([1, 2, 3]))
def test_epoch_microseconds_with_decimals_keep_their_nanoseconds(offsets: list[int], places: int) -> None:
    times = [f"{EPOCH_US + o}.{str(o % 10**places).zfill(places)}" for o in offsets]
    assert all_nanoseconds(list(times)).tolist() == [exact(t) for t in times]


@pytest.mark.parametrize("text", ["-0.5", "-0.001", "0.5", "12", "1e3", "1.5E2", "-7.25", "+3.5"])
def test_signs_and_exponents_count(text: str) -> None:
    assert nanoseconds(text) == all_nanoseconds([text, "1.000"])[0] == exact(text)


NO_TIMES = [None, True, [], {}, 1.5, "", "soon", "NaN", "-Infinity", "0x10", "1.2.3", "1\n2"]
BEYOND = ["1e999999999", "-1e999990", "9" * 5000, 10**400, -(2**63), 2**63, 10**17]


@pytest.mark.parametrize("nonsense", [*NO_TIMES, *BEYOND])
def test_what_is_no_time_is_marked_and_its_neighbours_are_kept(nonsense: Any) -> None:
    assert all_nanoseconds([5, nonsense, "7.001"]).tolist() == [5_000, NOT_A_TIME, 7_001]
    assert all_nanoseconds([nonsense]).tolist() == [NOT_A_TIME]
    with pytest.raises(ValueError, match=r"time|clock"):
        nanoseconds(nonsense)


def test_an_exponent_that_vanishes_is_zero_and_costs_nothing() -> None:
    assert nanoseconds("1e-999999") == 0


@pytest.mark.parametrize("era", ["nanoseconds", "2026"])
@pytest.mark.parametrize("origin_us", [0, 4_532_227_030_509, EPOCH_US])
def test_kernels_a_nanosecond_apart_are_kept_apart(era: str, origin_us: int) -> None:
    gap_ns, length_ns = 1, 2_999
    works = [make.Work(name="k", start_ns=i * (length_ns + gap_ns), length_ns=length_ns) for i in range(200)]
    at = replace(make.ERAS[era], origin_us=origin_us)
    for render in layouts.RENDERERS:
        found = make.timeline(render(make.document(works, at)))
        assert round(found.busy_s * 1e9) == 200 * length_ns
        assert round(found.window_s * 1e9) == 200 * length_ns + 199 * gap_ns


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**4)), min_size=1, max_size=40))
def test_busy_time_of_a_trace_is_the_union_of_its_kernels(kernels: list[tuple[int, int]]) -> None:
    works = [make.Work(name="k", start_ns=start, length_ns=length) for start, length in kernels]
    content = layouts.dumped(make.document(works, replace(make.ERAS["nanoseconds"], origin_us=EPOCH_US)))
    covered = np.zeros(10**6 + 10**4 + 1, bool)
    for start, length in kernels:
        covered[start : start + length] = True
    assert round(make.timeline(content).busy_s * 1e9) == int(covered.sum())
