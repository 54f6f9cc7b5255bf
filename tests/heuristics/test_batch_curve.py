"""Throughput against the batch, as the load varies by itself: slopes on made-up engines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heuristics.arrays import Array
from heuristics.case import Case
from heuristics.claims import Bound
from heuristics.evidence import Abstention, Evidence
from heuristics.observations import LoadCurve
from heuristics.signals import batch_curve
from heuristics.vocabulary import Relation, Share

BATCHES = np.array([1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0])


def curve(batch: Array, step_s: Array) -> LoadCurve:
    return LoadCurve(batch=batch, step_s=step_s, context_tokens=np.full(batch.size, np.nan))


def ceiling(batch: Array, step_s: Array) -> float:
    """How much compute there is at most."""
    found = batch_curve.weigh(Case(curve=curve(batch, step_s)))
    assert isinstance(found, Evidence), found
    (claim,) = found.claims
    assert isinstance(claim, Bound)
    assert claim.share is Share.COMPUTE
    assert claim.relation is Relation.AT_MOST
    return claim.value


def test_steps_that_do_not_grow_leave_no_room_for_arithmetic() -> None:
    assert ceiling(BATCHES, np.full(8, 0.01)) == pytest.approx(0.0, abs=1e-9)


def test_steps_in_proportion_may_be_all_arithmetic() -> None:
    assert ceiling(BATCHES, 0.01 * BATCHES) == pytest.approx(1.0)


@given(power=st.floats(0.0, 1.0), scale=st.floats(1e-5, 10.0))
def test_a_power_comes_back(power: float, scale: float) -> None:
    assert ceiling(BATCHES, scale * BATCHES**power) == pytest.approx(power, abs=1e-6)


@given(seed=st.integers(0, 10_000))
def test_some_wild_points_change_little(seed: int) -> None:
    chance = np.random.default_rng(seed)
    batch = np.tile(BATCHES, 4)
    step_s = 0.01 * batch**0.3 * (1.0 + 0.02 * chance.standard_normal(batch.size))
    wild = chance.choice(batch.size, 4, replace=False)
    step_s[wild] *= chance.choice([0.2, 5.0], 4)
    assert ceiling(batch, step_s) == pytest.approx(0.3, abs=0.15)


def test_the_order_changes_nothing() -> None:
    chance = np.random.default_rng(5)
    batch = np.tile(BATCHES, 3)
    step_s = 0.01 * batch**0.5 * (1.0 + 0.05 * chance.standard_normal(batch.size))
    order = chance.permutation(batch.size)
    assert ceiling(batch[order], step_s[order]) == pytest.approx(ceiling(batch, step_s))


def test_a_kernel_that_is_switched_lies_within_the_width() -> None:
    """At batch 8 another kernel takes over and every step gets 30 % longer; nothing else grows."""
    found = batch_curve.weigh(Case(curve=curve(BATCHES, np.where(BATCHES >= 8, 0.013, 0.010))))
    assert isinstance(found, Evidence)
    (claim,) = found.claims
    assert isinstance(claim, Bound)
    assert claim.value < 0.2
    assert claim.width >= batch_curve.WIDTH


def test_a_sum_of_a_constant_and_a_proportional_part_is_bounded_from_above() -> None:
    """Weights streamed in 10 ms and 0.5 ms of arithmetic a sequence: at 16 sequences 44 % is arithmetic."""
    batch = np.arange(1.0, 17.0)
    found = ceiling(batch, 0.010 + 0.0005 * batch)
    assert 0.1 < found < 8.0 / 18.0 + batch_curve.WIDTH


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
            (claim,) = found.claims
            assert isinstance(claim, Bound)
            assert 0.0 <= claim.value <= 1.0
            assert claim.width >= batch_curve.WIDTH
            assert found.measured["elasticity_error"] <= batch_curve.LARGEST_ERROR


def test_throughput_that_grows_faster_than_the_batch_is_no_negative_arithmetic() -> None:
    assert ceiling(BATCHES, 0.01 / BATCHES) == 0.0
    assert ceiling(BATCHES, 0.01 * BATCHES**2) == 1.0


def test_nothing_watched() -> None:
    found = batch_curve.weigh(Case())
    assert isinstance(found, Abstention)
    assert found.missing


def test_many_points_alike_and_few_apart() -> None:
    batch = np.concatenate([np.full(500, 8.0), [1.0, 1.0]])
    step_s = np.full(502, 0.01)
    assert ceiling(batch, step_s) == pytest.approx(0.0, abs=1e-9)
