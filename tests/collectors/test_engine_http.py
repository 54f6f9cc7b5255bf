"""Asking a server: only what may be asked, and no server can make it last, swell, wander or fail otherwise."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any, NoReturn

import pytest

from collectors.engines import http
from collectors.engines.http import Answer, Client, Refused
from collectors.engines.shapes import LLAMA_CPP, SGLANG, SHAPES, TENSORRT_LLM, VLLM, Flag, Shape
from collectors.engines.source import EngineSource
from collectors.job import Job
from collectors.process.proc import Listener, Proc
from collectors.process.tree import Process
from heuristics.errors import DiagnoseError
from tests.make import engines
from tests.make.listening import Listening, Speaker, answering, speaking
from tests.make.stand_ins import JOBS, metrics

HASTE_S = 0.25


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that makes one wait is given up soon."""
    monkeypatch.setattr(http, "TIMEOUT_S", HASTE_S)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the answer is what counts, a slow machine may take its time."""
    monkeypatch.setattr(http, "TIMEOUT_S", 30.0)


def asked(server: Listening, path: str = "/metrics", *, credential: str | None = None) -> Answer | Refused:
    client = Client("127.0.0.1", server.port, ["/metrics", "/version"], credential)
    try:
        return client.get(path)
    finally:
        client.close()


def says(*pieces: bytes) -> Speaker:
    """Say it and hang up."""

    def speak(connection: socket.socket, ended: threading.Event) -> None:
        for piece in pieces:
            connection.sendall(piece)
        hang_up(connection)

    return speak


def hang_up(connection: socket.socket) -> NoReturn:
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError


def keeps(*pieces: bytes) -> Speaker:
    """Say it and stay."""

    def speak(connection: socket.socket, ended: threading.Event) -> None:
        for piece in pieces:
            connection.sendall(piece)

    return speak


def drips(first: bytes, drop: bytes) -> Speaker:
    """Say a little, again and again, each time long before a patient reader gives up."""

    def speak(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(first)
        while not ended.wait(0.02):
            connection.sendall(drop)

    return speak


def floods(first: bytes, flood: bytes) -> Speaker:
    """A gigabyte, or as much of it as is taken."""

    def speak(connection: socket.socket, ended: threading.Event) -> None:
        connection.settimeout(5.0)
        connection.sendall(first)
        for _ in range((1 << 30) // len(flood)):
            if ended.is_set():
                return
            connection.sendall(flood)

    return speak


def nothing(connection: socket.socket, ended: threading.Event) -> None:
    ended.wait()


# --- answers


WHOLE = {
    "with its length": keeps(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    "in chunks": keeps(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
    "up to the end of the connection": says(b"HTTP/1.0 200 OK\r\n\r\nhello"),
    "with the connection closed": says(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhel", b"lo"),
}


@pytest.mark.parametrize("way", WHOLE)
def test_a_whole_answer_is_taken(way: str, patient: None) -> None:
    with speaking(WHOLE[way]) as server:
        client = Client("127.0.0.1", server.port, ["/metrics"])
        for _ in range(3):
            found = client.get("/metrics")
            assert isinstance(found, Answer), found
            assert found.body == b"hello"
            assert found.answered_s >= found.asked_s
        client.close()


def test_one_connection_serves_many_questions(patient: None) -> None:
    with answering({"/metrics": {"body": "a"}, "/version": {"body": "b"}}) as server:
        client = Client("127.0.0.1", server.port, ["/metrics", "/version"])
        bodies = [client.get(path) for path in ("/metrics", "/version", "/metrics")]
        assert [b.body for b in bodies if isinstance(b, Answer)] == [b"a", b"b", b"a"]
        client.close()


def test_a_connection_that_was_closed_meanwhile_is_opened_anew(patient: None) -> None:
    with speaking(says(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none")) as server:
        client = Client("127.0.0.1", server.port, ["/metrics"])
        found = [client.get("/metrics") for _ in range(3)]
        assert [f.body for f in found if isinstance(f, Answer)] == [b"one"] * 3
        client.close()


# --- refusals


@pytest.mark.parametrize("status", [204, 301, 302, 303, 307, 308, 400, 401, 403, 404, 429, 500, 503])
def test_anything_but_200_is_no_answer(status: int, patient: None) -> None:
    said = f"HTTP/1.1 {status} So\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    with speaking(keeps(said)) as server:
        found = asked(server)
    assert isinstance(found, Refused)
    assert found.status == status


def test_a_redirect_is_not_followed(patient: None) -> None:
    with answering({"/metrics": {"body": "secret"}}) as elsewhere:
        for location in (f"http://127.0.0.1:{elsewhere.port}/metrics", "/other"):
            said = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
            with speaking(keeps(said)) as server:
                found = asked(server)
                assert server.paths == ["/metrics"]
            assert isinstance(found, Refused)
            assert "redirect" in found.reason
        assert elsewhere.requests == []


OK = b"HTTP/1.1 200 OK\r\n"

LASTING = {
    "no answer": nothing,
    "a drop of the status now and then": drips(b"HTTP/1.1 ", b"2"),
    "headers without an end": drips(OK, b"X-One: 1\r\n"),
    "a header without an end": drips(OK + b"X-One: ", b"1"),
    "a body a byte at a time": drips(OK + b"Content-Length: 100000\r\n\r\n", b"1"),
    "chunks of a byte": drips(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "please continue": drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("way", LASTING)
def test_no_server_makes_it_last(way: str) -> None:
    with speaking(LASTING[way]) as server:
        found = asked(server)
    assert isinstance(found, Refused)
    assert found.status is None


ENDLESS = {
    "a body of a gigabyte": floods(OK + b"Content-Length: 1073741824\r\n\r\n", b"x" * 65536),
    "a body without an end": floods(OK + b"Connection: close\r\n\r\n", b"x" * 65536),
    "chunks without an end": floods(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"4000\r\n" + b"x" * 0x4000 + b"\r\n"),
    "a status without an end": floods(b"HTTP/1.1 200 ", b"x" * 65536),
    "a header without an end": floods(OK + b"X-One: ", b"x" * 65536),
    "headers without an end": floods(OK, b"X-One: 1\r\n" * 1000),
    "continue without an end": floods(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
}


@pytest.mark.parametrize("way", ENDLESS)
def test_no_server_fills_the_memory(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TIMEOUT_S", 1.0)
    with speaking(ENDLESS[way]) as server:
        found = asked(server)
    assert isinstance(found, Refused)


BROKEN = {
    "hung up at once": says(),
    "hung up in the status": says(b"HTTP/1.1 2"),
    "hung up in the body": says(OK + b"Content-Length: 100\r\n\r\nvllm:generation_tokens_total 123"),
    "hung up in a chunk": says(OK + b"Transfer-Encoding: chunked\r\n\r\nff\r\nvllm:"),
    "hung up between chunks": says(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"),
    "no HTTP": says(b"\x16\x03\x01\x00\x05hello there\r\n\r\n"),
    "another protocol": says(b"SSH-2.0-OpenSSH_9.2p1\r\n"),
    "a status that is no number": says(b"HTTP/1.1 abc OK\r\n\r\n"),
    "a status out of range": says(b"HTTP/1.1 9999 OK\r\n\r\n"),
    "a chunk of no length": says(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n"),
    "NUL": says(b"\0" * 4096),
}


@pytest.mark.parametrize("way", BROKEN)
def test_what_is_broken_is_refused(way: str, patient: None) -> None:
    with speaking(BROKEN[way]) as server:
        found = asked(server)
    assert isinstance(found, Refused), found
    assert found.reason
    assert found.reason.isprintable()


def test_nobody_there(patient: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    client = Client("127.0.0.1", port, ["/metrics"])
    assert client.get("/metrics") == Refused("nobody listens any more")


def test_what_is_not_on_the_list_is_never_asked_for() -> None:
    with answering({"/health": {"body": "ok"}}) as server:
        client = Client("127.0.0.1", server.port, ["/metrics"])
        for path in ("/health", "/metrics/", "/metrics?x", "//metrics", "http://elsewhere/metrics"):
            with pytest.raises(DiagnoseError):
                client.get(path)
        assert server.requests == []


def test_a_credential_is_sent_only_where_one_was_given(patient: None) -> None:
    with answering({"/metrics": {"body": "x"}}) as server:
        asked(server)
        asked(server, credential="of-ours")
    without, given = (request["headers"] for request in server.requests)
    assert "Authorization" not in without
    assert given["Authorization"] == "Bearer of-ours"


def test_surroundings_are_not_consulted(monkeypatch: pytest.MonkeyPatch, patient: None) -> None:
    with answering({"/metrics": {"body": "x"}}) as server, answering({}) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://user:word@127.0.0.1:{proxy.port}")
        assert isinstance(asked(server), Answer)
        assert proxy.requests == []


# --- the life of a source


def job_of(shape: Shape, *ports: int, **flags: str) -> Job:
    """A job that listens here, in this process's place."""
    root = Process(pid=os.getpid(), parent=1, started_ticks=0, name="x", arguments=("x",))
    listeners = tuple(Listener(pid=root.pid, address="127.0.0.1", port=port) for port in ports)
    stated = {Flag(name): value for name, value in flags.items()}
    return Job(pid=root.pid, root=root, members=(root,), shape=shape, flags=stated, listeners=listeners)


