"""Regimes by intervention: what relief of which need speeds a step up is what binds it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ground_truth.truth import truth_of


def variant(share: str, factor: float, ratio: float) -> dict[str, Any]:
    """A variant whose step takes ``ratio`` times as long."""
    return {"share": share, "factor": factor, "step_s": ratio, "beside_s": 1.0}


def regime(*variants: dict[str, Any]) -> str:
    found = truth_of("a workload", {"varied": {"variants": list(variants)}})
    assert found is not None
    return found.regime


@pytest.mark.parametrize("bound", [0.6, 0.8, 1.0])
def test_each_need_is_found_by_what_relieves_it(bound: float) -> None:
    rest = 1.0 - bound
    half, twice = 1.0 - 0.5 * bound, 1.0 + rest / 2.0
    assert regime(variant("memory", 0.5, half), variant("compute", 2.0, twice)) == "memory"
    assert regime(variant("memory", 0.5, 1.0 - 0.25 * rest), variant("compute", 2.0, 1.0 + bound)) == "compute"
    assert regime(variant("memory", 0.5, 1.0), variant("compute", 2.0, 1.0)) == "latency"
    assert regime(variant("latency", 0.0, 1.0 - bound)) == "latency"


def test_bytes_of_weights_and_cache_add_up() -> None:
    assert regime(variant("memory", 0.5, 0.85), variant("memory", 0.5, 0.85), variant("compute", 2.0, 1.1)) == "memory"


def test_what_the_host_holds_is_its_own_whatever_the_other_changes_seem_to_move() -> None:
    """Twice the sequences bring the host more to do; that is no arithmetic."""
    launches = variant("latency", 0.0, 0.12)
    assert regime(launches, variant("memory", 0.5, 1.06), variant("compute", 2.0, 2.17)) == "latency"


def test_close_shares_are_no_regime() -> None:
    found = truth_of("x", {"varied": {"variants": [variant("memory", 0.5, 0.76), variant("compute", 2.0, 1.1)]}})
    assert found is not None
    assert found.regime == "mixed"
    assert set(found.between) == {"memory", "latency"}


def test_what_was_not_varied_is_not_known() -> None:
    assert truth_of("x", {"varied": {"variants": []}}) is None
    assert truth_of("x", {"varied": {"variants": [{"share": "memory", "factor": 0.5, "failed": "x"}]}}) is None
    assert truth_of("idle", {}).regime == "idle"  # type: ignore[union-attr]
