"""From observations to the whole: what belongs to one device, several devices, and phases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from heuristics.assemble import Given, device_cases, phase_cases
from heuristics.diagnosis import judge_devices, judge_phases, slowest_device, whole_of
from heuristics.gpus import part_named
from heuristics.observations import Activity, KernelProfile, Observation, Timeline
from heuristics.operations import Phase
from heuristics.roofs import Device
from heuristics.vocabulary import Regime
from tests.heuristics.cases import LLAMA_8B, activity, profile, samples, serving, timeline

SXM = "NVIDIA H100 80GB HBM3"
MEMORY = activity(dram_active=0.85, tensor_active=0.05, sm_active=0.95, engine_active=1.0)
COMPUTE = activity(dram_active=0.15, tensor_active=0.70, sm_active=0.97, engine_active=1.0)
IDLE = activity(dram_active=0.0, tensor_active=0.0, sm_active=0.0, engine_active=0.0)


def observed(payload: Any, index: int | None = None, phase: Phase | None = None) -> Observation:
    device = None if index is None else Device(index=index, name=SXM)
    return Observation(source="a test", payload=payload, device=device, phase=phase)


def test_one_case_a_device_and_what_names_none_belongs_to_all() -> None:
    cases = device_cases([observed(MEMORY, 0), observed(COMPUTE, 1), observed(serving())], Given())
    assert [c.device.index for c in cases if c.device] == [0, 1]
    assert [c.activity for c in cases] == [MEMORY, COMPUTE]
    assert all(c.serving is not None for c in cases)


def test_sources_about_one_device_are_put_together() -> None:
    (case,) = device_cases(
        [
            observed(MEMORY, 0),
            Observation(source="b", payload=samples(), device=Device(index=0, memory_clock_hz=2619e6)),
        ],
        Given(),
    )
    assert case.activity is not None
    assert case.samples is not None
    assert case.roofs is not None
    assert case.roofs.source.startswith("memory clock × bus width")
    assert case.source(Activity) == "a test"


def test_the_whole_is_the_mean_of_the_devices() -> None:
    devices = judge_devices([observed(MEMORY, 0), observed(COMPUTE, 1)], Given())
    whole = whole_of(devices)
    assert [d.verdict.regime for d in devices if d.verdict] == [Regime.MEMORY, Regime.COMPUTE]
    assert whole.verdict is not None
    assert whole.verdict.shares is not None
    for share, value in whole.verdict.shares.items():
        parts = [d.verdict.shares[share] for d in devices if d.verdict and d.verdict.shares]
        assert value == pytest.approx(sum(parts) / 2)
    assert whole.verdict.regime is Regime.INCONCLUSIVE
    assert whole.verdict.confidence < 0.6


def test_eight_alike_are_as_sure_as_one() -> None:
    one = whole_of(judge_devices([observed(MEMORY, 0)], Given()))
    eight = whole_of(judge_devices([observed(MEMORY, i) for i in range(8)], Given()))
    assert one.verdict is not None
    assert eight.verdict is not None
    assert eight.verdict.regime is one.verdict.regime
    assert eight.verdict.confidence == pytest.approx(one.verdict.confidence)
    assert eight.verdict.cause is one.verdict.cause


def test_devices_that_idle_are_not_the_jobs() -> None:
    requests = serving(requests_running=0.0, batch=None, busy=False)
    devices = judge_devices([observed(MEMORY, 0), observed(IDLE, 1)], Given())
    busy, quiet = devices
    assert busy.verdict is not None
    (idle,) = judge_devices([observed(IDLE, 1), observed(requests)], Given())
    assert idle.verdict is not None
    assert idle.verdict.regime is Regime.IDLE
    assert whole_of([busy, idle]) is busy
    assert quiet.verdict is not None


def test_the_slowest_device_is_the_one_the_others_wait_for() -> None:
    spans = [observed(timeline(busy=b), i) for i, b in enumerate((0.4, 0.9, 0.5))]
    assert slowest_device(judge_devices(spans, Given())) == 1
    even = [observed(timeline(busy=0.9), i) for i in range(3)]
    assert slowest_device(judge_devices(even, Given())) is None
    assert slowest_device(judge_devices(spans[:1], Given())) is None


def test_phases_are_judged_apart_and_weighted_by_time() -> None:
    phases = judge_phases(
        [
            observed(timeline(window_s=3.0, busy=1.0), 0, Phase.PREFILL),
            observed(timeline(window_s=1.0, busy=0.1), 0, Phase.DECODE),
        ],
        Given(),
    )
    assert phases[Phase.PREFILL].time_fraction == pytest.approx(0.75)
    assert phases[Phase.DECODE].time_fraction == pytest.approx(0.25)
    decode = phases[Phase.DECODE].judgement.verdict
    assert decode is not None
    assert decode.regime is Regime.LATENCY


def test_a_phase_is_not_counted_again_beside_the_whole() -> None:
    whole, part = timeline(window_s=4.0, busy=0.5), timeline(window_s=1.0, busy=1.0)
    (case,) = device_cases([observed(whole, 0), observed(part, 0, Phase.PREFILL)], Given())
    assert case.timeline is whole


def test_a_kernel_profile_is_split_by_its_ranges() -> None:
    kernels = profile(
        {"name": "gemm", "duration_s": 3e-3, "memory": 0.3, "compute": 0.9},
        {"name": "gemv", "duration_s": 1e-3, "memory": 0.9, "compute": 0.1},
        {"name": "other", "duration_s": 1e-3, "memory": 0.9, "compute": 0.1},
    )
    fields = {f: getattr(kernels, f) for f in KernelProfile.__slots__}
    kernels = KernelProfile(**(fields | {"phase": (Phase.PREFILL, Phase.DECODE, None)}))
    cases = phase_cases([observed(kernels, 0)], Given())
    sizes = {phase: case.profile.duration_s.tolist() for phase, case in cases.items() if case.profile}
    assert sizes == {Phase.PREFILL: [3e-3], Phase.DECODE: [1e-3]}


def test_several_profiles_are_one_after_another() -> None:
    first, second = (
        profile({"name": "a", "duration_s": 1.0}),
        profile({"name": "b", "duration_s": 2.0}, {"name": "a", "duration_s": 3.0}),
    )
    (case,) = device_cases([observed(first, 0), observed(second, 0)], Given())
    assert case.profile is not None
    assert case.profile.duration_s.tolist() == [1.0, 2.0, 3.0]
    assert [case.profile.names[i] for i in case.profile.name_index] == ["a", "b", "a"]


def test_times_of_several_traces_add_up() -> None:
    (case,) = device_cases([observed(timeline(window_s=1.0, busy=0.2), 0), observed(timeline(busy=0.6), 0)], Given())
    found = case.timeline
    assert isinstance(found, Timeline)
    assert (found.window_s, found.busy_s) == (2.0, pytest.approx(0.8))
    assert [(k.launches, k.total_s) for k in found.kernels] == [(2000, pytest.approx(0.8))]


def test_activities_are_averaged_over_their_windows() -> None:
    def of(window_s: float | None, dram: float) -> Activity:
        return Activity(window_s=window_s, dram_active=dram)

    (case,) = device_cases([observed(of(1.0, 0.2), 0), observed(of(3.0, 0.6), 0)], Given())
    assert case.activity is not None
    assert case.activity.dram_active == pytest.approx(0.5)
    (case,) = device_cases([observed(of(None, 0.2), 0), observed(of(3.0, 0.6), 0)], Given())
    assert case.activity is not None
    assert case.activity.dram_active == pytest.approx(0.4)


def test_samples_follow_one_another() -> None:
    (case,) = device_cases([observed(samples(rows=2, sm=0.1), 0), observed(samples(rows=1, sm=0.7), 0)], Given())
    assert case.samples is not None
    assert np.allclose(case.samples.sm, [0.1, 0.1, 0.7])


def test_what_the_user_states_comes_first() -> None:
    stated = Given(part=part_named("H200"), bandwidth_bytes_per_s=4000e9, model=LLAMA_8B)
    (case,) = device_cases([observed(MEMORY), observed(serving(batch=4.0))], stated)
    assert case.roofs is not None
    assert case.roofs.bandwidth_bytes_per_s == 4000e9
    assert case.roofs.flops_per_s == part_named("H200").dense_flops_per_s[case.roofs.dtype]
    assert case.load is not None
    assert case.load.batch == 4.0


def test_a_full_cache_tells_the_context() -> None:
    full = serving(batch=8.0, requests_running=8.0, kv_cache_usage=0.5, kv_capacity_tokens=160_000.0)
    (case,) = device_cases([observed(full)], Given(model=LLAMA_8B))
    assert case.load is not None
    assert case.load.context_tokens == pytest.approx(10_000.0)
