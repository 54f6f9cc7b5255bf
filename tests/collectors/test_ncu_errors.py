"""Files of ncu without a kernel to judge: what is said of each, and what to type next."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from collectors.ncu import export
from collectors.readers import reader_of
from heuristics.errors import UnreadableDump
from tests.make import ncu
from tests.make.ncu import Kernel, Row

CONNECTED = "==PROF== Connected to process 4321 (/opt/app/bin/serve)\n"
DISCONNECTED = "==PROF== Disconnected from process 4321\n"
NOT_PERMITTED = (
    "==ERROR== ERR_NVGPUCTRPERM - The user does not have permission to access NVIDIA GPU Performance Counters.\n"
)
HEADER = ncu.details([])


def refusal(content: str | bytes) -> UnreadableDump:
    dump = ncu.dump_of(content)
    assert reader_of(dump) is export
    with pytest.raises(UnreadableDump) as raised:
        export.read(dump)
    return raised.value


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        (
            CONNECTED + NOT_PERMITTED + DISCONNECTED,
            "ncu was not permitted to read the counters",
            "run ncu as root, or load the driver with NVreg_RestrictProfilingToAdminUsers=0",
        ),
        (NOT_PERMITTED, "ncu was not permitted to read the counters", "run ncu as root"),
        (
            CONNECTED + DISCONNECTED + "==WARNING== No kernels were profiled.\n",
            "ncu profiled no kernel",
            "--kernel-name",
        ),
        ("==WARNING== No kernels were profiled.\n", "ncu profiled no kernel", "--launch-skip"),
        (
            CONNECTED + "==ERROR== The application returned an error code (1).\n",
            "ncu reports: The application returned an error code (1).",
            "run the application without ncu first",
        ),
        (
            CONNECTED + "12 tokens/s\n" + DISCONNECTED,
            "ncu ran but wrote no table: only its messages are in the file",
            "--csv --page raw",
        ),
        ("==ERROR==\n" + DISCONNECTED, "ncu ran but wrote no table: only its messages are in the file", "--log-file"),
        (HEADER, "the table of ncu has a header and no kernel", "profile at least one kernel"),
        (CONNECTED + HEADER, "the table of ncu has a header and no kernel", "profile at least one kernel"),
        (NOT_PERMITTED + HEADER, "ncu was not permitted to read the counters", "run ncu as root"),
    ],
    ids=[
        "no permission",
        "no permission, nothing else",
        "no kernels",
        "no kernels, nothing else",
        "application failed",
        "messages only",
        "an empty error",
        "header only",
        "messages and a header",
        "no permission and a header",
    ],
)
@pytest.mark.parametrize("encoded", [str.encode, ncu.windows, lambda t: t.encode("utf-16")], ids=["", "CRLF", "UTF-16"])
def test_file_without_kernels_says_what_ncu_said_and_what_to_type(encoded, text: str, reason: str, hint: str) -> None:
    error = refusal(encoded(text))
    assert error.reason == reason
    assert str(error) == f"kernels.csv: {reason}"
    assert error.hint is not None
    assert hint in error.hint


def test_error_of_one_run_does_not_hide_the_kernels_of_the_next() -> None:
    text = CONNECTED + NOT_PERMITTED + CONNECTED + ncu.details([Kernel()])
    assert len(ncu.launches(ncu.read(text))) == 1


def test_error_far_behind_other_output_is_found() -> None:
    chatter = "".join(f"== step {i} of 30000 ==\n" for i in range(30_000))
    assert refusal(CONNECTED + chatter + NOT_PERMITTED).reason == "ncu was not permitted to read the counters"


def test_message_of_ncu_is_repeated_only_in_part_when_it_is_endless() -> None:
    error = refusal(CONNECTED + "==ERROR== " + "x" * 1_000_000 + "\n")
    assert len(error.reason) < 1000


@pytest.mark.parametrize(
    ("name", "unit", "also"),
    [
        ("l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum", "", ", nor the kernels' times"),
        ("Achieved Occupancy", "%", ", nor the kernels' times"),
        ("gpu__time_duration.sum", "ns", ""),
    ],
)
@pytest.mark.parametrize("kernels", [1, 3])
def test_dump_without_throughputs_is_refused_with_the_options_to_record_them(
    name: str, unit: str, also: str, kernels: int
) -> None:
    stated = Row(section=ncu.COMMAND_LINE, name=name, unit=unit, value="12")
    bare = replace(ncu.UNSTATED, extra=(stated,))
    error = refusal(ncu.details(kernels * [bare]))
    counted = "1 kernel" if kernels == 1 else "3 kernels"
    assert error.reason == f"{counted}, but no memory or SM throughput and no DRAM bytes{also} are in the file"
    assert error.hint is not None
    assert "--section SpeedOfLight --section MemoryWorkloadAnalysis" in error.hint
    assert "--set full" in error.hint


@pytest.mark.parametrize(
    "stated", [{"memory": 0.5}, {"compute": 0.5}, {"dram": 0.5}, {"dram_rate": 1e12, "duration_s": 1e-6}]
)
def test_one_quantity_that_bears_on_a_roof_is_enough(stated: dict[str, float]) -> None:
    nothing = dict.fromkeys(["duration_s", "memory", "compute", "dram", "l2", "l1", "waves", "dram_rate", "sms"])
    assert len(ncu.launches(ncu.read(ncu.details([Kernel(**(nothing | stated))])))) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "damage",
    [
        lambda header: header.replace('"Kernel Name"', '"Kernel Name'),
        lambda header: header.replace('"Metric Unit"', '"Metric Unite"'),
        lambda header: header.replace('"Metric Value"', '"Metric Values"'),
    ],
    ids=["quotation mark lost", "no unit column", "no value column"],
)
def test_header_that_lacks_a_needed_column_is_none(damage) -> None:
    dump = ncu.dump_of(damage(HEADER) + ncu.details([Kernel()]).partition("\n")[2])
    assert not export.recognises(dump)


def test_damaged_second_header_is_left_out_and_no_kernel() -> None:
    text = ncu.details([Kernel()])
    damaged = re.sub('"Metric Unit"', '"Metric Units"', HEADER)
    read = ncu.read(text + damaged + text.partition("\n")[2].replace('"0","4321"', '"1","4321"'))
    assert [launch["name"] for launch in ncu.launches(read)] == 2 * [Kernel().name]
    assert read.warnings == ("1 line of the table is damaged and was left out",)


@pytest.mark.parametrize("page", [ncu.details, ncu.metrics_only, ncu.raw])
def test_end_in_the_middle_of_a_value_gives_no_shorter_value(page) -> None:
    kernels = [Kernel(duration_s=123456.789e-6, compute=0.8765, waves=123.45) for _ in range(3)]
    text = page(kernels)
    whole = ncu.launches(ncu.read(text))[2]
    for cut in range(text.rindex('"2","4321"'), len(text) - 1):
        found = ncu.launches(ncu.read(text[:cut]))
        last = found[2] if len(found) == 3 else {}
        derived = {"dram_bytes"}
        assert {k: v for k, v in last.items() if k not in derived}.items() <= whole.items()


def test_file_that_ends_in_a_new_kernels_first_row_has_no_such_kernel() -> None:
    text = ncu.details([Kernel(), Kernel()])
    read = ncu.read(text[: text.index('"1","4321"') + 90])
    assert len(ncu.launches(read)) == 1
    assert read.warnings == ("1 line of the table is damaged and was left out",)
