"""What a job feels of being watched: reads of its metrics, and nothing else."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from collectors.engines.shapes import SHAPES
from tests.diagnose.command import started
from tests.make.stand_ins import JOBS, Running, running

ENGINES = ("SGLang", "TensorRT-LLM", "llama.cpp")
PATIENCE_S = 60.0


@dataclass
class Felt:
    """One job: what reached it, and what was seen of it and of the watcher meanwhile."""

    requests: list[dict[str, object]] = field(default_factory=list)
    signals: list[dict[str, object]] = field(default_factory=list)
    tracers: set[str] = field(default_factory=set)
    states: set[str] = field(default_factory=set)
    settings_before: list[object] = field(default_factory=list)
    settings_after: list[object] = field(default_factory=list)
    watchers_files: set[tuple[str, int]] = field(default_factory=set)
    looks: int = 0
    code: int | None = None


@pytest.fixture(scope="module")
def felt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Felt]]:
    """Every one of the jobs watched once, side by side."""
    with ThreadPoolExecutor(len(ENGINES)) as pool:
        folders = [tmp_path_factory.mktemp(name.replace(".", "_")) for name in ENGINES]
        yield dict(zip(ENGINES, pool.map(watched, ENGINES, folders), strict=True))


def watched(name: str, folder: Path) -> Felt:
    job = replace(JOBS[name], works=0.1)
    found = Felt()
    surroundings = os.environ | {"HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
    with running(job, folder / "engine") as made:
        found.settings_before = settings(made)
        line = ("attach", made.pids[-1], "--for", 1.5, "--format", "json")
        with started(*line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=surroundings) as process:
            ended = threading.Event()
            looking = threading.Thread(target=look, args=(made, process.pid, found, ended))
            looking.start()
            try:
                found.code = process.wait(PATIENCE_S)
            finally:
                ended.set()
                looking.join()
        found.settings_after = settings(made)
        found.requests, found.signals = made.requests(), made.signals()
    return found


def look(made: Running, watcher: int, found: Felt, ended: threading.Event) -> None:
    """Again and again until it has ended."""
    while not ended.is_set():
        for pid in made.pids:
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
            stated = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            found.tracers.add(stated["TracerPid"])
            found.states.add(stated["State"][0])
        found.watchers_files |= files_of(watcher)
        found.looks += 1
        time.sleep(0.05)


def files_of(pid: int) -> set[tuple[str, int]]:
    """What a process's descriptors lead to, with how they were opened."""
    found = set()
    for name in listed(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
            text = Path(f"/proc/{pid}/fdinfo/{name}").read_text(encoding="ascii")
        except OSError:
            continue
        flags = next(line.split()[1] for line in text.splitlines() if line.startswith("flags:"))
        found.add((target, int(flags, 8) & os.O_ACCMODE))
    return found


def listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def settings(made: Running) -> list[object]:
    """What somebody else might change of a process."""
    return [
        (
            os.getpriority(os.PRIO_PROCESS, pid),
            os.sched_getaffinity(pid),
            os.sched_getscheduler(pid),
            Path(f"/proc/{pid}/oom_score_adj").read_text(encoding="ascii"),
            Path(f"/proc/{pid}/limits").read_text(encoding="ascii"),
            Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii"),
            Path(f"/proc/{pid}/cmdline").read_bytes(),
            sorted(listed(f"/proc/{pid}/task")),
        )
        for pid in made.pids
    ]


@pytest.fixture(params=ENGINES)
def one(request: pytest.FixtureRequest, felt: dict[str, Felt]) -> tuple[str, Felt]:
    name: str = request.param
    assert felt[name].code == 0
    assert felt[name].looks > 3
    return name, felt[name]


def test_no_signal_reaches_it(one: tuple[str, Felt]) -> None:
    assert one[1].signals == []


def test_nobody_traces_or_stops_it(one: tuple[str, Felt]) -> None:
    assert one[1].tracers == {"0"}
    assert one[1].states <= {"R", "S", "D"}


def test_only_its_metrics_are_read(one: tuple[str, Felt]) -> None:
    name, found = one
    shape = next(s for s in SHAPES if s.engine == name)
    assert found.requests
    for request in found.requests:
        assert request["method"] == "GET"
        assert request["path"] in shape.paths
        assert not request["body_bytes"]


def test_not_often(one: tuple[str, Felt]) -> None:
    """Once for what stays, then a look a second, of metrics and of slots."""
    name, found = one
    shape = next(s for s in SHAPES if s.engine == name)
    paths = [request["path"] for request in found.requests]
    assert all(paths.count(path) == 1 for path in shape.about)
    assert paths.count(shape.metrics) <= 12


def test_its_settings_stay(one: tuple[str, Felt]) -> None:
    before, after = one[1].settings_before, one[1].settings_after
    for first, second in zip(before, after, strict=True):
        assert first[:-1] == second[:-1]  # type: ignore[index]


def test_what_the_watcher_opens_it_opens_to_read(one: tuple[str, Felt]) -> None:
    plain = {(path, mode) for path, mode in one[1].watchers_files if path.startswith("/") and path != "/dev/null"}
    assert any(path.startswith("/proc/") and path.endswith("/schedstat") for path, _ in plain)
    assert {mode for _, mode in plain} == {os.O_RDONLY}
