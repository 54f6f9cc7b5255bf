"""The probe on a CUDA device that is made up: events on a clock, a stream to warm up on, a capture that may fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from collectors.probe.device import cuda_device
from collectors.probe.ranges import named, pair
from collectors.probe.through_torch import CAPTURE_WARM_UPS, LONGEST_HOLD_S, CudaDevice, Processors
from tests.make.nvml import ROOT, stub

CYCLES_PER_S = 1.5e9


class FakeCuda:
    """A device that does what is queued in order; the host queues in no time unless ``host_s`` of a step says so."""

    def __init__(self, *, capture: Exception | None = None, sleeps: bool = True) -> None:
        self.host_s = 0.0
        self.busy_until_s = 0.0
        self.capture = capture
        self.log: list[str] = []
        self.capturing = False
        self.holds: list[float] = []
        if sleeps:
            self._sleep = self._hold

    def kernel(self, seconds: float, *, queueing_s: float = 0.0) -> None:
        self.host_s += queueing_s
        self.busy_until_s = max(self.busy_until_s, self.host_s) + seconds

    def _hold(self, cycles: int) -> None:
        self.holds.append(cycles / CYCLES_PER_S)
        self.kernel(cycles / CYCLES_PER_S)

    def synchronize(self, index: int) -> None:
        self.host_s = max(self.host_s, self.busy_until_s)

    def Event(self, *, enable_timing: bool) -> Any:  # noqa: N802
        assert enable_timing
        event = SimpleNamespace(at_s=0.0)

        def record() -> None:
            event.at_s = max(self.busy_until_s, self.host_s)

        event.record = record
        event.elapsed_time = lambda other: (other.at_s - event.at_s) * 1e3
        return event

    def Stream(self, index: int) -> Any:  # noqa: N802
        return SimpleNamespace(wait_stream=lambda other: self.log.append("side waits"))

    def current_stream(self, index: int) -> Any:
        return SimpleNamespace(wait_stream=lambda other: self.log.append("main waits"))

    @contextmanager
    def stream(self, stream: Any) -> Any:
        self.log.append("aside")
        yield
        self.log.append("back")

    def graph_pool_handle(self) -> str:
        self.log.append("pool")
        return "pool"

    def CUDAGraph(self) -> Any:  # noqa: N802
        return SimpleNamespace(replay=lambda: self.log.append("replay"))

    @contextmanager
    def graph(self, graph: Any, *, pool: str) -> Any:
        assert pool == "pool"
        if self.capture is not None:
            raise self.capture
        self.log.append("capturing")
        yield
        self.log.append("captured")


def device(**options: Any) -> tuple[CudaDevice, FakeCuda]:
    cuda = FakeCuda(**options)
    return CudaDevice(SimpleNamespace(cuda=cuda), 0, nvtx=False), cuda


def test_a_step_that_is_launched_slowly_is_timed_without_its_launches() -> None:
    backend, cuda = device()

    def run() -> None:
        for _ in range(100):
            cuda.kernel(2e-6, queueing_s=10e-6)

    assert backend.device_s(run, 1.5e-3) == pytest.approx(200e-6)
    assert cuda.holds[-1] == pytest.approx(1.5e-3, rel=1e-3)


def test_without_a_way_to_hold_the_device_the_launches_count() -> None:
    backend, cuda = device(sleeps=False)

    def run() -> None:
        for _ in range(100):
            cuda.kernel(2e-6, queueing_s=10e-6)

    assert backend.device_s(run, 1.5e-3) == pytest.approx(1e-3, rel=0.05)


def test_the_device_is_never_held_for_long() -> None:
    backend, cuda = device()
    backend.device_s(lambda: cuda.kernel(1e-3), 60.0)
    assert max(cuda.holds) == pytest.approx(LONGEST_HOLD_S, rel=1e-3)


def test_a_step_is_warmed_up_aside_and_then_captured() -> None:
    backend, cuda = device()
    replay = backend.captured(lambda: cuda.log.append("step"))
    assert callable(replay)
    steps = ["step"] * CAPTURE_WARM_UPS
    assert cuda.log == [
        "side waits",
        "aside",
        *steps,
        "back",
        "main waits",
        "pool",
        "capturing",
        "step",
        "captured",
        "replay",
    ]
    cuda.log.clear()
    replay()
    assert cuda.log == ["replay"]


def test_graphs_share_their_memory() -> None:
    backend, cuda = device()
    for _ in range(3):
        backend.captured(lambda: None)
    assert cuda.log.count("pool") == 1


def test_after_a_capture_that_failed_no_other_is_tried() -> None:
    backend, cuda = device(capture=RuntimeError("operation not permitted when stream is capturing\nmore"))
    first = backend.captured(lambda: None)
    assert first == "RuntimeError: operation not permitted when stream is capturing"
    cuda.log.clear()
    assert backend.captured(lambda: None) == first
    assert cuda.log == []


def test_processors_have_neither_a_clock_of_their_own_nor_graphs() -> None:
    backend = Processors(SimpleNamespace(), nvtx=False)
    assert backend.device_s(lambda: None, 1.0) is None
    assert "CUDA" in str(backend.captured(lambda: None))


def test_ranges_are_closed_whatever_happens() -> None:
    said: list[str] = []
    with pytest.raises(ZeroDivisionError), named("decode batch 1", (said.append, lambda: said.append("end"))):
        _ = 1 / 0
    assert said == ["decode batch 1", "end"]


def test_without_the_nvtx_package_torch_names_the_ranges_if_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nvtx", None)
    said: list[str] = []
    nvtx = SimpleNamespace(range_push=said.append, range_pop=lambda: said.append("pop"))
    found = pair(SimpleNamespace(cuda=SimpleNamespace(nvtx=nvtx)), on_gpu=True)
    assert found is not None
    assert said == ["diagnose", "pop"]

    def refuses(name: str) -> None:
        raise RuntimeError("NVTX functions not installed")

    nvtx.range_push = refuses
    assert pair(SimpleNamespace(cuda=SimpleNamespace(nvtx=nvtx)), on_gpu=True) is None
    assert pair(SimpleNamespace(), on_gpu=False) is None


def test_what_torch_says_of_a_device_stands_where_nvml_says_nothing() -> None:
    properties = SimpleNamespace(name="NVIDIA H100 80GB HBM3", total_memory=85_000_000_000, multi_processor_count=132)
    torch = SimpleNamespace(
        cuda=SimpleNamespace(get_device_properties=lambda index: properties), version=SimpleNamespace(hip=None)
    )
    found = cuda_device(torch, 3)
    assert (found.index, found.name, found.sm_count) == (3, "NVIDIA H100 80GB HBM3", 132)
    assert found.memory_bytes == 85e9


READING = """
import json
from collectors.probe.device import ClockReader
found = {}
for uuid in ("GPU-0f0f0f0f-5a5a-4b4b-8c8c-000000000000", "0f0f0f0f-5a5a-4b4b-8c8c-000000000000", "GPU-another", None):
    reader = ClockReader(uuid)
    reader.read()
    reader.read()
    found[str(uuid)] = reader.close()
    reader.read()
    assert reader.close() == found[str(uuid)], "closed twice, read no more"
print(json.dumps(found))
"""


@pytest.mark.parametrize(("scenario", "silent"), [("h200", False), ("h200,driver=9", True)])
def test_clocks_are_read_through_the_driver_where_it_speaks(scenario: str, silent: bool) -> None:
    environment = {**os.environ, "NVML_STUB": scenario, "LD_LIBRARY_PATH": str(stub()), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", READING]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("GPU-another") == found.pop("None") == {}
    for clocks in found.values():
        assert set(clocks) == (set() if silent else {"sm_hz", "memory_hz"})
        assert all(1e8 < value < 1e10 for value in clocks.values())
