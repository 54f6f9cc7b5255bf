"""Bytes over the links: what they bound, and what they are the cause of."""

from __future__ import annotations

from typing import Any

import pytest

from heuristics.case import Case
from heuristics.claims import Bound
from heuristics.evidence import Abstention, Evidence
from heuristics.observations import Board
from heuristics.operations import Load
from heuristics.signals import link_traffic
from heuristics.vocabulary import Cause, Relation, Share
from tests.heuristics.cases import judged


def board(**fields: Any) -> Board:
    return Board(window_s=10.0, **fields)


def weighed(load: Load | None = None, **fields: Any) -> Evidence:
    found = link_traffic.weigh(Case(board=board(**fields), load=load))
    assert isinstance(found, Evidence), found
    return found


def floor(found: Evidence) -> float:
    """How much latency there is at least."""
    for claim in found.claims:
        assert isinstance(claim, Bound)
        assert claim.share is Share.LATENCY
        assert claim.relation is Relation.AT_LEAST
        assert 0.0 <= claim.value <= 1.0
    return max((claim.value for claim in found.claims if isinstance(claim, Bound)), default=0.0)


def test_tensor_parallelism_over_pcie() -> None:
    found = weighed(
        Load(batch=8.0, tensor_parallel=2),
        pcie_rx_bytes_per_s=18e9,
        pcie_tx_bytes_per_s=17e9,
        pcie_peak_bytes_per_s=32e9,
    )
    assert floor(found) == pytest.approx(0.5 * 18 / (0.8 * 32))
    assert set(found.causes) == {Cause.COMMUNICATION}


def test_one_device_that_fetches_from_the_host() -> None:
    found = weighed(pcie_rx_bytes_per_s=20e9, pcie_tx_bytes_per_s=0.0, pcie_peak_bytes_per_s=32e9)
    assert set(found.causes) == {Cause.TRANSFER}


def test_nvlink() -> None:
    found = weighed(nvlink_rx_bytes_per_s=90e9, nvlink_tx_bytes_per_s=100e9, nvlink_peak_bytes_per_s=450e9)
    assert floor(found) == pytest.approx(0.5 * 100 / (0.8 * 450))
    assert set(found.causes) == {Cause.COMMUNICATION}


def test_quiet_links_bound_nothing() -> None:
    found = weighed(
        pcie_rx_bytes_per_s=1e6,
        pcie_tx_bytes_per_s=1e6,
        pcie_peak_bytes_per_s=32e9,
        nvlink_rx_bytes_per_s=0.0,
        nvlink_tx_bytes_per_s=0.0,
        nvlink_peak_bytes_per_s=450e9,
    )
    assert found.claims == ()
    assert found.causes == {}
    assert "NVLink" in found.sentence
    assert "PCIe" in found.sentence


def test_more_traffic_is_never_less_latency() -> None:
    values = [
        floor(weighed(pcie_rx_bytes_per_s=rate, pcie_peak_bytes_per_s=32e9))
        for rate in (0.0, 1e9, 5e9, 20e9, 32e9, 100e9, 1e15)
    ]
    assert values == sorted(values)
    assert values[-1] == 0.5


def test_a_rate_without_the_links_own_says_nothing() -> None:
    for fields in ({"pcie_rx_bytes_per_s": 1e9}, {"pcie_peak_bytes_per_s": 32e9}, {}, {"energy_j": 5.0}):
        found = link_traffic.weigh(Case(board=board(**fields)))
        assert isinstance(found, Abstention)
        assert not found.missing
    found = link_traffic.weigh(Case())
    assert isinstance(found, Abstention)
    assert found.missing


def test_a_busy_link_moves_the_verdict_towards_latency() -> None:
    busy = judged(board=board(pcie_rx_bytes_per_s=26e9, pcie_peak_bytes_per_s=32e9)).verdict
    quiet = judged(board=board(pcie_rx_bytes_per_s=0.0, pcie_peak_bytes_per_s=32e9)).verdict
    assert busy is not None
    assert quiet is not None
    assert busy.shares is not None
    assert quiet.shares is not None
    assert busy.shares[Share.LATENCY] > quiet.shares[Share.LATENCY] + 0.1
