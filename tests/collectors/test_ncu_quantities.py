"""What a row's name and unit make of its number, and what follows for quantities that no row states."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from collectors.ncu.metrics import target
from collectors.units import factor, number
from heuristics.roofs import Device
from tests.make import ncu
from tests.make.ncu import Kernel, Row

BARE = replace(ncu.UNSTATED, memory=0.5)


def rows(*stated: tuple[str, str, str]) -> tuple[Row, ...]:
    return tuple(Row(section="Any Section", name=name, unit=unit, value=value) for name, unit, value in stated)


def read_one(kernel: Kernel) -> dict[str, Any]:
    """The kernel's quantities; the details page and the raw page must agree on them."""
    from_details = ncu.launches(ncu.read(ncu.details([kernel])))
    columns = {row.name: (row.unit, [row.value]) for row in kernel.extra if "__" in row.name}
    if len(columns) == len(kernel.extra):
        assert ncu.launches(ncu.read(ncu.raw([kernel], columns=columns))) == from_details
    return from_details[0]


def device_of(text: str) -> Device:
    found = ncu.read(text).observations[0].device
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("unit", "factor_to_si"),
    [
        ("%", 0.01),
        ("nsecond", 1e-9),
        ("ns", 1e-9),
        ("usecond", 1e-6),
        ("us", 1e-6),
        ("msecond", 1e-3),
        ("ms", 1e-3),
        ("second", 1.0),
        ("s", 1.0),
        ("hz", 1.0),
        ("Mhz", 1e6),
        ("Ghz", 1e9),
        ("cycle/second", 1.0),
        ("cycle/nsecond", 1e9),
        ("cycle/usecond", 1e6),
        ("byte", 1.0),
        ("Kbyte", 1e3),
        ("Mbyte", 1e6),
        ("Gbyte", 1e9),
        ("Tbyte", 1e12),
        ("byte/second", 1.0),
        ("Gbyte/second", 1e9),
        ("Gbyte/s", 1e9),
        ("byte/block", 1.0),
        ("inst/cycle", 1.0),
        ("register/thread", 1.0),
        ("", 1.0),
        ("SM", 1.0),
        ("furlong", None),
        ("byte/furlong", None),
    ],
)
def test_units_of_every_era_have_their_factor(unit: str, factor_to_si: float | None) -> None:
    assert factor(unit) == (None if factor_to_si is None else pytest.approx(factor_to_si))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("768683274.02", 768683274.02),
        ("9,589,248", 9589248.0),
        ("1,024", 1024.0),
        ("63,779.25", 63779.25),
        ("0.40", 0.4),
        ("0", 0.0),
        ("-3.5", -3.5),
        (" 12 ", 12.0),
        ("1e3", 1000.0),
        ("0,40", 0.4),
        ("1234,5", 1234.5),
        ("9.589.248", 9589248.0),
        ("1.234,56", 1234.56),
        ("n/a", None),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("(256, 1, 1)", None),
        ("1,2,3", None),
        ("CachePreferNone", None),
        ("No-CC", None),
    ],
)
def test_numbers_with_and_without_separators(text: str, value: float | None) -> None:
    assert number(text) == value


def test_units_that_change_from_kernel_to_kernel_are_converted_row_by_row() -> None:
    printed = [
        ("byte", "512", "ns", "912"),
        ("Kbyte", "1.50", "us", "3.25"),
        ("Mbyte", "2.33", "ms", "1.10"),
        ("Gbyte", "1.07", "us", "4,321.50"),
        ("byte", "134,221,568", "s", "1.02"),
    ]
    kernels = [
        Kernel(
            duration_s=None,
            extra=rows(
                ("dram__bytes_read.sum", size, amount),
                ("dram__bytes_write.sum", "byte", "0"),
                ("gpu__time_duration.sum", unit, time),
            ),
        )
        for size, amount, unit, time in printed
    ]
    found = ncu.launches(ncu.read(ncu.details(kernels)))
    assert [k["dram_bytes"] for k in found] == pytest.approx([512.0, 1500.0, 2.33e6, 1.07e9, 134221568.0])
    assert [k["duration_s"] for k in found] == pytest.approx([912e-9, 3.25e-6, 1.1e-3, 4321.5e-6, 1.02])


