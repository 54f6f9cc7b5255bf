"""``diagnose sweep`` against servers that do something wrong: clear words, and no more requests than were said."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

import pytest

from collectors.load.plan import FAILURES
from diagnose import DiagnoseError, sweep
from tests.make.batching import Costs, batching
from tests.make.faulty import EVENTS, TOKEN, Speak, answer, chunk, event, faulty, for_ever, saying, then_silence

SHORT_S = 0.4
QUICK = {"batches": "1,2", "level_seconds": 0.5, "output_tokens": 16, "timeout": SHORT_S, "max_seconds": 20}


@dataclass(frozen=True)
class Fault:
    """What the server does, what is said of it, and how many completions it is asked for at most."""

    speak: Speak
    says: str
    posts: int = 1
    hints: str = ""


ERROR = b'{"error": {"message": "CUDA out of memory", "code": 500}}'
DONE = chunk(b"data: [DONE]\n\n") + chunk(b"")

FAULTS = {
    "500": Fault(saying(answer("500 Internal Server Error", ERROR)), "HTTP 500: CUDA out of memory"),
    "503 in HTML": Fault(saying(answer("503 Busy", b"<h1>no</h1>", "text/html")), "HTTP 503"),
    "429": Fault(saying(answer("429 Too Many Requests", b"{}", more="Retry-After: 1\r\n")), "too much (HTTP 429)"),
    "401": Fault(saying(answer("401 Unauthorized", b"{}")), "wants a credential", hints="--api-key-env"),
    "400": Fault(saying(answer("400 Bad Request", b'{"message": "no such model"}')), "no such model", posts=4),
    "404": Fault(saying(answer("404 Not Found", b"")), "HTTP 404", posts=2),
    "redirect": Fault(
        saying(answer("307 Temporary Redirect", b"", more="Location: http://elsewhere.example/\r\n")),
        "redirects to http://elsewhere.example/, which is not followed",
    ),
    "a page": Fault(saying(answer("200 OK", b"<html>", "text/html")), "answers with text/html, not with a stream"),
    "no stream": Fault(saying(answer("200 OK", b'{"choices": []}')), "answers with application/json"),
    "silence": Fault(then_silence(), "no token came for 0.4 s", hints="--timeout"),
    "a head, then silence": Fault(then_silence(EVENTS), "no token came for 0.4 s"),
    "half a head, then silence": Fault(then_silence(EVENTS[:20]), "no token came for 0.4 s"),
    "an error without its words": Fault(
        then_silence(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 50\r\n\r\n"), "HTTP 502"
    ),
    "silence between tokens": Fault(then_silence(EVENTS, TOKEN, TOKEN), "no further token came for 0.4 s"),
    "only comments": Fault(for_ever(EVENTS, chunk(b": ping\n\n"), 0.05), "no token came for 0.4 s"),
    "closed at once": Fault(saying(), "closed the connection"),
    "closed in a chunk": Fault(saying(EVENTS, TOKEN, b"ff\r\ndata:"), "in the middle of its answer"),
    "closed after a token": Fault(saying(EVENTS, TOKEN), "in the middle of its answer"),
    "ended without an end": Fault(saying(EVENTS, TOKEN, chunk(b"")), "broke an answer off"),
    "ended without a token": Fault(saying(EVENTS, DONE), "ended an answer without a token"),
    "an error in the stream": Fault(
        saying(EVENTS, TOKEN, event(error={"message": "engine died"}), DONE), "says in its stream: engine died"
    ),
    "no JSON": Fault(saying(EVENTS, chunk(b"data: hello\n\n"), DONE), "something else than completions"),
    "noise": Fault(saying(b"\x00\x01\x02\x03\x04\x05" * 100), "does not answer in HTTP", hints="https"),
    "bad chunks": Fault(saying(EVENTS, b"not-a-size\r\n"), "breaks its own chunks"),
    "a line without end": Fault(for_ever(EVENTS, chunk(b"x" * 60_000)), "more than a megabyte"),
    "bytes without end": Fault(for_ever(EVENTS, chunk(b": " + b"x" * 60_000 + b"\n")), "without end"),
    "tokens without end": Fault(for_ever(EVENTS, TOKEN * 20), "more tokens than were asked for"),
    "a head without end": Fault(for_ever(b"HTTP/1.1 200 OK\r\n", b"X: " + b"y" * 9000 + b"\r\n"), "HTTP"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_is_said_after_few_requests(name: str) -> None:
    fault = FAULTS[name]
    with faulty(fault.speak) as server:
        with pytest.raises(DiagnoseError) as caught:
            sweep(server.url, **QUICK)
        assert len(server.posts) <= fault.posts
        assert server.gets == ["/v1/models"]
        _closed(server)
    assert fault.says in str(caught.value)
    assert server.url in str(caught.value)
    assert caught.value.hint
    assert fault.hints in caught.value.hint


def _closed(server: object) -> None:
    until_s = time.monotonic() + 10.0
    while server.open:  # type: ignore[attr-defined]
        assert time.monotonic() < until_s, "a connection stayed open"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("models", "says"),
    [(b"<html>", "lists no model"), (b'{"data": []}', "lists no model"), (b"[" * 100_000, "lists no model")],
)
def test_lists_that_are_none(models: bytes, says: str) -> None:
    with faulty(saying(), models) as server:
        with pytest.raises(DiagnoseError, match=says) as caught:
            sweep(server.url, **QUICK)
        assert server.posts == []
    assert "--served-model" in str(caught.value.hint)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(DiagnoseError, match="nobody listens") as caught:
        sweep(f"http://127.0.0.1:{port}", **QUICK)
    assert caught.value.hint


def test_tls_is_wanted_of_a_server_without() -> None:
    with faulty(saying(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        with pytest.raises(DiagnoseError, match="no TLS with") as caught:
            sweep(server.url.replace("http:", "https:"), **QUICK)
        assert server.posts == []
    assert "http://" in str(caught.value.hint)


def test_another_machine_needs_a_word() -> None:
    with pytest.raises(DiagnoseError, match="not this machine") as caught:
        sweep("http://192.0.2.1:8000", **QUICK)
    assert "--yes" in str(caught.value.hint)


def test_a_server_that_breaks_under_the_load_is_judged_until_then() -> None:
    with batching(Costs(fixed_s=0.01, fails_after=12)) as (engine, url):
        found = sweep(url, batches="1,2,4,8", level_seconds=0.6, output_tokens=24, max_seconds=30).to_dict()
        assert 12 < len(engine.posts) <= 12 + FAILURES + 8
    load = found["sweep"]
    assert load["levels"]
    assert load["failures"] == [
        {"reason": "answered with HTTP 500: out of memory", "count": load["failures"][0]["count"]}
    ]
    assert "HTTP 500" in load["ended_early"]
    assert any("HTTP 500" in warning for warning in found["warnings"])


@pytest.mark.parametrize("limit", ["max_requests", "max_tokens", "max_seconds"])
def test_no_limit_is_passed(limit: str) -> None:
    value = {"max_requests": 9, "max_tokens": 1000, "max_seconds": 2.0}[limit]
    begun_s = time.monotonic()
    with batching(Costs(fixed_s=0.005)) as (engine, url):
        found = sweep(url, batches="1,2,4,8,16,32", level_seconds=0.4, output_tokens=32, **{limit: value}).to_dict()
        sent, state = len(engine.posts), engine.state
    assert f"--{limit.replace('_', '-')}" in found["sweep"]["ended_early"]
    assert found["sweep"]["requests"] == sent
    if limit == "max_requests":
        assert sent <= value
    elif limit == "max_tokens":
        assert state.prompt_tokens + state.generation_tokens <= value
    else:
        assert time.monotonic() - begun_s < 20.0
