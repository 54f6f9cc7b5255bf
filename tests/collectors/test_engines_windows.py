"""From snapshots to a window: which belong together, in what order, how far apart, and whether there was work."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.engines import windows
from collectors.prometheus.exposition import Scrapes, Snapshot
from diagnose import analyze
from heuristics.observations import Serving
from tests.make import engines
from tests.make.dumps import read_file
from tests.make.engines import IDLE, State
from tests.make.prometheus import page, served, snapshots

BEFORE = State()
AFTER = BEFORE.later(10.0)


def told(*texts: str, interval_s: float | None = None) -> tuple[list[Serving], list[str]]:
    found, warnings = windows.observations(snapshots(*texts), interval_s)
    return [o.payload for o in found if isinstance(o.payload, Serving) and o.phase is None], warnings


def files(folder: Path, *texts: str, times: tuple[float, ...] = ()) -> list[Snapshot]:
    found: list[Snapshot] = []
    for place, text in enumerate(texts):
        path = folder / f"{place}.prom"
        path.write_text(text)
        if times:
            os.utime(path, (times[place], times[place]))
        contents = read_file(path)
        assert isinstance(contents, Scrapes)
        found += contents.snapshots
    return found


# --- the time between snapshots


def test_a_stated_interval_is_the_window() -> None:
    assert served(page(engines.vllm(BEFORE)), page(engines.vllm(AFTER)), interval_s=12.5).window_s == 12.5


def test_captured_at_comments_give_the_window() -> None:
    texts = [page(engines.vllm(s), captured_at=f"2027-05-04T13:00:{n:02d}Z") for s, n in ((BEFORE, 5), (AFTER, 15))]
    (found,), warnings = told(*texts)
    assert found.window_s == 10.0
    assert warnings == []


@pytest.mark.parametrize(("took_s", "says"), [(0.0, None), (0.9, None), (1.2, "1.2 s"), (4.0, "rates may be 40% off")])
def test_answers_that_were_slow_make_the_rates_unsure(took_s: float, says: str | None) -> None:
    """When within the answer's time the counters were looked at, nobody knows."""
    shots = [
        replace(shot, taken_at_s=at_s, took_s=took_s)
        for shot, at_s in zip(
            snapshots(page(engines.vllm(BEFORE)), page(engines.vllm(AFTER))), (5.0, 15.0), strict=True
        )
    ]
    _, warnings = windows.observations(shots)
    assert (warnings == []) if says is None else says in warnings[0]


def test_timestamps_of_samples_give_the_window() -> None:
    texts = [
        "".join(f"{line} {ms}\n" if not line.startswith("#") else f"{line}\n" for line in engines.llama_cpp(state))
        for state, ms in ((BEFORE, 1_800_000_000_000), (AFTER, 1_800_000_010_000))
    ]
    assert served(*texts).window_s == 10.0


def test_times_of_writing_give_the_window_and_a_remark(tmp_path: Path) -> None:
    shots = files(tmp_path, page(engines.vllm(BEFORE)), page(engines.vllm(AFTER)), times=(1000.0, 1010.0))
    (found,), warnings = windows.observations(shots)
    assert isinstance(found.payload, Serving)
    assert found.payload.window_s == 10.0
    assert warnings == ["time between snapshots taken from the files' times of writing: 10.0 s"]


@pytest.mark.parametrize("times", [(1000.0, 1000.1), (1000.0, 1000.0 + 2 * 86_400.0), (1010.0, 1000.0)])
def test_files_that_were_copied_since_give_no_window(tmp_path: Path, times: tuple[float, float]) -> None:
    shots = files(tmp_path, page(engines.vllm(BEFORE)), page(engines.vllm(AFTER)), times=times)
    (found,), warnings = windows.observations(shots)
    assert isinstance(found.payload, Serving)
    assert found.payload.window_s is None
    assert found.payload.tokens_per_s is None
    assert found.payload.generation_tokens == 4000.0
    assert "give --interval SECONDS" in warnings[0]


