"""Advice and rankings as a user meets them: through the façade, in every format, and nowhere without ground."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from diagnose import Result, roofline
from heuristics.gpus import part_named
from reports import as_markdown, as_text
from tests.diagnose.command import run
from tests.reports.answers import answered
from tests.reports.contract import VERDICT_JSON

LLAMA_8B: dict[str, Any] = {
    "layers": 32,
    "heads": 32,
    "kv_heads": 8,
    "head_dim": 128,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "vocab_size": 128256,
}


def asked(**options: Any) -> Result:
    found = roofline(**options)
    assert isinstance(found, Result)
    return found


def advised(**options: Any) -> dict[str, dict[str, Any]]:
    found = asked(**options).to_dict()
    jsonschema.validate(found, VERDICT_JSON)
    return {item["action"]: item for item in found["advice"]}


def test_a_measured_speed_brings_advice_with_what_binds_next_and_what_is_assumed() -> None:
    found = advised(gpu="H100", batch=4, context=1000, tokens_per_s=550, **LLAMA_8B)
    assert {"larger_batch", "speculative_decoding", "quantise_weights"} <= set(found)
    assert all(item["assumptions"] and item["then_bound_by"] == "memory" for item in found.values())
    assert found["more_tensor_parallelism"]["devices_factor"] == 2


def test_without_a_speed_there_is_none() -> None:
    assert advised(gpu="H100", **LLAMA_8B) == {}


@pytest.mark.parametrize(
    "options",
    [
        {"gpu": "H100", "params": 7e9, "tokens_per_s": 300},
        {"gpu": "H100", "params": 7e9, "weight_bits": 4, "batch": 32, "tokens_per_s": 5000},
    ],
    ids=["above the roof", "undecided"],
)
def test_a_verdict_that_decides_nothing_advises_nothing(options: dict[str, Any]) -> None:
    found = asked(**options)
    assert found.to_dict()["advice"] == []
    assert "What would help" not in str(found)


def test_a_batch_that_memory_caps_is_not_raised_beyond_it() -> None:
    found = advised(gpu="H100", batch=8, context=8000, tokens_per_s=900, **LLAMA_8B)
    assert found["larger_batch"]["figures"]["target_batch"] == 60
    full = asked(gpu="H100", batch=64, context=8000, tokens_per_s=2000, **LLAMA_8B).to_dict()
    assert "larger_batch" not in {item["action"] for item in full["advice"]}
    assert "larger_batch" in {item["action"] for item in full["advice_withheld"]}


@pytest.mark.parametrize("width", [50, 80, 100])
def test_the_report_says_it_in_at_most_five_items_that_fit_the_terminal(width: int) -> None:
    diagnosis = asked(gpu="A100", batch=2, context=1000, tokens_per_s=150, **LLAMA_8B).diagnosis
    text = as_text.render(diagnosis, width=width)
    section = text.split("What would help\n")[1].split("\n\n")[0].splitlines()
    items = [line for line in section if re.match(r"  \S", line)]
    assert 1 <= len(items) <= 5
    assert all(len(line) <= width for line in section)
    gains = [float(re.match(r"  ([\d.]+)x", line)[1]) for line in items]  # type: ignore[index]
    assert gains == sorted(gains, reverse=True)
    assert text.index("What would help") < text.index("Job\n")
    assert "### What would help" in as_markdown.render(diagnosis)


def test_on_a_cpu_nothing_of_gpus_is_advised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = answered("the sample", tmp_path).to_dict()
    assert {item["action"] for item in found["advice"]} == {"larger_batch", "quantise_weights"}
    assert "fewer replicas" in found["advice"][0]["text"]


@pytest.mark.parametrize("name", ["idle", "inconclusive"])
def test_dumps_that_decide_nothing_bring_none(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert answered(name, tmp_path).to_dict()["advice"] == []


PRICED: dict[str, Any] = {"gpu": ["H100", "H200"], "params": 7e9, "price": ["H100=2.50", "H200=3.50"]}


def test_37_the_flip_by_cost_is_told_at_211() -> None:
    found = asked(**PRICED).to_dict()["ranking"]
    flips = {(f["by"], f["at_roof"]): f for f in found["flips"]}
    assert flips["cost", True]["batch"] == pytest.approx(211, abs=0.6)
    assert flips["cost", True]["leader_above"] == part_named("H100").name
    assert flips["speed", True]["leader_above"] is None
    text = str(asked(**PRICED))
    assert re.search(r"cheaper below a batch of \d+ \(211 at the roof\)", text)
    assert text.count("*") >= 6


def test_the_order_of_the_devices_changes_no_answer() -> None:
    turned = PRICED | {"gpu": ["H200", "H100"], "price": PRICED["price"][::-1]}
    first, second = (asked(**options).to_dict() for options in (PRICED, turned))
    assert first["ranking"] == second["ranking"]
    assert first["candidates"] == second["candidates"]


def test_one_device_has_costs_and_no_flips() -> None:
    found = asked(gpu="H100", params=7e9, price="H100=2.50").to_dict()["ranking"]
    assert found["flips"] == []
    assert {o["gpu"] for o in found["by_batch"]} == {"H100 SXM5"}


def test_without_prices_and_alone_there_is_no_ranking() -> None:
    assert "ranking" not in asked(gpu="H100", params=7e9).to_dict()


def test_the_command_has_the_ranking_too() -> None:
    named, priced = ("--gpu=H100", "--gpu=H200"), ("--price=H100=2.50", "--price=H200=3.50")
    done = run("roofline", "--params=7e9", "--format=json", *named, *priced)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ranking"]["flips"]
