"""Prometheus text: what is taken from it, how scrapes in one file are told apart, and what damage does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from collectors.prometheus import exposition
from collectors.prometheus.exposition import LARGEST, MOST_SAMPLES, WANTED, Scrapes
from collectors.readers import read, reader_of
from heuristics.errors import UnreadableDump
from tests.make import engines
from tests.make.dumps import damaged, dump, read_file, survives
from tests.make.engines import State
from tests.make.prometheus import Board, counter, dcgm, family, gauge, page, snapshots

STATE = State()
EVERYTHING = page(
    engines.vllm(STATE, STATE, era="0.10"),
    engines.sglang(STATE, STATE, ranks=2),
    engines.tgi(STATE),
    engines.llama_cpp(STATE, usage="nan"),
    engines.tensorrt_llm(STATE),
    engines.triton(STATE),
    engines.lmdeploy(STATE),
    engines.lightllm(STATE),
    engines.dynamo(STATE),
    dcgm([Board(), Board(gpu=1, instance=("7", "1g.10gb"))]),
    counter("our_own_total", ({"why": 'a "quoted", {odd} \\ label'}, 3.0)),
)


def taken(text: str) -> list[tuple[str, tuple[tuple[str, str], ...], float]]:
    return [(s.name, tuple(sorted(s.labels.items())), s.value) for shot in snapshots(text) for s in shot.samples]


def parsed(text: str) -> list[tuple[str, tuple[tuple[str, str], ...], float]]:
    """The wanted samples by prometheus_client's own reading of the whole text."""
    return [
        (s.name, tuple(sorted(s.labels.items())), float(s.value))
        for f in text_string_to_metric_families(text)
        for s in f.samples
        if s.name.startswith(WANTED) and not s.name.endswith("_bucket") and abs(s.value) < LARGEST
    ]


# --- the oracle


def test_the_cheap_filter_takes_what_the_library_finds_in_the_whole_text() -> None:
    def plain(rows: list[tuple[str, tuple[tuple[str, str], ...], float]]) -> list[object]:
        # of a counter that is not called _total, the library's name is; ours is the text's
        return sorted((name.removesuffix("_total"), labels, value) for name, labels, value in rows)

    assert plain(taken(EVERYTHING)) == plain(parsed(EVERYTHING))
    assert len(taken(EVERYTHING)) > 200


label_texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=12)
numbers = st.floats(allow_nan=True, allow_infinity=True).map(repr) | st.integers(-(10**20), 10**20).map(str)
names = st.sampled_from(
    [*(p.rstrip("_:") + "_x" for p in WANTED if p != "ray_vllm_"), "vllm:a", "sglang:b", "python_info"]
)


@given(
    st.lists(
        st.tuples(names, st.dictionaries(st.sampled_from(["a", "gpu", "le"]), label_texts, max_size=3), numbers),
        max_size=15,
    )
)
def test_any_samples_are_taken_as_the_library_takes_them(rows: list[tuple[str, dict[str, str], str]]) -> None:
    lines = []
    for place, (name, labels, value) in enumerate(rows):
        shown = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}.get(value, value)
        lines += family(name, "untyped", ("", {**labels, "place": str(place)}, shown), comments=False)
    text = page(["# TYPE vllm:begin gauge", "vllm:begin 1.0", *lines])
    assert sorted(taken(text)) == sorted(parsed(text))


# --- what is taken


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf"])
def test_values_that_are_not_finite_are_absent(value: str) -> None:
    text = page(gauge("vllm:num_requests_running", ({}, 1.0)), gauge("vllm:odd", ({}, value)))
    assert [name for name, _, _ in taken(text)] == ["process_start_time_seconds", "vllm:num_requests_running"]
    assert read(dump(text)).warnings == ()


def test_a_sample_without_a_number_is_left_out_and_counted() -> None:
    boards = [Board(util="ERROR - FAILED TO CONVERT TO STRING"), Board(gpu=1)]
    found = read(dump(page(dcgm(boards))))
    assert isinstance(found, Scrapes)
    assert found.warnings == ("1 sample without a number was left out",)
    assert [s.value for s in found.snapshots[0].values("DCGM_FI_DEV_GPU_UTIL")] == [100.0]


def test_buckets_and_foreign_families_are_not_kept() -> None:
    assert not [
        name for name, _, _ in taken(EVERYTHING) if name.endswith("_bucket") or name.startswith(("our_", "python_"))
    ]


def test_rays_spelling_of_vllm_is_vllms() -> None:
    text = page(engines.vllm(STATE))
    assert taken(text.replace("vllm:", "ray_vllm_")) == taken(text)


