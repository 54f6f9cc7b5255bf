"""Windows within a run of scrapes: as long as each other, full of work, and together no more than the whole."""

from __future__ import annotations

from itertools import pairwise
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.engines import windows
from collectors.engines.serving import serving
from collectors.engines.spans import FEWEST_STEPS, MOST, SHORTEST_S, STEPS, Span, spans
from collectors.engines.table import VLLM
from collectors.prometheus.exposition import Snapshot
from tests.collectors.test_stretches import FIRST_S, shot
from tests.make.engines import IDLE, State


def scrape(t_s: float, state: State) -> Snapshot:
    """What vLLM says of a state, without what does not matter here."""
    told = {
        "vllm:num_requests_running": state.running,
        "vllm:generation_tokens_total": state.generation_tokens,
        "vllm:iteration_tokens_total_count": state.steps,
        "vllm:iteration_tokens_total_sum": state.step_tokens,
    }
    return shot(t_s, [(name, {}, value) for name, value in told.items()])


def seconds(*batches: float, step_s: float = 0.02, apart_s: float = 1.0) -> list[Snapshot]:
    """Scrapes of a server that decodes a batch between each and the next; 0 is a time without requests."""
    state = State(running=batches[0])
    found = []
    for n, (before, after) in enumerate(pairwise([*batches, batches[-1]])):
        found.append(scrape(n * apart_s, state))
        state = state.later(apart_s, step_s=step_s, batch=before) if before else state
        state = state.later(1e-9, running=after)
    return [*found, scrape(len(batches) * apart_s, state)]


def cut(run: list[Snapshot]) -> list[Span]:
    return spans(windows.targets(run))


def test_ten_seconds_are_ten_windows() -> None:
    found = cut(seconds(*[8.0] * 10))
    assert [(s.begin_s - FIRST_S, s.end_s - FIRST_S) for s in found] == [(float(n), n + 1.0) for n in range(10)]
    assert [s.serving.tokens_per_s for s in found] == pytest.approx([400.0] * 10)
    assert [s.serving.step_s for s in found] == pytest.approx([0.02] * 10)


def test_windows_of_unequal_load_have_each_their_own() -> None:
    found = cut(seconds(1.0, 2.0, 4.0, 8.0, 16.0))
    assert [s.serving.batch for s in found] == pytest.approx([1.0, 2.0, 4.0, 8.0, 16.0])
    assert [s.serving.tokens_per_s for s in found] == pytest.approx([50.0, 100.0, 200.0, 400.0, 800.0])


def test_a_window_is_what_the_same_scrapes_alone_would_give() -> None:
    run = seconds(1.0, 2.0, 4.0, 8.0, 16.0, 3.0)
    (target,) = windows.targets(run)
    for place, span in enumerate(cut(run)):
        alone = serving(VLLM, run[place : place + 2], 1.0, target.pieces[place : place + 1])
        assert span.serving == alone


def test_time_without_requests_is_in_no_window() -> None:
    found = cut(seconds(8.0, 8.0, 0.0, 0.0, 8.0, 8.0, 8.0, 0.0, 8.0, 8.0, 8.0))
    begun = [s.begin_s - FIRST_S for s in found]
    assert begun == [0.0, 4.0, 5.0, 8.0, 9.0, 10.0], "a second that work began or ended in is not full of it"
    assert [s.serving.tokens_per_s for s in found] == pytest.approx([400.0] * len(found))
    assert cut([scrape(float(n), IDLE) for n in range(8)]) == []


def test_a_restart_ends_what_is_compared() -> None:
    """The longest run of counters is what the whole is of, and so are its windows."""
    before, after = seconds(*[8.0] * 3), seconds(*[2.0] * 7)
    moved = [
        Snapshot(source="x", samples=s.samples, taken_at_s=(s.taken_at_s or 0.0) + 3.5, process_start_s=50.0)
        for s in after
    ]
    run = [Snapshot(source="x", samples=s.samples, taken_at_s=s.taken_at_s, process_start_s=1.0) for s in before]
    (target,) = windows.targets([*run, *moved])
    assert "start anew" in target.remarks[0]
    found = spans([target])
    assert len(found) == 7
    assert {round(s.serving.tokens_per_s or 0.0) for s in found} == {100}
    assert all(s.begin_s >= FIRST_S + 3.5 for s in found)


