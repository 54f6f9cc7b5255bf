"""What a batch curve bounds in the budget: made-up engines, caps, caches, and chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heuristics.arrays import Array
from heuristics.case import Case
from heuristics.claims import Bound
from heuristics.evidence import Abstention, Evidence, Finding
from heuristics.judge import judge
from heuristics.observations import LoadCurve
from heuristics.operations import Load
from heuristics.signals import batch_curve
from heuristics.vocabulary import Limit, Relation, Share
from tests.heuristics.cases import H100, LLAMA_8B, serving

BATCHES = np.array([1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0])


def curve(batch: Array, step_s: Array) -> LoadCurve:
    return LoadCurve(batch=batch, step_s=step_s, context_tokens=np.full(batch.size, np.nan))


def bound(found: Finding) -> Bound:
    assert isinstance(found, Evidence), found
    (claim,) = found.claims
    assert isinstance(claim, Bound)
    assert claim.share is Share.COMPUTE
    assert claim.relation is Relation.AT_MOST
    return claim


def ceiling(batch: Array, step_s: Array) -> float:
    """How much compute there is at most, at the largest batch."""
    return bound(batch_curve.weigh(Case(curve=curve(batch, step_s)))).value


def test_steps_that_do_not_grow_leave_no_room_for_arithmetic() -> None:
    assert ceiling(BATCHES, np.full(8, 0.01)) == pytest.approx(0.0, abs=0.03)


def test_steps_in_proportion_may_be_all_arithmetic() -> None:
    assert ceiling(BATCHES, 0.01 * BATCHES) == pytest.approx(1.0, abs=0.01)


@given(grown=st.floats(0.0, 1.0), scale=st.floats(1e-5, 10.0))
def test_the_part_that_grows_comes_back(grown: float, scale: float) -> None:
    step_s = scale * (1.0 - grown + grown * BATCHES / BATCHES[-1])
    assert ceiling(BATCHES, step_s) == pytest.approx(grown, abs=0.04)


@given(power=st.floats(0.0, 1.0), scale=st.floats(1e-5, 10.0))
def test_a_power_lies_within_the_bound(power: float, scale: float) -> None:
    """No sum of two parts, and yet arithmetic grows with the step: not more than it."""
    found = batch_curve.weigh(Case(curve=curve(BATCHES, scale * BATCHES**power)))
    if isinstance(found, Evidence):
        assert power <= bound(found).value + 2.0 * bound(found).width


@given(seed=st.integers(0, 10_000))
def test_some_wild_points_change_little(seed: int) -> None:
    chance = np.random.default_rng(seed)
    batch = np.tile(BATCHES, 4)
    step_s = 0.01 * batch**0.3 * (1.0 + 0.02 * chance.standard_normal(batch.size))
    wild = 8 * np.arange(4) + chance.choice(8, 4, replace=False)
    step_s[wild] *= chance.choice([0.2, 5.0], 4)
    found = bound(batch_curve.weigh(Case(curve=curve(batch, step_s))))
    assert found.value == pytest.approx(0.3, abs=0.15 + found.width)


def test_the_order_changes_nothing() -> None:
    chance = np.random.default_rng(5)
    batch = np.tile(BATCHES, 3)
    step_s = 0.01 * batch**0.5 * (1.0 + 0.05 * chance.standard_normal(batch.size))
    order = chance.permutation(batch.size)
    assert ceiling(batch[order], step_s[order]) == pytest.approx(ceiling(batch, step_s))


def test_a_kernel_that_is_switched_lies_within_the_width() -> None:
    """At batch 8 another kernel takes over and every step gets 30 % longer; nothing else grows."""
    claim = bound(batch_curve.weigh(Case(curve=curve(BATCHES, np.where(BATCHES >= 8, 0.013, 0.010)))))
    assert claim.value < 0.2
    assert claim.width >= batch_curve.WIDTH


def test_a_sum_of_a_constant_and_a_proportional_part_is_bounded_from_above() -> None:
    """Weights streamed in 10 ms and 0.5 ms of arithmetic a sequence: at 16 sequences 44 % is arithmetic."""
    batch = np.arange(1.0, 17.0)
    assert ceiling(batch, 0.010 + 0.0005 * batch) == pytest.approx(8.0 / 18.0, abs=0.03)


@pytest.mark.parametrize(("served", "grown"), [(1.0, 0.5 / 10.5), (4.0, 2.0 / 12.0), (16.0, 8.0 / 18.0)])
def test_the_bound_is_that_of_the_batch_which_is_served(served: float, grown: float) -> None:
    batch = np.arange(1.0, 17.0)
    case = Case(curve=curve(batch, 0.010 + 0.0005 * batch), serving=serving(batch=served, step_s=0.01))
    assert bound(batch_curve.weigh(case)).value == pytest.approx(grown, abs=0.03)


@pytest.mark.parametrize("highest", [1.0, 2.0, 4.0, 6.5])
def test_fewer_than_three_doublings_say_nothing(highest: float) -> None:
    batch = np.linspace(1.0, highest, 8)
    found = batch_curve.weigh(Case(curve=curve(batch, np.full(8, 0.01))))
    assert isinstance(found, Abstention)
    assert not found.missing


def test_chance_says_nothing_or_little() -> None:
    for seed in range(30):
        step_s = 10.0 ** np.random.default_rng(seed).uniform(-3, 0, 8)
        found = batch_curve.weigh(Case(curve=curve(BATCHES, step_s)))
        if isinstance(found, Evidence):
            assert 0.0 <= bound(found).value <= 1.0
            assert bound(found).width > batch_curve.WIDTH + 0.03


def test_throughput_that_grows_faster_than_the_batch_is_no_negative_arithmetic() -> None:
    found = batch_curve.weigh(Case(curve=curve(BATCHES, 0.01 / BATCHES)))
    assert isinstance(found, Abstention) or 0.0 <= bound(found).value < 0.1
    found = batch_curve.weigh(Case(curve=curve(BATCHES, 0.01 * BATCHES**2)))
    assert isinstance(found, Abstention) or 0.9 < bound(found).value <= 1.0


def test_nothing_watched() -> None:
    found = batch_curve.weigh(Case())
    assert isinstance(found, Abstention)
    assert found.missing


def test_two_batches_are_no_curve() -> None:
    """The kernels may have changed between them."""
    batch = np.concatenate([np.full(500, 8.0), [1.0, 1.0]])
    found = batch_curve.weigh(Case(curve=curve(batch, np.full(502, 0.01))))
    assert isinstance(found, Abstention)
    assert not found.missing


def test_many_points_alike_and_few_apart() -> None:
    batch = np.concatenate([np.full(500, 8.0), [1.0, 2.0, 4.0, 1.0, 2.0, 4.0]])
    assert ceiling(batch, np.full(506, 0.01)) == pytest.approx(0.0, abs=0.05)


def capped(served: float | None) -> Case:
    """Concurrency goes on to 64, the batch stops at 20, and so does throughput."""
    offered = np.repeat(2.0 ** np.arange(7), 4)
    batch = np.minimum(offered, 20.0)
    seen = replace(curve(batch, 0.010 + 0.0005 * batch), offered=offered)
    return Case(curve=seen, serving=None if served is None else serving(batch=served, step_s=0.02))


@pytest.mark.parametrize("served", [None, 19.5])
def test_a_job_at_its_cap_is_limited_and_not_said_to_compute(served: float | None) -> None:
    """By what, nothing tells: a full cache and the engine's own limit look alike."""
    found = batch_curve.weigh(capped(served))
    assert isinstance(found, Evidence)
    assert found.claims == ()
    assert found.limits == {Limit.QUEUE}
    assert "which nothing here tells" in found.sentence
    assert "says nothing of compute" in found.sentence
    verdict = judge(capped(served)).verdict
    assert verdict is not None
    assert Limit.QUEUE in verdict.limits
    assert Limit.KV_CAPACITY not in verdict.limits
    assert judge(capped(served)).mass[Share.COMPUTE] == pytest.approx(1 / 3)


