"""Arithmetic pipes: what is counted, and what may be at work although no counter shows it."""

from __future__ import annotations

from typing import Any

import pytest

from heuristics.assemble import Given, device_cases
from heuristics.judge import judge
from heuristics.observations import Activity, Host, Observation
from heuristics.roofs import Device
from heuristics.vocabulary import Cause, Share

HOPPER: dict[str, Any] = {"fp64_active": 0.0, "fp32_active": 0.03, "fp16_active": 0.06, "engine_active": 1.0}
H100 = Device(index=0, name="NVIDIA H100 80GB HBM3")


def judged(*, host: Host | None = None, **activity: float) -> Any:
    """The judgement on counters of an H100."""
    found = [Observation(source="GPM", payload=Activity(window_s=10.0, **{**HOPPER, **activity}), device=H100)]
    if host is not None:
        found.append(Observation(source="host", payload=host))
    return judge(device_cases(found, Given())[0])


def test_sms_that_work_although_no_counter_shows_at_what_are_no_sure_latency() -> None:
    """INT4 products at batch 64 on an H100: every SM busy with unpacking, DRAM and tensor pipe nearly still."""
    found = judged(sm_active=0.97, dram_active=0.10, tensor_active=0.04)
    assert found.mass[Share.LATENCY] < 0.8
    assert found.mass[Share.COMPUTE] > 0.2


def test_the_integer_pipe_settles_it() -> None:
    unpacking = judged(sm_active=0.97, dram_active=0.10, tensor_active=0.04, integer_active=0.7)
    assert unpacking.verdict.regime == "compute"
    assert unpacking.verdict.cause is Cause.DEQUANTIZATION
    stalled = judged(sm_active=0.97, dram_active=0.10, tensor_active=0.04, integer_active=0.02)
    assert stalled.verdict.regime == "latency"
    assert stalled.verdict.confidence > 0.9


@pytest.mark.parametrize("sm_active", [0.02, 0.1, 0.2])
def test_sms_without_a_warp_hide_no_work(sm_active: float) -> None:
    found = judged(sm_active=sm_active, dram_active=0.02, tensor_active=0.0)
    assert found.verdict.regime == "latency"
    assert found.verdict.confidence > 0.9


def test_streaming_needs_no_other_explanation() -> None:
    found = judged(sm_active=0.85, dram_active=0.81, tensor_active=0.04)
    assert found.verdict.regime == "memory"
    assert found.verdict.confidence > 0.9


def test_a_program_of_its_own_that_runs_is_not_idle_between_its_kernels() -> None:
    """A loop of plain torch keeps one thread on a CPU and the device at work in a third of the time."""
    quarter = {"sm_active": 0.18, "dram_active": 0.19, "tensor_active": 0.0, "engine_active": 0.34}
    loop = Host(window_s=10.0, threads=20, busiest_thread_fraction=1.0, asleep_fraction=0.0, self_driven=True)
    server = Host(window_s=10.0, threads=20, busiest_thread_fraction=1.0, asleep_fraction=0.0)
    assert judged(host=loop, **quarter).verdict.regime == "latency"
    assert judged(host=loop, **quarter).mass[Share.LATENCY] > judged(host=server, **quarter).mass[Share.LATENCY]
