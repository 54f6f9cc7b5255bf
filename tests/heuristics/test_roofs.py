"""Roofs: what the device says of itself comes before the table, scaled by its clock and its slice."""

from __future__ import annotations

import pytest

from heuristics.gpus import part_named
from heuristics.roofs import (
    Device,
    clock_bandwidth_bytes_per_s,
    clock_scaled_flops_per_s,
    datasheet_roofs,
    device_roofs,
    mig_fraction,
    overridden,
)
from heuristics.vocabulary import Dtype

SXM = "NVIDIA H100 80GB HBM3"


def test_the_device_comes_before_the_table() -> None:
    roofs = device_roofs(Device(name=SXM, memory_clock_hz=2619e6, bus_width_bits=5120))
    assert roofs is not None
    assert roofs.bandwidth_bytes_per_s == pytest.approx(3352.3e9, rel=1e-4)
    assert roofs.flops_per_s == 989.4e12
    assert roofs.source.startswith("memory clock × bus width of the device")
    assert roofs.warnings == ()


def test_the_table_gives_the_bus_that_nvml_does_not() -> None:
    roofs = device_roofs(Device(name=SXM, memory_clock_hz=2619e6))
    assert roofs is not None
    assert roofs.bandwidth_bytes_per_s == pytest.approx(3352.3e9, rel=1e-4)


def test_slower_memory_than_the_name_promises_is_used_and_told() -> None:
    """A board of the same name with half the memory clock has half the roof, not the datasheet's."""
    roofs = device_roofs(Device(name=SXM, memory_clock_hz=1310e6, bus_width_bits=5120))
    assert roofs is not None
    assert roofs.bandwidth_bytes_per_s == pytest.approx(1676.8e9, rel=1e-4)
    assert "another memory variant" in roofs.warnings[0]


def test_gddr_by_the_same_formula() -> None:
    assert clock_bandwidth_bytes_per_s(10501e6, 384) == pytest.approx(1008.1e9, rel=1e-4)


@pytest.mark.parametrize(("clock_mhz", "fraction"), [(1980, 1.0), (1830, 1.0), (915, 0.5)])
def test_the_arithmetic_roof_falls_with_the_clock_and_never_rises(clock_mhz: float, fraction: float) -> None:
    part = part_named("H100")
    scaled = clock_scaled_flops_per_s(part, Dtype.BF16, clock_mhz * 1e6)
    assert scaled == pytest.approx(989.4e12 * fraction, rel=2e-3)
    roofs = device_roofs(Device(name=SXM, sm_clock_hz=clock_mhz * 1e6))
    assert roofs is not None
    assert roofs.flops_per_s == pytest.approx(989.4e12 * fraction, rel=2e-3)
    assert ("SM clock" in roofs.source) is (fraction < 1.0)


def test_the_h20_keeps_its_table_value() -> None:
    """SMs × clock × FLOPs a clock would give 632 TFLOP/s; the part is held to 148."""
    part = part_named("H20")
    assert part.boost_sm_clock_hz is not None
    scaled = clock_scaled_flops_per_s(part, Dtype.BF16, part.boost_sm_clock_hz)
    assert scaled == pytest.approx(148e12)


@pytest.mark.parametrize(
    ("gpu", "profile", "bandwidth", "arithmetic"),
    [
        ("H100", "1g.10gb", 1 / 8, 1 / 7),
        ("H100", "1g.20gb", 2 / 8, 1 / 7),
        ("H100", "2g.20gb", 2 / 8, 2 / 7),
        ("H100", "3g.40gb", 4 / 8, 3 / 7),
        ("H100", "4g.40gb", 4 / 8, 4 / 7),
        ("H100", "7g.80gb", 1.0, 1.0),
        ("A100 40GB SXM", "1g.5gb", 1 / 8, 1 / 7),
        ("A100 40GB SXM", "3g.20gb", 4 / 8, 3 / 7),
        ("H200", "1g.18gb", 1 / 8, 1 / 7),
        ("H200", "3g.71gb", 4 / 8, 3 / 7),
        ("H200", "7g.141gb", 1.0, 1.0),
        ("A30", "1g.6gb", 2 / 8, 1 / 4),
        ("A30", "4g.24gb", 1.0, 1.0),
        ("H100", "no profile", 1.0, 1.0),
    ],
)
def test_mig_slices(gpu: str, profile: str, bandwidth: float, arithmetic: float) -> None:
    assert mig_fraction(profile, part_named(gpu)) == pytest.approx((bandwidth, arithmetic))


