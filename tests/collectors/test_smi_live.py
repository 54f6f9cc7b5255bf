"""nvidia-smi dmon as a live source: a child that is fed to the reader of logs, and never outlives us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from collectors.smi.live import MOST_ROWS, SmiSource, chosen_devices, observations
from heuristics.observations import Activity, Samples
from tests.make.smi import Reading, columns, dmon

Record = dict[str, Any]

ROOT = Path(__file__).parents[2]
GPM = ("smutil", "anyten", "dramut")
DEVICES = (
    "0, NVIDIA H200, GPU-0f0f0f0f-5a5a-4b4b-8c8c-000000000000, 143771, 3201, 1980, 700.00, 555.58.02\n"
    "1, NVIDIA H200, GPU-0f0f0f0f-5a5a-4b4b-8c8c-000000000001, 143771, [N/A], 1980, [Not Supported], 555.58.02\n"
)
HELP = "    [-i | --id]: Comma separated\n    [--gpm-metrics]: GPM metrics\n"
ON_AND_ON = "while :; do sleep 0.02; echo '    0      -'; done"


class Smi:
    """An nvidia-smi of our own invention, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "nvidia-smi"

    def prints(self, log: str, *, then: str = "", devices: str = DEVICES, help_text: str = HELP) -> SmiSource:
        """A source of it. ``then``: what the shell does after printing the log."""
        for name, content in (("log", log), ("devices", devices), ("help", help_text)):
            (self.folder / name).write_text(content)
        self.path.write_text(
            f'#!/bin/sh\ncd {self.folder}\necho "$@" >> calls\ncase "$1 $2" in\n'
            "--query-gpu*) cat devices ;;\n'dmon --help') cat help ;;\n"
            f"dmon*) echo $$ > pid; cat log; {then or ':'} ;;\nesac\n"
        )
        self.path.chmod(0o755)
        return SmiSource(executable=str(self.path))

    @property
    def calls(self) -> list[str]:
        """Arguments of every call."""
        return (self.folder / "calls").read_text().splitlines()

    @property
    def alive(self) -> bool:
        """Whether dmon runs; a zombie does not."""
        try:
            state = Path(f"/proc/{(self.folder / 'pid').read_text().strip()}/stat").read_text().rpartition(")")[2]
        except OSError:
            return False
        return state.split()[0] != "Z"


@pytest.fixture
def smi(tmp_path: Path) -> Smi:
    return Smi(tmp_path)


@pytest.fixture
def opened() -> Iterator[Callable[[SmiSource], SmiSource]]:
    """Sources that are closed whatever happens."""
    sources: list[SmiSource] = []

    def remembered(source: SmiSource) -> SmiSource:
        sources.append(source)
        return source

    yield remembered
    for source in sources:
        source.close()


def log(rows: int = 3, **options: Any) -> str:
    readings = [Reading(gpu=g, sm=0.5 + 0.4 * g, gpm=dict.fromkeys(GPM, 70.0)) for _ in range(rows) for g in (0, 1)]
    return dmon(readings, columns("pucvmet"), **options)


def until(met: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    last = time.monotonic() + 20.0
    while not met():
        assert time.monotonic() < last
        time.sleep(0.005)


def sampled(source: SmiSource, enough: Callable[[list[Record]], bool]) -> list[Record]:
    """Records until there are enough."""
    found: list[Record] = []

    def more() -> bool:
        found.extend(source.sample(1.0))
        return enough(found)

    until(more)
    return found


def to_the_end(source: SmiSource) -> list[Record]:
    return sampled(source, lambda found: any(r["what"] in ("event", "missing") for r in found))


def test_a_log_becomes_samples_and_activity_of_named_devices(smi: Smi) -> None:
    source = smi.prints(log(gpm=GPM))
    records = source.start() + to_the_end(source)
    found = observations(records)
    assert [(type(o.payload), o.device.index if o.device else None) for o in found] == [
        (Samples, 0),
        (Activity, 0),
        (Samples, 1),
        (Activity, 1),
    ]
    samples, activity = found[2].payload, found[3].payload
    assert isinstance(samples, Samples)
    assert isinstance(activity, Activity)
    assert samples.sm.tolist() == [0.9] * 3
    assert samples.interval_s == 1.0
    assert (activity.sm_active, activity.tensor_active, activity.dram_active) == pytest.approx((0.7, 0.7, 0.7))
    first, second = found[0].device, found[2].device
    assert first is not None
    assert second is not None
    assert (first.name, first.memory_clock_hz, first.power_limit_w) == ("NVIDIA H200", 3201e6, 700.0)
    assert first.memory_bytes == 143771 * 2.0**20
    assert (second.memory_clock_hz, second.max_sm_clock_hz, second.power_limit_w) == (2619e6, 1980e6, None)
    assert records[-1]["what"] == "event"
    assert source.sample(9.0) == []


def test_what_is_asked_for_is_bounded(smi: Smi) -> None:
    source = smi.prints(log())
    source.start()
    to_the_end(source)
    assert smi.calls[-1] == f"dmon -s pucvmet -d 1 -c {MOST_ROWS} --gpm-metrics 2,5,10"


def test_an_nvidia_smi_that_knows_no_gpm_is_not_asked_for_it(smi: Smi) -> None:
    source = smi.prints(log(), help_text="[-i | --id]\n")
    source.start()
    to_the_end(source)
    assert "--gpm" not in smi.calls[-1]


def test_where_gpm_is_refused_dmon_runs_without(smi: Smi, opened: Callable[[SmiSource], SmiSource]) -> None:
    refusing = "case \"$*\" in *--gpm*) echo 'GPM is not supported'; exit 3 ;; *) cat rows ;; esac"
    source = opened(smi.prints("", then=refusing))
    (smi.folder / "rows").write_text(log())
    records = source.start() + to_the_end(source)
    assert len(observations(records)) == 2
    assert [r["what"] for r in records if r["what"] == "missing"] == []


def test_lines_come_whole_as_they_are_printed(smi: Smi, opened: Callable[[SmiSource], SmiSource]) -> None:
    source = opened(smi.prints(log() + "    0   512", then="sleep 60"))
    source.start()
    records = sampled(source, bool)
    assert "".join(r["text"] for r in records) == log()
    assert source.sample(2.0) == []


def test_the_child_ends_with_close(smi: Smi, opened: Callable[[SmiSource], SmiSource]) -> None:
    source = opened(smi.prints(log(), then=ON_AND_ON))
    source.start()
    sampled(source, bool)
    child = source.child
    assert child is not None
    assert smi.alive
    source.close()
    assert child.returncode is not None
    assert not Path(f"/proc/{child.pid}").exists()
    source.close()


def test_a_child_that_will_not_end_is_ended(smi: Smi, opened: Callable[[SmiSource], SmiSource]) -> None:
    source = opened(smi.prints(log(), then=f"trap '' TERM; {ON_AND_ON}"))
    source.start()
    sampled(source, bool)
    child = source.child
    assert child is not None
    source.close()
    assert child.returncode in (-signal.SIGTERM, -signal.SIGKILL)
    assert not Path(f"/proc/{child.pid}").exists()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, None], ids=["killed", "terminated", "forgotten"])