def test_memory_throughput_in_percent_and_in_bytes_per_second_are_two_quantities() -> None:
    for twice in (
        rows(("Memory Throughput", "%", "61.50"), ("Memory Throughput", "Gbyte/s", "345.14")),
        rows(("Memory Throughput", "Gbyte/s", "345.14"), ("Memory Throughput", "%", "61.50")),
    ):
        found = read_one(Kernel(memory=None, dram_rate=None, duration_s=2e-6, extra=twice))
        assert found["memory_throughput"] == pytest.approx(0.615)
        assert found["dram_bytes"] == pytest.approx(345.14e9 * 2e-6)


def test_first_statement_of_a_quantity_stands() -> None:
    found = read_one(Kernel(extra=rows(("Duration", "ms", "999.00"), ("SM [%]", "%", "99.00"))))
    assert found["duration_s"] == pytest.approx(12.5e-6)
    assert found["compute_throughput"] == pytest.approx(0.21)


@pytest.mark.parametrize("nothing", ["n/a", "", "nan", "inf", "-inf", "1e999", "no counter"])
def test_what_is_no_number_is_not_stated_and_gives_way_to_a_later_statement(nothing: str) -> None:
    lacking = Kernel(memory=None, extra=rows(("gpu__dram_throughput.avg", "%", "7"), ("Memory [%]", "%", nothing)))
    assert "memory_throughput" not in read_one(lacking)
    later = Kernel(memory=None, extra=rows(("Memory [%]", "%", nothing), ("Memory Throughput", "%", "44.00")))
    usual = Kernel(memory=None, extra=rows(("Memory [%]", "%", "33.00"), ("Memory Throughput", "%", "44.00")))
    found = ncu.launches(ncu.read(ncu.details([usual, later, usual])))
    assert [k["memory_throughput"] for k in found] == pytest.approx([0.33, 0.44, 0.33])


@pytest.mark.parametrize(
    ("name", "unit", "value", "quantity", "expected"),
    [
        ("SOL Memory", "%", "12.00", "memory_throughput", 0.12),
        ("Memory [%]", "%", "12.00", "memory_throughput", 0.12),
        ("gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed", "%", "12", "memory_throughput", 0.12),
        ("SOL SM", "%", "12.00", "compute_throughput", 0.12),
        ("SM [%]", "%", "12.00", "compute_throughput", 0.12),
        ("sm__throughput.avg.pct_of_peak_sustained_elapsed", "%", "12.00", "compute_throughput", 0.12),
        ("SOL FB", "%", "12.00", "dram_throughput", 0.12),
        ("SOL DRAM", "%", "12.00", "dram_throughput", 0.12),
        ("dram__throughput.avg.pct_of_peak_sustained_elapsed", "%", "12.00", "dram_throughput", 0.12),
        ("gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed", "%", "12.00", "dram_throughput", 0.12),
        ("sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_elapsed", "%", "12.00", "tensor_active", 0.12),
        ("gpu__time_duration.sum", "ns", "1,500", "duration_s", 1.5e-6),
        ("dram__bytes.sum", "Mbyte", "2.50", "dram_bytes", 2.5e6),
        ("launch__waves_per_multiprocessor", "", "0.66", "waves_per_sm", 0.66),
    ],
)
def test_old_and_new_names_of_a_quantity(name: str, unit: str, value: str, quantity: str, expected: float) -> None:
    bare = Kernel(**{**BARE.__dict__, "memory": None, "l2": None})
    found = read_one(Kernel(**{**bare.__dict__, "extra": (*rows((name, unit, value)), *PAIR)}))
    assert found[quantity] == pytest.approx(expected)


PAIR = rows(
    ("gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed", "%", "80.00"),
    ("sm__throughput.avg.pct_of_peak_sustained_elapsed", "%", "80.00"),
)