@pytest.mark.parametrize(
    "device",
    [Device(name=SXM, mig_profile="3g.40gb"), Device(name=SXM + " MIG 3g.40gb", memory_bytes=42e9, sm_count=60)],
    ids=["stated", "in the name"],
)
def test_a_slice_has_a_slice_of_the_roofs(device: Device) -> None:
    roofs = device_roofs(device)
    assert roofs is not None
    assert roofs.bandwidth_bytes_per_s == pytest.approx(3350e9 / 2)
    assert roofs.flops_per_s == pytest.approx(989.4e12 * 3 / 7)
    assert roofs.source.endswith("MIG 3g.40gb")


def test_an_unknown_device_with_a_clock_has_one_roof() -> None:
    roofs = device_roofs(Device(name="NVIDIA H800", memory_clock_hz=2619e6, bus_width_bits=5120))
    assert roofs is not None
    assert roofs.bandwidth_bytes_per_s == pytest.approx(3352.3e9, rel=1e-4)
    assert roofs.flops_per_s is None
    assert roofs.ridge_flops_per_byte is None
    assert roofs.unknown == "NVIDIA H800 is not in the table of parts"


def test_nothing_known_is_none() -> None:
    assert device_roofs(Device(name="NVIDIA H800")) is None
    assert device_roofs(Device()) is None


def test_emulated_arithmetic_is_marked() -> None:
    roofs = datasheet_roofs(part_named("T4"), Dtype.BF16)
    assert roofs.dtype is Dtype.FP16
    assert roofs.unproven
    assert "emulated" in roofs.warnings[0]


@pytest.mark.parametrize("dtype", [Dtype.FP16, None])
def test_a_native_type_is_not_marked(dtype: Dtype | None) -> None:
    roofs = datasheet_roofs(part_named("T4"), dtype)
    assert roofs.dtype is Dtype.FP16
    assert not roofs.unproven


def test_the_users_figures_come_before_everything() -> None:
    base = datasheet_roofs(part_named("H100"))
    roofs = overridden(base, 3000e9, None)
    assert roofs is not None
    assert (roofs.bandwidth_bytes_per_s, roofs.flops_per_s) == (3000e9, 989.4e12)
    assert roofs.source == "bandwidth as given, the rest from datasheet of H100 SXM5"
    assert overridden(base, None, None) is base


def test_an_arithmetic_peak_without_its_type_proves_nothing() -> None:
    untyped = overridden(None, 3000e9, 5e14)
    typed = overridden(None, 3000e9, 5e14, Dtype.BF16)
    assert untyped is not None
    assert typed is not None
    assert untyped.unproven
    assert untyped.warnings
    assert not typed.unproven
    assert typed.ridge_flops_per_byte == pytest.approx(5e14 / 3000e9)


def test_two_descriptions_of_one_device_are_put_together() -> None:
    one = Device(index=0, name=SXM)
    other = Device(index=3, memory_clock_hz=2619e6)
    both = one.merged(other)
    assert (both.index, both.name, both.memory_clock_hz) == (0, SXM, 2619e6)


def test_a_part_that_is_given_against_the_devices_own_name_is_warned_of() -> None:
    device = Device(name="NVIDIA A100-SXM4-80GB", memory_bytes=85e9)
    against, alike = (device_roofs(device, part_named(name)) for name in ("H100", "A100 80GB SXM"))
    assert against is not None
    assert alike is not None
    assert any("A100" in w and "H100" in w for w in against.warnings)
    assert not alike.warnings