def test_text_without_comments_is_recognised_and_read() -> None:
    plain = "".join(line + "\n" for line in page(engines.llama_cpp(STATE)).splitlines() if not line.startswith("#"))
    assert reader_of(dump(plain)) is exposition
    assert taken(plain) == taken(page(engines.llama_cpp(STATE)))


def test_one_wanted_sample_is_enough_to_be_recognised() -> None:
    assert reader_of(dump('DCGM_FI_PROF_DRAM_ACTIVE{gpu="0"} 0.8\n')) is exposition
    assert reader_of(dump("ours 0.8\n")) is None


def test_of_many_thousand_series_the_first_are_kept() -> None:
    found = read(dump(page(gauge("vllm:odd", *(({"n": str(n)}, 1.0) for n in range(MOST_SAMPLES + 1))))))
    assert isinstance(found, Scrapes)
    assert len(found.snapshots[0].samples) == MOST_SAMPLES
    assert found.warnings[0].startswith("more than 100,000 samples")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (page(), "none of a serving engine"),
        ("# HELP vllm:num_requests_running Ours.\n# TYPE vllm:num_requests_running gauge\n", "holds no sample"),
    ],
)
def test_text_without_a_wanted_metric_is_refused(text: str, why: str) -> None:
    with pytest.raises(UnreadableDump, match=why) as error:
        read(dump(text.replace("process_start_time_seconds", "process_cpu_seconds")))
    assert "/metrics" in (error.value.hint or "")


# --- scrapes in one file


def test_scrapes_appended_to_one_another_are_told_apart() -> None:
    texts = [page(engines.vllm(state)) for state in (STATE, STATE.later(10), STATE.later(20))]
    assert [shot.samples for shot in snapshots("".join(texts))] == [shot.samples for shot in snapshots(*texts)]


def test_scrapes_without_comments_are_told_apart_as_well() -> None:
    texts = [
        "".join(line + "\n" for line in page(engines.llama_cpp(state)).splitlines() if not line.startswith("#"))
        for state in (STATE, STATE.later(10))
    ]
    assert [shot.samples for shot in snapshots("".join(texts))] == [shot.samples for shot in snapshots(*texts)]


def test_a_series_that_recurs_within_its_family_begins_no_scrape() -> None:
    text = page(family("vllm:num_requests_running", "gauge", ("", {}, 1.0), ("", {}, 2.0)))
    assert [s.value for s in snapshots(text)[0].values("vllm:num_requests_running")] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [
        ("2027-05-04T13:00:00Z", 1809435600.0),
        ("2027-05-04T15:00:00+02:00", 1809435600.0),
        ("1809435600.25", 1809435600.25),
        ("yesterday", None),
    ],
)
def test_a_comment_may_state_when_a_scrape_was_taken(stamp: str, seconds: float | None) -> None:
    (shot,) = snapshots(page(engines.vllm(STATE), captured_at=stamp))
    assert shot.taken_at_s == seconds


def test_stamped_scrapes_in_one_file_keep_their_own_times() -> None:
    texts = [page(engines.tgi(STATE), captured_at=f"{1000.0 + n}") for n in range(3)]
    assert [shot.taken_at_s for shot in snapshots("".join(texts))] == [1000.0, 1001.0, 1002.0]


def test_samples_may_carry_their_time_in_milliseconds() -> None:
    (shot,) = snapshots("# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 3.0 1809435600250\n")
    assert shot.taken_at_s == 1809435600.25


def test_a_file_says_when_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.prom"
    path.write_text(page(engines.vllm(STATE)))
    os.utime(path, (1000.0, 2000.0))
    found = read_file(path)
    assert isinstance(found, Scrapes)
    assert found.snapshots[0].saved_at_s == 2000.0
    assert found.snapshots[0].process_start_s == 1_800_000_000.0


# --- damage


@given(damaged(EVERYTHING.encode()))
def test_damaged_text_is_read_in_part_or_refused(content: bytes) -> None:
    survives(content)


@given(st.binary(max_size=300))
def test_anything_may_follow_a_type_comment(tail: bytes) -> None:
    survives(b"# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running" + tail)


@pytest.mark.parametrize(
    "line",
    [
        "vllm:a " + "1" * 100_000 + "!",
        "vllm:a" + " " * 100_000 + "x",
        "vllm:a{" + "} " * 50_000,
        'vllm:a{b="' + "\\" * 100_000,
    ],
)
def test_no_line_takes_longer_than_it_is_long(line: str) -> None:
    survives(f"# TYPE vllm:a gauge\n{line}\nvllm:b 1.0\n".encode())
