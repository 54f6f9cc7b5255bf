"""The device around a probed step: what it is, and its roofs, stored, measured in the same run, or stated."""

from __future__ import annotations

from typing import Any

from heuristics.assemble import Given
from heuristics.roofs import Device, Roofs, device_roofs, measured_roofs
from heuristics.vocabulary import Dtype


class Processors:
    """The host's CPUs, with as many threads as torch uses."""

    def __init__(self, torch: Any, dtype: Dtype | None, *, calibrate: bool | None, given: Given) -> None:
        from collectors.calibration.brief import BriefCalibration
        from collectors.calibration.machine import this_machine
        from collectors.calibration.store import NoCalibration, load
        from collectors.probe.device import processor

        machine = this_machine()
        self.device: Device = processor(machine)
        self.threads: int | None = int(torch.get_num_threads())
        self._dtype = dtype
        stored = load(machine)
        self._stored = None if isinstance(stored, NoCalibration) else stored
        stated = given.bandwidth_bytes_per_s is not None and given.flops_per_s is not None
        measures = calibrate or (calibrate is None and self._stored is None and not stated)
        self._brief = BriefCalibration(torch, ("fp32",) if dtype is None else (dtype.value,)) if measures else None

    def glance(self) -> None:
        """Measure the roofs for a moment, where they are to be measured."""
        if self._brief is not None:
            self._brief.glance()

    def clocks(self) -> dict[str, float]:
        """None that say at what speed the processors ran."""
        return {}

    def roofs(self) -> Roofs | None:
        """Those measured, else those stored; None where there are neither."""
        if self._brief is not None:
            return self._brief.calibration().roofs(threads=self.threads, dtype=self._dtype)
        return None if self._stored is None else self._stored.roofs(threads=self.threads, dtype=self._dtype)


class CudaDevice:
    """A CUDA device: the table's or its own figures, unless it is to be measured."""

    threads: int | None = None

    def __init__(self, torch: Any, index: int, dtype: Dtype | None, *, calibrate: bool | None) -> None:
        from collectors.probe.device import ClockReader, cuda_device, uuid_of

        self.device: Device = cuda_device(torch, index)
        self._clocks = ClockReader(uuid_of(torch, index))
        self._torch, self._index, self._dtype, self._measures = torch, index, dtype, bool(calibrate)

    def glance(self) -> None:
        """Read the clocks. Kernels of a device are measured at once, when its roofs are asked for."""
        self._clocks.read()

    def clocks(self) -> dict[str, float]:
        """Medians of the clocks that were read between rounds, which ends the reading."""
        return self._clocks.close()

    def roofs(self) -> Roofs | None:
        """Measured ones; None leaves it to what is known of the device."""
        if not self._measures:
            return None
        from collectors.calibration.through_torch import gpu

        found = gpu(self._torch, self._index)
        known = device_roofs(self.device, None, self._dtype)
        names = {d.value for d in Dtype}
        return measured_roofs(
            bandwidth_bytes_per_s=found.bandwidth_bytes_per_s,
            flops_per_s={Dtype(name): rate for name, rate in found.flops_per_s.items() if name in names},
            dtype=self._dtype,
            source="measured on this device in the same run",
            last_level_cache_bytes=known.last_level_cache_bytes if known is not None else None,
        )
