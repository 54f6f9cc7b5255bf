"""Prefill told from decode by how stretches vary: known costs come back, and what cannot be told is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from heuristics.arrays import Array
from heuristics.phase_split import FEWEST, LARGEST_ERROR, split


def stretches(count: int = 20, *, seed: int = 0, prompts: float = 2000.0) -> tuple[Array, Array]:
    """Steps and prompt tokens of stretches that vary against each other."""
    chance = np.random.default_rng(seed)
    tokens = np.where(chance.random(count) < 0.5, 0.0, chance.uniform(0.2, 1.0, count) * prompts)
    tokens[:2] = 0.0, prompts
    return np.round(chance.uniform(20, 60, count)), tokens


@given(
    step_s=st.floats(1e-4, 1.0),
    ratio=st.floats(1e-3, 3.0),
    seed=st.integers(0, 1000),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
)
def test_known_costs_come_back(step_s: float, ratio: float, seed: int, scale: float) -> None:
    steps, tokens = stretches(seed=seed)
    token_s = ratio * step_s * steps.sum() / tokens.sum()
    found = split(scale * (step_s * steps + token_s * tokens), steps, tokens)
    assert found is not None
    assert found.step_s == pytest.approx(scale * step_s, rel=1e-6)
    assert found.prompt_token_s == pytest.approx(scale * token_s, rel=1e-6)
    assert found.prefill_s == pytest.approx(scale * token_s * tokens.sum(), rel=1e-6)
    assert found.error < 1e-6


@given(seed=st.integers(0, 1000), noise=st.floats(0.0, 0.1))
def test_noise_moves_the_answer_no_farther_than_it_says(seed: int, noise: float) -> None:
    steps, tokens = stretches(40, seed=seed)
    window = (0.02 * steps + 0.0005 * tokens) * (1.0 + noise * np.random.default_rng(seed).standard_normal(40))
    found = split(window, steps, tokens)
    assume(found is not None)
    assert found is not None
    true_part = 0.0005 * tokens.sum() / (0.02 * steps + 0.0005 * tokens).sum()
    assert abs(found.prefill_s / window.sum() - true_part) < 6.0 * found.error + 0.02
    assert found.error <= LARGEST_ERROR


def test_the_order_of_stretches_changes_nothing() -> None:
    steps, tokens = stretches()
    window = 0.02 * steps + 0.0004 * tokens + 0.01 * np.random.default_rng(1).standard_normal(20)
    order = np.random.default_rng(2).permutation(20)
    first, second = split(window, steps, tokens), split(window[order], steps[order], tokens[order])
    assert first is not None
    assert second is not None
    assert first.prefill_s == pytest.approx(second.prefill_s)


def test_prompts_that_cost_nothing() -> None:
    steps, tokens = stretches()
    found = split(0.02 * steps - 1e-7 * tokens, steps, tokens)
    assert found is not None
    assert found.prompt_token_s == 0.0
    assert found.prefill_s == 0.0
    assert found.step_s == pytest.approx(0.02, rel=0.01)


def test_steps_that_cost_nothing() -> None:
    steps, tokens = stretches()
    found = split(0.001 * tokens - 1e-7 * steps + 1e-9, steps, tokens)
    assert found is not None
    assert found.step_s == 0.0
    assert found.prefill_s == pytest.approx((0.001 * tokens).sum(), rel=0.01)


@pytest.mark.parametrize(
    ("steps", "tokens"),
    [
        (np.full(FEWEST - 1, 9.0), np.arange(FEWEST - 1.0)),
        (np.full(9, 50.0), np.full(9, 1000.0)),
        (np.arange(1.0, 10.0), 40.0 * np.arange(1.0, 10.0)),
        (np.zeros(9), np.arange(9.0)),
        (np.arange(9.0), np.zeros(9)),
        (np.zeros(0), np.zeros(0)),
    ],
    ids=["few", "all alike", "in proportion", "no step", "no prompt", "nothing"],
)
def test_what_cannot_be_told_apart_is_not(steps: Array, tokens: Array) -> None:
    assert split(np.full(steps.size, 1.0), steps, tokens) is None


def test_what_scatters_too_much_is_not_told() -> None:
    chance = np.random.default_rng(3)
    told = 0
    for seed in range(40):
        steps, tokens = stretches(5, seed=seed)
        told += split(chance.uniform(0.2, 3.0, 5), steps, tokens) is not None
    assert told < 20


@given(st.integers(4, 12).flatmap(lambda n: st.tuples(*[st.lists(st.floats(0, 1e6), min_size=n, max_size=n)] * 3)))
def test_parts_never_exceed_the_whole(columns: tuple[list[float], list[float], list[float]]) -> None:
    window, steps, tokens = (np.array(column) for column in columns)
    assume(window.sum() > 1e-3)
    found = split(window, steps, tokens)
    if found is not None:
        assert found.step_s >= 0.0
        assert found.prompt_token_s >= 0.0
        assert 0.0 <= found.prefill_s <= window.sum()
        assert np.isfinite(found.error)
