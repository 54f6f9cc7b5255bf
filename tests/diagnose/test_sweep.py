"""``diagnose sweep`` on a server of known costs: levels, batches, latencies and verdicts; as a process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from diagnose import DiagnoseError, sweep
from tests.diagnose.command import run
from tests.diagnose.side_by_side import Begun, SideBySide
from tests.make.batching import Costs, batching
from tests.make.configs import PLAIN
from tests.reports.contract import VERDICT_JSON

CONTRACT = jsonschema.Draft202012Validator(VERDICT_JSON)
WEIGHTS_BYTES = 68.9e6
"""What a step of the plain configuration reads, about."""
SHORT: dict[str, Any] = {"level_seconds": 0.6, "output_tokens": 24, "max_seconds": 60}

side_by_side = SideBySide(3)


@pytest.fixture(scope="module")
def begun(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun]:
    """The tests that are decorated, at work; a key stands in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUR_KEY", "sesame-opens")
        with side_by_side.begun(request, tmp_path_factory) as futures:
            yield futures


def swept(url: str, **options: Any) -> dict[str, Any]:
    """The verdict's JSON, which keeps the contract."""
    found: dict[str, Any] = json.loads(json.dumps(sweep(url, **{**SHORT, **options}).to_dict(), allow_nan=False))
    CONTRACT.validate(found)
    return found


@side_by_side
def test_levels_batches_and_verdicts_come_out(folder: Path) -> None:
    """Weights of the model in 40 ms are 85 % of the bandwidth: memory, at every batch, also in a step of 50 ms."""
    fixed_s = 0.04
    (folder / "config.json").write_text(json.dumps(PLAIN), encoding="utf-8")
    told: list[str] = []
    with batching(Costs(fixed_s=fixed_s)) as (engine, url):
        found = swept(
            url,
            batches=[1, 2, 4, 8],
            model=folder,
            bandwidth_gb_s=WEIGHTS_BYTES / fixed_s / 0.85 / 1e9,
            tflops=1.0,
            dtype="bf16",
            tell=told.append,
        )
        assert engine.most_together == 8
        assert len(engine.posts) == found["sweep"]["requests"]
    levels = found["sweep"]["levels"]
    assert [level["at_once"] for level in levels] == [1, 2, 4, 8]
    assert [level["batch"] for level in levels] == pytest.approx([1.0, 2.0, 4.0, 8.0])
    for level in levels:
        assert level["step_s"] >= 0.95 * fixed_s, "a client on a busy machine may see a first token late"
        assert level["inter_token_latency_s"]["p50"] >= 0.9 * fixed_s
        assert level["time_to_first_token_s"]["count"] >= level["at_once"]
        assert level["tokens_per_event"] == pytest.approx(1.0)
        assert level["phases"]["decode"]["measured"]["batch"] == pytest.approx(level["batch"])
        assert level["phases"]["decode"]["verdict"]["regime"] == "memory"
        assert not level["capped"]
    assert found["verdict"]["regime"] == "memory"
    assert found["subject"]["engine"] == "vLLM"
    assert found["subject"]["workload"] == "sweep 1,2,4,8 x (64 + 24 tokens)"
    assert set(found["samples"]) == {"time_per_output_token_s", "time_to_first_token_s", "tokens_per_s"}
    assert found["samples"]["time_per_output_token_s"][0] >= 0.95 * fixed_s
    assert {"time_per_output_token_s", "time_to_first_token_s", "tokens_per_s"} <= set(found["measured"])
    assert found["sweep"]["prompt_tokens"] == 64
    assert found["sweep"]["client_cpu_s"] > 0.0
    assert "Load to be sent to" in told[0]
    assert sum("at once:" in line for line in told) == 4
    assert {post["model"] for post in engine.posts} == {"ours/tiny-7b"}
    assert all(post["ignore_eos"] and post["stream"] for post in engine.posts)
    assert [post["max_tokens"] for post in engine.posts] == [16, *[24] * (len(engine.posts) - 1)]
    assert len({post["prompt"] for post in engine.posts}) == len(engine.posts)
    assert set(engine.gets) <= {"/v1/models", "/metrics", "/version"}


@side_by_side
def test_an_engine_that_runs_fewer_together(folder: Path) -> None:
    with batching(Costs(fixed_s=0.01, most=2)) as (engine, url):
        found = swept(url, batches="1,2,4,8,16")
        assert engine.most_together == 2
    levels = found["sweep"]["levels"]
    assert [level["at_once"] for level in levels] == [1, 2, 4]
    assert levels[-1]["batch"] == pytest.approx(2.0)
    assert levels[-1]["capped"]
    assert "of 4 requests at once 2 ran together" in found["sweep"]["ended_early"]
    assert "queue" in found["verdict"]["limits"]
    assert "kv_capacity" not in found["verdict"]["limits"]


@side_by_side
def test_requests_that_wait_for_their_first_step_are_no_queue(folder: Path) -> None:
    """While a level's prompts are taken in one after another, the engine says that the others wait."""
    with batching(Costs(fixed_s=0.02)) as (_, url):
        found = swept(url, batches="1,16", output_tokens=32)
    assert not any(level["capped"] for level in found["sweep"]["levels"])
    assert "queue" not in found["verdict"]["limits"]
    assert all("queue" not in part["verdict"]["limits"] for part in found["phases"].values())


