"""Every "where it stops being true" of the design: verdicts that must not fall for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from heuristics.case import Case
from heuristics.gpus import part_named
from heuristics.judge import judge
from heuristics.observations import Serving
from heuristics.operations import Load, step_operations
from heuristics.roofs import datasheet_roofs
from heuristics.verdict import Judgement
from heuristics.vocabulary import Cause, Dtype, Limit, Regime, Relation, Share
from heuristics.work import KernelWork
from tests.heuristics.cases import H100, LLAMA_8B, activity, judged, profile, samples, serving, timeline


def sure_of(judgement: Judgement, regime: Regime) -> bool:
    assert judgement.verdict is not None
    return judgement.verdict.regime is regime and judgement.verdict.confidence >= 0.6


def test_an_idle_server_is_idle_not_latency_bound() -> None:
    quiet = serving(requests_running=0.0, busy=False, steps=0.0, generation_tokens=0.0, prompt_tokens=0.0)
    found = judged(activity=activity(engine_active=0.0, sm_active=0.0, dram_active=0.0), serving=quiet)
    assert found.verdict is not None
    assert found.verdict.regime is Regime.IDLE
    assert found.verdict.shares is None
    assert found.verdict.confidence > 0.9


@pytest.mark.parametrize("engine", [0.1, 0.3, 0.5])
def test_low_activity_without_word_of_requests_may_be_a_pause(engine: float) -> None:
    found = judged(activity=activity(engine_active=engine, dram_active=0.75 * engine, tensor_active=0.02))
    assert not sure_of(found, Regime.LATENCY)


def test_the_same_low_activity_while_requests_run_is_latency() -> None:
    running = serving(steps=1000.0, generation_tokens=1000.0)
    low = activity(engine_active=0.3, sm_active=0.25, dram_active=0.2, tensor_active=0.02)
    assert sure_of(judged(activity=low, serving=running), Regime.LATENCY)


def test_an_undecided_pause_names_the_snapshots_that_would_settle_it() -> None:
    found = judged(activity=activity(engine_active=0.3, dram_active=0.2))
    assert found.next_measurement is not None
    assert "/metrics" in found.next_measurement


def test_low_use_of_both_roofs_is_not_latency_where_the_arithmetic_is_emulated() -> None:
    """BF16 on a V100 has no units of its own: far from both roofs, it may be bound by its emulation."""
    far = {"steps": 1000.0, "step_s": 0.01, "flops": 3e13, "read_bytes": 2e12}
    emulated = datasheet_roofs(part_named("V100"), Dtype.BF16)
    assert emulated.unproven
    assert not sure_of(judged(emulated, serving=serving(**far)), Regime.LATENCY)
    native = datasheet_roofs(part_named("V100"), Dtype.FP16)
    assert sure_of(judged(native, serving=serving(**far)), Regime.LATENCY)


def test_weights_unpacked_before_the_product_leave_the_compute_roof_unknown() -> None:
    from dataclasses import replace

    int4 = replace(LLAMA_8B, weight_bits=4.0)
    found = judged(H100, serving=serving(steps=100.0, step_s=0.02, batch=32.0), model=int4, load=Load(batch=32.0))
    assert not sure_of(found, Regime.LATENCY)


def test_weights_that_fit_the_last_level_cache_bound_memory_from_above_only() -> None:
    tiny = serving(steps=10_000.0, step_s=1e-4, read_bytes=10_000 * 20e6, flops=10_000 * 2e7)
    found = judged(H100, serving=tiny)
    (said,) = (item for item in found.evidence if item.evidence.signal == "bandwidth_saturation")
    assert "last-level cache" in said.evidence.sentence
    assert [(bound.share, bound.relation) for bound in said.bounds] == [(Share.MEMORY, Relation.AT_MOST)]
    assert "bandwidth_fraction" not in found.measured
    assert not sure_of(found, Regime.MEMORY)


def test_what_a_cache_serves_faster_than_dram_could_is_no_impossible_input() -> None:
    fast = serving(steps=10_000.0, step_s=2e-6, read_bytes=10_000 * 20e6, flops=10_000 * 2e7)
    found = judged(H100, serving=fast)
    assert not any(item.evidence.impossible for item in found.evidence)


def test_active_but_stalled_sms_are_not_compute() -> None:
    stalled = activity(engine_active=0.98, sm_active=0.95, tensor_active=0.05, dram_active=0.20, fp32_active=0.02)
    found = judged(activity=stalled)
    assert sure_of(found, Regime.LATENCY)


def test_mem_62_of_nvidia_smi_does_not_contradict_dram_85() -> None:
    found = judged(
        samples=samples(sm=0.98, memory=0.62),
        activity=activity(engine_active=0.98, tensor_active=0.04, dram_active=0.85),
    )
    assert sure_of(found, Regime.MEMORY)
    assert not any("cannot all be right" in w for w in found.warnings)


def test_high_time_fractions_alone_decide_nothing() -> None:
    found = judged(samples=samples(sm=1.0, memory=0.7))
    assert found.verdict is not None
    assert found.verdict.regime is Regime.INCONCLUSIVE
    assert found.next_measurement is not None


def test_dashes_are_unknown_not_zero() -> None:
    found = judged(samples=samples(power_w=430.0))
    assert found.verdict is not None
    assert found.verdict.regime is Regime.INCONCLUSIVE
    assert any("unknown" in a.reason for a in found.abstained if a.signal == "time_fractions")


def test_zero_utilisation_with_swinging_power_is_not_idle() -> None:
    from dataclasses import replace

    bursts = replace(samples(rows=5, sm=0.0, memory=0.0), power_w=np.array([71.0, 119.0, 140.0, 156.0, 124.0]))
    found = judged(samples=bursts)
    assert found.verdict is not None
    assert found.verdict.regime is Regime.INCONCLUSIVE
    assert judged(samples=samples(sm=0.0, memory=0.0, power_w=71.0)).verdict.regime is Regime.IDLE  # type: ignore[union-attr]


def test_a_dense_matrix_load_is_told_from_memory_by_mem_and_power() -> None:
    found = judged(H100, samples=samples(sm=1.0, memory=0.10, power_w=634.0))
    assert sure_of(found, Regime.COMPUTE)


def test_more_than_the_peak_is_never_a_confident_label() -> None:
    """The aggregate rate taken for the step rate: every sequence seems to stream the weights anew."""
    wrong = serving(steps=6400.0, step_s=1 / 640.0, read_bytes=6400 * 16e9, flops=6400 * 16e9)
    found = judged(H100, serving=wrong)
    assert found.verdict is not None
    assert found.verdict.regime is Regime.INCONCLUSIVE
    assert found.verdict.confidence < 0.6
    assert any("speculative decoding" in w for w in found.warnings)


def test_gaps_and_underfilled_kernels_are_different_causes() -> None:
    late = judged(timeline=timeline(busy=0.3))
    small = judged(timeline=timeline(busy=0.98, capable_s=0.05, underfill_s=0.9), profile=None)
    inside = judged(
        profile=profile({"name": "gemvx", "duration_s": 5e-6, "memory": 0.2, "compute": 0.1, "dram": 0.2, "waves": 0.4})
    )
    assert late.verdict is not None
    assert late.verdict.cause is Cause.HOST
    assert inside.verdict is not None
    assert inside.verdict.cause is Cause.UNDERFILL
    assert small.verdict is not None
    assert small.verdict.cause in (None, Cause.UNDERFILL)


def test_a_kernel_held_by_a_cache_is_memory_with_the_cause_cache() -> None:
    found = judged(
        profile=profile(
            {"name": "elementwise_kernel", "duration_s": 1e-4, "memory": 0.94, "compute": 0.12, "dram": 0.10}
        )
    )
    assert sure_of(found, Regime.MEMORY)
    assert found.verdict is not None
    assert found.verdict.cause is Cause.CACHE


def test_a_kernel_profile_says_nothing_of_gaps_but_a_timeline_beside_it_does() -> None:
    streaming = profile({"name": "gemvx", "duration_s": 1e-4, "memory": 0.9, "compute": 0.1, "dram": 0.9})
    alone = judged(profile=streaming)
    with_gaps = judged(profile=streaming, timeline=timeline(busy=0.25))
    assert sure_of(alone, Regime.MEMORY)
    assert any("timeline" in w for w in alone.warnings)
    assert sure_of(with_gaps, Regime.LATENCY)


def test_recording_stacks_widens_what_gaps_say() -> None:
    plain = judged(timeline=timeline(busy=0.55)).verdict
    slowed = judged(timeline=timeline(busy=0.55, recorded_stacks=True)).verdict
    assert plain is not None
    assert slowed is not None
    assert slowed.confidence < plain.confidence


def test_waiting_for_other_devices_is_latency_although_the_device_is_busy() -> None:
    found = judged(timeline=timeline(busy=0.95, roof_busy_s=0.2, communication_s=0.75, capable_s=0.2, host_gap_s=0.05))
    assert sure_of(found, Regime.LATENCY)
    assert found.verdict is not None
    assert found.verdict.cause is Cause.COMMUNICATION


def test_requests_running_with_counters_frozen_is_stalled_not_a_regime() -> None:
    wedged = serving(steps=0.0, generation_tokens=0.0, prompt_tokens=0.0, window_s=10.0)
    found = judged(
        serving=wedged, samples=samples(sm=0.96, memory=0.3), activity=activity(engine_active=0.96, sm_active=0.1)
    )
    assert found.verdict is not None
    assert found.verdict.regime is Regime.INCONCLUSIVE
    assert Limit.STALLED in found.verdict.limits


def test_a_full_cache_and_a_queue_stand_beside_the_regime() -> None:
    full = serving(requests_waiting=20.0, kv_cache_usage=0.99, preemptions=3.0, steps=500.0)
    found = judged(serving=full, activity=activity(engine_active=0.99, dram_active=0.8, tensor_active=0.1))
    assert found.verdict is not None
    assert found.verdict.regime is Regime.MEMORY
    assert set(found.verdict.limits) == {Limit.KV_CAPACITY, Limit.QUEUE}


def test_attention_stays_memory_bound_at_a_batch_where_projections_do_not() -> None:
    operations = {op.name: op for op in step_operations(LLAMA_8B, Load(batch=512.0, context_tokens=4096.0))}
    ridge = H100.ridge_flops_per_byte
    assert ridge is not None
    assert operations["mlp up projection"].bound(ridge) is Share.COMPUTE
    assert operations["attention"].bound(ridge) is Share.MEMORY


def test_decoding_at_batch_one_in_bf16_is_memory_by_arithmetic_and_weights() -> None:
    streamed = sum(op.bytes for op in step_operations(LLAMA_8B, Load(batch=1.0, context_tokens=1000.0)))
    step_s = streamed / (0.72 * 3350e9)
    found = judged(
        H100,
        serving=serving(steps=10.0 / step_s, step_s=step_s),
        model=LLAMA_8B,
        load=Load(batch=1.0, context_tokens=1000.0),
    )
    assert sure_of(found, Regime.MEMORY)
    assert found.verdict is not None
    assert found.verdict.cause is Cause.WEIGHTS


def test_an_undecided_case_names_one_measurement() -> None:
    found = judged(activity=activity(engine_active=0.97, tensor_active=0.35, dram_active=0.45, fp32_active=0.01))
    assert found.verdict is not None
    assert found.verdict.regime is Regime.INCONCLUSIVE
    assert found.next_measurement is not None
    assert "ncu" in found.next_measurement or "timeline" in found.next_measurement


def test_what_a_cache_holds_has_no_ridge_and_is_not_said_to_be_streamed() -> None:
    """A small network whose steps read one megabyte: neither its bytes nor its intensity make it memory-bound."""
    found = judge(
        Case(
            roofs=replace(H100, last_level_cache_bytes=50e6),
            work=KernelWork(flops=1e6, bytes=1e6),
            load=Load(),
            serving=Serving(engine="x", busy=True, step_s=1e-6, batch=1.0),
        )
    )
    assert found.verdict is not None
    assert found.verdict.cause is not Cause.WEIGHTS
    assert "arithmetic_intensity" in {a.signal for a in found.abstained}