def life(
    shape: Shape, *ports: int, credential: str | None = None, looks: int = 3, **flags: str
) -> list[dict[str, Any]]:
    """Every record of a source from its start to its end."""
    source = EngineSource(job_of(shape, *ports, **flags), Proc(), credential=credential)
    found = source.start()
    for n in range(looks):
        found += source.sample(float(n))
    source.close()
    return found


def spoken(pages: Mapping[str, dict[str, Any]]) -> Callable[[], Mapping[str, dict[str, Any]]]:
    return lambda: pages


SERVERS: dict[str, Callable[[], Mapping[str, dict[str, Any]]]] = {
    **{name: job.pages for name, job in JOBS.items()},
    "nothing": spoken({}),
    "a page for everything": spoken(
        {path: {"body": "<html>"} for shape in SHAPES for path in (*shape.paths, "/health", "/")}
    ),
    "a key for everything": spoken(
        {path: {"status": 401, "body": ""} for shape in SHAPES for path in (*shape.paths, "/health", "/")}
    ),
}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.engine)
def test_only_listed_paths_are_asked_and_only_read(shape: Shape, patient: None) -> None:
    for pages in SERVERS.values():
        with answering(pages()) as server:
            life(shape, server.port, looks=2)
        for request in server.requests:
            assert request["method"] == "GET"
            assert request["path"] in shape.paths
            assert not request["body_bytes"]
            assert not {"Authorization", "Cookie", "Content-Type"} & set(request["headers"])


