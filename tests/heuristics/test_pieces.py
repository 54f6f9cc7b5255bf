"""Many parts of a window taken together say what they say one by one."""

from __future__ import annotations

import numpy as np
import pytest

from heuristics.claims import FINENESS, MANY_PARTS, Pieces


def many(seed: int, count: int = 5 * MANY_PARTS) -> Pieces:
    some = np.random.default_rng(seed)
    weight = some.uniform(0.1, 1.0, count)
    bandwidth, arithmetic = some.uniform(0.0, 1.2, count), some.beta(0.5, 2.0, count)
    return Pieces(weight=weight / weight.sum(), bandwidth_fraction=bandwidth, arithmetic_fraction=arithmetic)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ceilings", [(0.82, 0.82), (0.6, 0.9), (1.0, 0.5)])
def test_shares_of_condensed_parts_are_those_of_all_parts(seed: int, ceilings: tuple[float, float]) -> None:
    pieces = many(seed)
    assert pieces.condensed().shares(*ceilings) == pytest.approx(pieces.shares(*ceilings), abs=1.0 / FINENESS)


def test_condensed_parts_keep_weight_and_means() -> None:
    pieces = many(7)
    condensed = pieces.condensed()
    assert condensed.weight.size < (FINENESS + 1) ** 2
    assert condensed.weight.sum() == pytest.approx(1.0)
    for name in ("bandwidth_fraction", "arithmetic_fraction"):
        means = [float((p.weight * getattr(p, name)).sum()) for p in (pieces, condensed)]
        assert means[1] == pytest.approx(means[0])


def test_parts_all_alike_become_one() -> None:
    one = np.full(MANY_PARTS + 1, 0.5)
    condensed = Pieces(weight=one, bandwidth_fraction=one, arithmetic_fraction=one).condensed()
    assert condensed.weight.tolist() == [0.5 * (MANY_PARTS + 1)]


def test_few_parts_stay_as_they_are() -> None:
    few = many(1, count=10)
    assert few.condensed() is few
