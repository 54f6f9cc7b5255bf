"""What moved between two verdicts: nothing against itself, the same backwards, and parts that add up."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heuristics.regression.moved import Basis, Certainty, Change, Group, Kind, Measure, Presence
from heuristics.vocabulary import Regime, Share
from reports import diff_json, diff_markdown, diff_text
from tests.heuristics.regression.verdicts import Json, hostile, kernel, moved, sound, verdict


def changes(of: Any) -> list[Change]:
    """All changes within a comparison, however deep."""
    if isinstance(of, Change):
        return [of]
    if isinstance(of, tuple):
        return [change for item in of for change in changes(item)]
    if is_dataclass(of):
        return [change for f in fields(of) for change in changes(getattr(of, f.name))]
    return []


@given(sound())
def test_nothing_moves_against_itself(one: Json) -> None:
    found = moved(one, one)
    assert found.nothing
    assert found.same_data
    assert not found.reasons
    assert found.leading is None


@given(sound(), sound())
def test_backwards_is_the_inverse(one: Json, other: Json) -> None:
    there, back = moved(one, other), moved(other, one)
    for change, inverse in zip(changes(there), changes(back), strict=True):
        assert (change.name, change.before, change.after) == (inverse.name, inverse.after, inverse.before)
        assert change.noise == inverse.noise
    assert (there.whole.before, there.whole.after) == (back.whole.after, back.whole.before)
    assert there.nothing is back.nothing
    assert {(r.kind, r.share) for r in there.reasons} == {(r.kind, r.share) for r in back.reasons}
    assert {(c.name, c.before, c.after) for c in there.circumstances} == {
        (c.name, c.after, c.before) for c in back.circumstances
    }
    opposite = {Presence.NEW: Presence.GONE, Presence.GONE: Presence.NEW}
    for rows, inverse_rows in ((there.kernels, back.kernels), (there.operations, back.operations)):
        assert (rows is None) is (inverse_rows is None)
        if rows is not None and inverse_rows is not None:
            for row, inverse_row in zip(rows.rows, inverse_rows.rows, strict=True):
                assert (row.name, row.moved_s) == (inverse_row.name, -inverse_row.moved_s)
                assert inverse_row.presence is opposite.get(row.presence, row.presence)


@given(sound(), sound())
def test_parts_add_up_to_the_whole(one: Json, other: Json) -> None:
    found = moved(one, other)
    time = found.whole.time
    if time is not None and time.by is not None:
        for parts in (found.whole.split, found.whole.device):
            if parts:
                assert sum(part.by or 0.0 for part in parts) == pytest.approx(time.by, abs=1e-9)
    for rows in (found.kernels, found.operations):
        if rows is not None:
            assert len(rows.rows) <= 10
            told = sum(row.moved_s for row in rows.rows) + rows.rest_s
            assert told == pytest.approx(rows.total.by, abs=1e-9)


@given(sound(), st.permutations(range(8)))
def test_the_order_of_rows_changes_nothing(one: Json, order: list[int]) -> None:
    rows = one["operations"]
    mixed = one | {"operations": [rows[i] for i in order if i < len(rows)]}
    first, second = moved(verdict(rows=[kernel("other", 0.5)]), one), moved(verdict(rows=[kernel("other", 0.5)]), mixed)
    names = [
        [(row.name, pytest.approx(row.moved_s)) for row in m.kernels.rows] if m.kernels else [] for m in (first, second)
    ]
    assert names[0] == names[1]


@given(hostile(), hostile())
def test_no_json_is_too_strange(one: Json, other: Json) -> None:
    found = moved(one, other)
    text = diff_text.render(found)
    assert max(map(len, text.splitlines())) <= 80
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    json.dumps(diff_json.to_dict(found, "0"), allow_nan=False).encode()
    diff_markdown.render(found, "0")
    assert len(diff_text.brief(found)) <= 8
    assert moved(one, one).nothing


def test_a_step_is_split_by_share_times_step() -> None:
    found = moved(verdict(step_s=0.010, shares=(0.6, 0.1, 0.3)), verdict(step_s=0.012, shares=(0.5, 0.1, 0.4)))
    assert found.whole.basis is Basis.STEP
    assert [(c.before, c.after) for c in found.whole.split] == [
        (pytest.approx(0.006), pytest.approx(0.006)),
        (pytest.approx(0.001), pytest.approx(0.0012)),
        (pytest.approx(0.003), pytest.approx(0.0048)),
    ]
    assert found.leading is not None
    assert found.leading.name == "latency"
    assert found.whole.certainty is Certainty.SURE


@pytest.mark.parametrize(
    ("figures", "basis", "before"),
    [
        ({"time_per_output_token_s": 0.02}, Basis.OUTPUT_TOKEN, 0.02),
        ({"tokens_per_s": 50.0}, Basis.TOKEN, 0.02),
        ({"kernel_time_s": 0.3}, Basis.KERNELS, 0.3),
        ({"busy_fraction": 0.4, "kernel_time_s": 0.3}, Basis.RECORDING, 10.0),
        ({}, None, None),
    ],
)
def test_without_a_step_the_next_best_time_is_split(
    figures: dict[str, float], basis: Basis | None, before: float | None
) -> None:
    found = moved(verdict(step_s=None, **figures), verdict(step_s=None, shares=(0.2, 0.2, 0.6), **figures)).whole
    assert found.basis is basis
    assert found.time is None if before is None else found.time is not None and found.time.before == before
    assert found.split[0].unit == ("percent" if basis is None else "seconds")


def test_the_spread_of_windows_is_noise() -> None:
    def noisy(centre: float, spread: float) -> Json:
        windows = [centre * (1.0 + spread * (n - 4.5) / 4.5) for n in range(10)]
        return verdict(step_s=centre, samples={"step_s": windows})

    assert moved(noisy(0.010, 0.001), noisy(0.0104, 0.001)).whole.time is not None
    steady, shaky = moved(noisy(0.010, 0.001), noisy(0.0104, 0.001)), moved(noisy(0.010, 0.20), noisy(0.0104, 0.20))
    assert steady.whole.time is not None
    assert steady.whole.time.changed
    assert shaky.whole.time is not None
    assert shaky.whole.time.unchanged
    assert shaky.nothing


def test_a_median_over_windows_stands_for_the_session() -> None:
    found = moved(verdict(step_s=0.01), verdict(step_s=0.5, samples={"step_s": [0.012, 0.012, 0.012]}))
    assert found.whole.time is not None
    assert found.whole.time.after == 0.012


def test_unsure_shares_are_marked() -> None:
    sure, likely, open_ = (verdict(confidence=c, step_s=0.02, shares=(0.1, 0.1, 0.8)) for c in (0.9, 0.7, 0.4))
    kinds = [moved(verdict(), other).whole.certainty for other in (sure, likely, open_, verdict(regime="inconclusive"))]
    assert kinds == [Certainty.SURE, Certainty.LIKELY, Certainty.OPEN, Certainty.OPEN]


def test_other_subjects_are_told_and_unknown_ones_are_not() -> None:
    other = moved(verdict(), verdict(environment={"gpu": "NVIDIA A100"}, subject={"model": "n", "engine": "SGLang"}))
    assert [d.trait for d in other.apart] == ["gpu", "engine", "model"]
    unknown = moved(verdict(), verdict(environment={"gpu": None}, subject={"model": None, "engine": None}))
    assert not unknown.apart


def reasons(before: Json, after: Json) -> list[tuple[Kind, Share | None]]:
    return [(r.kind, r.share) for r in moved(before, after).reasons]


def test_a_grown_cache_explains_memory_with_the_time_that_it_is_due() -> None:
    before = verdict(step_s=0.008, shares=(0.8, 0.1, 0.1), kv_bytes_per_step=4e9, context_tokens=2048.0)
    after = verdict(step_s=0.0094, shares=(0.83, 0.09, 0.08), kv_bytes_per_step=8e9, context_tokens=4096.0)
    found = moved(before, after)
    (reason,) = found.reasons
    assert (reason.kind, reason.share) == (Kind.KV_CACHE, Share.MEMORY)
    assert reason.figures["due"] == pytest.approx(4e9 / 2.8e12)
    assert [c.name for c in found.circumstances] == ["context_tokens"], "the cache is told as a reason, not twice"


def test_what_points_the_other_way_explains_nothing() -> None:
    before = verdict(step_s=0.008, shares=(0.8, 0.1, 0.1), kv_bytes_per_step=8e9)
    after = verdict(step_s=0.0094, shares=(0.83, 0.09, 0.08), kv_bytes_per_step=4e9)
    assert reasons(before, after) == [(Kind.UNEXPLAINED, None)]


def test_the_same_bytes_at_a_lower_rate_are_said_to_be_that() -> None:
    before = verdict(step_s=0.008, bytes_per_step=2e10, bandwidth_fraction=0.77)
    after = verdict(step_s=0.012, shares=(0.4, 0.1, 0.5), bytes_per_step=2e10, bandwidth_fraction=0.51)
    assert reasons(before, after) == [(Kind.EFFICIENCY, None)]


def test_more_launches_and_longer_waits_explain_latency() -> None:
    before = verdict(kernels=312.0 * 20, steps=20.0, busy_fraction=0.7, host_gap_fraction=0.1)
    after = verdict(
        step_s=0.02, shares=(0.3, 0.1, 0.6), kernels=640.0 * 20, steps=20.0, busy_fraction=0.4, host_gap_fraction=0.5
    )
    found = moved(before, after).reasons
    assert [r.kind for r in found] == [Kind.LAUNCHES, Kind.IDLE, Kind.HOST_GAPS]
    assert (found[0].figures["before"], found[0].figures["after"]) == (312.0, 640.0)


def test_where_threads_compute_their_sleep_is_what_grew() -> None:
    """A demo job's host was made to pause for 5 ms more between steps; these are the figures of that recording."""

    def on_processors(step_s: float, asleep: float, shares: tuple[float, float, float], **more: float) -> Json:
        found = verdict(step_s=step_s, regime="latency", shares=shares, host_asleep_fraction=asleep, **more)
        return found | {"environment": {}}

    before = on_processors(0.0139443, 0.711372, (0.133, 0.133, 0.734))
    after = on_processors(0.0195854, 0.7641, (0.117, 0.117, 0.766))
    found = moved(before, after)
    assert found.whole.device[1].by == pytest.approx(0.005, rel=0.02)
    assert (found.reasons[0].kind, found.reasons[0].share) == (Kind.IDLE, Share.LATENCY)
    idle_too = moved(before | {"idle_fraction": 0.5}, after | {"idle_fraction": 0.5})
    assert not idle_too.whole.device, "asleep without work is no part of a step"


