"""A sweep's figures over parts of its levels: each level weighs the same, however fast it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.load.figures import Figures, figures
from collectors.load.level import LevelLoad
from collectors.load.plan import Plan
from collectors.load.samples import MOST_PARTS, measured_at, samples, together
from tests.make.exchanges import Played

Level = tuple[LevelLoad, Figures]

STEPS = {1: 0.02, 4: 0.025, 16: 0.04}


def level(offered: int, step_s: float, *, slower: float = 1.0, until_s: float = 12.0, a_chunk: int = 1) -> Level:
    played = Played(
        offered=offered,
        step_s=lambda n: step_s * slower,
        prompt_s=0.004 * slower,
        output_tokens=64,
        a_chunk=a_chunk,
        until_s=until_s,
    )
    load = played.play()
    seen = figures(load, float(played.prompt_tokens), played.prompt_s)
    assert seen is not None
    return load, seen


def levels(slower: dict[int, float] | None = None, until_s: float = 12.0) -> list[Level]:
    return [level(n, s, slower=(slower or {}).get(n, 1.0), until_s=until_s) for n, s in STEPS.items()]


def middle(found: dict[str, tuple[float, ...]], name: str) -> float:
    values = sorted(found[name])
    return values[len(values) // 2]


def test_a_part_is_a_second_or_more_and_has_every_figure() -> None:
    found = samples(levels())
    assert set(found) == {"time_per_output_token_s", "time_to_first_token_s", "tokens_per_s"}
    assert len(found["tokens_per_s"]) == MOST_PARTS
    assert len(samples(levels(until_s=5.0))["tokens_per_s"]) < 5
    assert middle(found, "time_per_output_token_s") == pytest.approx((0.02 * 0.025 * 0.04) ** (1 / 3), rel=0.1)
    assert len(samples([level(2, 0.15)])["tokens_per_s"]) == 3, "of twenty steps each"


@settings(max_examples=20)
@given(which=st.sampled_from([*STEPS]), factor=st.sampled_from([1.1, 1.25, 0.8]))
def test_a_level_that_is_slower_shows_as_much_whichever_it_is(which: int, factor: float) -> None:
    plain, changed = samples(levels()), samples(levels({which: factor}))
    share = factor ** (1.0 / len(STEPS))
    for name, expected in (("time_per_output_token_s", share), ("tokens_per_s", 1.0 / share)):
        assert middle(changed, name) / middle(plain, name) == pytest.approx(expected, rel=0.02)


def test_all_of_them_slower_is_all_of_it() -> None:
    plain, changed = samples(levels()), samples(levels(dict.fromkeys(STEPS, 1.1)))
    assert middle(changed, "time_per_output_token_s") / middle(plain, "time_per_output_token_s") == pytest.approx(
        1.1, rel=0.02
    )
    assert middle(changed, "time_to_first_token_s") / middle(plain, "time_to_first_token_s") == pytest.approx(
        1.1, rel=0.1
    )
    whole = {name: together(levels(dict.fromkeys(STEPS, s))) for name, s in (("plain", 1.0), ("slow", 1.1))}
    for name in ("time_per_output_token_s", "time_to_first_token_s"):
        assert whole["slow"][name] / whole["plain"][name] == pytest.approx(1.1, rel=0.1)


def test_how_long_a_level_was_measured_changes_nothing() -> None:
    short = [level(1, 0.02, until_s=30.0), *levels()[1:]]
    assert middle(samples(short), "tokens_per_s") == pytest.approx(middle(samples(levels()), "tokens_per_s"), rel=0.02)


def test_events_of_several_tokens_are_divided() -> None:
    one, four = samples([level(2, 0.02)]), samples([level(2, 0.02, a_chunk=4)])
    assert middle(four, "time_per_output_token_s") == pytest.approx(middle(one, "time_per_output_token_s"), rel=0.1)
    assert middle(four, "tokens_per_s") == pytest.approx(middle(one, "tokens_per_s"), rel=0.1)


def test_a_level_that_was_cut_off_is_left_out_and_so_named() -> None:
    every = levels()
    last, seen = every[-1]
    every[-1] = (replace(last, whole=False), seen)
    assert samples(every) == samples(every[:-1])
    assert measured_at(every) == (1, 4)
    assert Plan().workload(measured_at(every)) == "sweep 1,4 x (64 + 128 tokens)"
    assert samples(every[-1:]) == together(every[-1:]) == {}
    assert Plan().workload(()) is None
