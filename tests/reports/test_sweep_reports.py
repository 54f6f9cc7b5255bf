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
from diagnose.given import given_by
from diagnose.result import Result
from diagnose.sweep_judging import Seen, judged
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
    """A sweep of an engine that runs ``MOST`` together."""
    plan = Plan(level_s=8.0)
    account = Account(plan)
    driven = Driven(answer=Exchange(), cpu_s=1.25, wall_s=71.5, stopped=changes.get("stopped"))
    driven.endpoint = Endpoint(peer=Peer(address=_address()), model="ours/an-8b")
    now_s = 100.0
    for offered in BATCHES:
        played = Played(
            offered=offered,
            step_s=step_s,
            prompt_s=0.004,
            output_tokens=128,
            most=MOST,
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
    watched = Seen(between=lambda begin_s, end_s: [], origin_s=99.0, overhead=overhead)
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