@given(usage=st.floats(0.0, 1.0))
def test_the_cache_is_blamed_where_its_use_shows_it_full(usage: float) -> None:
    served = replace(capped(19.5).serving or serving(), kv_cache_usage=usage)
    found = batch_curve.weigh(replace(capped(19.5), serving=served))
    assert isinstance(found, Evidence)
    assert found.limits == ({Limit.KV_CAPACITY} if usage >= batch_curve.FULL_CACHE else {Limit.QUEUE})
    assert found.claims == ()
    assert "nothing here tells" not in found.sentence


def test_the_cache_is_blamed_where_the_engine_says_that_it_was_full() -> None:
    """Windows with a full cache and a queue, or preemptions, are marked."""
    case = capped(19.5)
    assert case.curve is not None
    assert case.curve.offered is not None
    seen = replace(case.curve, offered=None, capped=case.curve.offered > case.curve.batch)
    found = batch_curve.weigh(replace(case, curve=seen))
    assert isinstance(found, Evidence)
    assert found.limits == {Limit.KV_CAPACITY}
    assert found.claims == ()


def test_below_its_cap_a_job_is_bounded_as_ever() -> None:
    found = batch_curve.weigh(capped(4.0))
    assert bound(found).value == pytest.approx(2.0 / 12.0, abs=0.03)


@given(context=st.floats(100.0, 30_000.0), grown=st.floats(0.0, 1.0))
def test_knowing_the_cache_never_raises_the_bound(context: float, grown: float) -> None:
    batch = np.repeat(2.0 ** np.arange(6), 3)
    step_s = 0.02 * (1.0 - grown + grown * batch / 32.0)
    seen = curve(batch, step_s)
    served = serving(batch=32.0, step_s=float(step_s[-1]))
    without = batch_curve.weigh(Case(curve=seen, serving=served, roofs=H100))
    load = Load(batch=32.0, context_tokens=context)
    known = batch_curve.weigh(Case(curve=seen, serving=served, roofs=H100, model=LLAMA_8B, load=load))
    assert bound(known).value <= bound(without).value
    assert bound(known).width == bound(without).width
