"""Watching a live job: find it, start the sources, collect records for a while, and judge them at any time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from collectors.engines.about import Fact
from collectors.engines.shapes import Flag
from collectors.engines.source import EngineSource
from collectors.follow import Follower
from collectors.host.limits import Limits
from collectors.host.machine import machine_record
from collectors.host.source import SLICE_S, HostSource
from collectors.job import Job, find
from collectors.model_source import ModelSource
from collectors.process.proc import Proc
from collectors.record import Record, Source, missing, record
from collectors.redaction import harmless, model_name
from collectors.watch import Watch
from heuristics.errors import DiagnoseError

PATIENCE_S = 5.0
"""How long the model's reader waits for what the engine says of itself."""

_DRIVER_LIBRARIES = ("/libcuda.so", "/libnvidia-ml.so", "/libamdhip64.so")
_DEVICES = ("/dev/nvidia", "/dev/dri/", "/dev/kfd")

PARALLEL: Mapping[str, tuple[Flag, Fact]] = {
    "tp": (Flag.TENSOR_PARALLEL, Fact.TENSOR_PARALLEL),
    "pp": (Flag.PIPELINE_PARALLEL, Fact.PIPELINE_PARALLEL),
    "dp": (Flag.DATA_PARALLEL, Fact.DATA_PARALLEL),
    "ep": (Flag.EXPERT_PARALLEL, Fact.EXPERT_PARALLEL),
}

STORED_FLAGS = frozenset(
    {
        Flag.DTYPE,
        Flag.QUANTIZATION,
        Flag.LOAD_FORMAT,
        Flag.KV_DTYPE,
        Flag.VALUE_DTYPE,
        Flag.MOST_SEQUENCES,
        Flag.MOST_BATCHED_TOKENS,
        Flag.MOST_CONTEXT,
        Flag.EAGER,
        Flag.THREADS,
        Flag.OFFLOADED_LAYERS,
    }
)
"""Flags whose values are told; paths and addresses among them are only used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How to look. ``slice_s`` is the pace of the threads' clocks; ``credential`` goes to the engine alone;
    hints name ``command``."""

    slice_s: float = SLICE_S
    url: str | None = None
    credential: str | None = None
    model: str | None = None
    command: str = "attach"


class LiveJob:
    """A job being watched. Records go to ``sink`` as they come.

    Raises:
        NoSuchProcess, NotPermitted, SeveralJobs: there is nothing, or not one thing, to watch.
    """

    def __init__(self, pid: int, look: Look, sink: Callable[[Record], None]) -> None:
        self._look = look
        self._proc = Proc()
        self.job = find(pid, self._proc, command=look.command)
        self._follower = Follower(self.job, self._proc)
        self._engine = EngineSource(self.job, self._proc, url=look.url, credential=look.credential)
        self._asked = threading.Event()
        self._sink = sink
        self._stopped = False
        self.holds_device = _holds_device(self.job, self._proc)
        self.watch = Watch(self._sources(), sink)

    @property
    def ended(self) -> bool:
        """The job is gone."""
        return self._follower.ended

    def start(self) -> None:
        """Begin to watch; returns at once."""
        self.watch.start()
        self._sink(_job_record(self.job, self.holds_device))
        self._sink(machine_record(Limits(self.job.root.pid, self._proc).cores()))
        if self.holds_device is False:
            self._sink(self._calibration())

    def stop(self) -> None:
        """End, with what it took. May be called twice."""
        if not self._stopped:
            self._stopped = True
            self.watch.stop()
            self._sink(self.watch.overhead())

    def _sources(self) -> list[Source]:
        found: list[Source] = [
            Announcing(self._engine, self._asked),
            HostSource(self._follower.pids, self.job.root.pid, self._proc, slice_s=self._look.slice_s),
            self._follower,
            ModelSource(self.job, self._proc, self._facts, given=self._look.model),
        ]
        if self.holds_device is not False:
            from collectors.devices_source import DcgmSource, DeviceSource

            found.append(DeviceSource(self._follower.pids, visible=self._visible(), holds_device=self.holds_device))
            found.append(DcgmSource(self._proc))
        return found

    def _facts(self) -> Mapping[Fact, str | float]:
        self._asked.wait(PATIENCE_S)
        return self._engine.facts

    def _visible(self) -> str | None:
        stated = (self._proc.environment(pid).get("CUDA_VISIBLE_DEVICES") for pid in self.job.pids)
        return next((value for value in stated if value is not None), None)

    def _calibration(self) -> Record:
        """The stored roofs of this machine, for as many threads as the job may use."""
        from collectors.calibration.machine import this_machine
        from collectors.calibration.store import NoCalibration, load

        found = load(this_machine())
        if isinstance(found, NoCalibration):
            return missing("calibration", found.reason, "diagnose calibrate, while the machine is idle")
        return found.record(threads=_threads(self.job, self._proc, Limits(self.job.root.pid, self._proc).cores()))


