"""What torch adds to a calibration, with a made-up torch that answers instead of computing."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from collectors.calibration.through_torch import extended, gpus, with_types
from tests.collectors.test_calibration import USUAL

KERNEL_S = 0.001


class FakeEvent:
    """Events between which kernels take a millisecond each."""

    clock_s = 0.0

    def __init__(self, *, enable_timing: bool) -> None:
        assert enable_timing
        self.at_s = 0.0

    def record(self) -> None:
        self.at_s = FakeEvent.clock_s

    def elapsed_time(self, other: FakeEvent) -> float:
        return (other.at_s - self.at_s) * 1e3


class FakeTensor:
    """A tensor whose kernels only take time."""

    def copy_(self, other: FakeTensor) -> None:
        FakeEvent.clock_s += KERNEL_S

    def view(self, *shape: int) -> FakeTensor:
        return self

    def __matmul__(self, other: FakeTensor) -> FakeTensor:
        return self


def fake(*, devices: int = 1, refuses: str = "") -> Any:
    def made(*shape: int, **options: Any) -> FakeTensor:
        return FakeTensor()

    def kernel(*tensors: FakeTensor, out: FakeTensor | None = None) -> None:
        FakeEvent.clock_s += KERNEL_S

    def integer(left: FakeTensor, right: FakeTensor) -> None:
        if refuses == "int8":
            raise RuntimeError("not on this processor")

    def device(index: int) -> Any:
        if refuses == f"device {index}":
            raise RuntimeError("out of memory")
        return nullcontext()

    threads: list[int] = [7]
    cuda = SimpleNamespace(
        is_available=lambda: devices > 0,
        device_count=lambda: devices,
        get_device_properties=lambda index: SimpleNamespace(name=f"GPU {index}", total_memory=80_000_000_000),
        device=device,
        mem_get_info=lambda index: (1 << 30, 1 << 34),
        synchronize=lambda: None,
        empty_cache=lambda: None,
        Event=FakeEvent,
    )
    return SimpleNamespace(
        cuda=cuda,
        threads=threads,
        get_num_threads=lambda: threads[-1],
        set_num_threads=threads.append,
        no_grad=nullcontext,
        bfloat16="bf16",
        float16="fp16",
        int8="int8",
        ones=made,
        zeros=made,
        randn=made,
        empty_like=made,
        mv=kernel,
        matmul=kernel,
        _int_mm=integer,
    )


def test_types_are_measured_with_one_thread_and_with_all() -> None:
    torch = fake()
    found = with_types(USUAL, torch, seconds=0.0)
    every = ["bf16", "fp32", "int8"]
    assert [sorted(level.flops_per_s) for level in found.levels] == [every, ["fp32"], every]
    assert torch.threads == [7, 1, 8, 7]
    assert [level.flops_per_s["fp32"] for level in found.levels] == [x.flops_per_s["fp32"] for x in USUAL.levels]


def test_a_type_that_is_refused_is_left_out() -> None:
    found = with_types(USUAL, fake(refuses="int8"), seconds=0.0)
    assert sorted(found.levels[0].flops_per_s) == ["bf16", "fp32"]


def test_a_gpu_states_bandwidth_and_arithmetic() -> None:
    (gpu,) = gpus(fake(), seconds=0.0)
    assert (gpu.index, gpu.name, gpu.memory_bytes) == (0, "GPU 0", 8e10)
    moved = 2 * ((1 << 30) // 8 // 2 // 8192 * 8192) * 2
    assert gpu.bandwidth_bytes_per_s == pytest.approx(moved / KERNEL_S)
    assert gpu.flops_per_s == pytest.approx({"bf16": 2 * 8192**3 / KERNEL_S, "fp16": 2 * 8192**3 / KERNEL_S})
    record = USUAL.gpu_record(gpu)
    assert (record["what"], record["device"], record["index"]) == ("calibration", "GPU 0", 0)


def test_a_gpu_that_cannot_be_used_is_passed_over() -> None:
    assert [gpu.index for gpu in gpus(fake(devices=2, refuses="device 0"), seconds=0.0)] == [1]


def test_no_gpu_gives_none() -> None:
    assert list(gpus(fake(devices=0))) == []


def test_without_torch_the_calibration_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collectors.calibration.through_torch.find_spec", lambda name: None)
    assert extended(USUAL, lambda _: None) is USUAL


def test_a_torch_that_does_not_load_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise OSError("libcudart.so: cannot open shared object file")

    monkeypatch.setattr("collectors.calibration.through_torch.find_spec", lambda name: object())
    monkeypatch.setattr("collectors.calibration.through_torch.import_module", broken)
    assert extended(USUAL, lambda _: None) is USUAL
