"""Every page and era of ncu's CSV tells the same of the same kernels, whatever stands around the table."""

from __future__ import annotations

import csv
from typing import Any

import pytest

from collectors.ncu import export
from collectors.readers import reader_of
from heuristics.operations import Phase
from tests.make import ncu
from tests.make.ncu import Kernel

KERNELS = [
    Kernel(label="High Memory Throughput", memory=0.71, compute=0.2, duration_s=18.25e-6),
    Kernel(name="void gemm<64, 64>(Params)", memory=0.4, compute=0.86, duration_s=2.5e-3, label="High Throughput"),
    Kernel(name='copy<"a, b", 2>(T1, "T2")', memory=0.1, compute=0.05, duration_s=913e-9, waves=0.7, dram_rate=8.5e9),
]


def told(kernel: Kernel, **more: Any) -> dict[str, Any]:
    """What reading must give for a kernel."""
    stated = {
        "name": kernel.name,
        "device": kernel.device,
        "launches": 1.0,
        "duration_s": kernel.duration_s,
        "memory_throughput": kernel.memory,
        "compute_throughput": kernel.compute,
        "dram_throughput": kernel.dram,
        "waves_per_sm": kernel.waves,
        "label": kernel.label,
    }
    if kernel.dram_rate is not None and kernel.duration_s is not None:
        stated["dram_bytes"] = kernel.dram_rate * kernel.duration_s
    return {key: value for key, value in (stated | more).items() if value is not None}


def assert_told(content: str | bytes, expected: list[dict[str, Any]]) -> None:
    found = ncu.launches(ncu.read(content))
    assert [sorted(launch) for launch in found] == [sorted(launch) for launch in expected]
    for launch, wanted in zip(found, expected, strict=True):
        assert launch == pytest.approx(wanted)


@pytest.mark.parametrize("era", ncu.ERAS.values(), ids=ncu.ERAS)
def test_details_page_of_every_era_tells_the_same_kernels(era: ncu.Era) -> None:
    expected = [told(k) if era.has_rules else told(k, label=None) for k in KERNELS]
    assert_told(ncu.details(KERNELS, era), expected)


@pytest.mark.parametrize("era", ncu.ERAS.values(), ids=ncu.ERAS)
def test_metrics_from_the_command_line_tell_the_same_kernels(era: ncu.Era) -> None:
    assert_told(ncu.metrics_only(KERNELS, era), [told(k, label=None) for k in KERNELS])


def test_raw_page_tells_the_same_kernels() -> None:
    assert_told(ncu.raw(KERNELS), [told(k, label=None) for k in KERNELS])


@pytest.mark.parametrize("columns", [ncu.SUMMARY_OLD, ncu.SUMMARY], ids=["old columns", "columns of today"])
def test_summary_gives_the_mean_and_counts_every_invocation(columns: tuple[str, ...]) -> None:
    groups = [(KERNELS[0], 1200), (KERNELS[1], 3), (KERNELS[2], 1)]
    expected = [told(kernel, launches=float(count), label=None) for kernel, count in groups]
    assert_told(ncu.summary(groups, columns), expected)


def test_same_kernel_with_another_grid_is_another_row_of_a_summary() -> None:
    text = ncu.summary([(KERNELS[0], 5)])
    larger = text.replace("(512, 2, 1)", "(8, 2, 1)").partition("\n")[2]
    assert_told(text + larger, 2 * [told(KERNELS[0], launches=5.0, label=None)])


@pytest.mark.parametrize("page", [ncu.details, ncu.metrics_only, ncu.raw])
def test_preamble_and_application_output_before_the_table_are_skipped(page: Any) -> None:
    text = page(KERNELS)
    assert ncu.launches(ncu.read(ncu.after(ncu.PREAMBLE, text))) == ncu.launches(ncu.read(text))


@pytest.mark.parametrize("page", [ncu.details, ncu.metrics_only, ncu.raw])
@pytest.mark.parametrize("every", [1, 2, 5, 7])
def test_application_output_between_rows_changes_nothing(page: Any, every: int) -> None:
    text = page(KERNELS)
    noise = [
        '==PROF== Profiling "gemm": 0%....50%....100% - 8 passes',
        "",
        "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14",
    ]
    read = ncu.read(ncu.between(text, noise, every))
    assert ncu.launches(read) == ncu.launches(ncu.read(text))
    assert read.warnings == ()


@pytest.mark.parametrize("page", [ncu.details, ncu.raw])
def test_quoted_line_of_the_application_is_reported_and_splits_no_kernel(page: Any) -> None:
    text = page(KERNELS)
    read = ncu.read(ncu.between(text, ['"epoch","loss"'], 2))
    assert ncu.launches(read) == ncu.launches(ncu.read(text))
    assert "damaged" in read.warnings[0]


