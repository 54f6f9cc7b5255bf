"""Kernel sums of nsys stats: time by kernel, and gaps that nobody knows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.nsys import kernel_sums
from collectors.readers import read, reader_of
from heuristics.errors import UnreadableDump
from heuristics.kernel_class import KernelClass
from heuristics.observations import Timeline
from tests.make.dumps import damaged, dump, survives
from tests.make.nsys import SUMS_HEADER
from tests.make.nsys import kernel_sums as printed

KERNELS = [
    ('void gemv<int, "a", 2>(P)', 4096, 61_000_000),
    ("flash_fwd_kernel", 64, 9_000_000),
    ("ncclDevKernel_AllReduce_Sum", 64, 3_000_000),
]
TEXT = printed(KERNELS)


def timeline(text: str) -> Timeline:
    (observation,) = read(dump(text)).observations
    assert isinstance(observation.payload, Timeline)
    return observation.payload


def test_kernels_are_listed_with_their_launches_and_times() -> None:
    found = timeline(TEXT)
    assert [(k.name, k.launches, k.total_s) for k in found.kernels] == [
        (name, launches, pytest.approx(total / 1e9)) for name, launches, total in KERNELS
    ]
    assert [k.kind for k in found.kernels] == [KernelClass.GEMV, KernelClass.ATTENTION, KernelClass.COMMUNICATION]
    assert found.window_s == found.busy_s == pytest.approx(73e-3)
    assert found.roof_busy_s == pytest.approx(70e-3)
    assert not found.gaps_known
    assert found.host_gap_s is None


def test_gaps_are_said_to_be_unknown() -> None:
    assert "gaps between kernels are not in this report" in read(dump(TEXT)).warnings[0]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Processing [run.sqlite] with [cuda_gpu_kern_sum.py]...\n\n" + TEXT, id="preamble"),
        pytest.param(TEXT.replace("\n", "\r\n"), id="Windows line ends"),
        pytest.param("\ufeff" + TEXT, id="byte order mark"),
        pytest.param(TEXT.replace("Time (%)", "Time(%)").replace("Avg (ns)", "Average (ns)"), id="older names"),
        pytest.param(TEXT.replace("\n", "\n\n"), id="blank lines"),
    ],
)
def test_the_report_is_read_whatever_surrounds_it(text: str) -> None:
    assert timeline(text) == timeline(TEXT)


def test_columns_are_found_by_name() -> None:
    text = 'Name,Instances,Total Time (ns),Time (%)\n"a, b",3,600,100.0\n'
    (kernel,) = timeline(text).kernels
    assert (kernel.name, kernel.launches, kernel.total_s) == ("a, b", 3, 600e-9)


def test_other_reports_in_the_same_output_are_not_taken_for_kernels() -> None:
    calls = SUMS_HEADER.replace("Instances", "Num Calls") + "\n90.0,900,9,100.0,100.0,100,100,0.0,cudaLaunchKernel\n"
    copies = SUMS_HEADER.replace("Instances", "Count").replace("Name", "Operation")
    copies += "\n90.0,900,9,100.0,100.0,100,100,0.0,[CUDA memcpy Host-to-Device]\n"
    assert timeline(calls + "\n" + TEXT + "\n" + copies) == timeline(TEXT)
    assert reader_of(dump(calls + copies)) is not kernel_sums


def test_two_reports_add_up_as_two_lists() -> None:
    assert timeline(TEXT + TEXT).busy_s == pytest.approx(2 * 73e-3)


@pytest.mark.parametrize(
    "row", ["1.0,-5,1,1,1,1,1,0,x", "1.0,x,1,1,1,1,1,0,x", "1.0,5,0,1,1,1,1,0,x", "1.0,5", "1.0,1e300,1,1,1,1,1,0,x"]
)
def test_damaged_rows_are_left_out_and_counted(row: str) -> None:
    found = read(dump(TEXT + row + "\n"))
    assert found.warnings[1:] == ("1 row is damaged and was left out",)
    assert timeline(TEXT + row + "\n") == timeline(TEXT)


def test_a_report_without_kernels_is_refused() -> None:
    with pytest.raises(UnreadableDump, match="names no kernel"):
        read(dump(SUMS_HEADER + "\n"))


@given(damaged(TEXT.encode()))
def test_a_damaged_report_is_read_in_part_or_refused(content: bytes) -> None:
    survives(content)


@given(st.binary(max_size=300))
def test_anything_may_follow_the_header(tail: bytes) -> None:
    survives(SUMS_HEADER.encode() + tail)
