"""Every layout of nvidia-smi's logs tells the same of the same readings."""

from __future__ import annotations

from dataclasses import fields
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.readers import reader_of
from collectors.smi import log
from heuristics.errors import UnreadableDump
from heuristics.observations import Activity, Samples
from tests.make import smi
from tests.make.dumps import dump
from tests.make.smi import MIG, Process, Reading, columns

READINGS = [
    Reading(time_s=0.0, sm=0.0, memory=0.0, power_w=72.0, sm_clock_hz=345e6),
    Reading(time_s=1.0, sm=0.97, memory=0.44),
    Reading(time_s=2.0, sm=1.0, memory=0.39, encoder=0.6, power_violation=0.12, power_capped=True),
]
WHOLE = columns("pucv")


def same(left: Samples, right: Samples, *, but: tuple[str, ...] = ()) -> bool:
    """Equality of all arrays, NaN being equal to NaN."""
    names = [f.name for f in fields(Samples) if f.name not in ("interval_s", *but)]
    return all(np.array_equal(getattr(left, n), getattr(right, n), equal_nan=True) for n in names)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(smi.dmon(READINGS, WHOLE, width=7), id="wide columns"),
        pytest.param(smi.dmon(READINGS, WHOLE, header_every=1), id="repeated headers"),
        pytest.param(smi.dmon(READINGS, WHOLE, blank_lines=True), id="blank lines"),
        pytest.param(smi.dmon(READINGS, WHOLE, dated=True), id="dated"),
        pytest.param(smi.dmon(READINGS, WHOLE, comma=","), id="commas"),
        pytest.param(smi.dmon(READINGS, columns("pucv", young=False)), id="driver of 2021"),
        pytest.param(smi.dmon(READINGS, columns("ucvptem")), id="another order"),
        pytest.param(smi.dmon(READINGS, columns("pucvmet")), id="every group"),
        pytest.param(smi.dmon_as_csv(READINGS, WHOLE), id="turned into CSV"),
        pytest.param(smi.dmon(READINGS, WHOLE).replace("\n", "\r\n"), id="Windows line ends"),
        pytest.param("a wrapper's greeting\n" + smi.dmon(READINGS, WHOLE) + "Terminated\n", id="lines of others"),
        pytest.param(smi.dmon(READINGS, WHOLE).replace("# gpu", "#gpu"), id="glued header"),
    ],
)
def test_dmon_reads_the_same_in_every_layout(text: str) -> None:
    assert same(smi.samples(text)[0], smi.samples(smi.dmon(READINGS, WHOLE))[0])
    assert smi.contents(text).warnings == ()


@given(st.permutations(WHOLE), st.sets(st.sampled_from(WHOLE), min_size=3))
def test_the_order_of_columns_and_the_choice_of_others_never_matter(order: list[str], chosen: set[str]) -> None:
    kept = [name for name in order if name in chosen | {"sm"}]
    found = smi.samples(smi.dmon(READINGS, kept))[0]
    wanted = smi.samples(smi.dmon(READINGS, [name for name in WHOLE if name in kept]))[0]
    assert same(found, wanted)


def test_units_become_si() -> None:
    found = smi.samples(smi.dmon(READINGS, WHOLE))[0]
    assert found.sm.tolist() == [0.0, 0.97, 1.0]
    assert found.memory.tolist() == [0.0, 0.44, 0.39]
    assert found.video.tolist() == [0.0, 0.0, 0.6]
    assert found.power_w.tolist() == [72.0, 512.0, 512.0]
    assert found.sm_clock_hz.tolist() == [345e6, 1755e6, 1755e6]
    assert found.memory_clock_hz.tolist() == [2619e6] * 3
    assert found.power_limited.tolist() == [0.0, 0.0, 0.12]
    assert found.thermally_limited.tolist() == [0.0, 0.0, 0.0]


QUERIED = (
    "timestamp",
    "utilization.gpu",
    "utilization.memory",
    "power.draw",
    "clocks.current.sm",
    "clocks.current.memory",
    "clocks_event_reasons.sw_power_cap",
    "clocks_event_reasons.sw_thermal_slowdown",
)


def test_a_query_tells_what_dmon_tells() -> None:
    queried = smi.samples(smi.query(READINGS, QUERIED))[0]
    assert same(queried, smi.samples(smi.dmon(READINGS, WHOLE))[0], but=("video", "power_limited"))
    assert np.isnan(queried.video).all()
    assert queried.power_limited.tolist() == [0.0, 0.0, 1.0]


def test_values_without_units_take_them_from_the_header() -> None:
    assert same(smi.samples(smi.query(READINGS, QUERIED, units=False))[0], smi.samples(smi.query(READINGS, QUERIED))[0])