def test_kept_under_one_name_another_load_is_another_job() -> None:
    loads = ("sweep 1,2 x (32 + 16 tokens)", "sweep 1,2 x (512 + 128 tokens)")
    named = [verdict(subject={"workload": "chat"}) | {"baseline": {"load": load}} for load in loads]
    assert [(d.trait, d.baseline, d.current) for d in moved(*named).apart] == [("load", *loads)]
    unnamed = [verdict(subject={"workload": load}) for load in loads]
    assert [d.trait for d in moved(*unnamed).apart] == ["workload"], "told once"
    assert not moved(named[0], verdict(subject={"workload": "chat"}) | {"baseline": {}}).apart


def test_a_cache_that_is_next_to_nothing_is_neither_a_reason_nor_another_load() -> None:
    figures = {"weight_bytes_per_step": 1e9, "batch": 1.0}
    before = verdict(step_s=0.4, kv_bytes_per_step=1.9e5, context_tokens=14.7, **figures)
    after = verdict(step_s=0.5, shares=(0.7, 0.0, 0.3), kv_bytes_per_step=3.2e5, context_tokens=24.0, **figures)
    found = moved(before, after)
    assert [r.kind for r in found.reasons] == [Kind.UNEXPLAINED]
    assert not found.other_load
    large = moved(*(v | {"measured": v["measured"] | {"weight_bytes_per_step": 1e5}} for v in (before, after)))
    assert [c.name for c in large.other_load] == ["context_tokens"]
    assert [r.kind for r in large.reasons] == [Kind.KV_CACHE]


