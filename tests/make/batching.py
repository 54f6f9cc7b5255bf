"""A server inside this process that batches continuously like a real one: known costs, real streams, real metrics.

A step takes ``fixed_s`` and ``marginal_s`` for each sequence in it; a prompt's tokens take ``prompt_token_s`` each,
during which nobody decodes. No more than ``most`` sequences run together; the others wait.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from typing import Any

from tests.make import engines
from tests.make.engines import State
from tests.make.prometheus import page

END = None


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What the engine is like, and what it understands."""

    fixed_s: float = 0.02
    marginal_s: float = 0.0
    prompt_token_s: float = 0.0002
    most: int = 1024
    a_chunk: int = 1
    """Tokens in an event of the stream."""
    tokens_a_word: int = 1
    usage: bool = True
    owner: str = "vllm"
    metrics: bool = True
    refuses: tuple[str, ...] = ()
    """Fields of a request that are answered with HTTP 400."""
    absent: tuple[str, ...] = ()
    """Paths that are not there."""
    fails_after: int | None = None
    """Completions after which every further one is answered with HTTP 500."""
    shorter: int | None = None
    """Tokens after which an answer ends, whatever was asked for."""


@dataclass(eq=False)
class Sequence:
    """One request in the engine."""

    prompt_tokens: int
    tokens: int
    made: int = 0
    gone: bool = False
    out: SimpleQueue[int | None] = field(default_factory=SimpleQueue)


class Engine:
    """Waiting and running sequences, and a thread that makes steps."""

    def __init__(self, costs: Costs) -> None:
        self.costs = costs
        self.state = State(
            running=0.0, kv_usage=0.0, prompt_tokens=0.0, generation_tokens=0.0, steps=0.0, step_tokens=0.0
        )
        self.posts: list[dict[str, Any]] = []
        self.gets: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.asked: list[dict[str, str]] = []
        """Headers of what was only asked, without a load."""
        self.most_together = 0
        self.open = 0
        self._waiting: list[Sequence] = []
        self._running: list[Sequence] = []
        self._wake = threading.Condition()
        self._over = False
        self._thread = threading.Thread(target=self._steps, daemon=True)
        self._thread.start()

    def add(self, sequence: Sequence) -> None:
        with self._wake:
            self._waiting.append(sequence)
            self._wake.notify()

    def close(self) -> None:
        with self._wake:
            self._over = True
            self._wake.notify()
        self._thread.join(5.0)

    def _steps(self) -> None:
        while True:
            with self._wake:
                while not (self._waiting or self._running or self._over):
                    self._told()
                    self._wake.wait(0.5)
                if self._over:
                    return
                self._running = [s for s in self._running if not s.gone]
                room = self.costs.most - len(self._running)
                begun = [s for s in self._waiting[:room] if not s.gone]
                self._waiting = [s for s in self._waiting[room:] if not s.gone]
                self._running += begun
                self.most_together = max(self.most_together, len(self._running))
            taken = sum(s.prompt_tokens for s in begun)
            if taken:
                time.sleep(taken * self.costs.prompt_token_s)
            time.sleep(self.costs.fixed_s + self.costs.marginal_s * len(self._running))
            self._step(taken)

    def _step(self, taken: int) -> None:
        for sequence in self._running:
            sequence.made += 1
            sequence.out.put(sequence.made)
        batch = len(self._running)
        self._running = [s for s in self._running if s.made < s.tokens or s.out.put(END)]
        self.state = replace(
            self.state,
            steps=self.state.steps + 1.0,
            step_tokens=self.state.step_tokens + batch + taken,
            generation_tokens=self.state.generation_tokens + batch,
            prompt_tokens=self.state.prompt_tokens + taken,
        )
        self._told()

    def _told(self) -> None:
        self.state = replace(self.state, running=float(len(self._running)), waiting=float(len(self._waiting)))


def _handler(engine: Engine) -> type[BaseHTTPRequestHandler]:
    costs = engine.costs

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def do_GET(self) -> None:
            engine.gets.append(self.path)
            engine.asked.append(dict(self.headers.items()))
            if self.path == "/v1/models":
                self._answer(200, json.dumps({"data": [{"id": "ours/tiny-7b", "owned_by": costs.owner}]}))
            elif self.path == "/metrics" and costs.metrics:
                self._answer(200, page(engines.vllm(engine.state)), "text/plain")
            else:
                self._answer(404, "{}")

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            engine.headers.append(dict(self.headers.items()))
            engine.posts.append(asked)
            if self.path in costs.absent:
                self._answer(404, "{}")
            elif unknown := [name for name in costs.refuses if name in asked]:
                self._answer(400, json.dumps({"error": {"message": f"unknown field {unknown[0]}"}}))
            elif costs.fails_after is not None and len(engine.posts) > costs.fails_after:
                self._answer(500, json.dumps({"error": {"message": "out of memory"}}))
            else:
                engine.open += 1
                with suppress(OSError):
                    self._stream(asked)
                engine.open -= 1

        def _stream(self, asked: dict[str, Any]) -> None:
            chat = "messages" in asked
            prompt = asked["messages"][0]["content"] if chat else asked["prompt"]
            tokens = min(asked["max_tokens"], costs.shorter or asked["max_tokens"])
            sequence = Sequence(prompt_tokens=costs.tokens_a_word * len(prompt.split()), tokens=tokens)
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream; charset=utf-8")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            engine.add(sequence)
            try:
                if chat:
                    self._say({"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]})
                held = 0
                while (made := sequence.out.get()) is not END:
                    held += 1
                    if held == costs.a_chunk or made == tokens:
                        last = "length" if made == tokens else None
                        text = " word" * held
                        choice = {"delta": {"content": text}} if chat else {"text": text}
                        self._say({"choices": [{**choice, "index": 0, "finish_reason": last}]})
                        held = 0
                if costs.usage:
                    counted = {"prompt_tokens": sequence.prompt_tokens, "completion_tokens": tokens}
                    self._say({"choices": [], "usage": counted})
                self._chunk(b"data: [DONE]\n\n")
                self._chunk(b"")
            finally:
                sequence.gone = True

        def _say(self, content: dict[str, Any]) -> None:
            self._chunk(b"data: " + json.dumps(content).encode() + b"\n\n")

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

        def _answer(self, status: int, text: str, kind: str = "application/json") -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing to standard error."""

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is expected here."""


@contextmanager
def batching(costs: Costs | None = None) -> Iterator[tuple[Engine, str]]:
    """An engine at work behind a port, and its address."""
    engine = Engine(costs or Costs())
    server = _Server(("127.0.0.1", 0), _handler(engine))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield engine, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        engine.close()
        thread.join()