class Announcing:
    """The engine's source, which tells others once it knows what the engine says of itself."""

    def __init__(self, source: EngineSource, asked: threading.Event) -> None:
        self._source, self._asked = source, asked
        self.name, self.period_s = source.name, source.period_s

    def start(self) -> list[Record]:
        try:
            return [*self._source.start(), *_about(self._source.facts)]
        finally:
            self._asked.set()

    def sample(self, t_s: float) -> list[Record]:
        return self._source.sample(t_s)

    def close(self) -> None:
        self._source.close()


def header(tool_version: str) -> dict[str, Any]:
    """What a recording begins with."""
    return {"tool_version": tool_version, "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def credential_of(variable: str | None) -> str | None:
    """The value of a variable that the user names.

    Raises:
        DiagnoseError: it is not set.
    """
    if variable is None:
        return None
    value = os.environ.get(variable)
    if not value:
        raise DiagnoseError(f"the variable {variable} is not set", hint=f"export {variable}=...")
    return value


def _job_record(job: Job, holds_device: bool | None) -> Record:
    parallelism = {
        name: int(value)
        for name, (flag, _) in PARALLEL.items()
        if (value := job.flags.get(flag, "")).isdecimal() and 1 < int(value) < 1 << 16
    }
    if job.flags.get(Flag.EXPERT_PARALLEL) == "on":
        parallelism["ep"] = parallelism.get("tp", 1) * parallelism.get("dp", 1)
    return record(
        "job",
        pid=job.pid,
        engine=job.engine,
        recognised_by=job.recognised_by,
        holds_device=holds_device,
        processes=[{"pid": m.pid, "ppid": m.parent, "name": harmless(m.name)} for m in job.members],
        flags={flag.value: harmless(value) for flag, value in job.flags.items() if flag in STORED_FLAGS},
        parallelism=parallelism,
    )


def _about(facts: Mapping[Fact, str | float]) -> list[Record]:
    """What an engine says of itself, as far as it may be told."""
    told: dict[str, Any] = {}
    for fact, value in facts.items():
        if fact is Fact.SERVED_NAME:
            told[fact.value] = model_name(str(value))
        elif fact is not Fact.MODEL_PATH:
            told[fact.value] = harmless(value) if isinstance(value, str) else value
    return [record("about", **told)] if told else []


def _holds_device(job: Job, proc: Proc) -> bool | None:
    """Whether any process has a GPU's driver mapped or its files open; None where that may not be seen."""
    seen = False
    for pid in job.pids:
        files = proc.mapped_files(pid)
        seen = seen or bool(files)
        if any(part in file for part in _DRIVER_LIBRARIES for file in files):
            return True
        if any(target.startswith(_DEVICES) for target in proc.open_files(pid)):
            return True
    return False if seen else None


def _threads(job: Job, proc: Proc, cores: float | None) -> int | None:
    """Threads that compute, as far as the job says: its flag, else OpenMP's variable, never more than its CPUs."""
    stated = [job.flags.get(Flag.THREADS, ""), *(proc.environment(p).get("OMP_NUM_THREADS", "") for p in job.pids)]
    wanted = next((int(text) for text in stated if text.isdecimal() and int(text) > 0), None)
    most = None if cores is None else max(1, round(cores))
    if wanted is None or most is None:
        return wanted or most
    return min(wanted, most)
