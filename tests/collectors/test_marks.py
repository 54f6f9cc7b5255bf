"""Named ranges of a program: which say a step or a phase, and whose device work is whose."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.marks import PHASE_LETTERS, Mark, by_phase, is_mark, phase_of, step_starts
from heuristics.intervals import intersection
from heuristics.operations import Phase
from heuristics.timeline import DeviceEvents
from tests.heuristics.device_events import Ran, device_events

P, D = Phase.PREFILL, Phase.DECODE

NAMES = {
    "prefill": P,
    "Prefill forward": P,
    "model.extend()": P,
    "context_phase": P,
    "prompt_phase": P,
    "decode": D,
    "Decode[bs=8]": D,
    "decoding step 3": D,
    "generation_phase": D,
    "generate_step": D,
    "[Executor] _forward_step 7: 3 ctx reqs, 0 gen reqs": P,
    "[Executor] _forward_step 7: 0 ctx reqs, 64 gen reqs": D,
    "[Executor] _forward_step 60000: 0 ctx reqs, 0 ctx tokens, 32 gen reqs": D,
    "executeStep: 20 ctx reqs, 0 gen reqs": P,
    "execute_context_2(500)_generation_0(0)": P,
    "execute_context_0(0)_generation_10(10)": D,
}
NO_PHASE = [
    "",
    "forward",
    "decoder layer 3",
    "LlamaDecoderLayer",
    "encode",
    "list_extends",
    "prefill and decode",
    "chunked_prefill_decode",
    "[Executor] _forward_step 7: 3 ctx reqs, 5 gen reqs",
    "0 ctx reqs, 0 gen reqs",
    "execute_context_2(500)_generation_1(1)",
    "execute_context",
]


@pytest.mark.parametrize(("name", "phase"), NAMES.items())
def test_a_phase_is_what_a_name_says(name: str, phase: Phase) -> None:
    assert phase_of(name) is phase
    assert is_mark(name)


@pytest.mark.parametrize("name", NO_PHASE)
def test_names_of_no_phase_and_of_both_say_none(name: str) -> None:
    assert phase_of(name) is None
    assert not is_mark(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_coarse_filter_loses_no_phase(name: str) -> None:
    assert any(letters in name.lower() for letters in PHASE_LETTERS)


def test_a_count_of_any_length_is_a_count() -> None:
    assert phase_of(f"{'0' * 5000} ctx reqs, {'9' * 5000} gen reqs") is D


@given(st.text())
def test_any_text_is_a_name(name: str) -> None:
    assert phase_of(name) in (P, D, None)


@pytest.mark.parametrize("name", ["ProfilerStep#3", "ProfilerStep #12", "ProfilerStep3"])
def test_profiler_steps_are_marks_of_no_phase(name: str) -> None:
    assert is_mark(name)
    assert step_starts([Mark(name, 7, 9)]).tolist() == [7]


@pytest.mark.parametrize("name", ["ProfilerStep*", "my ProfilerStep#3", "Optimizer.step#SGD.step"])
def test_other_steps_are_none(name: str) -> None:
    assert not is_mark(name)
    assert step_starts([Mark(name, 7, 9)]).size == 0


def test_steps_are_in_order_of_time() -> None:
    marks = [Mark("ProfilerStep#4", 30, 40), Mark("prefill", 0, 9), Mark("ProfilerStep#3", 10, 20)]
    assert step_starts(marks).tolist() == [10, 30]


# Device work by phase.


def work(*launches: int, delay: int = 100, length: int = 10) -> DeviceEvents:
    """Events that start some time after their launch."""
    return device_events([Ran(t + delay, t + delay + length, launch=(t, t + 1)) for t in launches])


def starts(found: DeviceEvents) -> list[int]:
    return sorted(found.launch_start.tolist())


def phases(marks: list[Mark], events: DeviceEvents) -> dict[Phase, list[int]]:
    return {phase: starts(part) for phase, part, _ in by_phase(marks, events)}


def test_work_belongs_to_the_range_in_which_it_was_launched() -> None:
    marks = [Mark("prefill", 0, 50), Mark("decode", 60, 70), Mark("decode", 80, 90)]
    assert phases(marks, work(5, 45, 55, 65, 75, 85, 95)) == {P: [5, 45], D: [65, 85]}


def test_a_phase_owns_device_time_until_the_next_begins() -> None:
    marks = [Mark("prefill", 0, 50), Mark("decode", 60, 70), Mark("decode", 80, 90)]
    windows = {phase: window for phase, _, window in by_phase(marks, work(5, 45, 65, 85))}
    assert (windows[P].start.tolist(), windows[P].end.tolist()) == ([105], [165])
    assert (windows[D].start.tolist(), windows[D].end.tolist()) == ([165], [195])


def test_inside_a_range_of_the_other_phase_the_inner_one_speaks() -> None:
    marks = [Mark("decode loop", 0, 100), Mark("prefill", 20, 40), Mark("decode", 50, 60)]
    assert phases(marks, work(10, 30, 45, 55, 80)) == {P: [30], D: [10, 45, 55, 80]}


def test_work_whose_launch_is_not_known_belongs_to_no_phase() -> None:
    events = device_events([Ran(0, 9, launch=(5, 6)), Ran(10, 19)])
    assert phases([Mark("decode", 0, 50)], events) == {D: [5]}


@pytest.mark.parametrize(
    ("marks", "events"),
    [
        ([], work(5)),
        ([Mark("ProfilerStep#1", 0, 50)], work(5)),
        ([Mark("forward", 0, 50)], work(5)),
        ([Mark("decode", 10, 50)], work(5)),
        ([Mark("decode", 5, 5)], work(5)),
        ([Mark("decode", 0, 50)], device_events([Ran(0, 9)])),
        ([Mark("decode", 0, 50)], device_events([])),
    ],
)
def test_without_ranges_or_launches_in_them_there_are_no_phases(marks: list[Mark], events: DeviceEvents) -> None:
    assert by_phase(marks, events) == []


def test_a_step_that_names_a_phase_is_a_step_and_no_phase() -> None:
    assert by_phase([Mark("ProfilerStep#1 decode", 0, 50)], work(5)) == []


ranges = st.tuples(st.integers(0, 30), st.integers(1, 30), st.sampled_from([P, D])).map(
    lambda r: Mark(str(r[2]), 2 * r[0], 2 * (r[0] + r[1]))
)
launched = st.lists(st.integers(0, 65).map(lambda n: 2 * n + 1), min_size=1, max_size=12, unique=True)


@given(st.lists(ranges, max_size=8, unique_by=lambda m: m.start), launched)
def test_of_ranges_around_a_launch_the_one_begun_last_counts(marks: list[Mark], moments: list[int]) -> None:
    expected: dict[Phase, list[int]] = {}
    for t in sorted(moments):
        around = [mark for mark in marks if mark.start <= t < mark.end]
        if around:
            expected.setdefault(Phase(max(around, key=lambda mark: mark.start).name), []).append(t)
    assert phases(marks, work(*moments)) == expected


@given(st.lists(ranges, min_size=1, max_size=8), launched, st.randoms(use_true_random=False))
def test_windows_share_nothing_and_hold_their_work(marks: list[Mark], moments: list[int], random: Random) -> None:
    found = by_phase(marks, work(*moments, delay=random.randrange(200)))
    windows = [window for _, _, window in found]
    if len(windows) == 2:
        assert intersection(*windows).total_ns == 0
    ours = np.concatenate([part.start for _, part, _ in found]) if found else np.empty(0)
    held = [((w.start <= t) & (t < w.end)).any() for t in ours for w in windows]
    assert sum(held) == ours.size


@given(st.lists(ranges, min_size=1, max_size=8), launched, st.randoms(use_true_random=False))
def test_the_order_of_ranges_does_not_matter(marks: list[Mark], moments: list[int], random: Random) -> None:
    shuffled = list(marks)
    random.shuffle(shuffled)
    assert phases(shuffled, work(*moments)) == phases(marks, work(*moments))
