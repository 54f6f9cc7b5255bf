"""Reading whole kernels in a learned order gives what reading row by row gives, wherever blocks end."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.dump import Dump
from collectors.ncu import export
from collectors.ncu.header import Header
from collectors.ncu.lines import Lines
from collectors.ncu.long_page import MOST_ROWS, LongPage
from collectors.ncu.table import KernelTable
from tests.make import ncu
from tests.make.ncu import Kernel, Row, Rule

OTHER_RULE = Rule(section="SpeedOfLight", name="SomeOtherRule", prose=ncu.PROSE["Latency Issue"])
KERNELS = [
    Kernel(label="Latency Issue"),
    Kernel(label="Small Grid", waves=None),
    Kernel(duration_s=3.5e-3, memory=0.93, label="High Throughput", rules=(OTHER_RULE,)),
    Kernel(memory=None, dram_rate=None, rules=(OTHER_RULE,)),
    Kernel(name='gemm<"a">', cycles=13500.0, cycle_rate=1.35e9, duration_s=None),
    Kernel(read_bytes=2.33e6, write_bytes=0.0, dram_rate=None, label="Balanced Throughput"),
    Kernel(extra=(Row(section="S", name="Duration", unit="us", value="1,000,000"),)),
    Kernel(memory=None, extra=(Row(section="S", name="Memory [%]", unit="%", value="n/a"),)),
    Kernel(device=3, waves=None),
]


def one_by_one(kernels: list[Kernel]) -> list[dict[str, object]]:
    """Every kernel read from a file of its own, so that no order can have been learned."""
    read = [ncu.launches(ncu.read(ncu.details([kernel])))[0] for kernel in kernels]
    return sorted(read, key=lambda launch: int(str(launch["device"])))


def in_blocks(text: str, cuts: list[int]) -> KernelTable:
    """The page read in blocks that end after these lines."""
    header, *lines = text.splitlines(keepends=True)
    known = Header.of(header.rstrip().encode())
    assert known is not None
    table = KernelTable()
    page = LongPage(known, table)
    edges = [0, *sorted(min(cut, len(lines)) for cut in cuts), len(lines)]
    damaged = 0
    for begin, end in pairwise(edges):
        if end > begin:
            damaged += page.take(Lines.of("".join(lines[begin:end]).encode()))
    assert damaged + page.close() == 0
    return table


def entered(table: KernelTable) -> list[object]:
    """What the table would hand over, comparable."""
    arrays = ("name_index", "duration_s", "memory_throughput", "dram_bytes", "waves_per_sm", "flops")
    return [
        (device, profile.names, profile.ncu_label, [getattr(profile, name).tolist() for name in arrays])
        for device, profile in table.by_device()
    ]


@given(st.lists(st.sampled_from(KERNELS), min_size=1, max_size=12))
def test_kernels_in_one_file_read_as_each_by_itself(kernels: list[Kernel]) -> None:
    assert ncu.launches(ncu.read(ncu.details(kernels))) == one_by_one(kernels)


@given(
    st.lists(st.sampled_from(KERNELS), min_size=1, max_size=8),
    st.sampled_from([ncu.CURRENT, ncu.YEAR_2019, ncu.LABELLED]),
    st.lists(st.integers(0, 150), max_size=12),
)
def test_blocks_that_end_in_the_middle_of_a_kernel_change_nothing(
    kernels: list[Kernel], era: ncu.Era, cuts: list[int]
) -> None:
    text = ncu.details(kernels, era)
    assert str(entered(in_blocks(text, cuts))) == str(entered(in_blocks(text, [])))


def test_block_after_every_line_changes_nothing() -> None:
    text = ncu.details(3 * KERNELS)
    assert str(entered(in_blocks(text, list(range(len(text.splitlines())))))) == str(entered(in_blocks(text, [])))


@pytest.mark.parametrize("size", [1, 7, 64, 1000, 4096])
@pytest.mark.parametrize("page", [ncu.details, ncu.metrics_only, ncu.raw])
def test_text_cut_into_small_pieces_changes_nothing(monkeypatch: pytest.MonkeyPatch, page: object, size: int) -> None:
    text = page(3 * KERNELS)  # type: ignore[operator]
    whole = ncu.launches(ncu.read(text))
    monkeypatch.setattr("collectors.dump.TEXT_BYTES", size)
    assert ncu.launches(ncu.read(text)) == whole
    assert ncu.launches(ncu.read(ncu.windows(text))) == whole
    assert ncu.launches(ncu.read(text.encode("utf-16"))) == whole


@pytest.mark.parametrize("seed", range(5))
def test_rows_in_another_order_for_every_kernel_change_nothing(seed: int) -> None:
    once = [replace(kernel, extra=()) for kernel in KERNELS]
    header, *lines = ncu.details(once).splitlines(keepends=True)
    shuffled = header
    for number in range(len(once)):
        rows = [line for line in lines if line.startswith(f'"{number}","4321"')]
        random.Random(seed + number).shuffle(rows)
        shuffled += "".join(rows)
    assert ncu.launches(ncu.read(shuffled)) == ncu.launches(ncu.read(ncu.details(once)))


def test_missing_extra_and_repeated_rows_are_noticed() -> None:
    header, *lines = ncu.details(8 * [Kernel(label="Latency Issue")]).splitlines(keepends=True)
    kernels = [[line for line in lines if line.startswith(f'"{n}","4321"')] for n in range(8)]
    del kernels[2][1]
    kernels[3].insert(4, kernels[3][0])
    del kernels[4][-1]
    kernels[5] = kernels[5][::-1]
    kernels[6].append(kernels[6][-1].replace("SOLBottleneck", "SomeOtherRule"))
    found = ncu.launches(ncu.read(header + "".join(line for kernel in kernels for line in kernel)))
    usual = found[0]
    assert [usual == launch for launch in found] == [True, True, False, True, False, True, True, True]
    assert usual.keys() - found[2].keys() == {"memory_throughput"}
    assert usual.keys() - found[4].keys() == {"label"}


def test_line_of_the_application_where_a_kernel_would_end_does_not_cut_a_longer_kernel() -> None:
    longer = Kernel(extra=(Row(section="S", name="gpu__dram_throughput.avg", unit="%", value="1"),))
    header, *lines = ncu.details([Kernel(), Kernel(), longer, Kernel()]).splitlines(keepends=True)
    behind = next(i for i, line in enumerate(lines) if "gpu__dram_throughput" in line)
    lines.insert(behind, "done\n")
    assert len(ncu.launches(ncu.read(header + "".join(lines)))) == 4


class Endless:
    """A stream that makes its text while it is read, and forgets it."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self.pieces = pieces
        self.produced = 0

    def read(self, size: int) -> bytes:
        piece = next(self.pieces, "").encode()
        self.produced += len(piece)
        return piece


