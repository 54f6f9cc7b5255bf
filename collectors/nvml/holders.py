"""Which devices hold the job: by the processes that NVML lists, else by what the job was allowed to see.

NVML counts pids of the host. From within a container they mean nothing, or nothing is listed at all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from collectors.nvml.devices import Gpu

HostPids = Callable[[Collection[int]], Mapping[int, int]]
"""From pids, the job's as we see them and those that NVML lists, to {pid as NVML sees it: pid as we see it}."""

LISTS = ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetMPSComputeRunningProcesses")
"""Contexts of their own, and clients of an MPS server. Graphics processes are no inference."""

LARGEST_PID = 1 << 22

UNMATCHED = "NVML counts processes by their pids on the host, which could not be matched with the job's"
UNLOCK_PIDS = "run where the host's pids are seen: on the host, or in a container started with --pid=host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Who is on a device: the job's pids as we see them, and how many others; None where that is not known."""

    pids: tuple[int, ...] = ()
    others: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The job's devices by index. ``reason`` says on what ground they were taken, or why there are none."""

    held: Mapping[int, Holding] = field(default_factory=dict)
    reason: str | None = None
    unlock: str | None = None
    guessed: bool = False


def same_pids(pids: Collection[int]) -> Mapping[int, int]:
    """Every process that is here under the very number: right wherever the pids are the host's."""
    return {pid: pid for pid in pids if Path(f"/proc/{pid}").exists()}


def listed(gpu: Gpu) -> frozenset[int] | None:
    """Pids of a device's compute processes as NVML sees them; None where it does not tell."""
    answers = [gpu.handle.ask(name) for name in LISTS]
    if answers[0] is None:
        return None
    found = (getattr(process, "pid", 0) for answer in answers for process in answer or ())
    return frozenset(int(pid) for pid in found if 0 < pid <= LARGEST_PID)


def match(
    gpus: Sequence[Gpu],
    job: Collection[int],
    *,
    host_pids: HostPids = same_pids,
    visible: str | None = None,
    holds_device: bool | None = None,
) -> Match:
    """The devices of the job.

    ``visible`` is the job's CUDA_VISIBLE_DEVICES, None where it is not set or not known. ``holds_device`` False: no
    process of the job has opened a device, so none is guessed for it.
    """
    on = {gpu.index: pids for gpu in gpus if not gpu.cut and (pids := listed(gpu)) is not None}
    every = frozenset().union(*on.values()) if on else frozenset()
    ours = dict(host_pids([*job, *every]))
    held = {
        index: Holding(pids=tuple(sorted(mine)), others=sum(ours.get(pid) not in job for pid in pids))
        for index, pids in on.items()
        if (mine := {ours[pid] for pid in pids if ours.get(pid) in job})
    }
    if held:
        return Match(held=held)
    if holds_device is False or every & ours.keys():
        return Match(reason="no process of the job holds an NVIDIA GPU")
    return _guessed(gpus, on, visible)


def _guessed(gpus: Sequence[Gpu], on: Mapping[int, frozenset[int]], visible: str | None) -> Match:
    leaves = [gpu for gpu in gpus if not gpu.cut]
    because, unlock = _unmatched(leaves, on)

    def taken(chosen: Sequence[Gpu], ground: str) -> Match:
        called = ", ".join(gpu.called for gpu in chosen)
        return Match(
            held={gpu.index: Holding() for gpu in chosen},
            reason=f"{because}: {called} {'is' if len(chosen) == 1 else 'are'} taken {ground}",
            unlock=unlock,
            guessed=True,
        )

    if visible is not None:
        named = of_visible(visible, gpus)
        if not named:
            return Match(reason=f"the job's CUDA_VISIBLE_DEVICES={visible!r} names no GPU that is here")
        return taken(named, "from the job's CUDA_VISIBLE_DEVICES")
    if len(leaves) == 1:
        return taken(leaves, "as the only one")
    busy = [gpu for gpu in leaves if on.get(gpu.index)]
    if busy:
        return taken(busy, "because compute processes run there")
    if not leaves:
        return Match(reason="no NVIDIA GPU is here")
    return Match(reason=f"{because}, and nothing else tells which GPU is the job's", unlock=unlock)


def _unmatched(leaves: Sequence[Gpu], on: Mapping[int, frozenset[int]]) -> tuple[str, str | None]:
    if any(on.values()):
        return UNMATCHED, UNLOCK_PIDS
    if on:
        return "NVML lists no compute process", UNLOCK_PIDS
    why = next((why for gpu in leaves if (why := gpu.handle.why(LISTS[0]))), None)
    return f"NVML does not tell which processes use a GPU{f' ({why})' if why else ''}", None


def of_visible(visible: str, gpus: Sequence[Gpu]) -> list[Gpu]:
    """The devices that CUDA_VISIBLE_DEVICES names: as CUDA reads it, up to the first word that names none.

    Words are indices, counted in bus order, beginnings of UUIDs, or MIG instances. Of a GPU cut into instances
    CUDA takes the first.
    """
    found: list[Gpu] = []
    for word in visible.split(","):
        gpu = _named(word.strip(), gpus)
        if gpu is None:
            break
        if gpu not in found:
            found.append(gpu)
    return found


def _named(word: str, gpus: Sequence[Gpu]) -> Gpu | None:
    if word.isascii() and word.isdecimal():
        return _uncut(next((g for g in gpus if g.whole and g.index == int(word[:6])), None), gpus)
    if word.startswith("MIG-GPU-"):
        board, _, parts = word.removeprefix("MIG-").partition("/")
        return next((g for g in gpus if g.board_uuid == board and f"{g.instance}/{g.compute_instance}" == parts), None)
    if not word.startswith(("GPU-", "MIG-")) or len(word) < 5:
        return None
    fitting = [g for g in gpus if g.uuid is not None and g.uuid.startswith(word)]
    return _uncut(fitting[0], gpus) if len(fitting) == 1 else None


def _uncut(gpu: Gpu | None, gpus: Sequence[Gpu]) -> Gpu | None:
    if gpu is None or not gpu.cut:
        return gpu
    return next((g for g in gpus if g.board_index == gpu.index and not g.whole), None)
