"""The section on batch doubling in whole reports of every format."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from heuristics.batch_fit import fit_batches
from heuristics.batch_shape import BatchFit
from heuristics.operations import Phase
from heuristics.verdict import Diagnosis, PhaseJudgement
from reports import as_json, as_markdown, as_text
from tests.heuristics.batch_simulator import FAMILIES
from tests.heuristics.test_batch_fit import curve
from tests.reports.answers import answered
from tests.reports.contract import VERDICT_JSON

NARROW, USUAL, WIDE = 50, 80, 100


def fitted(name: str) -> BatchFit:
    if name == "two doublings":
        return fit_batches(curve(np.array([1.0, 2.0, 4.0]), np.array([0.01, 0.011, 0.013])))
    return fit_batches(FAMILIES[name](np.random.default_rng(4)).curve)


@pytest.fixture(params=["kernel switch", "all at once", "experts", "contexts that differ", "two doublings"])
def told(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Diagnosis:
    monkeypatch.chdir(tmp_path)
    diagnosis = answered("memory", tmp_path).diagnosis
    return replace(diagnosis, whole=replace(diagnosis.whole, batch_fit=fitted(request.param)))


def test_the_contract(told: Diagnosis) -> None:
    found = as_json.to_dict(told)
    jsonschema.Draft202012Validator(VERDICT_JSON).validate(json.loads(json.dumps(found, allow_nan=False)))
    doubling = found["batch_doubling"]
    assert (doubling["parts"] is None) == (doubling["reason"] is not None)
    batches = [level["batch"] for level in doubling["levels"]]
    assert batches == sorted(batches)


@pytest.mark.parametrize("width", [NARROW, USUAL, WIDE])
def test_no_line_is_wider_than_the_terminal(told: Diagnosis, width: int) -> None:
    text = as_text.render(told, width=width)
    assert "\nBatch doubling\n" in text
    assert max(map(len, text.splitlines())) <= width


def test_markdown_has_the_same_figures(told: Diagnosis) -> None:
    text = as_markdown.render(told)
    assert "### Batch doubling\n" in text
    assert told.batch_fit is not None
    for level in told.batch_fit.levels:
        assert f"{level.step_s * 1e3:.3g} ms" in text or f"{level.step_s * 1e6:.3g} µs" in text


def test_decode_tells_it_where_the_whole_does_not(told: Diagnosis) -> None:
    part = PhaseJudgement(judgement=told.whole)
    apart = replace(told, whole=replace(told.whole, batch_fit=None), phases={Phase.DECODE: part})
    assert apart.batch_fit is told.batch_fit
    assert replace(apart, phases={}).batch_fit is None


def test_a_batch_that_hardly_varied_is_no_section(told: Diagnosis) -> None:
    still = fit_batches(curve(np.array([7.8, 7.9, 8.0, 8.1]), np.full(4, 0.01)))
    assert "Batch doubling" not in as_text.render(replace(told, whole=replace(told.whole, batch_fit=still)))


def test_nothing_is_said_without_a_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    diagnosis = answered("memory", tmp_path).diagnosis
    assert "Batch doubling" not in as_text.render(diagnosis)
    assert "batch_doubling" not in as_json.to_dict(diagnosis)