def peak_of(pieces: Iterator[str]) -> tuple[int, int, int]:
    """(kernels, bytes of text, most bytes held at once) of reading it."""
    stream = Endless(pieces)
    tracemalloc.start()
    try:
        contents = export.read(Dump(path="long.csv", stream=stream))  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return len(ncu.launches(contents)), stream.produced, peak


def test_hundred_thousand_rows_are_read_in_the_memory_of_a_few_blocks() -> None:
    header, *rows = ncu.details([Kernel(label="Latency Issue")]).splitlines(keepends=True)
    kernels = 100_000 // len(rows)

    def pieces() -> Iterator[str]:
        yield header
        for first in range(0, kernels, 100):
            yield "".join(
                line.replace('"0"', f'"{n}"', 1) for n in range(first, min(first + 100, kernels)) for line in rows
            )

    found, produced, peak = peak_of(pieces())
    assert found == kernels
    assert peak < 8e6 < produced


@pytest.mark.parametrize("name", ["Duration", "Some Metric"])
def test_one_kernel_of_a_hundred_thousand_rows_is_read_in_bounded_memory_too(name: str) -> None:
    header, *rows = ncu.details([Kernel()]).splitlines(keepends=True)
    row = next(line for line in rows if '"Duration"' in line).replace('"Duration"', f'"{name}"')
    more = 100_000

    def pieces() -> Iterator[str]:
        yield header + "".join(rows)
        for _ in range(more // 500):
            yield 500 * row
        yield "".join(rows).replace('"0"', '"1"')

    found, produced, peak = peak_of(pieces())
    assert found == 2
    assert more > MOST_ROWS
    assert peak < 8e6 < produced


def test_many_names_units_and_values_do_not_fill_the_memory() -> None:
    header, first, *_ = ncu.details([Kernel()]).splitlines(keepends=True)

    def pieces() -> Iterator[str]:
        yield header + first
        for begin in range(0, 60_000, 500):
            yield "".join(first.replace("DRAM Throughput", f"Metric {n}") for n in range(begin, begin + 500))

    found, produced, peak = peak_of(pieces())
    assert found == 1
    assert peak < 10e6 < produced


def test_one_endless_number_in_a_raw_page_does_not_fill_the_memory() -> None:
    header, units, row = ncu.raw([Kernel()]).splitlines(keepends=True)
    endless = row.replace('"12.500000"', '"' + 300_000 * "9" + '"')
    assert len(endless) > 300_000

    def pieces() -> Iterator[str]:
        yield header + units + 1000 * row + endless + 1000 * row

    found, _, peak = peak_of(pieces())
    assert found == 2001
    assert peak < 20e6
