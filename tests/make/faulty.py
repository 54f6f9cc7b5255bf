"""A server that lists a model as it should, and then does one thing wrong. It counts what reaches it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Speak = Callable[[socket.socket, threading.Event], None]

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
MODELS = json.dumps({"data": [{"id": "ours/tiny-7b", "owned_by": "somebody"}]}).encode()


@dataclass(kw_only=True)
class Faulty:
    """The server: completions that were asked for, and connections that are open."""

    port: int
    posts: list[bytes] = field(default_factory=list)
    gets: list[str] = field(default_factory=list)
    open: int = 0

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


def answer(status: str, body: bytes, kind: str = "application/json", more: str = "") -> bytes:
    """A whole answer."""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}Connection: close\r\n\r\n"
    )
    return head.encode() + body


def saying(*pieces: bytes) -> Speak:
    """Says that, and closes the connection."""

    def speak(connection: socket.socket, ended: threading.Event) -> None:
        for piece in pieces:
            connection.sendall(piece)

    return speak


def chunk(data: bytes) -> bytes:
    """One chunk of a body."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(**content: object) -> bytes:
    """One event, as a chunk."""
    return chunk(b"data: " + json.dumps(content).encode() + b"\n\n")


TOKEN = event(choices=[{"index": 0, "text": " a", "finish_reason": None}])


def then_silence(*pieces: bytes) -> Speak:
    """Says that, and nothing more until the other side or the test ends."""

    def speak(connection: socket.socket, ended: threading.Event) -> None:
        for piece in pieces:
            connection.sendall(piece)
        while not ended.is_set() and connection.recv(4096):
            pass

    return speak


def for_ever(first: bytes, piece: bytes, every_s: float = 0.0) -> Speak:
    """Says the first, and then the piece over and over."""

    def speak(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(first)
        while not ended.is_set():
            connection.sendall(piece)
            time.sleep(every_s)

    return speak


@contextmanager
def faulty(speak: Speak, models: bytes | None = None) -> Iterator[Faulty]:
    """A server whose completions are what ``speak`` says."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    found = Faulty(port=listener.getsockname()[1])
    ended = threading.Event()
    talks: list[threading.Thread] = []

    def talk(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(30.0)
            head, body = _request(connection)
            if head.startswith(b"POST "):
                found.posts.append(body)
                found.open += 1
                try:
                    speak(connection, ended)
                finally:
                    found.open -= 1
            elif head.startswith(b"GET "):
                found.gets.append(head.split(b" ")[1].decode())
                connection.sendall(answer("200 OK", MODELS if models is None else models))
            elif head:
                speak(connection, ended)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                talks.append(threading.Thread(target=talk, args=(connection,), daemon=True))
                talks[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield found
    finally:
        ended.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (accepting, *talks):
            thread.join(5.0)


def _request(connection: socket.socket) -> tuple[bytes, bytes]:
    """Head and body; what is no HTTP as the head alone."""
    said = b""
    while b"\r\n\r\n" not in said:
        piece = connection.recv(4096)
        said += piece
        if not piece or not said[:1].isalpha():
            return said, b""
    head, _, body = said.partition(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    length = int(lengths[0].partition(b":")[2]) if lengths else 0
    while len(body) < length:
        body += connection.recv(4096)
    return head, body
