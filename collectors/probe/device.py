"""What the device is that a step runs on, as torch and NVML state it."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from collectors.calibration.machine import Machine
from heuristics.roofs import Device

if TYPE_CHECKING:
    from collectors.nvml.devices import Gpu
    from collectors.nvml.library import Library, Unavailable


def processor(machine: Machine) -> Device:
    """The host's processors as one device."""
    return Device(name=machine.cpu, last_level_cache_bytes=machine.last_level_cache_bytes)


def cuda_device(torch: Any, index: int) -> Device:
    """A CUDA device, under torch's number; NVML's clocks and bus width with it, where it can be asked."""
    properties = torch.cuda.get_device_properties(index)
    own = Device(
        index=index,
        name=str(properties.name),
        vendor="NVIDIA" if getattr(torch.version, "hip", None) is None else "AMD",
        memory_bytes=float(properties.total_memory),
        sm_count=int(properties.multi_processor_count),
    )
    uuid = uuid_of(torch, index)
    stated = _through_nvml(uuid, index) if uuid is not None else None
    return own if stated is None else own.merged(stated)


def uuid_of(torch: Any, index: int) -> str | None:
    """The device's UUID as NVML knows it; None of what NVML does not know."""
    found = str(getattr(torch.cuda.get_device_properties(index), "uuid", ""))
    return found if found and getattr(torch.version, "hip", None) is None else None


class ClockReader:
    """Clocks of a CUDA device, read between rounds of steps, when it has just worked. Silent where NVML is."""

    def __init__(self, uuid: str | None) -> None:
        from collectors.nvml.library import open_library

        self._library = open_library() if uuid else None
        self._gpu = _gpu(self._library, uuid or "")
        self._read: dict[str, list[float]] = {}

    def read(self) -> None:
        """Once more."""
        from collectors.nvml.devices import MEMORY_CLOCK, SM_CLOCK, clock_hz

        if self._gpu is None:
            return
        for name, which in (("sm_hz", SM_CLOCK), ("memory_hz", MEMORY_CLOCK)):
            value = clock_hz(self._gpu.board, "nvmlDeviceGetClockInfo", which)
            if value is not None:
                self._read.setdefault(name, []).append(value)

    def close(self) -> dict[str, float]:
        """Medians of what was read, in hertz; it reads no more."""
        from collectors.nvml.library import Library

        if isinstance(self._library, Library):
            self._library.close()
        self._library = self._gpu = None
        return {name: median(values) for name, values in self._read.items()}


def _through_nvml(uuid: str, index: int) -> Device | None:
    """What NVML says of the device with that UUID; None where it says nothing."""
    from collectors.nvml.devices import facts
    from collectors.nvml.fold import device_of
    from collectors.nvml.library import Library, open_library

    library = open_library()
    try:
        found = _gpu(library, uuid)
        return None if found is None or found.cut else device_of(index, facts(found, None))
    finally:
        if isinstance(library, Library):
            library.close()


def _gpu(library: Library | Unavailable | None, uuid: str) -> Gpu | None:
    """The device with that UUID, whichever way it is written."""
    from collectors.nvml.devices import gpus
    from collectors.nvml.library import Library

    if not isinstance(library, Library):
        return None
    listed, _ = gpus(library)
    return next((g for g in listed if (g.uuid or "").removeprefix("GPU-") == uuid.removeprefix("GPU-")), None)