@side_by_side
def test_chat_where_there_are_no_completions_and_no_more_than_is_understood(folder: Path) -> None:
    costs = Costs(
        fixed_s=0.01, absent=("/v1/completions",), refuses=("ignore_eos",), metrics=False, tokens_a_word=2, a_chunk=4
    )
    with batching(costs) as (engine, url):
        found = swept(url, batches="1,2")
        assert all("messages" in post for post in engine.posts[1:])
        assert all("ignore_eos" not in post for post in engine.posts[2:])
    levels = found["sweep"]["levels"]
    assert [level["batch"] for level in levels] == pytest.approx([1.0, 2.0])
    assert [level["tokens_per_event"] for level in levels] == pytest.approx([4.0, 4.0])
    assert found["sweep"]["prompt_tokens"] == 64, "the number of words was learnt"
    warned = " ".join(found["warnings"])
    assert "the client's count of the streams that decode" in warned
    assert "an event holds 4 tokens" in warned
    assert {level["batch_source"] for level in levels} == {"the client's count of streams that decode"}


@side_by_side
def test_no_usage_and_short_answers_are_told(folder: Path) -> None:
    with batching(Costs(fixed_s=0.01, usage=False, owner="somebody")) as (_, url):
        warned = " ".join(swept(url, batches="1")["warnings"])
    assert "does not count tokens" in warned
    with batching(Costs(fixed_s=0.01, shorter=8)) as (_, url):
        warned = " ".join(swept(url, batches="1", output_tokens=64)["warnings"])
    assert "answers ended after 8 tokens, 64 were asked for" in warned


@side_by_side
def test_a_key_is_sent_where_it_was_named(folder: Path) -> None:
    with batching(Costs(fixed_s=0.01)) as (engine, url):
        text = str(sweep(url, batches="1", api_key_env="OUR_KEY", **SHORT))
        assert {headers.get("Authorization") for headers in engine.headers} == {"Bearer sesame-opens"}
    assert "sesame" not in text
    with batching(Costs(fixed_s=0.01)) as (engine, url):
        sweep(url, batches="1", **SHORT)
        assert {headers.get("Authorization") for headers in engine.headers} == {None}


@side_by_side
def test_a_key_is_not_sent_to_the_metrics_of_another_server(folder: Path) -> None:
    """Theirs are asked without it, and that is said; the server's own get it."""
    told: list[str] = []
    options: dict[str, Any] = {**SHORT, "batches": "1", "api_key_env": "OUR_KEY", "tell": told.append}
    with batching(Costs(fixed_s=0.01)) as (engine, url), batching() as (other, elsewhere):
        sweep(url, metrics_url=f"{elsewhere}/metrics", **options)
        assert "/metrics" in other.gets
        assert {headers.get("Authorization") for headers in other.asked} == {None}
        assert {headers.get("Authorization") for headers in engine.headers} == {"Bearer sesame-opens"}
        assert any("not to the metrics of" in line for line in told)
        engine.asked.clear()
        told.clear()
        sweep(url, metrics_url=f"{url}/metrics", **options)
        assert {headers.get("Authorization") for headers in engine.asked} == {"Bearer sesame-opens"}
        assert not any("not to the metrics of" in line for line in told)


def test_what_makes_no_sense() -> None:
    for target, options in (
        ("nonsense://x", {}),
        ("http://127.0.0.1:1/v1?api-version=1", {}),
        ("http://127.0.0.1:1", {"batches": "4,2"}),
        ("http://127.0.0.1:1", {"level_seconds": "-1"}),
        ("http://127.0.0.1:1", {"max_requests": "1"}),
        ("http://127.0.0.1:1", {"api_key_env": "NOT_SET_AT_ALL"}),
    ):
        with pytest.raises(DiagnoseError) as caught:
            sweep(target, **options)
        assert caught.value.hint


@side_by_side
def test_the_command_says_what_it_sends_and_watches_the_process(folder: Path) -> None:
    """The server is in this process, and the command finds it from the address."""
    with batching(Costs(fixed_s=0.02)) as (engine, url):
        dry = run("sweep", url, "--dry-run", "--batches", "1,2")
        assert dry.returncode == 0
        assert b"Nothing was sent." in dry.stdout
        assert (engine.posts, engine.gets) == ([], [])
        options = ("--batches", "1,2,4", "--level-seconds", "0.6", "--output-tokens", "24")
        done = run("sweep", url, *options, "--format", "json")
        assert done.returncode == 0, done.stderr
        sent = len(engine.posts)
    found = json.loads(done.stdout)
    CONTRACT.validate(found)
    assert found["sweep"]["requests"] == sent
    assert [level["batch"] for level in found["sweep"]["levels"]] == pytest.approx([1.0, 2.0, 4.0])
    assert found["subject"]["pid"]
    assert "host" in found["sources"]
    assert b"Load to be sent to" in done.stderr
    assert b"2 at once:" in done.stderr
    assert b"Traceback" not in done.stderr


@side_by_side
def test_the_command_on_a_server_that_is_not_there_or_broken(folder: Path) -> None:
    gone = run("sweep", "http://127.0.0.1:9", "--batches", "1")
    assert gone.returncode == 2
    assert b"Error: " in gone.stderr
    assert b"Hint: " in gone.stderr
    assert b"Traceback" not in gone.stderr
    with batching(Costs(fails_after=0)) as (engine, url):
        broken = run("sweep", url)
        assert len(engine.posts) == 1
    assert broken.returncode == 2
    assert b"HTTP 500: out of memory" in broken.stderr
    assert broken.stdout == b""