def test_the_same_instant_twice_has_no_length() -> None:
    texts = [page(engines.vllm(s), captured_at="1000") for s in (BEFORE, AFTER)]
    assert served(*texts).window_s is None


def test_a_window_runs_from_the_first_snapshot_to_the_last() -> None:
    states = [BEFORE.later(10.0 * n) for n in range(6)]
    found = served(*(page(engines.vllm(s), captured_at=f"{1000 + 10 * n}") for n, s in enumerate(states)))
    assert found.window_s == 50.0
    assert found.steps == 2500.0


def test_scrapes_appended_to_one_file_are_a_window() -> None:
    text = "".join(page(engines.tgi(s), captured_at=f"{1000 + 10 * n}") for n, s in enumerate((BEFORE, AFTER)))
    assert served(text).window_s == 10.0
    assert served("".join(page(engines.tgi(s)) for s in (BEFORE, AFTER)), interval_s=10.0).steps == 500.0


# --- order


@pytest.mark.parametrize("stamped", [True, False])
@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_order_in_which_snapshots_are_given_never_matters(order: tuple[int, ...], stamped: bool) -> None:
    states = [BEFORE, AFTER, AFTER.later(10.0, batch=4.0, running=4.0)]
    texts = [page(engines.vllm(s), captured_at=f"{1000 + 10 * n}" if stamped else None) for n, s in enumerate(states)]
    found, warnings = told(*(texts[n] for n in order), interval_s=None if stamped else 20.0)
    assert (found, warnings) == told(*texts, interval_s=None if stamped else 20.0)
    assert found[0].window_s == 20.0


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_without_any_progress_files_are_ordered_by_their_times(tmp_path: Path, order: tuple[int, int]) -> None:
    shots = files(tmp_path, page(engines.vllm(IDLE)), page(engines.vllm(IDLE)), times=(1000.0, 1010.0))
    (found,), _ = windows.observations([shots[n] for n in order])
    assert isinstance(found.payload, Serving)
    assert found.payload.window_s == 10.0


def test_a_snapshot_without_a_time_is_ordered_by_its_counters() -> None:
    texts = [page(engines.vllm(BEFORE), captured_at="1000"), page(engines.vllm(AFTER))]
    (found,), warnings = told(*texts, interval_s=10.0)
    assert found.steps == 500.0
    assert warnings == []


# --- what belongs together


def test_counters_that_start_anew_end_a_window() -> None:
    texts = [
        page(engines.llama_cpp(s), captured_at=f"{1000 + 10 * n}", process_start_s=None)
        for n, s in enumerate((BEFORE, AFTER, State(steps=10, generation_tokens=80, busy_slots=80, prompt_tokens=5)))
    ]
    (found,), warnings = told(*texts)
    assert found.window_s == 10.0
    assert warnings == ["llama.cpp: counters start anew between snapshots (a restart, or several servers)"]


def test_a_process_that_started_anew_ends_a_window_though_its_counters_are_ahead() -> None:
    far = BEFORE.later(1000.0)
    texts = [
        page(engines.vllm(s), captured_at=f"{1000 + 10 * n}", process_start_s=start)
        for n, (s, start) in enumerate(((BEFORE, 100.0), (AFTER, 100.0), (far, 900.0)))
    ]
    (found,), warnings = told(*texts)
    assert found.window_s == 10.0
    assert len(warnings) == 1


def test_servers_of_different_models_are_windows_of_their_own() -> None:
    texts = [
        page(engines.vllm(s, model=model), process_start_s=None, captured_at=f"{1000 + 10 * n}")
        for model, rate in (("ours/small", 1.0), ("ours/large", 3.0))
        for n, s in enumerate((BEFORE, BEFORE.later(10.0, batch=rate)))
    ]
    found, warnings = told(*texts)
    assert sorted((s.model, s.generation_tokens) for s in found) == [("large", 1500.0), ("small", 500.0)]
    assert warnings == []


def test_different_engines_are_windows_of_their_own() -> None:
    texts = [
        page(writer(s), captured_at=f"{1000 + n}")
        for writer in (engines.tgi, engines.lightllm)
        for n, s in enumerate((BEFORE, AFTER))
    ]
    found, _ = told(*texts)
    assert {s.engine for s in found} == {"TGI", "LightLLM"}