def test_slower_clocks_explain_a_slower_step_and_not_a_faster_one() -> None:
    fast, slow = ({"clocks": {"sm_hz": hertz}} for hertz in (1.98e9, 1.2e9))
    assert (Kind.CLOCKS, None) in reasons(verdict(environment=fast), verdict(step_s=0.02, environment=slow))
    assert (Kind.CLOCKS, None) not in reasons(verdict(environment=slow), verdict(step_s=0.02, environment=fast))


def test_another_load_is_told_from_a_fifth_on() -> None:
    assert [c.name for c in moved(verdict(batch=8.0), verdict(batch=16.0)).other_load] == ["batch"]
    assert not moved(verdict(batch=8.0), verdict(batch=8.5)).other_load


def test_kernels_are_compared_by_the_step_where_steps_are_known() -> None:
    before = verdict(rows=[kernel("a", 0.2, 40), kernel("b", 0.1, 20)], steps=20.0, kernel_time_s=0.3)
    after = verdict(rows=[kernel("a", 0.1, 20), kernel("c", 0.1, 10)], steps=10.0, kernel_time_s=0.2)
    rows = moved(before, after).kernels
    assert rows is not None
    assert rows.measure is Measure.STEP
    assert [(r.name, r.presence, r.moved_s) for r in rows.rows] == [
        ("c", Presence.NEW, pytest.approx(0.01)),
        ("b", Presence.GONE, pytest.approx(-0.005)),
    ]
    assert (rows.rest_count, rows.rest_s) == (1, pytest.approx(0.0))
    assert (rows.total.before, rows.total.after) == (pytest.approx(0.015), pytest.approx(0.02))