def test_what_takes_from_the_engine_is_on_no_list() -> None:
    for shape in SHAPES:
        assert not [path for path in shape.paths if "health" in path or "profile" in path or "generate" in path]
    assert "/metrics" not in TENSORRT_LLM.paths
    assert "/" not in set().union(*(shape.paths for shape in SHAPES))


@pytest.mark.parametrize("name", [n for n, j in JOBS.items() if "/metrics" in j.pages() or "TensorRT" in n])
def test_every_engine_is_read(name: str, patient: None) -> None:
    shape = next(s for s in SHAPES if s.engine in (JOBS[name].engine, JOBS[name].engine.partition(" (")[2][:-1]))
    with answering(JOBS[name].pages()) as server:
        found = life(shape, server.port)
    assert [r["what"] for r in found].count("scrape") == 3
    assert not [r for r in found if r["what"] in ("missing", "event")]
    assert all(record["samples"] for record in found if record["what"] == "scrape")


def test_what_is_silent_at_first_is_not_asked_again(patient: None) -> None:
    pages = dict(JOBS["llama.cpp"].pages())
    pages["/metrics"] = {"status": 501, "body": "{}"}
    with answering(pages) as server:
        found = life(LLAMA_CPP, server.port)
    assert server.paths.count("/metrics") == 1
    assert [r["unlock"] for r in found if r["what"] == "missing"] == ["llama-server --metrics"]
    assert [r["what"] for r in found].count("slots") == 3


def test_a_key_is_asked_for(patient: None) -> None:
    locked = SERVERS["a key for everything"]()
    with answering(locked) as server:
        found = life(LLAMA_CPP, server.port)
    assert [r["what"] for r in found] == ["missing"]
    assert "credential" in found[0]["reason"]
    assert "--api-key-env" in found[0]["unlock"]
    with answering(JOBS["llama.cpp"].pages()) as server:
        life(LLAMA_CPP, server.port, credential="of-ours")
    assert {r["headers"].get("Authorization") for r in server.requests} == {"Bearer of-ours"}


def test_the_stated_port_comes_first(patient: None) -> None:
    with ExitStack() as stack:
        others = [stack.enter_context(answering({})) for _ in range(3)]
        server = stack.enter_context(answering(JOBS["vLLM"].pages()))
        ports = [others[0].port, others[1].port, server.port, others[2].port]
        found = life(VLLM, *ports, port=str(server.port))
        assert "scrape" in {r["what"] for r in found}
        assert not any(other.requests for other in others)


@pytest.mark.parametrize("pages", ["nothing", "a key for everything"])
def test_other_sockets_are_left_alone_where_the_stated_one_is_there(pages: str, patient: None) -> None:
    """They may be a rendezvous of ranks or a queue, which an HTTP request would disturb."""
    with answering(SERVERS[pages]()) as server, answering(JOBS["vLLM"].pages()) as other:
        found = life(VLLM, server.port, other.port, port=str(server.port))
    assert [r["what"] for r in found] == ["missing"]
    assert other.requests == []