def test_a_model_that_a_server_names_only_after_its_first_request_is_the_same_server() -> None:
    fresh = [line for line in engines.dynamo(IDLE) if "{model" not in line]
    fresh.append("dynamo_frontend_disconnected_clients 0")
    texts = [page(fresh, captured_at="1000"), page(engines.dynamo(State(generation_tokens=700.0)), captured_at="1010")]
    (found,), _ = told(*texts)
    assert found.generation_tokens == 700.0


# --- was there work


def test_requests_at_both_ends_mean_work_throughout() -> None:
    assert served(page(engines.vllm(BEFORE)), page(engines.vllm(AFTER)), interval_s=10.0).busy


@pytest.mark.parametrize(("seconds", "busy"), [(30.0, True), (10.0, True), (4.0, False), (0.0, False)])
def test_by_littles_law_ended_requests_tell_how_many_were_there(seconds: float, busy: bool) -> None:
    before = State(running=0.0)
    after = before.later(10.0, request_seconds=seconds, firsts=20.0)
    found = served(page(engines.vllm(before)), page(engines.vllm(after)), interval_s=10.0)
    assert found.busy == busy
    assert found.step_s == pytest.approx(0.02)
    assert found.requests_running == 0.0


def test_one_snapshot_is_a_lifetime_without_rates() -> None:
    found = served(page(engines.vllm(BEFORE)))
    assert found.lifetime
    assert not found.busy
    assert found.window_s is None
    assert found.tokens_per_s is None
    assert found.batch == 8.0
    assert served(page(engines.sglang(BEFORE))).tokens_per_s == 400.0


def verdict(folder: Path, *texts: str) -> dict[str, object]:
    for place, text in enumerate(texts):
        (folder / f"{place}.prom").write_text(text)
    found = analyze([folder / f"{place}.prom" for place in range(len(texts))]).to_dict()["verdict"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("writer", [engines.vllm, engines.sglang, engines.llama_cpp, engines.tgi, engines.lmdeploy])
def test_nothing_running_and_nothing_moving_is_idle(tmp_path: Path, writer: object) -> None:
    assert callable(writer)
    texts = [page(writer(IDLE), captured_at=f"{1000 + 10 * n}") for n in range(2)]
    found = verdict(tmp_path, *texts)
    assert found["regime"] == "idle"
    assert found["shares"] is None


@pytest.mark.parametrize("writer", [engines.vllm, engines.llama_cpp, engines.tgi, engines.lmdeploy])
def test_requests_running_and_nothing_moving_is_stalled(tmp_path: Path, writer: object) -> None:
    assert callable(writer)
    texts = [page(writer(BEFORE), captured_at=f"{1000 + 10 * n}") for n in range(2)]
    found = verdict(tmp_path, *texts)
    assert found["regime"] == "inconclusive"
    assert found["limits"] == ["stalled"]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.booleans())
def test_any_snapshots_in_any_order_give_windows_or_remarks(drawn: list[int], stamped: bool) -> None:
    states = [BEFORE, AFTER, IDLE, State(steps=1.0)]
    texts = [page(engines.llama_cpp(states[n]), captured_at=f"{1000 + 7 * n}" if stamped else None) for n in drawn]
    found, _ = told(*texts)
    assert len(found) == 1
    assert (found[0].batch or 0.0) >= 0.0
    assert (found[0].steps or 0.0) >= 0.0


def test_a_cache_of_negative_size_is_unknown() -> None:
    text = page(engines.vllm(State()))
    assert served(text).kv_capacity_tokens == 100_000
    assert served(text.replace('"100000"', '"-1"')).kv_capacity_tokens is None


def test_gauges_that_stay_while_idle_are_no_stall(tmp_path: Path) -> None:
    texts = [page(engines.sglang(BEFORE), captured_at=f"{1000 + 10 * n}") for n in range(2)]
    found = verdict(tmp_path, *texts)
    assert found is None or (found["regime"] == "inconclusive" and found["limits"] == [])
