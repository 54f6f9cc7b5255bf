"""Real traces and tables, where the corpus is at hand: read or refused for a reason of its own, as is known of each."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from collectors.dump import Contents, Dump
from collectors.kineto import table, trace
from collectors.readers import read, reader_of
from heuristics.errors import UnreadableDump
from heuristics.observations import Timeline
from tests.make.kineto import payload

pytestmark = pytest.mark.corpus

NO_GPU = "no GPU activity recorded: trace with ProfilerActivity.CUDA, on a rank that has a GPU"
SUMS = "a table of sums: gaps between kernels and overlap are not in it"
REFUSED = {
    "negative__chakra__json_trace.tar.gz": ("is an archive of several files", "unpack it and give the traces in it")
}

_BUSY = re.compile(r"busy ([\d.]+) of ([\d.]+) ms")
_KERNELS = re.compile(r"(\d+) kernels")

ON_DEVICE = ("Memcpy", "Memset")


@pytest.fixture(scope="module")
def listed(corpus: Path) -> dict[Path, dict[str, str]]:
    """Kineto files, and the rows of the manifest."""
    with (corpus / "MANIFEST.tsv").open(encoding="utf-8", newline="") as stream:
        rows = [r for r in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE) if r["kind"] == "kineto"]
    found = {corpus / row["file"]: row for row in rows}
    assert found
    return found


@pytest.fixture(scope="module")
def contents(listed: dict[Path, dict[str, str]]) -> dict[str, Contents]:
    """What was read of every file that is not to be refused, by name."""
    found = {}
    for path in listed:
        if path.name not in REFUSED:
            dump = Dump(path=str(path))
            assert reader_of(dump) is (table if path.suffix == ".txt" else trace), path.name
            found[path.name] = read(dump)
            dump.close()
    return found


def timelines(contents: dict[str, Contents]) -> dict[str, Timeline]:
    return {name: payload(o) for name, found in contents.items() for o in found.observations if o.phase is None}


def test_every_file_is_read_and_says_no_more_than_what_it_lacks(
    listed: dict[Path, dict[str, str]], contents: dict[str, Contents]
) -> None:
    for path, row in listed.items():
        if path.name in contents:
            without_gpu = row["known_regime"] == "no GPU activity"
            expected = (NO_GPU,) if without_gpu else (SUMS,) if path.suffix == ".txt" else ()
            assert contents[path.name].warnings == expected, path.name
            assert bool(contents[path.name].observations) != without_gpu, path.name


def test_every_other_file_is_refused_for_its_own_reason(listed: dict[Path, dict[str, str]]) -> None:
    for path in listed:
        if path.name in REFUSED:
            dump = Dump(path=str(path))
            with pytest.raises(UnreadableDump) as raised:
                read(dump)
            dump.close()
            assert (raised.value.reason, raised.value.hint) == REFUSED[path.name]


def test_parts_lie_within_their_wholes(contents: dict[str, Contents]) -> None:
    for name, found in timelines(contents).items():
        assert 0.0 < found.roof_busy_s <= found.busy_s <= found.window_s, name
        parts = found.roof_busy_s + found.communication_s + found.transfer_s
        assert parts == pytest.approx(found.busy_s), name
        assert found.capable_s <= found.roof_busy_s * (1 + 1e-9), name
        assert 0.0 <= (found.host_gap_s or 0.0) <= found.window_s - found.busy_s + 1e-9, name
        assert found.launches == sum(kernel.launches for kernel in found.kernels), name
        assert all(step > 0.0 for step in found.step_s), name


def test_busy_time_and_span_are_those_that_the_manifest_states(
    listed: dict[Path, dict[str, str]], contents: dict[str, Contents]
) -> None:
    compared = 0
    for path, row in listed.items():
        stated = _BUSY.search(row["workload"] + row["note"])
        if stated is None:
            continue
        found = timelines(contents)[path.name]
        busy, span = (float(part) for part in stated.groups())
        kernels = [k for k in found.kernels if not k.name.startswith(ON_DEVICE)]
        assert 1e3 * found.busy_s == pytest.approx(busy, abs=0.06), path.name
        assert 1e3 * (found.window_s + found.excluded_s) == pytest.approx(span, abs=0.06), path.name
        counted = _KERNELS.search(row["note"])
        assert counted is None or sum(k.launches for k in kernels) == int(counted[1]), path.name
        compared += 1
    assert compared >= 6


def test_the_trace_with_few_loaders_waits_more_for_its_host(contents: dict[str, Contents]) -> None:
    slow, fast = (timelines(contents)[f"kineto__resnet50_nw{n}.pt.trace.json.gz"] for n in (0, 4))
    assert slow.busy_s / slow.window_s == pytest.approx(0.61, abs=0.01)
    assert fast.busy_s / fast.window_s == pytest.approx(0.77, abs=0.01)
    assert slow.host_gap_s is not None
    assert fast.host_gap_s is not None
    assert slow.host_gap_s / slow.window_s > 1.5 * fast.host_gap_s / fast.window_s
    assert len(slow.step_s) == len(fast.step_s) == 6


def test_devices_are_those_that_the_manifest_names(
    listed: dict[Path, dict[str, str]], contents: dict[str, Contents]
) -> None:
    compared = 0
    for path, row in listed.items():
        for observation in contents[path.name].observations if path.name in contents else ():
            device = observation.device
            if device is not None and device.name is not None:
                model = row["gpu"].split("-")[0].removeprefix("Tesla ").removeprefix("RTX ")
                assert model == "none listed" or model in device.name, path.name
                assert device.sm_count in (68, 80, 108), path.name
                compared += 1
    assert compared >= 8


def test_graphs_of_a_training_step_are_told_from_single_launches(contents: dict[str, Contents]) -> None:
    found = timelines(contents)["HTA__negative_queue_length_values_check_rank0.json.gz"]
    assert 70 <= found.graph_launched < found.launches // 10
    assert found.communication_s > found.capable_s
    assert found.launch_delay_s is not None
    assert found.launch_delay_s > 0.0


def test_tables_give_the_total_that_they_print(contents: dict[str, Contents]) -> None:
    printed = {"fp8_sdpa_profiler": 31.997e-6, "regular_sdpa_profiler": 17.631e-6, "stable_diffusion_profiler": 4.768}
    for part, seconds in printed.items():
        (found,) = (t for name, t in timelines(contents).items() if name.endswith(f"{part}.txt"))
        assert found.busy_s == pytest.approx(seconds)
