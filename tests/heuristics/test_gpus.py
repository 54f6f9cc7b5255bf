"""The table of parts: complete, consistent with itself, and never taken in by a name that contains another."""

from __future__ import annotations

import csv
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heuristics.errors import UnknownGpu
from heuristics.gpus import DeviceFacts, GpuPart, part_named, part_of_device, parts
from heuristics.roofs import clock_scaled_flops_per_s, mig_fraction
from heuristics.vocabulary import Dtype

BY_NAME = {part.name: part for part in parts()}
NO_BF16 = ("P100", "V100", "T4")


@pytest.mark.parametrize("part", parts(), ids=lambda p: p.name)
def test_every_part_is_whole(part: GpuPart) -> None:
    assert part.bandwidth_bytes_per_s > 1e11
    assert part.memory_bytes > 1e10
    assert part.source
    assert part.source_confidence in {"high", "medium", "low"}
    assert (Dtype.BF16 in part.dense_flops_per_s) is not part.name.startswith(NO_BF16)
    assert part.dense_flops_per_s[Dtype.FP16] == part.dense_flops_per_s.get(
        Dtype.BF16, part.dense_flops_per_s[Dtype.FP16]
    )


@pytest.mark.parametrize("part", [p for p in parts() if p.memory_clock_hz and p.bus_width_bits], ids=lambda p: p.name)
def test_clock_times_bus_is_the_bandwidth(part: GpuPart) -> None:
    assert part.memory_clock_hz is not None
    assert part.bus_width_bits is not None
    derived = 2.0 * part.memory_clock_hz * part.bus_width_bits / 8.0
    assert derived == pytest.approx(part.bandwidth_bytes_per_s, rel=0.03)


@pytest.mark.parametrize("part", [p for p in parts() if Dtype.FP8 in p.dense_flops_per_s], ids=lambda p: p.name)
def test_peaks_are_dense(part: GpuPart) -> None:
    """FP8 is twice BF16 on every part that has it; a sparse figure among dense ones would break the ratio."""
    rate = part.dense_flops_per_s[Dtype.FP8] / part.dense_flops_per_s[Dtype.BF16]
    assert rate == pytest.approx(2.0, rel=0.03)


def test_the_table_is_that_of_the_research(corpus: Path) -> None:
    table = corpus.parent / "facts" / "gpu-peaks.csv"
    if not table.is_file():
        pytest.skip("the table of the research is not here")
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert [row["sku"] for row in rows] == [part.name for part in parts()]
    columns = {"fp32": "fp32_TFLOPS", "tf32": "tf32_dense_TFLOPS", "bf16": "bf16_dense_TFLOPS"}
    columns |= {"fp16": "fp16_dense_TFLOPS", "fp8": "fp8_dense_TFLOPS", "fp4": "fp4_dense_TFLOPS"}
    columns |= {"int8": "int8_dense_TOPS"}
    for row, part in zip(rows, parts(), strict=True):
        assert part.bandwidth_bytes_per_s == pytest.approx(float(row["mem_bw_GBps_datasheet"]) * 1e9)
        stated = {Dtype(k): float(row[c]) * 1e12 for k, c in columns.items() if row[c]}
        assert dict(part.dense_flops_per_s) == pytest.approx(stated), part.name


@pytest.mark.parametrize("part", parts(), ids=lambda p: p.name)
def test_a_part_is_found_by_its_own_name(part: GpuPart) -> None:
    assert part_named(part.name) is part
    assert part_named(part.name.lower()) is part


