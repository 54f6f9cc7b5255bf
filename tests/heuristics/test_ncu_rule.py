"""Nsight Compute's published speed-of-light rule, threshold by threshold, and the prose of its own rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heuristics.ncu_rule import NcuRule, label_of_text, ncu_rule, regime_of_label
from heuristics.vocabulary import Share
from tests.make.ncu import PROSE

MEMORY, COMPUTE, LATENCY = Share.MEMORY, Share.COMPUTE, Share.LATENCY

percents = st.floats(0.0, 120.0)
waves = st.none() | st.floats(0.0, 100.0)


@pytest.mark.parametrize(
    ("memory", "compute", "waves_per_sm", "label", "regime"),
    [
        (80.0, 10.0, None, "High Throughput", MEMORY),
        (10.0, 80.0, None, "High Throughput", COMPUTE),
        (80.0, 80.0, None, "High Throughput", MEMORY),
        (94.0, 93.0, 0.1, "High Throughput", MEMORY),
        (79.99, 10.0, None, "High Memory Throughput", MEMORY),
        (10.0, 79.99, None, "High Compute Throughput", COMPUTE),
        (60.0, 10.0, 0.1, "High Memory Throughput", MEMORY),
        (10.0, 60.0, 0.1, "High Compute Throughput", COMPUTE),
        (59.99, 59.99, 1.0, "Latency Issue", LATENCY),
        (59.99, 10.0, 0.99, "Small Grid", LATENCY),
        (59.99, 10.0, 1.0, "Latency Issue", LATENCY),
        (59.99, 10.0, None, "Latency Issue", LATENCY),
        (0.0, 0.0, 0.0, "Small Grid", LATENCY),
        (70.0, 60.0, None, "High Memory Throughput", MEMORY),
        (60.0, 70.0, None, "High Compute Throughput", COMPUTE),
        (69.99, 60.0, None, "Balanced Throughput", None),
        (60.0, 69.99, None, "Balanced Throughput", None),
        (60.0, 50.01, None, "Balanced Throughput", None),
        (65.0, 65.0, 0.5, "Balanced Throughput", None),
    ],
)
def test_rule_follows_its_published_table(
    memory: float, compute: float, waves_per_sm: float | None, label: str, regime: Share | None
) -> None:
    assert ncu_rule(memory, compute, waves_per_sm) == NcuRule(label=label, regime=regime)


@pytest.mark.parametrize(("memory", "compute"), [(None, 50.0), (50.0, None), (None, None)])
def test_rule_says_nothing_without_both_throughputs(memory: float | None, compute: float | None) -> None:
    assert ncu_rule(memory, compute, 2.0) is None


@given(percents, percents, waves)
def test_every_pair_gets_a_label_that_points_where_it_says(
    memory: float, compute: float, waves_per_sm: float | None
) -> None:
    found = ncu_rule(memory, compute, waves_per_sm)
    assert found is not None
    assert found.label in PROSE
    if found.label != "High Throughput":
        assert regime_of_label(found.label) is found.regime


@given(percents, percents, waves)
def test_swapping_memory_and_compute_swaps_the_regime(
    memory: float, compute: float, waves_per_sm: float | None
) -> None:
    swapped = {MEMORY: COMPUTE, COMPUTE: MEMORY}
    one, other = ncu_rule(memory, compute, waves_per_sm), ncu_rule(compute, memory, waves_per_sm)
    assert one is not None
    assert other is not None
    if memory != compute:
        assert other.regime is (swapped.get(one.regime, one.regime) if one.regime else None)


@pytest.mark.parametrize("label", PROSE)
def test_label_is_known_by_the_prose_of_its_row(label: str) -> None:
    assert label_of_text(PROSE[label]) == label
    assert label_of_text(PROSE[label].upper()) == label


@pytest.mark.parametrize(
    ("prose", "label"),
    [
        ("The kernel has more than 80.0% of a peak.", "High Throughput"),
        ("This workload exhibits low compute throughput and memory bandwidth utilization.", "Latency Issue"),
        ("The grid is too small; values below 60.0% typically indicate latency issues.", "Small Grid"),
        ("Compute and Memory are balanced.", "Balanced Throughput"),
        ("The work of the warps is unbalanced: some wait for others.", None),
        ("", None),
        ("The ratio of peak float (fp32) to double (fp64) performance is 2:1.", None),
    ],
)
def test_prose_of_other_versions_and_of_other_rules(prose: str, label: str | None) -> None:
    assert label_of_text(prose) == label


@pytest.mark.parametrize(
    ("label", "regime"),
    [
        ("Small Grid", LATENCY),
        ("Latency Issue", LATENCY),
        ("High Memory Throughput", MEMORY),
        ("High Compute Throughput", COMPUTE),
        ("High Throughput", None),
        ("Balanced Throughput", None),
        ("no such label", None),
    ],
)
def test_label_alone_points_to_a_share_only_where_it_names_one(label: str, regime: Share | None) -> None:
    assert regime_of_label(label) is regime
