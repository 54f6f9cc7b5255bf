"""Databases that are none of Nsight Systems, hold no device activity, or are damaged; and the GPU metrics in them."""

from __future__ import annotations

import gzip
import io
import os
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.dump import Contents, Dump, Interrupt
from collectors.readers import read
from heuristics.errors import UnreadableDump
from heuristics.observations import Activity, Timeline
from tests.make import nsys
from tests.make.dumps import read_file
from tests.make.nsys import COPIES, KERNELS, METRICS, NVTX, Call, Event, Gpu, Metric, Profile, Range

EVENTS = [
    Event(start=n * 100_000, end=n * 100_000 + 60_000, call=Call(n * 100_000 - 9000, n * 100_000)) for n in range(12)
]
PERCENT = " [Throughput %]"


def written(path: Path, profile: Profile, **how: object) -> Contents:
    return read_file(nsys.write(path / "run.sqlite", profile, **how))  # type: ignore[arg-type]


def activities(found: Contents) -> dict[int | None, Activity]:
    return {
        o.device.index if o.device else None: o.payload for o in found.observations if isinstance(o.payload, Activity)
    }


# --- GPU metrics


def test_gpu_metrics_are_means_by_board(tmp_path: Path) -> None:
    metrics = [
        Metric(name=f"SMs Active{PERCENT}", values=[80, 90, 100]),
        Metric(name=f"Tensor Active{PERCENT}", values=[10, 12, 14]),
        Metric(name=f"DRAM Read Bandwidth{PERCENT}", values=[50, 60, 70]),
        Metric(name=f"DRAM Write Bandwidth{PERCENT}", values=[5, 5, 8]),
        Metric(name=f"GR Active{PERCENT}", values=[100, 100, 97]),
        Metric(name="GPC Clock Frequency [MHz]", values=[1755, 1755, 1755]),
        Metric(name="SMs Active [cycles]", values=[7, 7, 7]),
        Metric(name=f"SMs Active{PERCENT}", values=[30, 30, 30], gpu=1),
    ]
    found = activities(written(tmp_path, Profile(events=EVENTS, metrics=metrics, gpus=(Gpu(), Gpu(id=1, cuda=1)))))
    assert found == {
        0: Activity(
            window_s=pytest.approx(200e-6),
            sm_active=pytest.approx(0.9),
            tensor_active=pytest.approx(0.12),
            dram_active=pytest.approx(0.66),
            engine_active=pytest.approx(0.99),
        ),
        1: Activity(window_s=pytest.approx(200e-6), sm_active=pytest.approx(0.3)),
    }


def test_gpu_metrics_count_though_no_kernel_was_traced(tmp_path: Path) -> None:
    found = written(tmp_path, Profile(metrics=[Metric(name=f"DRAM Read{PERCENT}", values=[40] * 5)]))
    assert activities(found)[0].dram_active == pytest.approx(0.4)
    assert found.warnings == ("no GPU activity recorded: profile with nsys profile -t cuda,nvtx",)


@pytest.mark.parametrize("lacking", [METRICS, nsys.METRIC_NAMES, f"{METRICS}.typeId", f"{METRICS}.value"])
def test_gpu_metrics_without_their_tables_or_columns_are_none(tmp_path: Path, lacking: str) -> None:
    profile = Profile(events=EVENTS, metrics=[Metric(name=f"SMs Active{PERCENT}", values=[1, 2])])
    assert activities(written(tmp_path, profile, lacking={lacking})) == {}


# --- what is no database of Nsight Systems


def test_another_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE kernels (name TEXT)")
    connection.close()
    with pytest.raises(UnreadableDump, match="not one of Nsight Systems") as error:
        read_file(path)
    assert error.value.hint is not None


def test_views_named_like_tables_are_not_read(tmp_path: Path) -> None:
    found = written(tmp_path, Profile(), lacking={KERNELS, COPIES, NVTX}, views=[KERNELS, COPIES, NVTX])
    assert found.observations == ()


def test_a_database_that_is_only_views_is_not_one_of_nsight_systems(tmp_path: Path) -> None:
    path = nsys.write(tmp_path / "v.sqlite", Profile(), lacking=set(nsys.TABLES), views=[KERNELS, "META_DATA_EXPORT"])
    with pytest.raises(UnreadableDump, match="not one of Nsight Systems"):
        read_file(path)