@pytest.mark.parametrize(
    ("name", "part"),
    [(name, part) for part in parts() for name in part.device_names],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_a_device_name_is_never_another_parts(name: str, part: GpuPart) -> None:
    found = part_of_device(name)
    assert found is part
    facts = DeviceFacts(memory_bytes=part.memory_bytes, bus_width_bits=part.bus_width_bits, sm_count=part.sm_count)
    assert part_of_device(name, facts) is part


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("NVIDIA H20", "H20"),
        ("NVIDIA H200", "H200 SXM"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA L40", "L40"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA A10", "A10"),
        ("NVIDIA A10G", "A10G"),
        ("NVIDIA B200", "B200 SXM"),
        ("NVIDIA GB200", "GB200 (per GPU)"),
        ("NVIDIA H100 80GB HBM3 MIG 3g.40gb", "H100 SXM5"),
        ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", "A100 80GB SXM"),
        ("AMD Instinct MI300X VF", "MI300X"),
        ("NVIDIA GH200 480GB", "GH200 96GB"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
    ],
)
def test_names_within_names(name: str, part: str) -> None:
    found = part_of_device(name)
    assert found is not None
    assert found.name == part


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA H20-3e",
        "NVIDIA H20 NVL16",
        "NVIDIA H800",
        "NVIDIA L20",
        "NVIDIA L20Y",
        "NVIDIA RTX 6000D",
        "NVIDIA RTX PRO 6000 Blackwell Server Edition",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA RTX A6000",
        "Tesla K80",
        "NVIDIA A100X",
        "NVIDIA",
        "",
    ],
)
def test_a_device_outside_the_table_gets_no_roof(name: str) -> None:
    assert part_of_device(name) is None


def test_a_bare_family_name_of_a_device_needs_its_facts() -> None:
    assert part_of_device("NVIDIA H100") is None
    sxm = BY_NAME["H100 SXM5"]
    found = part_of_device("NVIDIA H100", DeviceFacts(memory_bytes=sxm.memory_bytes, sm_count=sxm.sm_count))
    assert found is sxm


def test_contradicted_facts_withhold_the_part() -> None:
    """An H100 board with 64 GB is not the SXM5 of the table, whatever it is called."""
    assert part_of_device("NVIDIA H100 80GB HBM3", DeviceFacts(memory_bytes=64e9)) is None


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("H100", "H100 SXM5"),
        ("h100-sxm", "H100 SXM5"),
        ("H100 PCIe", "H100 PCIe"),
        ("H100 NVL", "H100 NVL (per GPU)"),
        ("a100-80gb-sxm", "A100 80GB SXM"),
        ("A100 40GB PCIe", "A100 40GB PCIe"),
        ("4090", "RTX 4090"),
        ("mi300x", "MI300X"),
        ("GB200", "GB200 (per GPU)"),
        ("MI250X", "MI250X (one GCD)"),
    ],
)
def test_what_people_type(name: str, part: str) -> None:
    assert part_named(name).name == part


@pytest.mark.parametrize(("name", "near"), [("A100 PCIe", "A100 40GB PCIe"), ("V100 32GB", "V100 SXM2 32GB")])
def test_several_parts_are_listed(name: str, near: str) -> None:
    with pytest.raises(UnknownGpu, match="several") as caught:
        part_named(name)
    assert near in str(caught.value.hint)


@pytest.mark.parametrize("name", ["", "   ", "RTX 9999", "H1000", "nvidia", "🦙"])
def test_unknown_names_are_refused_with_a_hint(name: str) -> None:
    with pytest.raises(UnknownGpu) as caught:
        part_named(name)
    assert caught.value.hint


@given(name=st.text(max_size=40))
def test_any_text_is_a_part_or_a_refusal(name: str) -> None:
    found = part_of_device(name)
    assert found is None or found in parts()
    with suppress(UnknownGpu):
        assert part_named(name) in parts()


def test_a_capped_part_keeps_its_rate_at_any_clock() -> None:
    h20 = part_named("H20")
    assert clock_scaled_flops_per_s(h20, Dtype.BF16, 1.0e9) == h20.dense_flops_per_s[Dtype.BF16]


def test_a_compute_instance_is_a_part_of_its_slice() -> None:
    h100 = part_named("H100")
    assert mig_fraction("1c.3g.40gb", h100) == (mig_fraction("3g.40gb", h100)[0], pytest.approx(1 / 7))
