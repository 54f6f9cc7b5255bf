"""Figures of short times: those of the whole where all times are alike, and left out where they do not compare."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heuristics.assemble import Given, device_cases
from heuristics.case import Case
from heuristics.diagnosis import judge_devices
from heuristics.measures import measured, time_per_output_token_s
from heuristics.observations import Activity, Observation, Serving
from heuristics.operations import Load, Phase
from heuristics.roofs import Device
from heuristics.samples import MOST_STEPS, SAMPLED, Samples, samples_of, samples_of_steps
from tests.heuristics.cases import H100, LLAMA_8B, serving, timeline

GIVEN = Given(model=LLAMA_8B, roofs=H100)
DEVICES = [Device(index=n, name="NVIDIA H100 80GB HBM3", vendor="NVIDIA") for n in (0, 1)]

Window = list[Observation]


def served(**fields: Any) -> Observation:
    base: dict[str, Any] = {"step_s": 0.01, "batch": 4.0, "tokens_per_s": 400.0, "generation_tokens": 400.0}
    return Observation(source="engine", payload=serving(**(base | fields)))


def active(index: int, **fractions: float) -> Observation:
    return Observation(source="GPM", payload=Activity(window_s=1.0, **fractions), device=DEVICES[index])


def sampled(windows: list[Window], whole: Window, given: Given = GIVEN) -> Samples:
    return samples_of(windows, given, judge_devices(whole, given))


def test_windows_like_the_whole_have_its_figures() -> None:
    whole = [served(time_to_first_token_s=0.2, context_tokens=500.0)]
    found = sampled([whole] * 3, whole)
    figures = measured(device_cases(whole, GIVEN)[0])
    assert set(found) == set(SAMPLED) - {"prompt_tokens_per_s"}
    assert found == {name: pytest.approx([figures[name]] * 3) for name in found}


@given(steps=st.lists(st.floats(0.008, 0.1), min_size=1, max_size=20))
def test_a_window_that_takes_longer_moves_as_many_bytes_in_more_time(steps: list[float]) -> None:
    windows = [[served(step_s=step_s, tokens_per_s=4.0 / step_s)] for step_s in steps]
    found = sampled(windows, [served()])
    assert found["step_s"] == pytest.approx(steps)
    assert found["time_per_output_token_s"] == pytest.approx(steps)
    products = [s * b for s, b in zip(found["step_s"], found["bandwidth_fraction"], strict=True)]
    assert products == pytest.approx([products[0]] * len(steps))


def test_what_the_engine_states_now_and_then_is_not_mixed_with_what_follows_from_steps() -> None:
    stated, silent = served(time_per_output_token_s=0.012), served()
    assert sampled([[stated], [silent], [stated]], [stated])["time_per_output_token_s"] == (0.012, 0.012)
    assert sampled([[silent], [silent]], [silent])["time_per_output_token_s"] == (0.01, 0.01)


def test_arithmetic_does_not_stand_in_for_counters_that_were_silent() -> None:
    whole = [served(), active(0, dram_active=0.5, tensor_active=0.1)]
    found = sampled([whole, [served()], whole], whole)
    assert found["bandwidth_fraction"] == (0.5, 0.5)
    assert found["compute_fraction"] == (0.1, 0.1)
    assert len(found["tokens_per_s"]) == 3


def test_devices_are_averaged_as_in_the_whole_and_idle_ones_left_out() -> None:
    busy = [served(), active(0, dram_active=0.6, sm_active=0.9), active(1, dram_active=0.4, sm_active=0.9)]
    assert sampled([busy], busy)["bandwidth_fraction"] == pytest.approx([0.5])
    one = [
        active(0, dram_active=0.6, sm_active=0.9, engine_active=0.9),
        active(1, dram_active=0.0, sm_active=0.0, engine_active=0.0),
    ]
    assert sampled([one], one)["bandwidth_fraction"] == pytest.approx([0.6])


def test_prompts_that_there_were_none_of_are_no_figure() -> None:
    with_prompts, without = served(prompt_tokens_per_s=90.0), served(prompt_tokens_per_s=0.0)
    assert "prompt_tokens_per_s" not in sampled([[without]] * 2, [without])
    assert sampled([[with_prompts], [without]], [with_prompts])["prompt_tokens_per_s"] == (90.0, 0.0)


def test_nothing_comes_of_nothing() -> None:
    assert sampled([], [served()]) == {}
    assert samples_of([[served()]], GIVEN, []) == {}


# --- steps of a trace


@given(count=st.integers(1, 1000))
def test_steps_are_thinned_evenly_and_in_their_order(count: int) -> None:
    steps = tuple(float(n) for n in range(1, count + 1))
    found = samples_of_steps(replace(timeline(), step_s=steps))["step_s"]
    assert len(found) == min(count, MOST_STEPS)
    assert found[0] == 1.0
    apart = [after - before for before, after in pairwise(found)]
    assert max(apart, default=1.0) - min(apart, default=1.0) <= 1.0


def test_a_trace_without_marks_has_no_steps() -> None:
    assert samples_of_steps(timeline()) == {}
    assert samples_of_steps(None) == {}


# --- time per output token


def case(served: Serving, phase: Phase = Phase.DECODE) -> Case:
    return Case(serving=served, load=Load(batch=4.0, phase=phase, context_tokens=10.0))


def test_the_time_per_token_is_a_steps_unless_the_engine_states_it() -> None:
    assert time_per_output_token_s(case(serving(step_s=0.02))) == 0.02
    assert time_per_output_token_s(case(serving(step_s=0.02, time_per_output_token_s=0.025))) == 0.025
    assert time_per_output_token_s(case(serving())) is None
    assert time_per_output_token_s(Case()) is None


def test_accepted_drafts_are_tokens_of_the_same_step() -> None:
    assert time_per_output_token_s(case(serving(step_s=0.03, drafts=100.0, accepted_tokens=200.0))) == pytest.approx(
        0.01
    )
    assert time_per_output_token_s(case(serving(step_s=0.03, drafts=100.0, accepted_tokens=0.0))) == 0.03


def test_prompts_give_out_no_tokens() -> None:
    assert time_per_output_token_s(case(serving(step_s=0.03), Phase.PREFILL)) is None
    assert time_per_output_token_s(case(serving(step_s=0.03, generation_tokens=0.0))) is None