def test_a_database_from_a_pipe_is_refused(tmp_path: Path) -> None:
    content = nsys.write(tmp_path / "run.sqlite", Profile(events=EVENTS)).read_bytes()
    with pytest.raises(UnreadableDump, match="from a pipe") as error:
        read(Dump(path="-", stream=io.BytesIO(content)))
    assert error.value.hint is not None
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    feeder = threading.Thread(target=fifo.write_bytes, args=(content,))
    feeder.start()
    with pytest.raises(UnreadableDump, match="from a pipe"):
        read_file(fifo)
    feeder.join()


def test_a_compressed_database_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite.gz"
    path.write_bytes(gzip.compress(nsys.write(tmp_path / "run.sqlite", Profile(events=EVENTS)).read_bytes()))
    with pytest.raises(UnreadableDump, match="compressed") as error:
        read_file(path)
    assert error.value.hint == "decompress it first"


def test_the_path_may_hold_anything(tmp_path: Path) -> None:
    path = nsys.write(tmp_path / "a b?c#d%20e.sqlite", Profile(events=EVENTS))
    assert isinstance(read_file(path).observations[0].payload, Timeline)


def test_the_file_is_not_changed_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = nsys.write(tmp_path / "run.sqlite", Profile(events=EVENTS))
    before = path.read_bytes()
    read_file(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_ends_reading_with_what_is_there(tmp_path: Path) -> None:
    path = nsys.write(tmp_path / "run.sqlite", Profile(events=EVENTS))
    opened = Dump(path=str(path), interrupt=Interrupt())
    opened.interrupt.requested = True
    assert "interrupted: judged by what was read so far" in read(opened).warnings
    opened.close()


# --- damage


def test_cells_of_any_kind_are_left_out_or_read(tmp_path: Path) -> None:
    path = nsys.write(
        tmp_path / "run.sqlite", Profile(events=EVENTS, ranges=[Range(text="decode", start=0, end=10**9)])
    )
    odd: list[object] = [None, "word", b"decode\xff", 1.5, float("inf"), -1, 2**63 - 1, -(2**63)]
    with sqlite3.connect(path) as connection:
        for value in odd:
            for table in (KERNELS, NVTX, METRICS, nsys.METRIC_NAMES, nsys.GPUS, nsys.CUDA_DEVICES):
                _insert(connection, table, dict.fromkeys(nsys.TABLES[table].split(), value))
            for column in ("correlationId", "globalPid", "demangledName", "shortName", "gridX", "graphId", "deviceId"):
                _insert(connection, KERNELS, {"start": 1, "end": 2, column: value})
            _insert(connection, NVTX, {"start": 0, "end": 5, "text": value})
    connection.close()
    payloads = [o.payload for o in read_file(path).observations if isinstance(o.payload, Timeline)]
    assert payloads[0].launches >= 12


def _insert(connection: sqlite3.Connection, table: str, cells: dict[str, object]) -> None:
    columns, marks = ", ".join(f'"{c}"' for c in cells), ", ".join("?" for _ in cells)
    connection.execute(f'INSERT INTO "{table}" ({columns}) VALUES ({marks})', list(cells.values()))


def test_a_damaged_schema_that_sqlite_quotes_is_refused(tmp_path: Path) -> None:
    path = nsys.write(tmp_path / "run.sqlite", Profile(events=EVENTS))
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE", b"CR\xbfATE TABLE"))
    with pytest.raises(UnreadableDump, match="the database is damaged"):
        read_file(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    profile = Profile(
        events=EVENTS,
        ranges=[Range(text="decode", start=0, end=10**9, registered=True)],
        metrics=[Metric(name=f"SMs Active{PERCENT}", values=[1, 2])],
    )
    lacking = {*nsys.REDUCED} - {NVTX, METRICS, nsys.METRIC_NAMES}
    return nsys.write(tmp_path_factory.mktemp("whole") / "run.sqlite", profile, lacking=lacking, page_bytes=512)


@given(
    st.lists(st.tuples(st.integers(16, 1 << 20), st.integers(0, 255)), min_size=1, max_size=12),
    st.none() | st.integers(0, 1 << 20),
)
def test_a_damaged_database_is_read_in_part_or_refused(
    tmp_path: Path, whole: Path, changes: list[tuple[int, int]], cut: int | None
) -> None:
    content = bytearray(whole.read_bytes())
    for place, byte in changes:
        content[16 + place % (len(content) - 16)] = byte
    path = tmp_path / "damaged.sqlite"
    path.write_bytes(bytes(content[: len(content) if cut is None else cut % len(content)]))
    with suppress(UnreadableDump):
        read_file(path)