def test_a_window_in_which_the_engine_stood_still_tells_nothing() -> None:
    state = State()
    run = []
    for n in range(9):
        run.append(scrape(float(n), state))
        state = state.later(1.0, step_s=0.005) if not 3 <= n < 6 else state
    found = cut(run)
    assert [s.begin_s - FIRST_S for s in found] == [0.0, 1.0, 2.0, 6.0, 7.0]


@pytest.mark.parametrize(
    ("step_s", "seconds_watched", "lengths"),
    [
        (0.02, 10, [1.0] * 10),
        (0.025, 10, [2.0] * 5),
        (0.1, 10, [5.0, 5.0]),
        (0.25, 10, [5.0, 5.0]),
        (0.25, 40, [13.0] * 3),
        (1.0, 21, [10.0, 10.0]),
        (1.0, 25, [12.0, 12.0]),
        (1.0, 12, [10.0]),
        (1.0, 8, []),
        (0.02, 40, [2.0] * 20),
        (0.02, 3600, [180.0] * 20),
    ],
)
def test_slow_steps_make_longer_windows(step_s: float, seconds_watched: int, lengths: list[float]) -> None:
    found = cut(seconds(*[4.0] * seconds_watched, step_s=step_s))
    assert [s.end_s - s.begin_s for s in found] == pytest.approx(lengths)
    assert all((s.serving.steps or 0.0) >= FEWEST_STEPS for s in found)


@settings(max_examples=60, deadline=None)
@given(step_s=st.floats(0.011, 0.2), phase=st.floats(0.0, 1.0), late=st.lists(st.floats(0.0, 0.2), min_size=31))
def test_the_middle_window_is_near_the_truth_wherever_scrapes_fall(
    step_s: float, phase: float, late: list[float]
) -> None:
    """A counter of whole steps, read at odd moments: what a session is compared by may be off by half a step's part."""
    times = [n + late[n] for n in range(31)]
    counts = [float(int(t / step_s + phase)) for t in times]
    run = [
        scrape(t, State(steps=1e4 + c, generation_tokens=1e5 + c, step_tokens=1e5 + c))
        for t, c in zip(times, counts, strict=True)
    ]
    found = [s.serving.step_s or 0.0 for s in cut(run)]
    assert median(found) == pytest.approx(step_s, rel=1.0 / STEPS)


def test_two_scrapes_give_a_window_and_no_more() -> None:
    assert cut(seconds(8.0)) == []
    assert spans([]) == []


def test_scrapes_without_their_times_give_none() -> None:
    run = [Snapshot(source="x", samples=s.samples) for s in seconds(*[8.0] * 5)]
    assert cut(run) == []


def test_of_several_engines_the_one_that_does_most() -> None:
    other = [
        shot(n, [("lightllm_num_running_reqs", {}, 1.0), ("lightllm_generation_tokens_total", {}, 1e5 + n)])
        for n in range(6)
    ]
    found = cut([*other, *seconds(*[8.0] * 5)])
    assert {s.serving.engine for s in found} == {"vLLM"}


@given(
    batches=st.lists(st.sampled_from([0.0, 1.0, 3.0, 8.0, 20.0]), min_size=3, max_size=90),
    apart_s=st.sampled_from([0.2, 0.7, 1.0, 1.3, 5.0]),
    step_s=st.sampled_from([0.004, 0.02, 0.1]),
)
def test_windows_are_disjoint_full_and_no_more_than_wanted(batches: list[float], apart_s: float, step_s: float) -> None:
    run = seconds(*batches, apart_s=apart_s, step_s=step_s)
    found = cut(run)
    assert len(found) <= MOST
    assert all(before.end_s <= after.begin_s for before, after in pairwise(found))
    for span in found:
        assert span.end_s - span.begin_s >= SHORTEST_S - 0.5 * apart_s
        first, last = (round((t - FIRST_S) / apart_s) for t in (span.begin_s, span.end_s))
        assert all(batches[n] > 0.0 for n in range(first, min(last + 1, len(batches))))
    tokens = sum((s.serving.tokens_per_s or 0.0) * (s.end_s - s.begin_s) for s in found)
    assert tokens <= sum(round(apart_s / step_s) * batch for batch in batches) * (1.0 + 1e-6)
    lengths = [s.end_s - s.begin_s for s in found]
    assert max(lengths, default=0.0) - min(lengths, default=0.0) < apart_s
