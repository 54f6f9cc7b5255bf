"""Every kind of answer, as JSON, against the contract; and what must hold between its fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.reports.answers import NAMES, answered
from tests.reports.contract import VERDICT_JSON


@pytest.fixture(params=NAMES)
def answer(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, dict[str, Any]]:
    monkeypatch.chdir(tmp_path)
    name: str = request.param
    return name, answered(name, tmp_path).to_dict()


def test_the_contract(answer: tuple[str, dict[str, Any]]) -> None:
    _, found = answer
    jsonschema.Draft202012Validator(VERDICT_JSON).validate(json.loads(json.dumps(found, allow_nan=False)))


def test_between_the_fields(answer: tuple[str, dict[str, Any]]) -> None:
    name, found = answer
    verdict = found["verdict"]
    if verdict["shares"] is None:
        assert verdict["regime"] == "idle"
    else:
        assert sum(verdict["shares"].values()) == pytest.approx(1.0, abs=1e-4)
    inconclusive = verdict["regime"] == "inconclusive"
    assert inconclusive is (found["next_measurement"] is not None)
    assert inconclusive is (verdict["confidence"] < 0.60)
    if verdict["cause"] is not None:
        assert not inconclusive
    if name in ("memory", "compute", "idle"):
        assert verdict["regime"] == name
    signals = [e["signal"] for e in found["evidence"]]
    assert len(signals) == len(set(signals))


def test_several_devices_are_listed_and_averaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = answered("several devices", tmp_path).to_dict()
    assert [d["index"] for d in found["devices"]] == [0, 1, 2]
    assert [d["verdict"]["regime"] for d in found["devices"]] == ["memory", "compute", "memory"]
    for share, value in found["verdict"]["shares"].items():
        assert value == pytest.approx(sum(d["verdict"]["shares"][share] for d in found["devices"]) / 3, abs=1e-5)
