"""The report of a sweep, whole and in every format: an engine played in virtual time, no clock and no socket."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest

from collectors.load.driver import Driven
from collectors.load.endpoint import Endpoint
from collectors.load.exchange import Exchange, Peer
from collectors.load.figures import figures
from collectors.load.plan import Account, Plan
from collectors.record import Record
from diagnose.given import given_by
from diagnose.result import Result
from diagnose.sweep_judging import Seen, judged
from heuristics.advice.actions import advise
from heuristics.advice.advice import Action
from heuristics.model_shape import ModelShape
from reports import as_markdown, as_text
from tests.golden_files import compare, settled
from tests.make.exchanges import Played
from tests.reports.contract import VERDICT_JSON

SHAPE = ModelShape(
    layers=32, hidden_size=4096, heads=32, kv_heads=8, head_dim=128, intermediate_size=14336, vocab_size=128256
)
BATCHES = (1, 4, 16, 32, 64)
MOST = 32


def step_s(batch: int) -> float:
    """Weights at three quarters of an H100's bandwidth, and a little for each sequence."""
    return 6.2e-3 + 4.0e-5 * batch


def answered(**changes: Any) -> Result:
    """A sweep of an engine that runs ``MOST`` together; ``most``, ``step_s`` and ``batches`` may be changed."""
    plan = Plan(level_s=8.0)
    account = Account(plan)
    driven = Driven(answer=Exchange(), cpu_s=1.25, wall_s=71.5, stopped=changes.get("stopped"))
    driven.endpoint = Endpoint(peer=Peer(address=_address()), model="ours/an-8b")
    now_s = 100.0
    for offered in changes.get("batches", BATCHES):
        played = Played(
            offered=offered,
            step_s=changes.get("step_s", step_s),
            prompt_s=0.004,
            output_tokens=128,
            most=changes.get("most", MOST),
            until_s=8.0,
            now_s=now_s,
            usage=changes.get("usage", True),
        )
        load = played.play()
        now_s = played.now_s + 1.0
        seen = figures(load, 64.0, 0.01)
        assert seen is not None
        driven.levels.append((load, seen))
        for exchange in load.exchanges:
            account.requests += 1
            account.tokens += 64 + len(exchange.token_s)
    for reason in changes.get("failures", ()):
        account.fail(reason)
    overhead = {"t_s": 72.0, "what": "overhead", "cpu_s": 0.2, "wall_s": 72.0, "start_cpu_s": 0.05, "rss_bytes": 6e7}
    between = changes.get("between", lambda begin_s, end_s: [])
    watched = Seen(between=between, origin_s=99.0, overhead=overhead)
    given = given_by("H100", "bf16", None, None, None, SHAPE)
    return Result(judged("http://127.0.0.1:8000", plan, driven, account, watched, given, served="ours/an-8b"))


def _address() -> Any:
    from collectors.load.address import address_of

    return address_of("127.0.0.1:8000")


@pytest.mark.parametrize("suffix", ["txt", "json", "md"])
def test_the_whole_report(suffix: str) -> None:
    compare("sweep", suffix, settled(answered(stopped="of 64 requests at once 32 ran together")))


def test_the_contract() -> None:
    found = json.loads(json.dumps(answered(failures=["HTTP 500"]).to_dict(), allow_nan=False))
    jsonschema.Draft202012Validator(VERDICT_JSON).validate(found)
    levels = found["sweep"]["levels"]
    assert [level["at_once"] for level in levels] == list(BATCHES)
    assert [level["capped"] for level in levels] == [False] * 4 + [True]
    for level in levels:
        assert level["step_s"] == pytest.approx(step_s(round(level["batch"])), rel=0.01)
        assert set(level["phases"]) == {"prefill", "decode"}
    assert found["sweep"]["failures"] == [{"reason": "HTTP 500", "count": 1}]