@pytest.mark.parametrize("operation", ["", "_op"])
def test_dram_bytes_are_the_sum_of_both_directions(operation: str) -> None:
    both = rows(
        (f"dram__bytes{operation}_read.sum", "Mbyte", "3.00"), (f"dram__bytes{operation}_write.sum", "Kbyte", "500")
    )
    found = read_one(Kernel(dram_rate=None, extra=both))
    assert found["dram_bytes"] == pytest.approx(3.5e6)


def test_one_direction_alone_is_not_taken_for_all_bytes() -> None:
    found = read_one(Kernel(dram_rate=None, extra=rows(("dram__bytes_read.sum", "Mbyte", "3.00"))))
    assert "dram_bytes" not in found


@pytest.mark.parametrize(
    ("cycles", "rate"),
    [
        (("cycle", "13,500"), ("Ghz", "1.35")),
        (("cycle", "13500"), ("cycle/nsecond", "1.35")),
        (("", "13,500"), ("hz", "1,350,000,000")),
    ],
)
def test_duration_follows_from_cycles_over_their_rate(cycles: tuple[str, str], rate: tuple[str, str]) -> None:
    stated = rows(("sm__cycles_elapsed.avg", *cycles), ("sm__cycles_elapsed.avg.per_second", *rate))
    assert read_one(Kernel(duration_s=None, extra=stated))["duration_s"] == pytest.approx(1e-5)
    assert read_one(Kernel(duration_s=3e-6, extra=stated))["duration_s"] == pytest.approx(3e-6)


def test_cycles_at_a_rate_of_zero_give_no_duration() -> None:
    stated = rows(("sm__cycles_elapsed.avg", "cycle", "13,500"), ("sm__cycles_elapsed.avg.per_second", "hz", "0"))
    assert "duration_s" not in read_one(Kernel(duration_s=None, extra=stated))


def test_waves_are_taken_from_the_rules_prose_where_no_row_states_them() -> None:
    quoted_only = Kernel(waves=None, label="Small Grid")
    stated = Kernel(waves=0.66, label="Small Grid")
    found = ncu.launches(ncu.read(ncu.details([quoted_only, quoted_only, stated, stated])))
    assert [k["waves_per_sm"] for k in found] == [0.7, 0.7, 0.66, 0.66]


def test_waves_stated_behind_the_rule_win_over_its_prose() -> None:
    rule = ncu.details([Kernel(waves=None, label="Small Grid")]).splitlines()
    waves = ncu.details([Kernel(waves=0.66)]).splitlines()[-1]
    launches = [[line.replace('"0","4321"', f'"{i}","4321"') for line in [*rule[1:], waves]] for i in range(3)]
    text = "\n".join([rule[0], *(line for launch in launches for line in launch), ""])
    assert [k["waves_per_sm"] for k in ncu.launches(ncu.read(text))] == [0.66, 0.66, 0.66]


@pytest.mark.parametrize("label", ncu.PROSE)
def test_label_is_that_of_the_rules_prose(label: str) -> None:
    found = ncu.launches(ncu.read(ncu.details([Kernel(label=label), Kernel(), Kernel(label=label)])))
    assert [k.get("label") for k in found] == [label, None, label]


def test_other_rules_of_the_same_section_give_no_label() -> None:
    other = ncu.Rule(section="SpeedOfLight", name="SomeOtherRule", prose=ncu.PROSE["Latency Issue"])
    kernels = [Kernel(label="Balanced Throughput"), Kernel(rules=(other,)), Kernel(label="Balanced Throughput")]
    found = ncu.launches(ncu.read(ncu.details(kernels)))
    assert [k.get("label") for k in found] == ["Balanced Throughput", None, "Balanced Throughput"]


def test_flops_add_up_over_instructions_with_two_for_a_fused_one() -> None:
    instruction = "smsp__sass_thread_inst_executed_op_f{}_pred_on.sum"
    stated = rows(
        (instruction.format("add"), "inst", "1,000"),
        (instruction.format("mul"), "inst", "200"),
        (instruction.format("fma"), "inst", "30,000"),
    )
    assert read_one(Kernel(extra=stated))["flops"] == 61200.0
    assert [k["flops"] for k in ncu.launches(ncu.read(ncu.details(3 * [Kernel(extra=stated)])))] == 3 * [61200.0]


