"""Host time: sleep on a CPU that computes is latency, busy cores prove nothing, a GPU's host only names causes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from heuristics.case import Case
from heuristics.claims import Bound, WallBound
from heuristics.evidence import Abstention, Evidence
from heuristics.observations import Host
from heuristics.signals import host_time
from heuristics.vocabulary import Cause, Regime, Relation, Share
from tests.heuristics.cases import judged, serving

WORK = serving(requests_running=1.0, busy=True, steps=100.0)


def host(**fields: Any) -> Host:
    """Ten seconds of a job on two CPUs that it computes on, one of them busy."""
    base: dict[str, Any] = {
        "window_s": 10.0,
        "threads": 12,
        "asleep_fraction": 0.0,
        "busiest_thread_fraction": 1.0,
        "wait_fraction": 0.0,
        "busy_cores": 1.0,
        "cores": 2.0,
        "throttled_fraction": 0.0,
        "computes": True,
    }
    return Host(**(base | fields))


def weighed(**fields: Any) -> Evidence:
    found = host_time.weigh(Case(host=host(**fields)))
    assert isinstance(found, Evidence)
    return found


def floors(found: Evidence) -> list[float]:
    """How much latency there is at least."""
    assert all(claim.share is Share.LATENCY for claim in found.claims if isinstance(claim, Bound | WallBound))
    return [c.value for c in found.claims if isinstance(c, Bound)] + [
        1.0 - c.fraction for c in found.claims if isinstance(c, WallBound)
    ]


def test_a_job_asleep_for_most_of_the_time_waits_where_requests_are_known_to_run() -> None:
    verdict = judged(host=host(asleep_fraction=0.75, busy_cores=0.25), serving=WORK).verdict
    assert verdict is not None
    assert verdict.regime is Regime.LATENCY
    assert verdict.cause is Cause.HOST
    assert verdict.shares is not None
    assert verdict.shares[Share.LATENCY] > 0.65


@pytest.mark.parametrize("cores", [1.0, 2.0, 64.0])
def test_busy_cores_prove_nothing(cores: float) -> None:
    found = weighed(busy_cores=cores, cores=cores)
    assert max(floors(found), default=0.0) == 0.0
    verdict = judged(host=host(busy_cores=cores, cores=cores)).verdict
    assert verdict is not None
    assert verdict.regime is Regime.INCONCLUSIVE
    assert verdict.shares is not None
    assert max(verdict.shares.values()) < 0.5


@pytest.mark.parametrize("part", [0.1, 0.3, 0.6, 0.9])
def test_a_quota_that_holds_the_job_back(part: float) -> None:
    found = weighed(throttled_fraction=part)
    assert max(floors(found)) == pytest.approx(part)
    assert "quota" in found.sentence
    assert any("quota" in warning for warning in found.warnings)


def test_a_thread_that_waits_for_a_cpu() -> None:
    found = weighed(wait_fraction=0.4)
    assert max(floors(found)) == pytest.approx(0.4)
    bound = next(c for c in found.claims if isinstance(c, Bound))
    assert bound.relation is Relation.AT_LEAST


def test_more_sleep_is_more_latency() -> None:
    shares = []
    for asleep in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        verdict = judged(host=host(asleep_fraction=asleep), serving=WORK).verdict
        assert verdict is not None
        assert verdict.shares is not None
        shares.append(verdict.shares[Share.LATENCY])
    assert all(after >= before - 1e-6 for before, after in pairwise(shares))
    assert shares[-1] > shares[0] + 0.3


@pytest.mark.parametrize("asleep", [0.0, 0.5, 0.99, 1.0])
def test_the_host_of_a_gpu_bounds_nothing(asleep: float) -> None:
    found = weighed(asleep_fraction=asleep, wait_fraction=0.5, computes=False)
    assert found.claims == ()
    assert found.causes == {Cause.HOST: 0.5}


def test_nothing_watched() -> None:
    assert isinstance(host_time.weigh(Case()), Abstention)
    found = host_time.weigh(Case(host=host(asleep_fraction=None)))
    assert isinstance(found, Abstention)
    assert not found.missing


def test_what_is_not_stated_is_not_told() -> None:
    found = weighed(busy_cores=None, cores=None, wait_fraction=None, throttled_fraction=None)
    assert set(found.measured) == {"asleep_fraction", "threads"}
    assert all(f"{{{name}:" in found.sentence for name in found.measured if name != "threads")


def test_short_memory_is_warned_of() -> None:
    assert any("memory" in warning for warning in weighed(memory_pressure=0.3).warnings)
    assert weighed(memory_pressure=0.01).warnings == ()


@pytest.mark.parametrize("asleep", [0.3, 0.7, 0.9])
def test_a_program_that_sleeps_may_have_nothing_to_do(asleep: float) -> None:
    verdict = judged(host=host(asleep_fraction=asleep)).verdict
    assert verdict is not None
    assert verdict.regime is Regime.INCONCLUSIVE
    assert verdict.cause is None


def test_a_program_that_only_sleeps_is_idle() -> None:
    verdict = judged(host=host(asleep_fraction=1.0, busy_cores=0.0)).verdict
    assert verdict is not None
    assert verdict.regime is Regime.IDLE