@pytest.mark.parametrize("names", list(permutations(["utilization.gpu", "power.draw", "index", "timestamp"])))
def test_queried_fields_may_come_in_any_order(names: tuple[str, ...]) -> None:
    text = smi.query([*READINGS, *(Reading(gpu=1, time_s=r.time_s, sm=0.5) for r in READINGS)], names)
    found = smi.samples(text)
    assert found[0].sm.tolist() == [0.0, 0.97, 1.0]
    assert found[1].sm.tolist() == [0.5] * 3
    assert found[0].interval_s == pytest.approx(1.0)


def test_one_field_alone_is_enough() -> None:
    assert smi.samples(smi.query(READINGS, ["utilization.gpu"]))[0].sm.tolist() == [0.0, 0.97, 1.0]


@pytest.mark.parametrize("names", [("power.draw", "power.draw.instant"), ("power.draw.instant", "power.draw")])
def test_of_two_fields_that_say_the_same_one_is_chosen_whatever_their_order(names: tuple[str, ...]) -> None:
    assert smi.samples(smi.query(READINGS, names))[0].power_w.tolist() == [72.0, 512.0, 512.0]


def test_a_query_without_its_header_is_refused_with_the_remedy() -> None:
    for units in (True, False):
        with pytest.raises(UnreadableDump, match="without its header") as error:
            smi.contents(smi.query(READINGS, QUERIED, header=False, units=units))
        assert "noheader" in (error.value.hint or "")


def test_several_tables_in_one_file_are_read_together() -> None:
    processes = [[Process(sm=0.5)], [Process(sm=0.7)]]
    text = "".join(
        [
            "####\n# idle :: dmon\n####\n",
            smi.dmon([Reading(sm=0.0, memory=0.0)] * 2),
            "\n\n####\n# load :: dmon\n# $ nvidia-smi dmon -c 2\n####\n",
            smi.dmon([Reading(sm=1.0)] * 2),
            "####\n# load :: pmon\n####\n",
            smi.pmon(processes),
            "####\n# load :: query\n####\n",
            smi.query([Reading(sm=0.9)], ["name", "memory.total", "utilization.gpu"]),
            "####\nprose, that no header covers\n1 2 3\n",
        ]
    )
    found = smi.contents(text)
    assert smi.samples(text)[0].sm.tolist() == pytest.approx([0.0, 0.0, 1.0, 1.0, 0.5, 0.7, 0.9])
    assert found.warnings == ()
    device = found.observations[0].device
    assert device is not None
    assert device.name == "NVIDIA H100 80GB HBM3"


def test_rows_that_do_not_fit_their_header_are_left_out_and_counted() -> None:
    text = smi.dmon(READINGS).replace("1755 \n", "1755 99\n", 1)
    found = smi.contents(text)
    assert found.warnings == ("1 row does not fit the header: left out",)
    assert smi.samples(text)[0].sm.size == 2


def test_a_header_alone_is_refused() -> None:
    with pytest.raises(UnreadableDump, match="no sample"):
        smi.contents(smi.dmon([]))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_logs_written_by_powershell_are_read(encoding: str) -> None:
    found = smi.samples(smi.dmon(READINGS).encode(encoding))
    assert found[0].sm.tolist() == [0.0, 0.97, 1.0]


@pytest.mark.parametrize(
    "text", [smi.dmon([MIG]), smi.pmon([[Process()]]), smi.query([MIG], QUERIED), smi.dmon_as_csv([MIG])]
)
def test_every_kind_of_log_is_recognised_by_its_content(text: str) -> None:
    assert reader_of(dump(text)) is log


@pytest.mark.parametrize(
    "text",
    [
        "time,mem,cpu\n1,2,3\n",
        "name,sm\na,1\n",
        "# a comment about the gpu\n1 2 3\n",
        "timestamp, gpu_name, gpu_bus_id, gpu_serial, gpu_uuid, pid, gpu_utilization [%], time [ms]\n",
    ],
)
def test_other_tables_are_not_taken_for_a_log(text: str) -> None:
    assert reader_of(dump(text)) is None


def test_the_columns_of_gpm_as_driver_580_names_them() -> None:
    text = """# gpu     sm    mem    enc    dec    jpg    ofa     smutil     mmaact       dram       fp32
# Idx      %      %      %      %      %      %      GPM:%      GPM:%      GPM:%      GPM:%
    0     94     56      0      0      0      0          -          -          -          -
    0     96     57      0      0      0      0         62          7         44          1
"""
    found = next(o.payload for o in smi.contents(text).observations if isinstance(o.payload, Activity))
    stated = (found.sm_active, found.tensor_active, found.dram_active, found.fp32_active)
    assert stated == pytest.approx((0.62, 0.07, 0.44, 0.01))