def test_flops_stated_in_two_ways_count_once() -> None:
    thread, tensor = "{}__sass_thread_inst_executed_op_ffma_pred_on.sum", "sm__ops_path_tensor_src_fp16_dst_fp32{}.sum"
    stated = rows(
        (thread.format("smsp"), "inst", "500"),
        (thread.format("sm"), "inst", "500"),
        (tensor.format(""), "", "40,000"),
        (tensor.format("_sparsity_off"), "", "40,000"),
        (tensor.format("_sparsity_on"), "", "0"),
    )
    assert read_one(Kernel(extra=stated))["flops"] == 41000.0
    assert read_one(Kernel(extra=stated[3:]))["flops"] == 40000.0


def test_attributes_of_the_raw_page_describe_the_device() -> None:
    device = device_of(ncu.raw([Kernel()], attributes=[ncu.Attributes()]))
    assert device == Device(
        index=0,
        name="NVIDIA Invented 100",
        vendor="NVIDIA",
        sm_count=108,
        bus_width_bits=5120,
        memory_clock_hz=1.5e9,
        max_sm_clock_hz=1.4e9,
        last_level_cache_bytes=40e6,
    )


def test_each_device_keeps_its_own_attributes() -> None:
    small = ncu.Attributes(display_name="NVIDIA Invented 50", multiprocessor_count=54)
    read = ncu.read(ncu.raw([Kernel(device=1), Kernel(), Kernel(device=1)], attributes=[ncu.Attributes(), small]))
    devices = [o.device for o in read.observations if o.device is not None]
    assert [(d.index, d.name, d.sm_count) for d in devices] == [
        (0, "NVIDIA Invented 100", 108),
        (1, "NVIDIA Invented 50", 54),
    ]


def test_peak_bandwidth_follows_from_the_dram_rate_over_its_percentage() -> None:
    kernels = [
        Kernel(dram=0.5, dram_rate=1.0e12),
        Kernel(dram=0.8, dram_rate=1.6e12),
        Kernel(dram=0.01, dram_rate=0.9e12),
        Kernel(dram=None, dram_rate=0.5e12),
    ]
    device = device_of(ncu.details(kernels))
    assert device.bandwidth_bytes_per_s == pytest.approx(2e12)
    assert device.bandwidth_source is not None
    assert device.sm_count == 108


def test_peak_bandwidth_follows_from_bytes_and_time_too() -> None:
    moved = Kernel(dram=0.5, dram_rate=None, duration_s=1e-3, read_bytes=0.75e9, write_bytes=0.25e9)
    assert device_of(ncu.metrics_only([moved])).bandwidth_bytes_per_s == pytest.approx(2e12)


def test_no_peak_bandwidth_follows_from_percentages_alone_or_from_no_time() -> None:
    assert device_of(ncu.details([Kernel(dram_rate=None)])).bandwidth_bytes_per_s is None
    timeless = Kernel(dram_rate=None, duration_s=0.0, read_bytes=1e9, write_bytes=0.0)
    assert device_of(ncu.details([timeless])).bandwidth_bytes_per_s is None


def test_raw_page_without_its_row_of_units_states_no_times_and_bytes() -> None:
    header, _, kernel = ncu.raw([Kernel()]).splitlines(keepends=True)
    found = ncu.launches(ncu.read(header + kernel))[0]
    assert "duration_s" not in found
    assert "dram_bytes" not in found
    assert found["memory_throughput"] == pytest.approx(0.62)
    assert found["waves_per_sm"] == 2.5


def test_value_in_an_unknown_unit_is_not_taken() -> None:
    assert target("gpu__time_duration.sum", "fortnight") is None
    assert target("Memory Throughput", "") is None
    assert target("DRAM Throughput", "Gbyte/s") is None