def test_a_larger_batch_is_advised_only_beyond_what_was_swept() -> None:
    """It is of the fastest level, whose batch ran: nobody is told to run what was run."""
    found = answered(most=1024).to_dict()
    advised = {item["action"]: item for item in found["advice"]}
    assert found["sweep"]["fastest_at_once"] == 64
    assert advised["larger_batch"]["text"].startswith("more at once than the 64 of the largest level swept")
    assert advised["larger_batch"]["figures"]["batch"] == pytest.approx(64.0)
    assert advised["larger_batch"]["figures"]["target_batch"] > 64.0
    assert "which was not swept" in advised["larger_batch"]["assumptions"][0]
    assert found["verdict"]["limits"] == []


@pytest.mark.parametrize(
    ("changes", "fastest", "reason"),
    [
        ({}, 32, "of 64 requests at once 32 ran together"),
        ({"most": 1024, "step_s": lambda batch: 6.2e-3 * max(1.0, batch / 16.0)}, 16, "more gained little"),
        ({"most": 1024, "stopped": "the server's process ended"}, 64, "the server's process ended"),
    ],
)
def test_where_a_larger_batch_was_measured_or_held_back_none_is_advised(
    changes: dict[str, Any], fastest: int, reason: str
) -> None:
    result = answered(**changes)
    found = result.to_dict()
    assert found["sweep"]["fastest_at_once"] == fastest
    assert "larger_batch" not in {item["action"] for item in found["advice"]}
    withheld = {item["action"]: item["reason"] for item in found["advice_withheld"]}
    assert reason in withheld["larger_batch"]
    assert f"fastest: {fastest} at once, " in " ".join(str(result).split())
    assert f"What would help at {fastest} at once" in str(result)
    assert f"### What would help at {fastest} at once" in as_markdown.render(result.diagnosis)


def test_advice_is_that_of_the_fastest_level() -> None:
    """Its figures are the level's, not those of the mean over the levels."""
    found = answered(most=1024)
    sweep = found.diagnosis.sweep
    assert sweep is not None
    assert sweep.fastest.judgement is not None
    of_level, _ = advise(sweep.fastest.judgement, sweep.fastest.phases)
    same = {item.action: item.figures for item in of_level if item.action is not Action.LARGER_BATCH}
    assert same
    assert {a.action: a.figures for a in found.diagnosis.advice if a.action is not Action.LARGER_BATCH} == same


@pytest.mark.parametrize("waiting", [None, 0.0, 0.4, 3.0])
@pytest.mark.parametrize("most", [2, 1024])
def test_a_queue_is_what_the_batch_shows_however_many_were_seen_to_wait(waiting: float | None, most: int) -> None:
    """Too few levels for a fit; how many wait on average is a matter of how long each level took."""

    def scraped(begin_s: float, end_s: float) -> list[Record]:
        gauges = {"vllm:num_requests_running": 1.0, "vllm:num_requests_waiting": waiting}
        samples = [[name, {}, value] for name, value in gauges.items()]
        return [{"what": "scrape", "t_s": t_s, "took_s": 0.01, "samples": samples} for t_s in (begin_s, end_s)]

    engine = {} if waiting is None else {"between": scraped}
    found = answered(batches=(1, 2, 4), most=most, **engine).to_dict()
    every = [found, *found["sweep"]["levels"]]
    held = most == 2
    assert [level["capped"] for level in found["sweep"]["levels"]] == [False, False, held]
    for part, queued in zip(every, (held, False, False, held), strict=True):
        assert ("queue" in part["phases"]["decode"]["verdict"]["limits"]) is queued
        assert "kv_capacity" not in part["verdict"]["limits"]
        assert ("queue" in part["verdict"]["limits"]) is queued


@pytest.mark.parametrize("width", [20, 60, 80, 100])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    text = as_text.render(answered().diagnosis, width=width)
    assert max(map(len, text.splitlines())) <= max(50, width)


def test_the_first_three_sentences_are_the_answer() -> None:
    text = " ".join(str(answered()).split("Load")[0].split())
    assert text.startswith("Decode memory-bound at batch 1")
    assert "1 at once: " in text
    assert "Decoding alone, from batch to batch: 1→4 3.9" in text


def test_markdown_tables_are_tables() -> None:
    text = as_markdown.render(answered().diagnosis)
    blocks = re.findall(r"(?:^\|.*\n)+", text, flags=re.M)
    assert blocks
    assert all(len({line.count("|") for line in block.splitlines()}) == 1 for block in blocks)
