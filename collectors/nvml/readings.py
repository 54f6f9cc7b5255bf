"""Periodic readings of one device: the ``nvml`` record."""

from __future__ import annotations

from collections.abc import Callable

from collectors.nvml.devices import (
    MEMORY_CLOCK,
    MOST_BYTES,
    MOST_RATE,
    MOST_WATTS,
    SM_CLOCK,
    Gpu,
    clock_hz,
    field_values,
    member,
)
from collectors.nvml.library import FOR_GOOD, Record, sane, stated

GPU_SAMPLES, MEMORY_SAMPLES = 1, 2
"""Kinds of the driver's own samples: time in which a kernel ran, in which memory was accessed."""

PCIE_TX, PCIE_RX = 0, 1
NVLINK_DATA_TX, NVLINK_DATA_RX = 138, 139
ALL_LINKS = 0xFFFFFFFF
"""Scope in which NVLink counters are the sum over the links; the default, 0, is the first link alone."""

UNCORRECTED, VOLATILE = 1, 0

SLOW_S = 2.0
"""How often the dear readings are taken: PCIe throughput holds each call for 20 ms, the rest changes slowly."""

STALE_READS = 3
"""Readings without a new sample of the driver after which its averages are asked for instead."""

MOST_JOULES = 1e13
MOST_SAMPLES = 4096


class Readings:
    """One device's readings; remembers which of the driver's samples it has seen."""

    def __init__(self, gpu: Gpu, clock: Callable[[], float]) -> None:
        self.gpu = gpu
        self.clock = clock
        self.slow_s: float | None = None
        self.reasons = "nvmlDeviceGetCurrentClocksEventReasons"
        self.seen = {GPU_SAMPLES: 0, MEMORY_SAMPLES: 0}
        self.stale = 0
        self.prime()

    def prime(self) -> None:
        """Pass over samples from before the start."""
        for kind in self.seen:
            self._samples(kind)

    def read(self, *, pcie: bool = True, nvlink: bool = True) -> Record:
        """What the device states now; ``pcie`` and ``nvlink`` False where another source gives these.

        Empty but for ``device`` where it states nothing.
        """
        gpu, board = self.gpu, self.gpu.board
        memory = gpu.handle.ask("nvmlDeviceGetMemoryInfo")
        found = stated(
            device=gpu.index,
            sm_clock_hz=clock_hz(board, "nvmlDeviceGetClockInfo", SM_CLOCK),
            memory_clock_hz=clock_hz(board, "nvmlDeviceGetClockInfo", MEMORY_CLOCK),
            clock_reasons=self._clock_reasons(),
            memory_used_bytes=sane(getattr(memory, "used", None), MOST_BYTES),
        )
        if gpu.whole:
            found |= self._utilisation()
            found |= stated(
                power_w=sane(board.ask("nvmlDeviceGetPowerUsage"), MOST_WATTS, 1e-3),
                energy_j=sane(board.ask("nvmlDeviceGetTotalEnergyConsumption"), MOST_JOULES, 1e-3),
            )
            if self.slow_s is None or self.clock() - self.slow_s >= SLOW_S:
                self.slow_s = self.clock()
                found |= self._slow(pcie, nvlink)
        return found

    def _clock_reasons(self) -> int | None:
        board = self.gpu.board
        answer = board.ask(self.reasons)
        if answer is None and board.is_refused(self.reasons) and "Event" in self.reasons:
            self.reasons = "nvmlDeviceGetCurrentClocksThrottleReasons"
            answer = board.ask(self.reasons)
        number = sane(answer, 1 << 48)
        return None if number is None else int(number)

    def _slow(self, pcie: bool, nvlink: bool) -> Record:
        board = self.gpu.board
        engines = [
            sane(answer[0], 100.0, 1.0)
            for engine in ("Encoder", "Decoder", "Jpg", "Ofa")
            if (answer := board.ask(f"nvmlDeviceGet{engine}Utilization"))
        ]
        ecc = board.ask("nvmlDeviceGetTotalEccErrors", UNCORRECTED, VOLATILE)
        found = stated(
            video=max((value / 100.0 for value in engines if value is not None), default=None),
            ecc_errors=sane(ecc, 1e12),
        )
        if pcie:
            name = "nvmlDeviceGetPcieThroughput"
            found |= stated(
                pcie_rx_bytes_per_s=sane(board.ask(name, PCIE_RX, part=PCIE_RX), MOST_RATE, 1e3),
                pcie_tx_bytes_per_s=sane(board.ask(name, PCIE_TX, part=PCIE_TX), MOST_RATE, 1e3),
            )
        if nvlink:
            tx, rx = field_values(board, (NVLINK_DATA_TX, ALL_LINKS), (NVLINK_DATA_RX, ALL_LINKS))
            found |= stated(nvlink_rx_bytes=sane(rx, 1e18, 1024.0), nvlink_tx_bytes=sane(tx, 1e18, 1024.0))
        return found

    def _utilisation(self) -> Record:
        """Fractions of time: the driver's samples since the last reading, else its latest averages."""
        sm, memory = self._samples(GPU_SAMPLES), self._samples(MEMORY_SAMPLES)
        self.stale = 0 if sm else self.stale + 1
        if sm is None or self.stale >= STALE_READS:
            rates = self.gpu.board.ask("nvmlDeviceGetUtilizationRates")
            latest = [sane(getattr(rates, name, None), 100.0) for name in ("gpu", "memory")]
            sm, memory = ([] if value is None else [value / 100.0] for value in latest)
        return stated(sm=sm or None, memory=memory or None)

    def _samples(self, kind: int) -> list[float] | None:
        """New samples of the driver; None where it keeps none."""
        board, name = self.gpu.board, "nvmlDeviceGetSamples"
        answer = board.ask(name, kind, self.seen[kind], part=kind)
        if answer is None:
            refusal = board.refused.get(f"{name}{kind}")
            return None if refusal is not None and refusal.code in FOR_GOOD else []
        value_type, samples = answer
        fresh = [s for s in samples[-MOST_SAMPLES:] if s.timeStamp > self.seen[kind]]
        if fresh:
            self.seen[kind] = max(int(s.timeStamp) for s in fresh)
        numbers = (sane(member(s.sampleValue, value_type), 100.0) for s in fresh)
        return [number / 100.0 for number in numbers if number is not None]
