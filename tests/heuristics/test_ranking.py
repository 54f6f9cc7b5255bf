"""Devices over batches: the flips are exact, and no order of devices changes them."""

from __future__ import annotations

from itertools import pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heuristics.gpus import part_named
from heuristics.operations import Load
from heuristics.ranking import By, Flip, Ranking, ranking, tokens_per_s
from heuristics.roofs import datasheet_roofs
from heuristics.step import Forecast, forecast
from heuristics.work import KernelWork, LayerWork, ModelWork, StreamedWork, Work
from tests.heuristics.cases import LLAMA_8B

SEVEN_B = StreamedWork(parameters=7e9, active_parameters=7e9, weight_bits=16.0)
PRICES = {"H100 SXM5": 2.5, "H200 SXM": 3.5}


def of(gpu: str, work: Work = SEVEN_B, context: float = 0.0, **load: int) -> Forecast:
    part = part_named(gpu)
    return forecast(
        work,
        Load(context_tokens=context, **load),
        datasheet_roofs(part),
        gpu=part.name,
        memory_bytes=part.memory_bytes,
    )


def ranked(*forecasts: Forecast, prices: dict[str, float] = PRICES) -> Ranking:
    found = ranking(forecasts, prices)
    assert found is not None
    return found


def flips(found: Ranking, by: By, *, at_roof: bool) -> list[Flip]:
    return [f for f in found.flips if f.by is by and f.at_roof is at_roof]


def test_37_an_h100_is_cheaper_than_an_h200_from_a_batch_of_211_on() -> None:
    """Both bound by bandwidth up to 206; the H200 is 295.3 / B times as fast from there on, and costs 1.4 times."""
    found = ranked(of("H100"), of("H200"))
    (cost,) = flips(found, By.COST, at_roof=True)
    assert (cost.leader_below, cost.leader_above) == ("H200 SXM", "H100 SXM5")
    assert cost.batch == pytest.approx(989.4e12 / 3.35e12 / 1.4, rel=0.002)
    assert cost.batch == pytest.approx(211, abs=0.6)
    (speed,) = flips(found, By.SPEED, at_roof=True)
    assert (speed.leader_below, speed.leader_above) == ("H200 SXM", None)
    assert speed.batch == pytest.approx(295, abs=0.6)


def test_35_36_tokens_a_dollar_at_batch_1_and_at_a_large_one() -> None:
    found = ranked(of("H100"), of("H200"))
    a_dollar = {(o.gpu, o.batch): o.tokens_per_usd_at_roof for o in found.by_batch}
    assert a_dollar["H100 SXM5", 1.0] == pytest.approx(344.6e3, rel=1e-3)
    assert a_dollar["H200 SXM", 1.0] == pytest.approx(352.7e3, rel=1e-3)
    assert a_dollar["H100 SXM5", 1024.0] == pytest.approx(1.018e8, rel=1e-3)
    assert a_dollar["H200 SXM", 1024.0] == pytest.approx(7.27e7, rel=1e-3)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.5, 10.0), st.floats(0.5, 10.0), st.floats(0.0, 8000.0))
def test_both_cost_the_same_where_the_ranking_flips(first: float, second: float, context: float) -> None:
    work = ModelWork(shape=LLAMA_8B)
    a, b = of("H100", work, context), of("A100", work, context)
    prices = {a.gpu or "": first, b.gpu or "": second}
    for flip in ranked(a, b, prices=prices).flips:
        factor = second / first if flip.by is By.COST else 1.0
        ratio = tokens_per_s(a, flip.batch, at_roof=flip.at_roof) / tokens_per_s(b, flip.batch, at_roof=flip.at_roof)
        assert ratio * factor == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("order", list(permutations(["H100", "H200", "A100", "L40S"]))[::5])
def test_the_order_of_the_devices_changes_nothing(order: tuple[str, ...]) -> None:
    prices = {"H100 SXM5": 2.5, "H200 SXM": 3.5, "A100 80GB SXM": 1.4, "L40S": 0.9}
    work = ModelWork(shape=LLAMA_8B)
    usual = ranked(*(of(g, work, 2000.0) for g in ("A100", "H100", "H200", "L40S")), prices=prices)
    assert ranked(*(of(g, work, 2000.0) for g in order), prices=prices) == usual


def test_prices_in_another_currency_flip_at_the_same_batches() -> None:
    dollars, pence = (
        ranked(of("H100"), of("H200"), prices={name: usd * factor for name, usd in PRICES.items()}).flips
        for factor in (1.0, 79.0)
    )
    assert [f.batch for f in dollars] == pytest.approx([f.batch for f in pence])


def test_leaders_take_turns_along_the_batch() -> None:
    found = ranked(of("H100"), of("H200"), of("A100"), prices={**PRICES, "A100 80GB SXM": 1.4})
    for by in By:
        for at_roof in (False, True):
            for pair in {f.devices for f in found.flips}:
                mine = [f for f in flips(found, by, at_roof=at_roof) if f.devices == pair]
                assert all(x.leader_above == y.leader_below for x, y in pairwise(mine))


def test_without_prices_only_the_speed_is_compared() -> None:
    found = ranked(of("H100"), of("H200"), prices={})
    assert {f.by for f in found.flips} == {By.SPEED}
    assert all(o.tokens_per_usd is None for o in found.by_batch)


def test_a_job_pays_for_all_devices_that_it_is_split_over() -> None:
    one, two = (ranked(of("H100", tensor_parallel=n)).by_batch[0] for n in (1, 2))
    assert two.tokens_per_s == pytest.approx(2.0 * one.tokens_per_s)
    assert two.tokens_per_usd == pytest.approx(one.tokens_per_usd)


def test_batches_that_no_memory_holds_are_marked() -> None:
    found = ranked(of("L40S", ModelWork(shape=LLAMA_8B), 4000.0), prices={"L40S": 0.9})
    assert [o.fits for o in found.by_batch] == [True, True, True, False, False, False]


@pytest.mark.parametrize("work", [KernelWork(flops=1e12, bytes=1e9), LayerWork(rows=64, columns=64, weight_bits=16.0)])
def test_what_makes_no_tokens_is_not_ranked(work: Work) -> None:
    assert ranking([of("H100", work), of("H200", work)], PRICES) is None
