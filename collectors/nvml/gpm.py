"""GPM: hardware activity of Hopper and later, read as the difference of two samples, without any privilege."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from collectors.nvml.devices import MIB, MOST_RATE, Gpu
from collectors.nvml.library import NO_PERMISSION, NOT_SUPPORTED, REASONS, Record, Refusal, missing, sane, stated

SHORTEST_S = 0.2
"""Between samples: the counters refresh within 100 ms, and a shorter difference is none."""

FRACTIONS = {
    1: "engine_active",
    2: "sm_active",
    3: "sm_occupancy",
    4: "integer_active",
    5: "tensor_active",
    10: "dram_active",
    11: "fp64_active",
    12: "fp32_active",
    13: "fp16_active",
}
RATES = {
    20: "pcie_tx_bytes_per_s",
    21: "pcie_rx_bytes_per_s",
    60: "nvlink_rx_bytes_per_s",
    61: "nvlink_tx_bytes_per_s",
}
"""Metric ids: percent, and MiB/s as the device sees it."""
METRICS = (*FRACTIONS, *RATES)

SETTLED_READS = 3
"""Readings after which a metric that was never given is said to be missing."""

MOST_PERCENT = 105.0
"""Rounding passes 100 now and then; more is no percentage."""

UNLOCKS = {
    NOT_SUPPORTED: "GPM needs Hopper or later, and no vGPU; "
    "dcgm-exporter gives the same on data-centre boards from Volta on",
    NO_PERMISSION: "run as root, or load the nvidia module with NVreg_RestrictProfilingToAdminUsers=0",
}


class Gpm:
    """One device's activity since the last reading. Frees its samples on ``close``."""

    def __init__(self, gpu: Gpu, clock: Callable[[], float]) -> None:
        self.gpu = gpu
        self.library = gpu.board.library
        self.clock = clock
        self.samples: list[Any] = []
        self.taken_s: float | None = None
        self.request: Any = None
        self.refusal: Refusal | None = None
        self.gives: set[str] = set()
        self.reads = 0
        self._denied: dict[str, str] = {}
        self._open()

    def _open(self) -> None:
        support = self.library.asked("nvmlGpmQueryDeviceSupport", self.gpu.board.raw)
        if isinstance(support, Refusal):
            self.refusal = support
        elif not support.isSupportedDevice:
            self.refusal = Refusal(code=NOT_SUPPORTED, reason=REASONS[NOT_SUPPORTED])
        else:
            for _ in range(2):
                sample = self.library.asked("nvmlGpmSampleAlloc")
                if isinstance(sample, Refusal):
                    self.refusal = sample
                    break
                self.samples.append(sample)
        if self.refusal is None:
            self.request = self.library.asked("c_nvmlGpmMetricsGet_t")
            self._take(0)
        if isinstance(self.request, Refusal):
            self.refusal = self.request
        if self.refusal is not None:
            self.close()

    def read(self) -> Record | None:
        """The ``gpm`` record since the last reading, or None: too soon, refused, or nothing that is a number."""
        if self.refusal is not None:
            return None
        before = self.taken_s
        if before is not None and self.clock() - before < SHORTEST_S:
            return None
        if not self._take(1) or before is None or self.taken_s is None:
            self.samples.reverse()
            return None
        values = self._values()
        self.samples.reverse()
        self.gives |= values.keys()
        self.reads += 1
        return stated(device=self.gpu.index, window_s=self.taken_s - before, **values) if values else None

    def troubles(self) -> list[Record]:
        """What is not given, as ``missing`` records: all of it, or metrics that were never given."""
        source = f"GPM of {self.gpu.called}"
        if self.refusal is not None:
            return [missing(source, self.refusal.reason, UNLOCKS.get(self.refusal.code or 0))]
        denied = sorted(set(self._denied) - self.gives)
        if not denied or self.reads < SETTLED_READS:
            return []
        return [missing(source, "; ".join(f"{name}: {self._denied[name]}" for name in denied))]

    def close(self) -> None:
        """Free what was allocated."""
        while self.samples:
            self.library.asked("nvmlGpmSampleFree", self.samples.pop())

    def _take(self, place: int) -> bool:
        sample, board = self.samples[place], self.gpu.board
        if self.gpu.instance is None:
            answer = self.library.asked("nvmlGpmSampleGet", board.raw, sample)
        else:
            answer = self.library.asked("nvmlGpmMigSampleGet", board.raw, self.gpu.instance, sample)
        if board.heard("nvmlGpmSampleGet", answer) is None:
            if isinstance(answer, Refusal) and answer.for_good:
                self.refusal = answer
            self.taken_s = None
            return False
        self.taken_s = self.clock()
        return True

    def _values(self) -> dict[str, float]:
        request = self.request
        request.version = 1
        request.numMetrics = len(METRICS)
        request.sample1, request.sample2 = self.samples
        for place, metric in enumerate(METRICS):
            request.metrics[place].metricId = metric
        answer = self.library.asked("nvmlGpmMetricsGet", request)
        if self.gpu.board.heard("nvmlGpmMetricsGet", answer) is None:
            if isinstance(answer, Refusal) and answer.for_good:
                self.refusal = answer
            return {}
        found = {}
        for place, metric in enumerate(METRICS):
            value = self._value(metric, answer.metrics[place])
            if value is not None:
                found[FRACTIONS.get(metric) or RATES[metric]] = value
        return found

    def _value(self, metric: int, answer: Any) -> float | None:
        name, code = FRACTIONS.get(metric) or RATES[metric], int(answer.nvmlReturn)
        number = sane(answer.value, MOST_PERCENT if metric in FRACTIONS else MOST_RATE / MIB)
        if code or number is None:
            self._denied[name] = REASONS.get(code, f"error {code}") if code else "not a number"
            return None
        return min(1.0, number / 100.0) if metric in FRACTIONS else number * MIB
