"""What the device is that a step runs on, as torch and NVML state it."""

from __future__ import annotations

from typing import Any

from collectors.calibration.machine import Machine
from heuristics.roofs import Device


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
    uuid = str(getattr(properties, "uuid", "")).removeprefix("GPU-")
    stated = _through_nvml(uuid, index) if uuid and own.vendor == "NVIDIA" else None
    return own if stated is None else own.merged(stated)


def _through_nvml(uuid: str, index: int) -> Device | None:
    """What NVML says of the device with that UUID; None where it says nothing."""
    from collectors.nvml.devices import facts, gpus
    from collectors.nvml.fold import device_of
    from collectors.nvml.library import Unavailable, open_library

    library = open_library()
    if isinstance(library, Unavailable):
        return None
    try:
        listed, _ = gpus(library)
        found = next((g for g in listed if (g.uuid or "").removeprefix("GPU-") == uuid), None)
        return None if found is None or found.cut else device_of(index, facts(found, None))
    finally:
        library.close()
