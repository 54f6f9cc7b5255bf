"""NVIDIA devices as NVML lists them: whole GPUs, and the instances of those that MIG has cut up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from collectors.nvml.library import REASONS, Handle, Library, Record, Refusal, sane, stated

MIG_INDICES = 100
"""Instances are numbered from here on, GPU by GPU, out of the way of whole GPUs."""
COMPUTE_INSTANCES = 16
"""Instances of one GPU have numbers below; further compute instances of one are numbered in such strides."""

MOST_GPUS = 128
MOST_LINKS = 32
MOST_BYTES = 1e14
MOST_RATE = 1e14
MOST_HERTZ = 1e11
MOST_WATTS = 1e5
MEGA = 1e6
MIB = float(1 << 20)

SM_CLOCK, MEMORY_CLOCK = 1, 2
NVLINK_SPEED_MBPS, NVLINK_COUNT = 90, 91
"""Field values: megabytes a second of one link in one direction, and links on the device."""

CORES_PER_SM = {5: 128, 6: 128, 7: 64, 8: 128, 9: 128, 10: 128, 12: 128}
CORES_PER_SM_OF = {(6, 0): 64, (8, 0): 64}
"""FP32 lanes by compute capability, by its major number where the minor does not matter."""

LANE_BYTES_PER_S = {
    1: 2.5e9 * 0.8 / 8,
    2: 5e9 * 0.8 / 8,
    3: 8e9 * 128 / 130 / 8,
    4: 16e9 * 128 / 130 / 8,
    5: 32e9 * 128 / 130 / 8,
    6: 64e9 * 242 / 256 / 8,
}
"""One PCIe lane in one direction by generation: transfers a second less the line code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One device. ``board`` is the whole GPU's handle, ``handle`` the instance's own, the same where it is not cut."""

    index: int
    board_index: int
    handle: Handle
    board: Handle
    uuid: str | None
    board_uuid: str | None
    instance: int | None = None
    compute_instance: int | None = None
    cut: bool = False
    """A whole GPU whose work runs in instances."""

    @property
    def whole(self) -> bool:
        """Not an instance of MIG."""
        return self.instance is None

    @property
    def called(self) -> str:
        """How messages name it."""
        if self.whole:
            return f"GPU {self.index}"
        return f"GPU {self.board_index}, MIG instance {self.instance}"

    @property
    def gone(self) -> Refusal | None:
        """Why it cannot be read any more."""
        return self.handle.gone or self.board.gone


def gpus(library: Library) -> tuple[list[Gpu], list[tuple[int, Refusal]]]:
    """Every device, and the GPUs that NVML counts but does not hand out, with the reason."""
    found: list[Gpu] = []
    refused: list[tuple[int, Refusal]] = []
    count = library.asked("nvmlDeviceGetCount")
    if isinstance(count, Refusal):
        return [], [(-1, count)]
    for index in range(min(int(count), MOST_GPUS)):
        raw = library.asked("nvmlDeviceGetHandleByIndex", index)
        if isinstance(raw, Refusal):
            refused.append((index, raw))
            continue
        board = Handle(library, raw)
        uuid = text(board.ask("nvmlDeviceGetUUID"))
        if board.gone is not None:
            refused.append((index, board.gone))
            continue
        instances = _instances(index, board, uuid)
        cut = bool(instances) or _mode(board) == 1
        found.append(
            Gpu(index=index, board_index=index, handle=board, board=board, uuid=uuid, board_uuid=uuid, cut=cut)
        )
        found.extend(instances)
    return found, refused


def _mode(board: Handle) -> int:
    answer = board.ask("nvmlDeviceGetMigMode")
    return int(answer[0]) if answer else 0


def _instances(index: int, board: Handle, board_uuid: str | None) -> list[Gpu]:
    if _mode(board) != 1:
        return []
    found = []
    for place in range(min(int(board.ask("nvmlDeviceGetMaxMigDeviceCount") or 0), MIG_INDICES)):
        raw = board.library.asked("nvmlDeviceGetMigDeviceHandleByIndex", board.raw, place)
        if isinstance(raw, Refusal):
            continue
        handle = Handle(board.library, raw)
        instance = handle.ask("nvmlDeviceGetGpuInstanceId")
        if instance is None:
            continue
        compute = int(handle.ask("nvmlDeviceGetComputeInstanceId") or 0)
        found.append(
            Gpu(
                index=MIG_INDICES * (1 + index) + int(instance) + COMPUTE_INSTANCES * compute,
                board_index=index,
                handle=handle,
                board=board,
                uuid=text(handle.ask("nvmlDeviceGetUUID")),
                board_uuid=board_uuid,
                instance=int(instance),
                compute_instance=compute,
            )
        )
    return found


def facts(gpu: Gpu, driver: str | None) -> Record:
    """The ``device`` record's static part. Of an instance clocks, bus and limits are the board's: roofs scale them."""
    board, memory = gpu.board, gpu.handle.ask("nvmlDeviceGetMemoryInfo")
    return stated(
        index=gpu.index,
        uuid=gpu.uuid,
        name=text(board.ask("nvmlDeviceGetName")),
        vendor="NVIDIA",
        memory_bytes=sane(getattr(memory, "total", None), MOST_BYTES) or None,
        sm_count=_sm_count(gpu),
        bus_width_bits=_counted(board.ask("nvmlDeviceGetMemoryBusWidth"), 1 << 16),
        max_memory_clock_hz=clock_hz(board, "nvmlDeviceGetMaxClockInfo", MEMORY_CLOCK),
        memory_clock_hz=clock_hz(board, "nvmlDeviceGetClockInfo", MEMORY_CLOCK),
        max_sm_clock_hz=clock_hz(board, "nvmlDeviceGetMaxClockInfo", SM_CLOCK),
        power_limit_w=power_limit_w(board),
        mig_profile=None if gpu.whole else _profile(gpu),
        driver=driver,
        pcie_peak_bytes_per_s=_pcie_peak(board) if gpu.whole else None,
        nvlink_peak_bytes_per_s=_nvlink_peak(board) if gpu.whole else None,
    )


def text(answer: Any) -> str | None:
    """A name as the driver prints it; None where it is empty or none."""
    return answer.strip() or None if isinstance(answer, str) else None


def clock_hz(handle: Handle, function: str, which: int) -> float | None:
    """A clock; an idle board may state 0, which is no clock."""
    return sane(handle.ask(function, which, part=which), MOST_HERTZ, MEGA) or None


def power_limit_w(board: Handle) -> float | None:
    """The limit that holds: the lowest of the user's, the board's and the system's."""
    return sane(board.ask("nvmlDeviceGetEnforcedPowerLimit"), MOST_WATTS, 1e-3) or None