def test_beyond_a_full_list_a_kernel_may_have_been_there_unseen() -> None:
    many = [kernel(f"k{n}", 0.01 + 0.001 * n) for n in range(50)]
    rows = moved(verdict(rows=many), verdict(rows=[*many[1:], kernel("late", 0.5)])).kernels
    assert rows is not None
    assert rows.rows[0].presence is Presence.UNLISTED_BEFORE
    assert rows.rows[0].moved_s == pytest.approx(0.49), "at least: it had less than the last that was listed"


def test_operations_without_times_are_compared_at_the_roof() -> None:
    def attention(moved_bytes: float) -> Json:
        row = {"level": "operation", "name": "attention", "bytes": moved_bytes, "flops": 1e9, "time_share": 0.5}
        return verdict(rows=[row])

    rows = moved(attention(4e9), attention(8e9)).operations
    assert rows is not None
    assert rows.measure is Measure.ROOF
    assert rows.rows[0].moved_s == pytest.approx(4e9 / 2.8e12)


def test_phases_are_compared_apart() -> None:
    def phase(regime: str, step_s: float, fraction: float) -> Json:
        inner = verdict(step_s=step_s, regime=regime)
        return {"verdict": inner["verdict"], "measured": inner["measured"], "time_fraction": fraction}

    before = verdict(phases={"prefill": phase("compute", 0.1, 0.1), "decode": phase("memory", 0.01, 0.9)})
    after = verdict(phases={"prefill": phase("compute", 0.1, 0.3), "decode": phase("latency", 0.02, 0.7)})
    prefill, decode = moved(before, after).phases
    assert prefill.time_fraction is not None
    assert prefill.time_fraction.by == pytest.approx(0.2)
    assert prefill.part.time is not None
    assert prefill.part.time.unchanged
    assert decode.part.regime_flip
    assert (decode.part.before.regime, decode.part.after.regime) == (Regime.MEMORY, Regime.LATENCY)


def test_what_surrounds_the_job_is_told_by_group() -> None:
    before = {"driver": "550.1", "clocks": {"sm_hz": 1.98e9}, "host": {"other_busy_cores": 0.1, "kernel": "6.1"}}
    after = {"driver": "560.1", "clocks": {"sm_hz": 1.2e9}, "host": {"other_busy_cores": 3.0, "kernel": "6.1"}}
    found = moved(
        verdict(environment=before), verdict(environment={**after, "throttled": ["thermal"], "other_processes": 2})
    ).circumstances
    assert {(c.name, c.group, c.before, c.after) for c in found} == {
        ("driver", Group.SETUP, "550.1", "560.1"),
        ("clocks.sm_hz", Group.DEVICE, 1.98e9, 1.2e9),
        ("throttled", Group.DEVICE, "none", "thermal"),
        ("other_processes", Group.DEVICE, 0.0, 2.0),
        ("host.other_busy_cores", Group.HOST, 0.1, 3.0),
    }


def test_limits_that_came_or_went_are_told() -> None:
    after = verdict()
    after["verdict"]["limits"] = ["queue", "kv_capacity", "thermal"]
    (told,) = moved(verdict(), after).circumstances
    assert (told.name, told.before, told.after) == ("limits", "none", "kv_capacity, queue")


def test_levels_of_a_sweep_are_compared_one_by_one() -> None:
    def level(at_once: int, step_s: float, regime: str) -> Json:
        inner = verdict(regime=regime)["verdict"]
        return {"at_once": at_once, "step_s": step_s, "tokens_per_s": at_once / step_s, "verdict": inner}

    before = verdict() | {"sweep": {"levels": [level(1, 0.01, "latency"), level(8, 0.012, "memory")]}}
    after = verdict() | {"sweep": {"levels": [level(1, 0.01, "latency"), level(8, 0.015, "latency")]}}
    one, eight = moved(before, after).levels
    assert one.step.unchanged
    assert eight.step.relative == pytest.approx(0.25)
    assert (eight.before.regime, eight.after.regime) == (Regime.MEMORY, Regime.LATENCY)
