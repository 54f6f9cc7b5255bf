"""The registry of signals: every one listed, every one documented, and each abstains rather than guesses."""

from __future__ import annotations

import pkgutil
from math import isnan
from types import ModuleType

import pytest

from heuristics import signals
from heuristics.case import Case
from heuristics.evidence import Abstention, Evidence
from heuristics.signals import SIGNALS
from tests.heuristics.cases import H100, LLAMA_8B, activity, profile, samples, serving, timeline

HELPERS = {"common"}

WITNESSES = (
    Case(roofs=H100, activity=activity(dram_active=0.8, tensor_active=0.1, sm_active=0.9, engine_active=1.0)),
    Case(roofs=H100, samples=samples(sm=0.5, memory=0.05, power_w=300.0, sm_clock_hz=1.9e9)),
    Case(roofs=H100, timeline=timeline(busy=0.5)),
    Case(roofs=H100, profile=profile({"name": "k", "duration_s": 1e-3, "memory": 0.9, "compute": 0.2, "dram": 0.9})),
    Case(roofs=H100, serving=serving(requests_running=0.0, batch=None, busy=False)),
)


def test_every_signal_is_registered() -> None:
    there = {m.name for m in pkgutil.iter_modules(signals.__path__)} - HELPERS
    listed = {m.__name__.rsplit(".", 1)[-1] for m in SIGNALS}
    missing = there - listed
    assert not missing, f"add to heuristics.signals.SIGNALS: {', '.join(sorted(missing))}"


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda m: m.__name__.rsplit(".", 1)[-1])
def test_every_signal_says_what_it_sees_and_what_it_does_not(signal: ModuleType) -> None:
    text = signal.__doc__ or ""
    headings = ("What it looks at:", "What it bounds and why:", "Blind spots:", "Example:")
    places = [text.find(h) for h in headings]
    assert min(places) > 0
    assert places == sorted(places)
    assert signal.__name__.rsplit(".", 1)[-1] == signal.NAME


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda m: m.__name__.rsplit(".", 1)[-1])
def test_every_signal_abstains_from_an_empty_case_with_a_reason(signal: ModuleType) -> None:
    found = signal.weigh(Case())
    assert isinstance(found, Abstention)
    assert len(found.reason) > 10


@pytest.mark.parametrize("case", WITNESSES)
def test_what_is_found_comes_with_numbers_and_a_sentence_that_uses_them(case: Case) -> None:
    found = [f for f in (s.weigh(case) for s in SIGNALS) if isinstance(f, Evidence)]
    assert found
    for item in found:
        assert item.sentence
        assert not any(isnan(value) for value in item.measured.values())


def test_a_model_without_a_load_is_not_weighed() -> None:
    found = [s.weigh(Case(roofs=H100, model=LLAMA_8B)) for s in SIGNALS]
    assert all(isinstance(f, Abstention) for f in found)
