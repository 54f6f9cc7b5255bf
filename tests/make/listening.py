"""Servers inside this process, on a loopback port: one that answers by the book, one that says whatever it is told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

from tests.make.stand_ins_program import Clock, served


@dataclass(frozen=True, kw_only=True)
class Listening:
    """A server: its port, and the requests it got, each a mapping of method, path, headers and body_bytes."""

    port: int
    requests: list[dict[str, Any]] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        """What was asked for, in its order."""
        return [request["path"] for request in self.requests]


@contextmanager
def answering(pages: Mapping[str, dict[str, Any]]) -> Iterator[Listening]:
    """A server with these pages and 404 for everything else."""
    requests: list[dict[str, Any]] = []
    handler = served({"pages": pages}, lambda **said: requests.append(said), Clock())
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield Listening(port=server.server_address[1], requests=requests)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


Speaker = Callable[[socket.socket, threading.Event], None]


@contextmanager
def speaking(speak: Speaker) -> Iterator[Listening]:
    """A server that reads a request and then lets ``speak`` say what it likes until it returns or the test ends."""
    ended = threading.Event()
    requests: list[dict[str, Any]] = []
    listener = socket.create_server(("127.0.0.1", 0))
    talks: list[threading.Thread] = []

    def talk(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(0.05)
            while not ended.is_set():
                said = _request(connection, ended)
                if not said:
                    return
                requests.append({"path": said.split(b" ")[1].decode(), "head": said.decode()})
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
        yield Listening(port=listener.getsockname()[1], requests=requests)
    finally:
        ended.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (accepting, *talks):
            thread.join(5.0)


def _request(connection: socket.socket, ended: threading.Event) -> bytes:
    """Up to the empty line; nothing where the other side is gone or the test over."""
    said = b""
    while b"\r\n\r\n" not in said and not ended.is_set():
        try:
            piece = connection.recv(4096)
        except TimeoutError:
            continue
        if not piece:
            return b""
        said += piece
    return said