def field_values(handle: Handle, *fields: tuple[int, int]) -> list[float | None]:
    """Field values by (field, scope), None for those that are refused."""
    name = "nvmlDeviceGetFieldValues"
    asked = [f for f in fields if not handle.is_refused(name, f)]
    answer = handle.ask(name, asked) if asked else None
    values: dict[tuple[int, int], float | None] = {}
    for which, value in zip(asked, answer if answer is not None else (), strict=False):
        code = int(value.nvmlReturn)
        values[which] = handle.heard(
            f"{name}{which}", _refusal(code) if code else sane(member(value.value, int(value.valueType)), 1e18)
        )
    return [values.get(f) for f in fields]


def member(union: Any, kind: int) -> Any:
    """The member of one of NVML's values that its type names."""
    members = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
    return getattr(union, members[kind], None) if 0 <= kind < len(members) else None


def _refusal(code: int) -> Refusal:
    return Refusal(code=code, reason=REASONS.get(code, f"error {code}"))


def _counted(value: Any, most: int) -> int | None:
    number = sane(value, most)
    return int(number) if number else None


def _sm_count(gpu: Gpu) -> int | None:
    if not gpu.whole:
        return _counted(getattr(gpu.handle.ask("nvmlDeviceGetAttributes"), "multiprocessorCount", None), 1024)
    cores = _counted(gpu.board.ask("nvmlDeviceGetNumGpuCores"), 1 << 20)
    capability = gpu.board.ask("nvmlDeviceGetCudaComputeCapability")
    if cores is None or capability is None:
        return None
    each = CORES_PER_SM_OF.get((capability[0], capability[1])) or CORES_PER_SM.get(capability[0])
    return cores // each if each and cores % each == 0 else None


def _profile(gpu: Gpu) -> str | None:
    """Such as ``3g.40gb``: in the instance's name, else of its slices and its memory in whole gigabytes."""
    from heuristics.roofs import MIG_PROFILE

    name = text(gpu.handle.ask("nvmlDeviceGetName")) or ""
    named = MIG_PROFILE.search(name)
    if named:
        return named[0]
    attributes = gpu.handle.ask("nvmlDeviceGetAttributes")
    slices = _counted(getattr(attributes, "gpuInstanceSliceCount", None), 8)
    megabytes = _counted(getattr(attributes, "memorySizeMB", None), 1 << 24)
    if slices is None or megabytes is None:
        return None
    computing = _counted(getattr(attributes, "computeInstanceSliceCount", None), 8) or slices
    part = f"{computing}c." if computing < slices else ""
    return f"{part}{slices}g.{math.ceil(megabytes / 1024)}gb"


def _pcie_peak(board: Handle) -> float | None:
    generation = _counted(board.ask("nvmlDeviceGetMaxPcieLinkGeneration"), 6)
    width = _counted(board.ask("nvmlDeviceGetMaxPcieLinkWidth"), 32)
    return None if generation is None or width is None else LANE_BYTES_PER_S[generation] * width


def _nvlink_peak(board: Handle) -> float | None:
    """All active links in one direction."""
    speed, count = field_values(board, (NVLINK_SPEED_MBPS, 0), (NVLINK_COUNT, 0))
    if not speed or not count:
        return None
    links = range(min(int(count), MOST_LINKS))
    active = sum(board.ask("nvmlDeviceGetNvLinkState", link, part=link) == 1 for link in links)
    return sane(speed * active, MOST_RATE, MEGA) if active else None
