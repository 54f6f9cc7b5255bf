"""Printed key_averages() tables: the same sums whatever columns were printed, and what of them is a kernel."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.dump import Contents, Dump
from collectors.kineto import table
from collectors.readers import reader_of
from heuristics.errors import UnreadableDump
from heuristics.kernel_class import KernelClass
from heuristics.observations import Timeline

TIMES = ("Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg")
CUDA = ("Self CUDA", "Self CUDA %", "CUDA total", "CUDA time avg")
MEMORY = ("CPU Mem", "Self CPU Mem", "CUDA Mem", "Self CUDA Mem")
CALLS = "# of Calls"

LAYOUTS = {
    "plain": (*TIMES, *CUDA, CALLS),
    "memory": (*TIMES, *CUDA, *MEMORY, CALLS),
    "shapes": (*TIMES, *CUDA, CALLS, "Input Shapes"),
    "FLOPs": (*TIMES, *CUDA, CALLS, "Total GFLOPs"),
    "stacks": (*TIMES, *CUDA, *MEMORY, CALLS, "Source Location"),
    "another device": (*TIMES, "Self XPU", "Self XPU %", "XPU total", "XPU time avg", CALLS),
}
OTHER_CELLS = {"Input Shapes": "[[8, 4096], [4096, 4096]]", "Total GFLOPs": "--", "Source Location": "model.py(12): f"}


@dataclass(frozen=True)
class Row:
    """One line: a name, and the time of its own on either side, as printed."""

    name: str
    host: str = "0.000us"
    device: str = "0.000us"
    calls: str = "1"


ROWS = [
    Row("aten::mm", "1.500ms", "6.000ms", "40"),
    Row("nvjet_tst_128x64_TNT", device="6.000ms", calls="40"),
    Row("void flash_fwd_splitkv_kernel<Flash_fwd_kernel_tr...", device="3.000ms", calls="20"),
    Row("ncclDevKernel_AllReduce_Sum_bf16_RING_LL(nccl...", device="500.000us", calls="20"),
    Row("Memcpy HtoD (Pinned -> Device)", device="250.000us", calls="3"),
    Row("cudaLaunchKernel", "18.500ms", calls="83"),
]


def printed(
    rows: Sequence[Row], columns: Sequence[str] = LAYOUTS["plain"], *, host: str = "20.000ms", device: str | None = None
) -> str:
    """As torch prints it: right-aligned, two spaces between columns, ruled lines, totals below."""
    device_name = next((c.removeprefix("Self ") for c in columns if c in ("Self CUDA", "Self XPU")), None)
    widths = [4 + max(len(row.name) for row in rows)] + [max(12, len(c), len(OTHER_CELLS.get(c, ""))) for c in columns]
    rule = "  ".join("-" * width for width in widths) + "  "

    def line(cells: Sequence[str]) -> str:
        return "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)) + "  "

    lines = [rule, line(["Name", *columns]), rule]
    for row in rows:
        known = {"Self CPU": row.host, f"Self {device_name}": row.device, CALLS: row.calls}
        cells = {c: "0.00%" if c.endswith("%") else "0 b" if c.endswith("Mem") else "9.999s" for c in columns}
        lines.append(line([row.name, *(known.get(c) or OTHER_CELLS.get(c) or cells[c] for c in columns)]))
        if "Source Location" in columns:
            lines += [line([""] * len(columns) + ["serve.py(3): main"]), line([""] * (len(columns) + 1))]
    lines += [rule, f"Self CPU time total: {host}"]
    if device_name and device != "":
        lines.append(f"Self {device_name} time total: {device or '9.750ms'}")
    return "\n".join([*lines, "", ""])


def read(text: str | bytes) -> Contents:
    content = text.encode() if isinstance(text, str) else text
    dump = Dump(path="averages.txt", stream=io.BytesIO(content))
    assert reader_of(dump) is table
    return table.read(dump)


def timeline(text: str | bytes) -> Timeline:
    (observation,) = read(text).observations
    assert isinstance(observation.payload, Timeline)
    return observation.payload


def kernels(text: str) -> dict[str, tuple[int, float]]:
    return {k.name[:12]: (k.launches, round(k.total_s * 1e3, 6)) for k in timeline(text).kernels}


@pytest.mark.parametrize("columns", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_gives_the_same_sums(columns: Sequence[str]) -> None:
    found = timeline(printed(ROWS, columns))
    assert [(k.kind, k.launches, round(k.total_s * 1e3, 6)) for k in found.kernels] == [
        (KernelClass.GEMM, 40, 6.0),
        (KernelClass.ATTENTION, 20, 3.0),
        (KernelClass.COMMUNICATION, 20, 0.5),
        (KernelClass.COPY_HOST, 3, 0.25),
    ]
    shares = (found.window_s, found.busy_s, found.roof_busy_s, found.communication_s, found.transfer_s)
    assert shares == pytest.approx((20e-3, 9.75e-3, 9e-3, 0.5e-3, 0.25e-3))
    assert found.host_gap_s == pytest.approx(10.25e-3)
    assert found.recorded_shapes == ("Input Shapes" in columns)
    assert found.launches == 83


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: ("Loading weights:  50%  done\n" + text + "\n12.5  tokens/s\n").encode(),
        lambda text: text.rstrip().encode(),
    ],
    ids=["CRLF", "BOM", "UTF-16", "inside a log", "no last line feed"],
)
def test_how_the_text_was_saved_changes_nothing(change: Any) -> None:
    assert timeline(change(printed(ROWS))) == timeline(printed(ROWS))


@pytest.mark.parametrize(
    ("cell", "seconds"),
    [("17.631us", 17.631e-6), ("1.045ms", 1.045e-3), ("2.563s", 2.563), ("1234.000us", 1.234e-3), ("5ns", 5e-9)],
)
def test_values_carry_their_own_units(cell: str, seconds: float) -> None:
    (kernel,) = timeline(printed([Row("k", device=cell)], device=cell)).kernels
    assert kernel.total_s == pytest.approx(seconds)


@pytest.mark.parametrize(
    "row",
    [
        Row("aten::addmm", "0.000us", "6.000ms"),
        Row("flash_attn_3::fwd", "67.834us", "6.000ms"),
        Row("vllm::unified_attention", "0.000us", "6.000ms"),
        Row("ProfilerStep*", "0.000us", "6.000ms"),
        Row("cudaGraphLaunch", "1.000ms", "6.000ms"),
        Row("Activity Buffer Request", "1.045ms", "6.000ms"),
        Row("Command Buffer Full", "2.563s", "1.294s"),
        Row("Torch-Compiled Region", "3.000ms", "6.000ms"),
    ],
    ids=lambda row: row.name,
)
def test_rows_of_the_host_are_no_kernels(row: Row) -> None:
    assert kernels(printed([row, *ROWS])) == kernels(printed(ROWS))


def test_an_annotation_listed_on_both_sides_is_no_kernel() -> None:
    twice = [Row("prefill", "3.000ms"), Row("prefill", device="9.000ms")]
    assert kernels(printed([*twice, *ROWS])) == kernels(printed(ROWS))


def test_a_name_with_wide_spaces_is_one_name() -> None:
    assert kernels(printed([Row("void k<a,  b>(c)", device="2.000ms", calls="7")])) == {"void k<a,  b": (7, 2.0)}


def test_where_no_kernel_is_listed_operators_stand_for_theirs() -> None:
    rows = [Row("aten::mm", "1.000ms", "6.000ms", "40"), Row("aten::add_", "1.000ms", "2.000ms", "40")]
    assert kernels(printed(rows)) == {"aten::mm": (40, 6.0), "aten::add_": (40, 2.0)}


def test_kernels_beyond_the_row_limit_are_in_the_total() -> None:
    found = timeline(printed(ROWS[:2], device="9.750ms"))
    assert found.busy_s == pytest.approx(9.75e-3)
    assert sum(k.total_s for k in found.kernels) == pytest.approx(6e-3)


@pytest.mark.parametrize("device", ["", "1.000ms"])
def test_a_total_that_lacks_or_is_less_than_its_parts_is_their_sum(device: str) -> None:
    assert timeline(printed(ROWS, device=device)).busy_s == pytest.approx(9.75e-3)


def test_a_host_total_below_the_devices_leaves_the_gaps_unknown() -> None:
    found = timeline(printed(ROWS, host="5.000ms"))
    assert found.window_s == pytest.approx(9.75e-3)
    assert (found.host_gap_s, found.gaps_known) == (None, False)


def test_the_profilers_own_time_is_not_the_hosts() -> None:
    own = [Row("Activity Buffer Request", "4.000ms"), Row("Buffer Flush", "1.000ms")]
    assert timeline(printed([*own, *ROWS], host="25.000ms")).window_s == pytest.approx(20e-3)


def test_of_several_tables_the_longest_is_judged() -> None:
    short = [Row("warm_up_kernel", device="1.000us")]
    contents = read(printed(short, device="1.000us") + printed(ROWS) + printed(short, device="1.000us"))
    assert contents.warnings[1:] == ("3 tables: only the one with the longest device time is judged",)
    assert contents.observations[0].payload == timeline(printed(ROWS))


@pytest.mark.parametrize("columns", [LAYOUTS["plain"], (*TIMES, CALLS)])
def test_a_table_without_device_time_has_no_gpu_activity(columns: Sequence[str]) -> None:
    contents = read(printed([Row("aten::mm", "1.000ms")], columns, device="0.000us"))
    assert contents.observations == ()
    assert contents.warnings == ("no GPU activity recorded: the table has no device time",)


def test_a_table_is_said_to_hold_sums_only() -> None:
    assert read(printed(ROWS)).warnings == ("a table of sums: gaps between kernels and overlap are not in it",)


def test_a_header_that_cannot_be_read_is_refused_with_what_to_do() -> None:
    text = printed(ROWS).replace("# of Calls", "x# of Calls")
    with pytest.raises(UnreadableDump) as raised:
        read(text)
    assert raised.value.reason == "looks like a key_averages() table but its header cannot be read"
    assert raised.value.hint is not None
    assert "print(prof.key_averages().table()" in raised.value.hint


def test_rows_whose_cells_are_nonsense_are_passed_over() -> None:
    bad = [Row("k1", device="soon"), Row("k2", device="1.2.3ms"), Row("k3", device="9" * 400 + "us", calls="9" * 400)]
    bad += [Row("k4", device="1.000ms", calls="many"), Row("", device="1.000ms")]
    assert kernels(printed([*ROWS, *bad])) == kernels(printed(ROWS))


TEXTS = [printed(ROWS, columns).encode() for columns in LAYOUTS.values()]


@given(st.data(), st.sampled_from(TEXTS), st.binary(max_size=3))
def test_a_damaged_table_is_read_or_refused(data: st.DataObject, text: bytes, wrong: bytes) -> None:
    at = data.draw(st.integers(0, len(text)))
    for damaged in (text[:at], text[:at] + wrong + text[at + 2 :]):
        dump = Dump(path="averages.txt", stream=io.BytesIO(damaged))
        if not table.recognises(dump):
            continue
        try:
            contents = table.read(dump)
        except UnreadableDump:
            continue
        for observation in contents.observations:
            assert isinstance(observation.payload, Timeline)
            assert 0.0 < observation.payload.busy_s <= observation.payload.window_s
