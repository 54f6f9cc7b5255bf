"""Kernels weighed by their speed of light: what counts, what cannot be, and what is said where nothing can be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from heuristics.case import Case
from heuristics.claims import Bound
from heuristics.evidence import Abstention, Evidence
from heuristics.rows import rows
from heuristics.signals import kernel_speed_of_light
from heuristics.signals.kernel_speed_of_light import mean
from heuristics.vocabulary import Cause, Regime, Relation, Share
from tests.heuristics.cases import H100, judged, profile


def kernel(**changes: Any) -> dict[str, Any]:
    return {"name": "gemv", "duration_s": 1e-4, "memory": 0.9, "compute": 0.2, "dram": 0.88} | changes


def reason(*kernels: dict[str, Any]) -> str:
    found = kernel_speed_of_light.weigh(Case(profile=profile(*kernels)))
    assert isinstance(found, Abstention)
    return found.reason


def evidence(*kernels: dict[str, Any]) -> Evidence:
    found = kernel_speed_of_light.weigh(Case(profile=profile(*kernels)))
    assert isinstance(found, Evidence)
    return found


def test_a_mean_without_weight_is_unknown() -> None:
    assert mean(np.array([0.5, np.nan]), np.array([0.0, 1.0])) is None
    assert mean(np.array([0.5, np.nan]), np.array([2.0, 1.0])) == 0.5


@pytest.mark.parametrize("fraction", [1.5, 1.9, 40.0])
@pytest.mark.parametrize("which", ["memory", "compute"])
def test_kernels_above_their_peak_give_no_label(which: str, fraction: float) -> None:
    found = judged(profile=profile(kernel(**{which: fraction})))
    assert found.verdict.regime is Regime.INCONCLUSIVE
    assert any("cannot be" in w for w in found.warnings)


def test_a_few_kernels_above_their_peak_are_the_noise_of_replay() -> None:
    found = judged(profile=profile(kernel(memory=1.2, duration_s=1e-6), kernel()))
    assert found.verdict.regime is Regime.MEMORY
    assert any("more than their peak" in w for w in found.warnings)


def test_half_the_time_above_the_peak_is_not_made_good_by_an_idle_half() -> None:
    found = judged(profile=profile(kernel(memory=1.9), kernel(memory=0.1, dram=0.1, compute=0.05)))
    assert found.verdict.regime is Regime.INCONCLUSIVE


def test_bytes_over_time_beyond_the_roof_give_no_label() -> None:
    moved = {"name": "copy", "duration_s": 1e-3, "bytes": 1e10}
    found = judged(roofs=H100, profile=profile(moved))
    assert found.verdict.regime is Regime.INCONCLUSIVE
    assert any("cannot be" in w for w in found.warnings)


def test_a_row_that_stands_for_many_launches_counts_its_bytes_and_flops_as_often() -> None:
    (row,) = rows(judged(profile=profile(kernel(launches=1000, bytes=3e6, flops=5e6))))
    assert (row.launches, row.bytes, row.flops) == (1000, pytest.approx(3e9), pytest.approx(5e9))
    assert row.time_s == pytest.approx(0.1)


def test_a_summary_of_launches_is_judged_like_the_launches_themselves() -> None:
    small = kernel(name="norm", memory=0.1, compute=0.05, dram=0.05, duration_s=1e-6)
    once = judged(profile=profile(kernel(), *[small] * 50))
    summed = judged(profile=profile(kernel(), small | {"launches": 50}))
    assert summed.verdict.regime is once.verdict.regime
    assert summed.verdict.shares == pytest.approx(once.verdict.shares)
    assert summed.measured == pytest.approx(once.measured)


def test_kernels_without_times_count_alike_and_the_width_says_so() -> None:
    untimed = evidence(kernel(duration_s=np.nan), kernel(duration_s=np.nan, memory=0.5))
    assert untimed.measured["memory_throughput"] == pytest.approx(0.7)
    assert any("counts alike" in w for w in untimed.warnings)


@pytest.mark.parametrize(
    ("kernels", "word"),
    [
        ([kernel(duration_s=0.0)], "time of zero"),
        ([kernel(duration_s=np.nan, memory=np.nan, compute=np.nan, dram=np.nan)], "neither the time"),
        ([kernel(memory=np.nan, compute=np.nan, dram=np.nan)], "no memory or SM throughput"),
        ([kernel(memory=np.nan, compute=np.nan, dram=np.nan, bytes=1e6)], "no roof to compare"),
        (
            [kernel(memory=np.nan, compute=np.nan, dram=np.nan), kernel(duration_s=np.nan)],
            "both its time and a throughput",
        ),
    ],
)
def test_what_is_lacking_is_named(kernels: list[dict[str, Any]], word: str) -> None:
    assert word in reason(*kernels)


def test_a_memory_path_whose_dram_part_is_unknown_is_nobodys_bandwidth() -> None:
    found = judged(profile=profile(kernel(memory=0.94, compute=0.12, dram=np.nan)))
    assert found.verdict.regime is Regime.MEMORY
    assert found.verdict.cause is None
    assert "bandwidth_fraction" not in found.measured
    assert rows(found)[0].cause is None


def test_bytes_tell_dram_from_a_cache_where_its_throughput_is_not_stated() -> None:
    moved = kernel(memory=0.94, compute=0.12, dram=np.nan, duration_s=1e-3, bytes=1e8)
    found = judged(roofs=H100, profile=profile(moved))
    assert found.verdict.cause is Cause.CACHE
    assert found.measured["bandwidth_fraction"] == pytest.approx(0.03, abs=0.001)


@pytest.mark.parametrize("dram", [0.02, 0.1])
def test_dram_alone_does_not_make_a_kernel_held_by_a_cache_latency(dram: float) -> None:
    found = judged(profile=profile(kernel(memory=np.nan, dram=dram, compute=0.12)))
    assert found.verdict.regime is Regime.INCONCLUSIVE
    assert any("memory path" in w for w in found.warnings)


def test_dram_alone_shows_a_memory_bound_kernel() -> None:
    found = judged(profile=profile(kernel(memory=np.nan, dram=0.78, compute=0.12)))
    assert found.verdict.regime is Regime.MEMORY


@pytest.mark.parametrize("compute", [0.06, 0.12, 0.3])
def test_sm_throughput_alone_does_not_tell_memory_from_latency(compute: float) -> None:
    found = judged(profile=profile(kernel(memory=np.nan, dram=np.nan, compute=compute)))
    assert found.verdict.regime is Regime.INCONCLUSIVE


@pytest.mark.parametrize("fraction", [0.3, 0.5, 0.6])
def test_what_stands_in_for_one_side_bounds_without_contradiction(fraction: float) -> None:
    flops = fraction * 989.4e12 * 1e-3
    by_sms = kernel(memory=np.nan, compute=fraction, dram=0.1)
    by_flops = kernel(memory=np.nan, compute=np.nan, dram=0.1, duration_s=1e-3, flops=flops)
    beside_memory = kernel(compute=np.nan, memory=0.1, dram=0.1, duration_s=1e-3, flops=flops)
    for stated in (by_sms, by_flops, beside_memory):
        bounds = [b for item in judged(roofs=H100, profile=profile(stated)).evidence for b in item.bounds]
        compute = [b for b in bounds if b.share is Share.COMPUTE and isinstance(b, Bound)]
        least = max(b.value for b in compute if b.relation is Relation.AT_LEAST)
        assert least <= min([1.0, *(b.value for b in compute if b.relation is Relation.AT_MOST)]) + 1e-9


def test_flops_bound_compute_from_below_only() -> None:
    half = kernel(memory=0.1, compute=np.nan, dram=0.1, duration_s=1e-3, flops=0.3 * 989.4e12 * 1e-3)
    found = judged(roofs=H100, profile=profile(half))
    (item,) = found.evidence
    assert "arithmetic at" in item.evidence.sentence
    assert not any(b.share is Share.COMPUTE and b.relation is Relation.AT_MOST for b in item.bounds)
