"""Files that unpack to a lot, or hold a lot: memory stays bounded, and the command ends."""

from __future__ import annotations

import gzip
import subprocess
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.diagnose.outcomes import Outcome, outcome
from tests.diagnose.side_by_side import Begun, SideBySide
from tests.make import engines, ncu, nsys, smi
from tests.make.prometheus import page

MB = 1 << 20

side_by_side = SideBySide(2)


@pytest.fixture(scope="module")
def begun(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun]:
    """All of them, two at a time."""
    with side_by_side.begun(request, tmp_path_factory) as futures:
        yield futures


PEAK = """
import sys
from diagnose.cli import main
try:
    main()
finally:
    with open("/proc/self/status") as status:
        peak = next(line for line in status if line.startswith("VmHWM"))
    with open(sys.argv[2] + ".peak", "w") as report:
        report.write(peak.split()[1])
"""

BASE = 60 * MB
"""What the command itself takes, numpy included."""


def measured(path: Path) -> tuple[Outcome, int]:
    """The analysis in a process of its own, and its peak memory in bytes."""
    command = [sys.executable, "-c", PEAK, "analyze", str(path), "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    peak = Path(f"{path}.peak").read_text(encoding="utf-8")
    return outcome(done.returncode, done.stdout, done.stderr), 1024 * int(peak)


def packed(path: Path, head: bytes, unit: bytes, size: int) -> Path:
    """``head`` and then ``unit`` over and over, as gzip."""
    block = unit * (MB // len(unit))
    deflate = zlib.compressobj(9, wbits=31)
    with path.open("wb") as stream:
        stream.write(deflate.compress(head))
        for _ in range(size // len(block)):
            stream.write(deflate.compress(block))
        stream.write(deflate.flush())
    return path


def filled(path: Path, lines: Iterable[str]) -> Path:
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(lines)
    return path


def one_kernel(text: str) -> tuple[str, str]:
    """(all but the last line, the last line)."""
    last = text.rindex("\n", 0, -1) + 1
    return text[:last], text[last:]


# --- bombs

DMON = smi.dmon([smi.Reading()] * 3).encode()
SERVED = page(engines.vllm(engines.State())).encode()

BOMBS = {
    "nothing but zeros": (b"", b"\0"),
    "a log and zeros": (DMON, b"\0"),
    "a log and a line without end": (DMON, b"7"),
    "a trace and a name without end": (b'{"traceEvents": [{"ph": "X", "name": "', b"a"),
    "a scrape and a label without end": (SERVED + b'vllm:num_requests_running{a="', b"x"),
}


@pytest.mark.parametrize("name", BOMBS)
@side_by_side
def test_a_small_file_that_unpacks_to_a_lot_is_refused_in_little_memory(name: str, folder: Path) -> None:
    path = packed(folder / "bomb.gz", *BOMBS[name], 80 * MB)
    assert path.stat().st_size < 2 * MB
    found, peak = measured(path)
    assert found.result is None
    assert peak < BASE + 70 * MB


@side_by_side
def test_a_bomb_of_blank_lines_behind_a_log_is_known_as_one(folder: Path) -> None:
    found, peak = measured(packed(folder / "bomb.gz", DMON, b"\n", 40 * MB))
    assert "-fold: not a dump" in found.wrong
    assert peak < BASE


@side_by_side
def test_a_log_that_packs_well_is_no_bomb(folder: Path) -> None:
    head, line = one_kernel(DMON.decode())
    text = head + line * 20_000
    path = folder / "dmon.log.gz"
    path.write_bytes(gzip.compress(text.encode()))
    assert len(text) > 150 * path.stat().st_size
    found, _ = measured(path)
    assert found.result is not None
    assert found.warnings == []


@side_by_side
def test_many_members_of_gzip_are_read_to_the_last(folder: Path) -> None:
    head, line = one_kernel(DMON.decode())
    path = folder / "dmon.log.gz"
    path.write_bytes(gzip.compress(head.encode()) + gzip.compress(line.encode()) * 5_000)
    found, peak = measured(path)
    assert found.result is not None
    assert found.warnings == []
    assert peak < BASE


# --- much of the same


@side_by_side
def test_kernels_of_one_name_take_some_numbers_each(folder: Path) -> None:
    head, line = one_kernel(ncu.raw([ncu.Kernel()]))
    count = 100_000
    found, peak = measured(filled(folder / "raw.csv", [head, *(line for _ in range(count))]))
    assert found.regime == "memory"
    assert peak < BASE + 300 * count


@side_by_side
def test_kernel_sums_of_one_name_are_one_however_many_they_are(folder: Path) -> None:
    head, line = one_kernel(nsys.kernel_sums([("gemm", 4, 1000)]))
    found, peak = measured(filled(folder / "sums.csv", [head, *(line for _ in range(100_000))]))
    assert found.result is not None
    assert [(o["name"], o["launches"]) for o in found.result["operations"]] == [("gemm", 400_000)]
    assert peak < BASE


@side_by_side
def test_buckets_are_passed_over_however_many_they_are(folder: Path) -> None:
    buckets = (f'vllm:e2e_request_latency_seconds_bucket{{le="{n}"}} 1.0\n' for n in range(500_000))
    found, peak = measured(filled(folder / "a.prom", [SERVED.decode(), *buckets]))
    assert found.result is not None
    assert peak < BASE


@side_by_side
def test_series_without_number_are_left_out_beyond_a_limit(folder: Path) -> None:
    series = (f'vllm:num_requests_running{{pod="p-{n}"}} 1.0\n' for n in range(110_000))
    path = filled(folder / "a.prom", ["# TYPE vllm:num_requests_running gauge\n", *series])
    found, peak = measured(path)
    assert any(warning.startswith("more than 100,000 samples of the wanted names") for warning in found.warnings)
    assert peak < BASE + 140 * MB


@side_by_side
def test_samples_of_a_long_log_take_some_numbers_each(folder: Path) -> None:
    head, line = one_kernel(smi.dmon([smi.Reading()] * 2))
    count = 50_000
    found, peak = measured(filled(folder / "dmon.log", [head, *(line for _ in range(count))]))
    assert found.result is not None
    assert peak < BASE + 300 * count
