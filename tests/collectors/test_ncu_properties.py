"""Any bytes are read or refused with a reason, and any kernels are read as they were written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collectors.dump import Contents
from collectors.ncu import export
from collectors.units import factor
from heuristics.errors import UnreadableDump
from heuristics.observations import KernelProfile
from tests.make import ncu
from tests.make.ncu import Attributes, Kernel

KERNELS = [
    Kernel(label="Small Grid", nvtx="prefill"),
    Kernel(name='copy<"a", 2>(T1)', device=1, label="Balanced Throughput", read_bytes=2.5e6, write_bytes=12.0),
    Kernel(name="noyau_été", duration_s=1.5e-3, cycles=13500.0, cycle_rate=1.35e9),
]
PAGES = {name: ncu.details(KERNELS, era) for name, era in ncu.ERAS.items()} | {
    "metrics": ncu.metrics_only(KERNELS),
    "raw": ncu.raw(KERNELS, attributes=[Attributes(), Attributes()]),
    "raw with NVTX": ncu.raw(KERNELS, nvtx=True),
    "summary": ncu.summary([(kernel, 12) for kernel in KERNELS]),
    "rewritten": ncu.rewritten(ncu.details(KERNELS)),
    "rewritten raw": ncu.rewritten(ncu.raw(KERNELS)),
    "two runs": ncu.details(KERNELS) + ncu.raw(KERNELS),
}
pages = st.sampled_from(list(PAGES.values())).map(str.encode)


def assert_read_or_refused(content: bytes) -> None:
    """No other exception, and nothing in what was read that is not a finite number or NaN."""
    dump = ncu.dump_of(content)
    export.recognises(dump)
    try:
        contents = export.read(dump)
    except UnreadableDump:
        return
    assert isinstance(contents, Contents)
    for observation in contents.observations:
        profile = observation.payload
        assert isinstance(profile, KernelProfile)
        rows = profile.name_index.size
        assert rows > 0
        for name in ("launches", "duration_s", "memory_throughput", "dram_bytes", "flops", "waves_per_sm"):
            values = getattr(profile, name)
            assert values.shape == (rows,)
            assert not np.isinf(values).any()
        assert len(profile.ncu_label) in (0, rows)
        assert len(profile.phase) in (0, rows)


@given(st.binary(max_size=600))
@example(b"==PROF==")
@example(b"ID,Kernel Name")
@example(b'"ID",Kernel Name')
@example(b'"ID","Kernel Name","Metric Name","Metric Unit","Average"\n"0","x","Duration","us","1')
@example(b'"ID","Kernel Name","gpu__time_duration.sum"\n"","","us"\n"0","\xff","' + 400 * b"9" + b'"\n')
def test_arbitrary_bytes_are_read_or_refused(content: bytes) -> None:
    assert_read_or_refused(content)


@given(st.data(), pages)
def test_page_cut_off_anywhere_is_read_or_refused(data: st.DataObject, page: bytes) -> None:
    assert_read_or_refused(page[: data.draw(st.integers(0, len(page)))])


@given(st.data(), pages, st.integers(0, 255))
def test_page_with_one_wrong_byte_is_read_or_refused(data: st.DataObject, page: bytes, byte: int) -> None:
    at = data.draw(st.one_of(st.integers(0, len(page) - 1), st.integers(0, page.index(b"\n"))))
    assert_read_or_refused(page[:at] + bytes([byte]) + page[at + 1 :])


@pytest.mark.parametrize("byte", [b"", b'"', b",", b"\r", b"\xff", b"9"])
@pytest.mark.parametrize("name", ["20 columns", "raw", "summary", "rewritten"])
def test_page_with_one_wrong_byte_in_the_header_or_the_first_rows_is_read_or_refused(name: str, byte: bytes) -> None:
    page = PAGES[name].encode()
    for at in range(0, 850, 5):
        assert_read_or_refused(page[:at] + byte + page[at + 1 :])


lines = st.one_of(
    st.binary(max_size=60),
    st.text(st.sampled_from('",0abI D.'), max_size=60).map(str.encode),
    st.sampled_from([line.encode() for page in PAGES.values() for line in page.splitlines()]),
    st.sampled_from([b"==PROF== x", b"==ERROR== y", b"", b'"', b"\xef\xbb\xbf", b"Kernel Name"]),
)


@given(st.data(), pages, st.lists(lines, min_size=1, max_size=6))
def test_page_with_lines_put_in_anywhere_is_read_or_refused(
    data: st.DataObject, page: bytes, more: list[bytes]
) -> None:
    whole = page.split(b"\n")
    for line in more:
        whole.insert(data.draw(st.integers(0, len(whole))), line)
    assert_read_or_refused(b"\n".join(whole))


@given(st.lists(lines, max_size=40))
def test_lines_of_all_pages_in_any_mixture_are_read_or_refused(mixture: list[bytes]) -> None:
    assert_read_or_refused(b"\n".join(mixture))


@given(pages, st.sampled_from(["utf-16", "utf-16-le", "utf-16-be"]), st.integers(0, 4000))
def test_wide_encodings_cut_off_anywhere_are_read_or_refused(page: bytes, encoding: str, cut: int) -> None:
    assert_read_or_refused(page.decode().encode(encoding)[:cut])


printable = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=40)
fractions = st.none() | st.floats(0.0, 1.2).map(lambda x: round(x, 4))
kernels = st.builds(
    Kernel,
    name=printable,
    duration_s=st.none() | st.floats(1e-9, 50.0),
    memory=st.floats(0.0, 1.2),
    compute=fractions,
    dram=fractions,
    l2=st.none(),
    l1=st.none(),
    waves=st.none() | st.floats(0.0, 1e6),
    dram_rate=st.none(),
    sms=st.none() | st.integers(1, 200),
    read_bytes=st.none() | st.floats(0.0, 1e13),
    write_bytes=st.none(),
    label=st.none() | st.sampled_from(["Latency Issue", "High Memory Throughput", "Balanced Throughput"]),
    device=st.integers(0, 4),
)
ARRAYS = {
    "duration_s": "duration_s",
    "memory": "memory_throughput",
    "compute": "compute_throughput",
    "dram": "dram_throughput",
    "waves": "waves_per_sm",
}


def precision(quantity: str, value: float, digit: float) -> float:
    """Half a unit of the last digit that is printed."""
    unit, text = ncu.printed(quantity, value)
    scale = factor(unit)
    assert scale is not None
    return 0.51 * scale * (digit if "." in text else 1.0)


def by_device(written: list[Kernel]) -> list[Kernel]:
    return sorted(written, key=lambda kernel: kernel.device)


def assert_same(found: list[dict[str, Any]], written: list[Kernel], digit: float, *, first_unit: bool = False) -> None:
    """``first_unit``: a column has one unit for all its values, which fits the first of them."""
    assert [launch["name"] for launch in found] == [kernel.name for kernel in written]
    assert [launch["device"] for launch in found] == [kernel.device for kernel in written]
    for quantity, array in ARRAYS.items():
        values = [getattr(kernel, quantity) for kernel in written]
        for launch, value in zip(found, values, strict=True):
            if value is None:
                assert array not in launch
                continue
            unit_of = next(v for v in values if v is not None) if first_unit else value
            assert launch[array] == pytest.approx(value, abs=precision(quantity, unit_of, digit), rel=1e-9)


@given(st.lists(kernels, min_size=1, max_size=6), st.sampled_from([ncu.YEAR_2022, ncu.CURRENT, ncu.LABELLED]))
def test_details_page_gives_back_what_was_written(written: list[Kernel], era: ncu.Era) -> None:
    found = ncu.launches(ncu.read(ncu.details(written, era)))
    assert_same(found, by_device(written), 0.01)
    assert [launch.get("label") for launch in found] == [kernel.label for kernel in by_device(written)]


@given(st.lists(kernels, min_size=1, max_size=6))
def test_details_page_saved_by_another_program_gives_back_what_was_written(written: list[Kernel]) -> None:
    assert_same(ncu.launches(ncu.read(ncu.rewritten(ncu.details(written)))), by_device(written), 0.01)


@given(st.lists(kernels, min_size=1, max_size=6))
def test_metrics_page_gives_back_what_was_written(written: list[Kernel]) -> None:
    assert_same(ncu.launches(ncu.read(ncu.metrics_only(written))), by_device(written), 0.01)


@given(st.lists(kernels, min_size=1, max_size=6))
def test_raw_page_gives_back_what_was_written(written: list[Kernel]) -> None:
    ordered = by_device(written)
    for page in (ncu.raw(ordered), ncu.rewritten(ncu.raw(ordered))):
        assert_same(ncu.launches(ncu.read(page)), ordered, 1e-6, first_unit=True)


@given(st.lists(st.tuples(kernels, st.integers(1, 10**7)), min_size=1, max_size=6, unique_by=lambda g: g[0].name))
def test_summary_gives_back_what_was_written(written: list[tuple[Kernel, int]]) -> None:
    found = ncu.launches(ncu.read(ncu.summary(written)))
    assert_same(found, by_device([kernel for kernel, _ in written]), 0.01)
    assert sorted(launch["launches"] for launch in found) == sorted(float(n) for _, n in written)


@given(st.lists(kernels, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_order_of_the_kernels_in_a_file_is_the_order_in_which_they_are_read(written: list[Kernel], random: Any) -> None:
    numbered = [replace(kernel, name=f"{i} {kernel.name}") for i, kernel in enumerate(written)]
    random.shuffle(numbered)
    for page in (ncu.details, ncu.raw):
        found = [launch["name"] for launch in ncu.launches(ncu.read(page(numbered)))]
        assert found == [kernel.name for kernel in by_device(numbered)]