def test_the_engine_is_found_behind_other_sockets(patient: None) -> None:
    with answering({"/metrics": {"body": "go_goroutines 5\n"}}) as other, answering(JOBS["vLLM"].pages()) as server:
        found = life(VLLM, other.port, server.port)
    assert "scrape" in {r["what"] for r in found}
    assert set(other.paths) <= VLLM.paths


HOSTILE: dict[str, Speaker] = {
    "a redirect": keeps(b"HTTP/1.1 302 Found\r\nLocation: /health\r\nContent-Length: 0\r\n\r\n"),
    "garbage": says(b"\0\xff" * 100),
    "no JSON": keeps(OK + b"Content-Length: 1\r\n\r\n["),
    "deep JSON": keeps(OK + b"Content-Length: 90000\r\n\r\n" + b"[" * 90000),
    "JSON of the wrong kind": keeps(OK + b'Content-Length: 19\r\n\r\n{"data": [[1], {}]}'),
    "numbers that are none": keeps(OK + b"Content-Length: 32\r\n\r\nvllm:num_requests_running{} 1e99"),
    "slots of the wrong kind": keeps(OK + b'Content-Length: 29\r\n\r\n[{"is_processing": [1]}, 5.0]'),
    "silence": nothing,
}


@pytest.mark.parametrize("way", HOSTILE)
@pytest.mark.parametrize("shape", [VLLM, SGLANG, LLAMA_CPP], ids=lambda s: s.engine)
def test_no_server_makes_a_source_fail(way: str, shape: Shape) -> None:
    with speaking(HOSTILE[way]) as server:
        found = life(shape, server.port, looks=2)
    assert all(set(record) >= {"t_s", "what"} for record in found)


def test_a_server_that_goes_away_is_told_once(patient: None) -> None:
    with speaking(keeps(OK + b"Content-Length: 28\r\n\r\nvllm:num_requests_running 1\n")) as server:
        source = EngineSource(job_of(VLLM, server.port), Proc())
        source.start()
        assert [r["what"] for r in source.sample(0.0)] == ["scrape"]
    late = [record for n in range(4) for record in source.sample(1.0 + n)]
    source.close()
    assert {r["what"] for r in late} == {"missing"}
    assert len(late) <= 2


def test_slots_hold_numbers_only(patient: None) -> None:
    slots = [
        {"id": 0, "id_task": 7, "is_processing": True, "prompt": "of ours", "next_token": [{"n_decoded": 5}]},
        {"id": 1, "id_task": "x", "is_processing": 0, "prompt": "of ours", "next_token": {"n_decoded": None}},
    ]
    import json

    with answering({**JOBS["llama.cpp"].pages(), "/slots": {"body": json.dumps(slots)}}) as server:
        found = life(LLAMA_CPP, server.port, looks=1)
    (record,) = (r for r in found if r["what"] == "slots")
    assert record["slots"] == [{"running": True, "id": 0, "task": 7, "decoded": 5}, {"running": False, "id": 1}]


@pytest.fixture
def two_servers() -> Iterator[tuple[Listening, Listening]]:
    with answering(JOBS["vLLM"].pages()) as first, answering(JOBS["vLLM"].pages()) as second:
        yield first, second


def test_a_given_address_is_the_only_one_asked(two_servers: tuple[Listening, Listening], patient: None) -> None:
    found, given = two_servers
    job = job_of(VLLM, found.port)
    for url in (f"http://127.0.0.1:{given.port}", f"127.0.0.1:{given.port}/metrics", f"localhost:{given.port}"):
        source = EngineSource(job, Proc(), url=url)
        source.start()
        assert [r["what"] for r in source.sample(0.0)] == ["scrape"]
        source.close()
    assert found.requests == []
    assert set(given.paths) <= VLLM.paths


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:1/metrics", "ftp://x", "http://", "http://x:99999999", "http://[::1"]
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(DiagnoseError):
        EngineSource(job_of(VLLM, 1), Proc(), url=url)


def test_what_takes_samples_from_the_engine_is_refused_even_when_given() -> None:
    with pytest.raises(DiagnoseError, match="without side effects") as refused:
        EngineSource(job_of(TENSORRT_LLM, 1), Proc(), url="http://127.0.0.1:8000/metrics")
    assert refused.value.hint == "--url http://127.0.0.1:8000/prometheus/metrics"


def test_a_large_page_is_read(patient: None) -> None:
    padding = "".join(f'other_total{{n="{n}"}} {n}\n' for n in range(40_000))
    page = metrics(engines.vllm)
    with answering({**JOBS["vLLM"].pages(), "/metrics": {"body": padding + page["body"]}}) as server:
        found = life(VLLM, server.port, looks=1)
    assert "scrape" in {r["what"] for r in found}
