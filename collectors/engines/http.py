"""Asking a server what may be asked: GET of a listed path, no redirect, little time, little memory."""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from heuristics.errors import DiagnoseError

TIMEOUT_S = 2.0
LARGEST_BODY = 1 << 23
"""Bytes. A large ``/metrics`` has a megabyte; more is not one."""
PIECE = 1 << 16

OK = 200


@dataclass(frozen=True, slots=True)
class Refused:
    """Why there is no answer."""

    reason: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A body in full. ``asked_s`` and ``answered_s`` are monotonic."""

    body: bytes
    asked_s: float
    answered_s: float


class _Hurried(io.RawIOBase):
    """What a socket receives until the time is up, however little at a time it comes."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._until_s = sock, time.monotonic() + TIMEOUT_S
        self._stream = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left_s = self._until_s - time.monotonic()
        if left_s <= 0.0:
            raise TimeoutError
        self._sock.settimeout(left_s)
        return self._stream.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer that must be there in full in time: a socket's own timeout begins anew with every byte."""

    def __init__(self, sock: socket.socket, *arguments: Any, **named: Any) -> None:
        super().__init__(sock, *arguments, **named)
        self.fp.close()
        self.fp = io.BufferedReader(_Hurried(sock), PIECE)


class Client:
    """One server, one connection kept open. A credential is sent only where the caller was given one."""

    def __init__(self, host: str, port: int, allowed: Collection[str], credential: str | None = None) -> None:
        self.host, self.port = host, port
        self._allowed = frozenset(allowed)
        self._headers = {"Accept": "*/*", "User-Agent": "diagnose"}
        if credential:
            self._headers["Authorization"] = f"Bearer {credential}"
        self._connection: http.client.HTTPConnection | None = None

    def get(self, path: str) -> Answer | Refused:
        """The body behind a path, or why there is none.

        Raises:
            DiagnoseError: the path is not on the list; that is a fault of ours.
        """
        if path not in self._allowed:
            raise DiagnoseError(f"{path} is not known to be passive and is never asked for")
        kept = self._connection is not None
        answer = self._asked(path)
        if kept and isinstance(answer, Refused) and answer.status is None and "closed" in answer.reason:
            return self._asked(path)
        return answer

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _asked(self, path: str) -> Answer | Refused:
        begun = time.monotonic()
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_S)
                self._connection.response_class = _Response
            elif self._connection.sock is not None:
                self._connection.sock.settimeout(TIMEOUT_S)
            self._connection.request("GET", path, headers=self._headers)
            response = self._connection.getresponse()
            if response.status != OK:
                self.close()
                return Refused(_said(response.status), response.status)
            body = self._body(response)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            return Refused(_why(error))
        return body if isinstance(body, Refused) else Answer(body, begun, time.monotonic())

    def _body(self, response: http.client.HTTPResponse) -> bytes | Refused:
        pieces, size = [], 0
        while piece := response.read1(PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST_BODY:
                self.close()
                return Refused(f"answered with more than {LARGEST_BODY >> 20} MB")
        if response.length:
            self.close()
            return Refused("closed the connection in the middle of its answer")
        response.close()
        if response.will_close:
            self.close()
        return b"".join(pieces)


def _said(status: int) -> str:
    if status in (301, 302, 303, 307, 308):
        return "answered with a redirect, which is not followed"
    if status in (401, 403):
        return f"wants a credential (HTTP {status})"
    return f"answered with HTTP {status}"


def _why(error: Exception) -> str:
    if isinstance(error, socket.timeout | TimeoutError):
        return f"took longer than {TIMEOUT_S:.0f} s to answer"
    if isinstance(error, http.client.RemoteDisconnected | BrokenPipeError | ConnectionResetError):
        return "closed the connection"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens any more"
    return f"did not answer in HTTP ({type(error).__name__})"
