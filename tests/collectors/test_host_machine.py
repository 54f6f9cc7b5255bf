"""The machine under a job: told apart without being named, and what others do on it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.host.busy import BusyClock, busy_s, other_cores
from collectors.host.machine import MARK_DIGITS, machine_of, machine_record, mark, this_one

ID = "0123456789abcdef0123456789abcdef"
TICKS = os.sysconf("SC_CLK_TCK")


def rooted(tmp_path: Path, text: str, place: str = "etc/machine-id") -> Path:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text(text, encoding="ascii")
    return tmp_path


def stat(root: Path, *busy_seconds: float, idle: float = 1e4) -> None:
    """``/proc/stat`` of CPUs that were busy so long."""
    rows = [(f"cpu{n}", s) for n, s in enumerate(busy_seconds)]
    lines = [
        f"{name} {round(s * TICKS / 2)} 0 {round(s * TICKS / 2)} {round(idle)} 7000 0 0 0 0 0"
        for name, s in [("cpu ", sum(busy_seconds)), *rows]
    ]
    (root / "stat").write_text("\n".join([*lines, "intr 1 2 3", "ctxt 9"]) + "\n", encoding="ascii")


# --- its mark


def test_a_mark_tells_machines_apart_and_no_more(tmp_path: Path) -> None:
    found = mark(rooted(tmp_path, ID + "\n"))
    assert found is not None
    assert len(found) == MARK_DIGITS
    assert found not in ID
    assert mark(rooted(tmp_path, ID.upper())) == found, "the same machine"
    assert mark(rooted(tmp_path, ID[::-1])) != found


@given(number=st.integers(0, (1 << 128) - 1))
def test_no_part_of_the_id_is_in_what_is_told(number: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    text = f"{number:032x}"
    told = json.dumps(machine_record(2.0, root=rooted(tmp_path_factory.mktemp("root"), text)))
    assert not any(text[n : n + 10] in told for n in range(len(text) - 9))


@pytest.mark.parametrize("text", ["", "uninitialized\n", "0123", ID + ID, "g" * 32])
def test_what_is_no_id_gives_no_mark(text: str, tmp_path: Path) -> None:
    assert mark(rooted(tmp_path, text)) is None


def test_the_older_place_counts_where_the_other_is_not_there(tmp_path: Path) -> None:
    assert mark(tmp_path) is None
    found = mark(rooted(tmp_path, ID, "var/lib/dbus/machine-id"))
    assert found is not None
    assert found == mark(rooted(tmp_path, ID))


def test_a_record_says_what_makes_two_runs_alike(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: A Processor  of Ours\n", encoding="ascii")
    told = machine_record(1.5, root=rooted(tmp_path, ID), proc=tmp_path)
    assert told == {
        "t_s": 0.0,
        "what": "machine",
        "processor": "A Processor of Ours",
        "cores": 1.5,
        "mark": mark(tmp_path),
    }
    assert machine_record(None, root=tmp_path)["cores"] == len(os.sched_getaffinity(0))


# --- the work of others


def test_busy_time_is_all_that_is_not_idle(tmp_path: Path) -> None:
    stat(tmp_path, 10.0, 30.0)
    assert busy_s(tmp_path) == pytest.approx(40.0, abs=0.1)
    assert busy_s(tmp_path, [1]) == pytest.approx(30.0, abs=0.1)
    assert busy_s(tmp_path, [2]) is None
    assert busy_s(tmp_path / "nowhere") is None
    (tmp_path / "stat").write_text("cpu  1 2 3\n", encoding="ascii")
    assert busy_s(tmp_path) is None


def test_what_is_neither_the_jobs_nor_ours_is_the_others(tmp_path: Path) -> None:
    stat(tmp_path, 10.0, 10.0)
    clock = BusyClock(str(tmp_path))
    assert clock.told(0.5) == {}, "too early"
    stat(tmp_path, 12.0, 11.0)
    found = clock.told(0.75, last=True)
    assert found["machine_busy_s"] == pytest.approx(3.0, abs=0.1)
    assert found["machine_ours_s"] == pytest.approx(1.25, abs=0.2), "what the job did since the beginning"
    assert found["machine_window_s"] > 0.0
    assert clock.told(0.0, last=True)["machine_busy_s"] == 0.0, "counted once"


def test_without_proc_nothing_is_told(tmp_path: Path) -> None:
    clock = BusyClock(str(tmp_path))
    assert clock.told(1.0, last=True) == {}
    assert this_one({}) is not None


def test_others_are_what_is_left_over_all_that_was_told() -> None:
    told = [
        {"machine_window_s": 2.0, "machine_busy_s": 4.0, "machine_ours_s": 1.0},
        {"window_s": 1.0},
        {"machine_window_s": 1.0, "machine_busy_s": 0.0, "machine_ours_s": 1.5},
    ]
    assert other_cores(told) == pytest.approx(0.5)
    assert other_cores(told[2:]) == 0.0, "clocks of different grain may differ"
    assert other_cores(told[1:2]) is None
    assert other_cores([]) is None
    assert machine_of({}, []) is None


def test_our_own_work_is_not_that_of_others(tmp_path: Path) -> None:
    stat(tmp_path, 10.0)
    clock = BusyClock(str(tmp_path))
    begun_s = time.process_time()
    while time.process_time() < begun_s + 0.2:
        pass
    assert clock.told(0.0, last=True)["machine_ours_s"] >= 0.2
