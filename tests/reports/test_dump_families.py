"""A job in the shape of every family of dumps: the whole answer, as text and as JSON, character by character."""

from __future__ import annotations

from pathlib import Path

import pytest

from diagnose import analyze
from heuristics.vocabulary import Regime
from tests.golden_files import compare, settled
from tests.make.jobs import JOBS

LEADS = {
    "dump_ncu_details": Regime.MEMORY,
    "dump_ncu_raw": Regime.COMPUTE,
    "dump_kineto_gaps": Regime.LATENCY,
    "dump_kineto_graph": Regime.INCONCLUSIVE,
    "dump_key_averages": Regime.LATENCY,
    "dump_nsys": Regime.LATENCY,
    "dump_kern_sum": Regime.INCONCLUSIVE,
    "dump_dmon_gpm": Regime.MEMORY,
    "dump_query": Regime.COMPUTE,
    "dump_pmon": Regime.INCONCLUSIVE,
    "dump_served": Regime.MEMORY,
}
"""As each job was made; the stored answers can be written anew, these cannot."""


@pytest.fixture(params=JOBS)
def job(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    name: str = request.param
    return name


@pytest.mark.parametrize("suffix", ["txt", "json"])
def test_the_whole_report(job: str, suffix: str, tmp_path: Path) -> None:
    compare(job, suffix, settled(analyze(**JOBS[job](tmp_path))))


def test_the_answer(job: str, tmp_path: Path) -> None:
    verdict = analyze(**JOBS[job](tmp_path)).diagnosis.whole.verdict
    assert verdict is not None
    assert verdict.regime is LEADS[job]


@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_phases_of_an_export_are_judged_apart(phase: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = analyze(**JOBS["dump_nsys"](tmp_path)).to_dict()["phases"][phase]
    assert found["time_fraction"] == pytest.approx(0.5, abs=0.01)
    assert (found["verdict"]["regime"] == "latency") is (phase == "decode")