def test_application_output_without_a_line_end_before_the_header_does_not_hide_it() -> None:
    text = ncu.details(KERNELS)
    assert ncu.launches(ncu.read("Result = PASS" + text)) == ncu.launches(ncu.read(text))


def test_runs_one_after_another_in_one_file_are_all_read() -> None:
    text = ncu.details(KERNELS) + ncu.details(KERNELS[:1]) + ncu.raw(KERNELS[1:], nvtx=True)
    expected = [*KERNELS, KERNELS[0]]
    more = [told(k, label=None) for k in KERNELS[1:]]
    assert_told(text, [*(told(k) for k in expected), *more])


def test_byte_order_mark_of_the_second_of_two_files_does_not_hide_its_header() -> None:
    one = ncu.windows(ncu.details(KERNELS))
    assert_told(one + one, 2 * [told(k) for k in KERNELS])


@pytest.mark.parametrize("page", [ncu.details, ncu.metrics_only, ncu.raw])
@pytest.mark.parametrize(
    "encoded",
    [
        ncu.windows,
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.replace("\n", "\r\n").encode("utf-16-be"),
        lambda text: text.rstrip("\n").encode(),
    ],
    ids=["mark and CRLF", "UTF-16 with a mark", "UTF-16 LE", "UTF-16 BE and CRLF", "no last line end"],
)
def test_encoding_and_line_ends_change_nothing(page: Any, encoded: Any) -> None:
    text = page(KERNELS)
    dump = ncu.dump_of(encoded(text))
    assert reader_of(dump) is export
    assert ncu.launches(export.read(dump)) == ncu.launches(ncu.read(text))


@pytest.mark.parametrize("era", ncu.ERAS.values(), ids=ncu.ERAS)
def test_details_saved_by_another_program_read_the_same(era: ncu.Era) -> None:
    text = ncu.details(KERNELS, era)
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL):
        dump = ncu.dump_of(ncu.rewritten(text, quoting=quoting))
        assert reader_of(dump) is export
        assert ncu.launches(export.read(dump)) == ncu.launches(ncu.read(text))


@pytest.mark.parametrize("text", [ncu.raw(KERNELS, attributes=[ncu.Attributes()]), ncu.summary([(KERNELS[0], 7)])])
def test_other_pages_saved_by_another_program_read_the_same(text: str) -> None:
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL):
        assert ncu.launches(ncu.read(ncu.rewritten(text, quoting=quoting))) == ncu.launches(ncu.read(text))


def test_columns_in_another_order_are_found_by_name() -> None:
    text = ncu.details(KERNELS)
    order = ["ID", "Metric Value", "Metric Unit", "Metric Name", "Section Name", "Kernel Name", "Device"]
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL):
        read = ncu.read(ncu.rewritten(text, quoting=quoting, order=order))
        assert ncu.launches(read) == ncu.launches(ncu.read(ncu.details(KERNELS, ncu.NO_RULES)))


def test_phase_comes_from_nvtx_ranges() -> None:
    ranges = ["<default domain>:prefill:none:none", "<default domain>:decode step 3:none:none", "warm-up", ""]
    kernels = [Kernel(nvtx=text) for text in ranges]
    for text in (ncu.details(kernels, ncu.WITH_NVTX), ncu.raw(kernels, nvtx=True)):
        phases = [launch.get("phase") for launch in ncu.launches(ncu.read(text))]
        assert phases == [Phase.PREFILL, Phase.DECODE, None, None]


@pytest.mark.parametrize("page", [ncu.details, ncu.metrics_only, ncu.raw])
def test_every_device_has_a_profile_of_its_own(page: Any) -> None:
    kernels = [Kernel(device=d, duration_s=(1 + i) * 1e-6) for i, d in enumerate([0, 3, 0, 1, 3])]
    read = ncu.read(page(kernels))
    times = [(launch["device"], launch["duration_s"]) for launch in ncu.launches(read)]
    assert [o.device.index for o in read.observations if o.device] == [0, 1, 3]
    assert times == [pytest.approx(t) for t in [(0, 1e-6), (0, 3e-6), (1, 4e-6), (3, 2e-6), (3, 5e-6)]]


@pytest.mark.parametrize(
    "name",
    [
        'f<"x">(int)',
        'g(",", "","","")',
        "kernel, with, commas, and <angle, brackets>",
        "Kernel Name",
        '"',
        '""',
        '","',
        "\\",
        "noyau_été_核",
    ],
)
def test_name_of_a_kernel_is_read_exactly(name: str) -> None:
    kernels = [Kernel(name=name), Kernel(), Kernel(name=name), Kernel(name=name)]
    for text in (ncu.details(kernels), ncu.raw(kernels), ncu.summary([(k, 1) for k in kernels], ncu.SUMMARY)):
        read = [launch["name"] for launch in ncu.launches(ncu.read(text))]
        assert read[:3] == [kernel.name for kernel in kernels[:3]]
