"""What can be seen from here, what is missing, and what would unlock it: one finding a thing looked at."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from collectors.job import Job, find
from collectors.process.proc import Proc
from heuristics.errors import DiagnoseError

MOST_ENGINES = 8

SWITCHES = {"vLLM": "vllm serve without --disable-log-stats"}
"""What makes an engine count that serves its page without its counters."""

_ANSWERS = {"scrape": "the page of metrics", "slots": "the list of slots"}


class State(StrEnum):
    """How a thing stands."""

    OK = "ok"
    MISSING = "missing"
    LIMITED = "limited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at. ``unlock`` is what to type or to change, where something can be done."""

    name: str
    state: State
    text: str
    unlock: str | None = None


def checkup(pid: int | None = None, *, proc: Proc | None = None, params: str | None = None) -> list[Finding]:
    """Everything, in the order in which it matters. With a pid also what can be seen of that job.

    Raises:
        NoSuchProcess, NotPermitted, SeveralJobs: the pid is not that of a job.
    """
    reader = proc or Proc()
    found = [*_driver(params), *_host(reader), *_roofs(), *_tools()]
    if pid is not None:
        return [*found, *_job(find(pid, reader, command="doctor"), reader)]
    return [*found, *_engines(reader)]


def _driver(params: str | None) -> Iterator[Finding]:
    """Driver, devices and GPM, by NVML's own words."""
    from collectors.nvml.survey import PARAMS, survey

    for found in survey(params or PARAMS):
        if found["what"] == "driver":
            if "driver" in found:
                versions = f"{found['driver']}, NVML {found.get('nvml', 'unknown')}"
                yield Finding(
                    name="driver", state=State.OK, text=f"{versions}, {_counted(found.get('gpus', 0), 'GPU')}"
                )
            if found.get("profiling_admin_only") is False:
                yield Finding(name="profiling", state=State.OK, text="open to all users (RmProfilingAdminOnly: 0)")
        elif found["what"] == "device":
            parts = [found.get("name", "unnamed"), "with GPM" if found.get("gpm") else "without GPM"]
            if found.get("mig"):
                profile = found.get("mig_profile")
                parts.insert(1, f"MIG {profile}" if profile else "cut into MIG instances")
            yield Finding(
                name=f"GPU {found.get('index')}",
                state=State.OK if found.get("gpm") else State.LIMITED,
                text=", ".join(parts),
            )
        elif found["what"] == "missing":
            yield Finding(name=found["source"], state=State.MISSING, text=found["reason"], unlock=found.get("unlock"))


def _host(proc: Proc) -> Iterator[Finding]:
    """The kernel's files that the host's side is read from."""
    own = os.getpid()
    times = proc.text(own, "schedstat")
    yield Finding(
        name="thread times",
        state=State.OK if times else State.MISSING,
        text="schedstat, in nanoseconds" if times else "the kernel has no schedstat",
        unlock=None if times else "a kernel with CONFIG_SCHED_INFO; without it the host's part stays unknown",
    )
    pressure = Path(proc.root, "pressure", "cpu").exists()
    yield Finding(
        name="pressure",
        state=State.OK if pressure else State.LIMITED,
        text="CPU, memory and I/O" if pressure else "not in this kernel",
        unlock=None if pressure else "boot with psi=1",
    )
    if os.geteuid() != 0:
        yield Finding(
            name="permissions",
            state=State.LIMITED,
            text=f"user {os.geteuid()}: jobs of this user only, of others their names and times",
            unlock="run as the job's user; root is never needed for a job of your own",
        )


def _roofs() -> Iterator[Finding]:
    """Whether this machine's processors were measured."""
    from collectors.calibration.machine import this_machine
    from collectors.calibration.store import NoCalibration, load

    found = load(this_machine())
    name = "calibration"
    if isinstance(found, NoCalibration):
        yield Finding(
            name=name,
            state=State.MISSING,
            text=f"{found.reason}; only models that run on the CPU need it",
            unlock="diagnose calibrate",
        )
        return
    level = found.for_threads(found.machine.cpus)
    text = f"{level.bandwidth_bytes_per_s / 1e9:.3g} GB/s with {level.threads} threads, taken {found.taken_at[:10]}"
    yield Finding(
        name=name,
        state=State.LIMITED if found.under_load else State.OK,
        text=text + (", under load: maybe too low" if found.under_load else ""),
        unlock="diagnose calibrate, while the machine is idle" if found.under_load else None,
    )


def _tools() -> Iterator[Finding]:
    """Tools beside this one that some dumps need."""
    import shutil

    for tool, text in (("ncu", "reads .ncu-rep reports"), ("nvidia-smi", "stands in where NVML cannot be opened")):
        place = shutil.which(tool)
        yield Finding(
            name=tool, state=State.OK if place else State.LIMITED, text=text if place else f"not on the PATH; {text}"
        )


def _engines(proc: Proc) -> Iterator[Finding]:
    """Jobs of engines that run here."""
    import psutil

    from collectors.engines.recognise import shape_of

    roots: dict[int, Job] = {}
    for process in psutil.process_iter():
        if shape_of(proc.arguments(process.pid)) is None or process.pid == os.getpid():
            continue
        try:
            job = find(process.pid, proc)
        except DiagnoseError:
            continue
        roots.setdefault(job.root.pid, job)
        if len(roots) >= MOST_ENGINES:
            break
    for job in roots.values():
        yield from _job(job, proc)
    if not roots:
        yield Finding(name="engines", state=State.LIMITED, text="no serving engine runs here, as far as can be seen")


def _job(job: Job, proc: Proc) -> Iterator[Finding]:
    """One job: its engine, its sockets, whether its metrics answer, whose it is."""
    from collectors.engines.source import ALWAYS, EngineSource

    named = job.engine or "unknown program"
    ports = ", ".join(str(listener.port) for listener in job.listeners[:4]) or "none seen"
    yield Finding(
        name=f"process {job.root.pid}",
        state=State.OK if job.shape is not None else State.LIMITED,
        text=f"{named}, {_counted(len(job.members), 'process', 'processes')}, ports {ports}",
        unlock=f"diagnose attach {job.root.pid}",
    )
    if job.shape is None:
        return
    source = EngineSource(job, proc)
    begun = source.start()
    answered = source.sample(0.0)
    source.close()
    name = f"{named} metrics"
    troubles = [(r["reason"], r.get("unlock")) for r in begun if r["what"] == "missing"]
    troubles += [(r["text"], None) for r in answered if r["what"] == "event"]
    silent = [r for r in answered if r["what"] == "scrape" and not any(s[0] not in ALWAYS for s in r["samples"])]
    if silent or (job.shape.metrics and not troubles and not answered):
        troubles.append((f"the page answers and holds no counter of {named}", SWITCHES.get(job.shape.engine)))
    for reason, unlock in troubles:
        yield Finding(name=name, state=State.MISSING, text=reason, unlock=unlock)
    if not troubles and not answered:
        yield Finding(
            name=name, state=State.LIMITED, text="it exports no rates: its device and its host tell what they can"
        )
    kinds = dict.fromkeys(_ANSWERS[r["what"]] for r in answered if r["what"] in _ANSWERS and r not in silent)
    if kinds:
        yield Finding(
            name=name, state=State.OK, text=f"{' and '.join(kinds)} {'answer' if len(kinds) > 1 else 'answers'}"
        )


def _counted(number: int, one: str, more: str | None = None) -> str:
    return f"{number} {one if number == 1 else more or one + 's'}"


def system() -> str:
    """Kernel and Python, for a report of a fault."""
    return f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
