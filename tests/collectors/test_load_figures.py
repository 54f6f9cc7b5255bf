"""What is made of a level's times: the truth of an engine played in virtual time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.load import observed
from collectors.load.exchange import Exchange
from collectors.load.figures import Figures, figures
from collectors.load.level import LevelLoad
from heuristics.operations import Phase
from tests.make.exchanges import Played


def seen(played: Played) -> Figures:
    found = figures(played.play(), float(played.prompt_tokens), played.prompt_s)
    assert found is not None
    return found


@given(
    offered=st.integers(1, 12),
    fixed_s=st.floats(0.005, 0.05),
    marginal_s=st.floats(0.0, 0.002),
    prompt_s=st.floats(0.001, 0.1),
    output=st.integers(40, 120),
    a_chunk=st.sampled_from([1, 1, 2, 4]),
)
def test_batch_step_and_prompts_come_out_as_they_were(
    offered: int, fixed_s: float, marginal_s: float, prompt_s: float, output: int, a_chunk: int
) -> None:
    step_s = fixed_s + marginal_s * offered
    found = seen(
        Played(
            offered=offered,
            step_s=lambda n: fixed_s + marginal_s * n,
            prompt_s=prompt_s,
            output_tokens=output,
            a_chunk=a_chunk,
            until_s=3.0 * (output * step_s + offered * prompt_s),
        )
    )
    rel = (
        0.01 if a_chunk == 1 else 0.01 + 2.0 * a_chunk / output
    )  # the first event of an answer and the last hold fewer
    assert found.batch == pytest.approx(offered)
    assert found.step_s == pytest.approx(step_s, rel=rel)
    assert found.between is not None
    assert found.between.p50_s == pytest.approx(step_s, rel=rel)
    assert found.prompt_s == pytest.approx(prompt_s, rel=0.1, abs=1.5 * step_s)
    assert 1.0 <= found.tokens_per_event <= a_chunk
    assert found.tokens_per_s <= offered / step_s * (1.02 + rel)


@given(offered=st.integers(3, 20), most=st.integers(1, 6))
def test_what_the_engine_does_not_run_together_is_no_batch(offered: int, most: int) -> None:
    until_s = 2.0 * 64 * 0.02 * (1 + offered / most)
    found = seen(Played(offered=offered, step_s=lambda n: 0.02, prompt_s=0.01, most=most, until_s=until_s))
    assert found.batch == pytest.approx(min(offered, most))
    assert found.step_s == pytest.approx(0.02, rel=0.02)


def test_without_usage_each_event_is_a_token() -> None:
    counted = seen(Played(offered=2, step_s=lambda n: 0.02, prompt_s=0.01, a_chunk=4))
    events = seen(Played(offered=2, step_s=lambda n: 0.02, prompt_s=0.01, a_chunk=4, usage=False))
    assert counted.tokens_per_s == pytest.approx(64.0 / 17.0 * events.tokens_per_s)
    assert events.output_tokens is None


def test_short_answers_leave_no_step_to_measure() -> None:
    found = seen(Played(offered=4, step_s=lambda n: 0.02, prompt_s=0.01, output_tokens=4))
    assert found.batch is None
    assert found.step_s is None
    assert found.pieces == ()
    assert found.tokens_per_s > 0.0


def test_nothing_comes_of_nothing() -> None:
    assert figures(LevelLoad(offered=2, exchanges=[Exchange(sent_s=1.0)], begin_s=2.0, end_s=3.0), 64.0) is None
    assert figures(LevelLoad(offered=2), 64.0) is None


def test_the_curve_holds_decoding_alone_at_the_measured_batch() -> None:
    levels = [
        seen(Played(offered=n, step_s=lambda n: 0.02 + 0.001 * n, prompt_s=0.05, most=8)) for n in (1, 2, 4, 8, 16)
    ]
    found = observed.curve([observed.Counted(seen=s, factor=1.0, offered=float(2**i)) for i, s in enumerate(levels)])
    assert found is not None
    assert found.offered is not None
    assert set(found.batch) == {1.0, 2.0, 4.0, 8.0}
    assert found.step_s == pytest.approx(0.02 + 0.001 * found.batch, rel=0.02)
    assert set(found.offered[found.batch == 8.0]) == {8.0, 16.0}
    assert found.context_tokens.min() >= 64.0


def test_prompts_and_decoding_are_observed_apart_and_fill_the_time() -> None:
    one = seen(Played(offered=2, step_s=lambda n: 0.02, prompt_s=0.2))
    every = {o.phase: o.payload for o in observed.observations([], one, batch=2.0, name="x", model="m")}
    decode, prefill, whole = every[Phase.DECODE], every[Phase.PREFILL], every[None]
    assert decode.step_s == pytest.approx(0.02, rel=0.02)
    assert decode.batch == 2.0
    assert prefill.batch == pytest.approx(2.0)
    assert prefill.tokens_per_step == pytest.approx(2.0 * 64.0)
    assert prefill.prompt_tokens_per_s == pytest.approx(64.0 / 0.2, rel=0.15)
    assert decode.window_s + prefill.window_s == pytest.approx(whole.window_s, rel=1e-6)


def test_an_earlier_answer_tells_how_many_tokens_an_event_holds() -> None:
    short = Played(offered=1, step_s=lambda n: 0.02, prompt_s=0.01, output_tokens=512, a_chunk=4, until_s=4.0).play()
    answer = Played(offered=1, step_s=lambda n: 0.02, prompt_s=0.01, a_chunk=4).play().exchanges[0]
    alone, told = figures(short, 64.0), figures(short, 64.0, earlier=answer)
    assert alone is not None
    assert told is not None
    assert alone.step_s == pytest.approx(0.08, rel=0.02)
    assert told.step_s == pytest.approx(0.02, rel=0.08)
