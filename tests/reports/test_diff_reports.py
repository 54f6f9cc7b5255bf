"""What moved between real dumps: the whole report, character by character, and what each must say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from diagnose import DiffResult, analyze, diff
from heuristics.regression.moved import Kind, Presence
from heuristics.vocabulary import Regime, Share
from reports import diff_json, diff_markdown, diff_text
from tests.golden_files import compare_text
from tests.heuristics.regression.verdicts import kernel, moved, verdict
from tests.make.before_after import served, trace
from tests.make.jobs import JOBS
from tests.reports.contract import NUMBER, TEXT, listed, nullable, record


def launches(folder: Path) -> DiffResult:
    """Twice the kernels a step, as far apart."""
    trace(folder / "monday.json")
    return diff("monday.json", trace(folder / "tuesday.json", kernels=40, added="vectorized_elementwise_kernel").name)


def slower_host(folder: Path) -> DiffResult:
    """The same kernels, farther apart."""
    trace(folder / "monday.json")
    return diff("monday.json", trace(folder / "tuesday.json", apart_ns=20_000).name)


def another_batch(folder: Path) -> DiffResult:
    """The same server under twice the batch."""
    sides = [served(folder, "eight", step_s=7.8e-3, batch=8.0), served(folder, "sixteen", step_s=9.4e-3, batch=16.0)]
    return diff(*(analyze(**side) for side in sides))


def other_kernels(folder: Path) -> DiffResult:
    """Two captures that have nothing in common but the tool."""
    JOBS["dump_ncu_details"](folder)
    JOBS["dump_ncu_raw"](folder)
    return diff("details.csv", "raw.csv")


def without_times(folder: Path) -> DiffResult:
    """Counters of the hardware alone, and a log of a board."""
    JOBS["dump_query"](folder)
    sides = [JOBS["dump_dmon_gpm"](folder)["files"][0], "query.csv"]
    return diff(*sides, gpu="H100 SXM5")


def nothing(folder: Path) -> DiffResult:
    """A dump and itself."""
    trace(folder / "monday.json")
    return diff("monday.json", "monday.json")


PAIRS: dict[str, Callable[[Path], DiffResult]] = {
    "diff_launches": launches,
    "diff_slower_host": slower_host,
    "diff_another_batch": another_batch,
    "diff_other_kernels": other_kernels,
    "diff_without_times": without_times,
    "diff_nothing": nothing,
}


@pytest.fixture(params=PAIRS)
def pair(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    name: str = request.param
    return name


CHANGE = record(
    {
        "name": TEXT,
        "unit": TEXT,
        "before": nullable(NUMBER),
        "after": nullable(NUMBER),
        "change": nullable(NUMBER),
        "relative": nullable(NUMBER),
        "noise": NUMBER,
        "unchanged": {"type": "boolean"},
    }
)
ANSWER = {"regime": nullable(TEXT), "cause": nullable(TEXT), "confidence": nullable(NUMBER)}
ROW = record({"name": TEXT, "presence": TEXT, "change_s": NUMBER, "before_s": nullable(NUMBER)})
ROWS = record(
    {
        "measure": {"enum": ["step", "recording", "roof"]},
        "total": CHANGE,
        "moved": {"maxItems": 10} | listed(ROW),
        "rest": record({"rows": {"type": "integer"}, "change_s": NUMBER}),
    }
)
DIFF_JSON = record(
    {
        "schema": {"const": "diagnose.diff/1"},
        "tool_version": TEXT,
        "before": record({"name": TEXT} | ANSWER),
        "after": record({"name": TEXT} | ANSWER),
        "summary": {"minItems": 1} | listed(TEXT),
        "same_job": {"type": "boolean"},
        "nothing_moved": {"type": "boolean"},
        "basis": nullable({"enum": ["step", "output_token", "token", "kernels", "recording"]}),
        "time": nullable(CHANGE),
        "split": {"maxItems": 3} | listed(CHANGE),
        "split_certainty": {"enum": ["sure", "likely", "open"]},
        "figures": listed(CHANGE),
        "kernels": nullable(ROWS),
        "operations": nullable(ROWS),
        "circumstances": listed(record({"name": TEXT, "group": {"enum": ["load", "setup", "device", "host"]}})),
        "reasons": listed(record({"kind": {"enum": [kind.value for kind in Kind]}, "text": TEXT})),
        "notes": listed(TEXT),
    }
)


def test_the_whole_report(pair: str, tmp_path: Path) -> None:
    found = PAIRS[pair](tmp_path)
    compare_text(pair, "txt", diff_text.render(found.moved))
    compare_text(pair, "md", diff_markdown.render(found.moved, "0.0.0"))
    compare_text(pair, "json", diff_json.render(found.moved, "0.0.0"))
    jsonschema.Draft202012Validator(DIFF_JSON).validate(found.to_dict())
    assert max(map(len, str(found).splitlines())) <= 80
    assert len(found.brief()) <= 8


def test_every_field_is_explained() -> None:
    page = (Path(__file__).parents[2] / "docs" / "diff.md").read_text(encoding="utf-8")
    found = diff_json.to_dict(moved(verdict(), verdict()), "0")
    explained = set(re.findall(r"`(\w+)(?:\[\])?`", page))
    assert set(found) - {"schema", "tool_version"} <= explained
    assert {kind.value for kind in Presence} <= explained


def test_more_launches_are_latency_and_the_new_kernel_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = launches(tmp_path).moved
    assert found.leading is not None
    assert found.leading.name == Share.LATENCY
    first = found.reasons[0]
    assert (first.kind, first.figures) == (Kind.LAUNCHES, {"before": 20.0, "after": 40.0})
    assert found.kernels is not None
    (row,) = found.kernels.rows
    assert (row.name, row.presence) == ("vectorized_elementwise_kernel", Presence.NEW)
    assert row.moved_s == pytest.approx(20 * 4e-6)


def test_a_slower_host_moves_idle_time_and_no_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = slower_host(tmp_path).moved
    assert found.kernels is not None
    assert not found.kernels.rows
    busy, idle = found.whole.device
    assert busy.unchanged
    assert idle.by == pytest.approx(20 * 7e-6, rel=0.05)
    assert all(reason.kind is not Kind.LAUNCHES for reason in found.reasons)


def test_a_larger_batch_is_another_load_and_not_slower_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = another_batch(tmp_path)
    assert str(found).startswith("Another load, batch 8 → 16: 9.4 ms a step")
    assert "Slower" not in str(found)
    assert found.moved.reasons[0].kind is Kind.KV_CACHE


def test_other_subjects_come_first() -> None:
    found = moved(verdict(), verdict(step_s=0.02, environment={"gpu": "NVIDIA A100"}))
    lines = diff_text.render(found).splitlines()
    assert lines[0] == "Not the same job: device NVIDIA H100 80GB HBM3 → NVIDIA A100"
    assert lines[1].startswith("Slower: 20 ms a step, 10 ms before (+10 ms, +100 %)")


def test_uncertain_shares_are_said_to_be_uncertain() -> None:
    found = moved(verdict(), verdict(step_s=0.02, regime="inconclusive", confidence=0.5, shares=(0.3, 0.2, 0.5)))
    assert "Where it went is not settled (now inconclusive); estimated: " in diff_text.render(found)
    likely = moved(verdict(confidence=0.7), verdict(step_s=0.02, shares=(0.3, 0.1, 0.6), regime="latency"))
    assert diff_text.render(likely).splitlines()[1].startswith("Likely 9 of 10 ms are latency")


def test_another_instrument_is_told_before_the_numbers() -> None:
    ncu = verdict(step_s=0.02, subject={"files": [{"path": "a.csv", "kind": "Nsight Compute CSV"}]})
    text = diff_text.render(moved(verdict(), ncu))
    assert text.startswith("Not measured the same way: watching → Nsight Compute CSV")


def test_a_busy_host_is_told() -> None:
    calm, busy = ({"host_wait_fraction": waited} for waited in (0.02, 0.6))
    told = "the host was busy: threads waited for a CPU up to 60 %"
    assert told in diff_text.render(moved(verdict(**calm), verdict(step_s=0.02, **busy)))
    assert "the host was busy" not in diff_text.render(moved(verdict(**calm), verdict(step_s=0.02, **calm)))


def test_a_flip_is_told_with_both_confidences() -> None:
    found = moved(verdict(), verdict(step_s=0.02, regime="latency", shares=(0.3, 0.1, 0.6), confidence=0.88))
    assert found.whole.regime_flip
    assert "Memory-bound (95 %) → latency-bound (88 %)" in diff_text.render(found)
    assert found.whole.after.regime is Regime.LATENCY


def test_at_most_ten_kernels_are_told_and_the_rest_summed() -> None:
    before = verdict(rows=[kernel(f"k{n}", 0.001) for n in range(20)])
    after = verdict(rows=[kernel(f"k{n}", 0.001 + 0.001 * n) for n in range(20)])
    text = diff_text.render(moved(before, after))
    assert [name for name in (f"k{n}" for n in range(20)) if f"  {name}\n" in text] == [f"k{n}" for n in range(10, 20)]
    assert re.search(r"\+45 ms +10 more\n", text), "0 to 9 ms more each"
    assert re.search(r"\+190 ms +all\n", text)


def test_long_names_are_cut_and_what_is_said_of_them_is_not() -> None:
    found = moved(verdict(rows=[kernel("a", 0.1)]), verdict(rows=[kernel("x" * 300, 0.1), kernel("a", 0.1)]))
    (line,) = [line for line in diff_text.render(found, width=60).splitlines() if "xx" in line and "…" in line]
    assert len(line) <= 60
    assert line.endswith("…  new")


def test_colour_is_only_where_it_is_asked_for() -> None:
    found = moved(verdict(), verdict(step_s=0.02))
    plain, painted = diff_text.render(found), diff_text.render(found, colour=True)
    assert "\033" not in plain
    assert painted.startswith("\033[1mSlower\033[0m: ")


def test_names_from_outside_cannot_steer_a_terminal() -> None:
    found = moved(
        verdict(rows=[kernel("a", 0.1)]), verdict(rows=[kernel("\033[2J{x:y}|", 0.2)], environment={"gpu": "\a"})
    )
    found = replace(found, before="\033]0;title\a")
    for text in (diff_text.render(found), diff_markdown.render(found, "0"), "\n".join(diff_text.brief(found))):
        assert "\033" not in text
        assert "\a" not in text
    assert json.loads(diff_json.render(found, "0"))["kernels"]["moved"][0]["name"] == "\033[2J{x:y}|"