def test_the_child_does_not_outlive_us(smi: Smi, end: signal.Signals | None) -> None:
    smi.prints(log(), then=ON_AND_ON)
    program = (
        "import sys, time; from collectors.smi.live import SmiSource\n"
        f"source = SmiSource(executable={str(smi.path)!r}); source.start()\n"
        "while not source.sample(0.0): time.sleep(0.01)\n"
        f"print('ready', flush=True); time.sleep({0 if end is None else 60})\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as ours:
        assert ours.stdout is not None
        assert ours.stdout.readline() == b"ready\n"
        if end is not None:
            assert smi.alive
            ours.send_signal(end)
    until(lambda: not smi.alive)


def test_trouble_with_the_driver_is_told(smi: Smi) -> None:
    trouble = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    source = smi.prints(f"{trouble}\n", then="exit 9", devices="", help_text="")
    assert source.start() == []
    (told,) = [r for r in to_the_end(source) if r["what"] == "missing"]
    assert told["reason"] == f"dmon ended with status 9: {trouble}"
    assert "nvidia-smi" in told["unlock"]


def test_headers_alone_are_no_observation(smi: Smi) -> None:
    source = smi.prints(dmon([], columns("pucvmet")), help_text="")
    records = source.start() + to_the_end(source)
    assert observations(records) == []
    assert records[-1]["what"] == "missing"


def test_without_nvidia_smi(tmp_path: Path) -> None:
    source = SmiSource(executable=str(tmp_path / "nvidia-smi"))
    assert [r["reason"] for r in source.start()] == ["nvidia-smi is not on the PATH"]
    assert source.sample(1.0) == []
    source.close()


def test_one_that_cannot_be_run_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "nvidia-smi"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    source = SmiSource(executable=str(broken))
    assert [r["reason"] for r in source.start()] == ["FileNotFoundError: No such file or directory"]
    assert source.sample(1.0) == []


@pytest.mark.parametrize(
    ("visible", "chosen"),
    [
        (None, None),
        ("0,3", ["0", "3"]),
        ("1,-1,2", ["1"]),
        ("", []),
        ("-1", []),
        ("GPU-0f0f0f0f-5a5a-4b4b-8c8c-000000000000", ["GPU-0f0f0f0f-5a5a-4b4b-8c8c-000000000000"]),
        ("0; rm -rf x", []),
        ("--help", []),
        ("MIG-0f0f0f0f-5a5a-4b4b-8c8c-000000000000", None),
    ],
)
def test_devices_are_chosen_as_the_job_sees_them(visible: str | None, chosen: list[str] | None) -> None:
    assert chosen_devices(visible) == chosen


def test_only_the_jobs_devices_are_asked_for(smi: Smi) -> None:
    smi.prints(log())
    source = SmiSource(executable=str(smi.path), visible="1", most_rows=5)
    source.start()
    to_the_end(source)
    assert smi.calls[0].endswith("-i 1")
    assert smi.calls[-1] == "dmon -s pucvmet -d 1 -c 5 -i 1 --gpm-metrics 2,5,10"


def test_a_job_that_may_see_no_gpu_starts_nothing(smi: Smi) -> None:
    smi.prints(log())
    source = SmiSource(executable=str(smi.path), visible="")
    assert [r["what"] for r in source.start()] == ["missing"]
    assert source.child is None
    assert not (smi.folder / "calls").exists()
