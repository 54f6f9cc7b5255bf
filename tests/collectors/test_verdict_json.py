"""Verdicts read back: what is compared is found, what makes no sense counts as lacking."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.verdict_json import NewerVerdict, data_of, session_of
from heuristics.errors import UnreadableDump
from heuristics.vocabulary import Cause, Regime
from tests.make.verdicts import verdict


def test_a_verdict_comes_back_as_the_session_it_was() -> None:
    found = session_of(
        verdict(
            environment={
                "clocks": {"sm_hz": 1.98e9},
                "throttled": ["power_cap"],
                "other_processes": 1,
                "host": {"processor": "EPYC", "cores": 32, "other_busy_cores": 0.4},
            },
            subject={
                "devices": [{"index": i, "name": "NVIDIA H100 80GB HBM3"} for i in range(2)],
                "parallelism": {"tp": 2},
            },
        ),
        "tonight",
    )
    assert found.identity == {
        "workload": "decode-8",
        "load": "decode-8",
        "gpu": "NVIDIA H100 80GB HBM3",
        "devices": "2 x NVIDIA H100 80GB HBM3",
        "engine": "vLLM",
        "engine_version": "0.32.0",
        "model": "ours/8b",
        "dtype": "bf16",
        "parallelism": "tp 2",
        "measured_by": "watching",
        "driver": "580.82",
        "host": "EPYC, 32 cores",
    }
    assert (found.regime, found.cause, found.confidence) == (Regime.MEMORY, Cause.WEIGHTS, 0.95)
    assert found.health.throttled == {"power_cap"}
    assert found.health.clocks == {"sm_hz": 1.98e9}
    assert (found.health.other_processes, found.health.other_busy_cores) == (1, 0.4)
    assert found.figure("roof_fraction") == pytest.approx(0.6, rel=0.02)


def test_the_session_counts_as_the_median_of_its_windows() -> None:
    found = session_of(verdict(samples={"time_per_output_token_s": [0.01, 0.02, 0.9]}), "tonight")
    assert found.figure("time_per_output_token_s") == 0.02
    assert len(found.figures["time_per_output_token_s"].windows) == 3


@pytest.mark.parametrize(
    ("changes", "by"),
    [
        ({}, "watching"),
        ({"subject": {"files": [{"path": "a.rec.gz", "kind": "diagnose recording"}], "kind": "dump"}}, "watching"),
        (
            {"subject": {"files": [{"path": "t.json", "kind": "torch.profiler trace"}], "kind": "dump"}},
            "torch.profiler trace",
        ),
        ({"sweep": {}}, "sweep"),
        ({"probe": {}}, "probe"),
        ({"subject": {"kind": "numbers"}}, "numbers"),
    ],
)
def test_what_was_measured_by_another_instrument_is_told_apart(changes: dict[str, Any], by: str) -> None:
    assert session_of(verdict(**changes), "x").identity["measured_by"] == by


def test_a_dump_judged_twice_is_the_same_data_and_two_nights_are_not() -> None:
    files = {"subject": {"files": [{"path": "a", "kind": "trace", "fingerprint": "abc"}]}}
    one, again = verdict(**files), {**verdict(**files), "created_at": "2027-01-01T00:00:00+00:00"}
    assert data_of(one) == data_of(again)
    assert data_of(verdict()) == data_of({**verdict(), "baseline": {"added_at": "now"}})
    assert data_of(verdict(night=1)) != data_of(verdict(night=2))


@pytest.mark.parametrize("schema", [None, 3, "diagnose.recording/1", "diagnose.verdict/x"])
def test_what_is_no_verdict_is_refused(schema: Any) -> None:
    with pytest.raises(UnreadableDump):
        session_of({**verdict(), "schema": schema}, "x")


@pytest.mark.parametrize("thing", [None, [], "verdict", 3.0])
def test_nor_is_anything_but_an_object(thing: Any) -> None:
    with pytest.raises(UnreadableDump):
        session_of(thing, "x")


def test_a_newer_schema_is_named_as_such() -> None:
    with pytest.raises(NewerVerdict, match="newer diagnose"):
        session_of({**verdict(), "schema": "diagnose.verdict/2"}, "x")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PLACES = [(part,) for part in verdict()] + [
    (part, name) for part, fields in verdict().items() if isinstance(fields, dict) for name in fields
]


@given(st.sampled_from(PLACES), JSON)
def test_nonsense_in_any_place_is_no_crash(place: tuple[str, ...], value: Any) -> None:
    found = json.loads(json.dumps(verdict()))
    inner = found
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    try:
        session = session_of(found, "x")
    except UnreadableDump:
        assert place == ("schema",)
        return
    assert all(figure.value == figure.value for figure in session.figures.values())
