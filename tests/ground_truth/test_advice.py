"""Predicted gains against the same changes made to the workloads of ``tests/data/ground_truth``, on an H100.

Each workload was measured as it is and altered in one thing, beside itself. The measurement as it is goes in, and what
comes out is compared with the altered one. No constant of a prediction was chosen from these. Bands are what was found,
rounded up; what falls out of them is listed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from typing import Any

import pytest

from diagnose import analyze
from heuristics.advice import quantise_weights
from heuristics.advice.advice import Action
from heuristics.advice.larger_batch import at_batch
from heuristics.judge import judge
from heuristics.model_shape import ModelShape
from heuristics.whatif import Measured, Outcome, Step, measured_step
from heuristics.work import ModelWork
from tests.ground_truth.answers import CAPTURES
from tests.heuristics.advice.jobs import decode

FOLDER = CAPTURES / "h100"

GRAPHS = [
    "decode-1b-b1-graph",
    "decode-1b-b8-graph",
    "decode-1b-b64-graph",
    "decode-1b-b256-graph",
    "decode-8b-b1-graph",
    "decode-8b-b64-graph",
    "decode-8b-b64-long",
]
"""Decoders without launches in between, which memory binds."""


@cache
def captured() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((FOLDER / "capture.json").read_text(encoding="utf-8"))["workloads"]
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """A workload of capture.json."""

    shape: ModelShape
    batch: float
    context: float
    step_s: float

    @property
    def measured(self) -> Measured:
        case = decode(shape=self.shape, batch=self.batch, context=self.context, step_s=self.step_s)
        found = measured_step(case, judge(case))
        assert isinstance(found, Measured)
        assert found.unexplained is None
        return found


def decoder(name: str) -> Decoder:
    built = captured()[name]["built"]
    config, load = built["config"], built["load"]
    return Decoder(
        shape=ModelShape(
            layers=config["num_hidden_layers"],
            hidden_size=config["hidden_size"],
            heads=config["num_attention_heads"],
            kv_heads=config["num_key_value_heads"],
            head_dim=config["head_dim"],
            intermediate_size=config["intermediate_size"],
            vocab_size=config["vocab_size"],
        ),
        batch=load["batch"],
        context=load["context"],
        step_s=captured()[name]["alone"]["step_s"],
    )


def gained(name: str, what: str) -> float:
    """How many times as fast the altered workload was, against itself beside it."""
    varied = captured()[name]["varied"]["variants"]
    found = next(v for v in varied if v["what"].startswith(what))
    return float(found["beside_s"] / found["step_s"])


def half_weights(step: Step) -> Outcome:
    assert isinstance(step.work, ModelWork)
    return replace(step, work=ModelWork(shape=replace(step.work.shape, weight_bits=8.0))).outcome()


def half_cache(step: Step) -> Outcome:
    return replace(step, work=step.work.with_kv_bits(8.0)).outcome()


@pytest.mark.parametrize("name", GRAPHS)
def test_half_the_cache(name: str) -> None:
    assert decoder(name).measured.predict(half_cache).speedup == pytest.approx(gained(name, "half the cache"), rel=0.09)


@pytest.mark.parametrize("name", GRAPHS)
def test_half_the_weights(name: str) -> None:
    """Small products stream their weights less well once they are smaller yet: 1.20 where 1.42 is predicted."""
    found = decoder(name).measured.predict(half_weights)
    assert found.speedup == pytest.approx(gained(name, "half the weight"), rel=0.19)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_range_of_8_bits_holds_what_half_the_weights_gave(name: str) -> None:
    """The action expects kernels for narrow weights to stream less well, as these did; it leaves the head as it is."""
    found = quantise_weights.predicted(decoder(name).measured, quantise_weights.EIGHT)
    assert found.low <= gained(name, "half the weight") <= 1.01 * found.high


PAIRS = [
    (a, b)
    for a, b in combinations(GRAPHS, 2)
    if a.split("-")[1] == b.split("-")[1] and "256" not in b and "long" not in a + b
]


@pytest.mark.parametrize(("fewer", "more"), PAIRS)
def test_more_sequences(fewer: str, more: str) -> None:
    before, after = decoder(fewer), decoder(more)
    assert before.context == after.context
    found = before.measured.predict(lambda step: at_batch(step, after.batch))
    assert found.speedup == pytest.approx(after.batch / before.batch * before.step_s / after.step_s, rel=0.07)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("decode-1b-b1-eager", "all launches"),
        ("decode-1b-b64-eager", "all launches"),
        ("decode-tiny-eager", "all launches"),
        ("decode-8b-b1-eager", "all launches"),
        ("decode-8b-b8-eager", "all launches"),
        ("spinning-1b", "the host's 5 ms"),
        ("synchronising", "no look"),
    ],
)
def test_a_host_that_no_longer_holds_the_device(name: str, what: str) -> None:
    """From the trace alone: the time in which the device stood dry before late launches is what is gained."""
    advice = {a["action"]: a for a in analyze(FOLDER / name / "trace.json.gz").to_dict()["advice"]}
    found = advice.get(Action.CUDA_GRAPHS) or advice[Action.LESS_HOST_WORK]
    assert found["predicted_speedup"] == pytest.approx(gained(name, what), rel=0.27)
