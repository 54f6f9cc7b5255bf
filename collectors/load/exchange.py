"""One request and its streamed answer, with the times at which tokens came."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from collectors.load import completions
from collectors.load.address import Address
from collectors.load.completions import Usage
from collectors.load.response import BadAnswer, Response
from collectors.load.sse import EventReader, OversizedEvent

CONNECT_S = 5.0
ANSWER_S = 10.0
"""For an answer that does not stream to be there in full."""
PIECE = 1 << 16
LARGEST_ANSWER = 1 << 20
"""Bytes of an answer that does not stream."""
LARGEST_ERROR = 1 << 12
ERROR_S = 2.0
"""For the words of an error to come."""
STREAM_BYTES, BYTES_A_TOKEN = 1 << 20, 1 << 13
"""Bytes that a stream may have, whatever its length and for each token asked for."""
EVENTS_A_TOKEN, MORE_EVENTS = 2, 64

OK = 200
REDIRECTS = frozenset({301, 302, 303, 307, 308})
STREAM_TYPE = "text/event-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a request failed. ``final``: another one would fail as well, or is not wanted."""

    reason: str
    hint: str | None = None
    status: int | None = None
    final: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Exchange:
    """A request under way, or past. Times are monotonic seconds; ``sent_s`` is after the connection was made.

    ``token_s``: when each event with tokens came; an event may hold several.
    """

    sent_s: float = 0.0
    token_s: list[float] = field(default_factory=list)
    ended_s: float | None = None
    finish: str | None = None
    usage: Usage = field(default_factory=Usage)
    failure: Failure | None = None
    cut: bool = False
    """Ended by us before its answer was complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Whom requests go to, and the key that the user named for it."""

    address: Address
    credential: str | None = None

    def head(self, method: str, path: str, length: int, accept: str) -> bytes:
        """A request's head; the connection serves one request only."""
        lines = [
            f"{method} {self.address.prefix}{path} HTTP/1.1",
            f"Host: {self.address.netloc}",
            "User-Agent: diagnose",
            f"Accept: {accept}",
            "Accept-Encoding: identity",
            "Connection: close",
        ]
        if method == "POST":
            lines += ["Content-Type: application/json", f"Content-Length: {length}"]
        if self.credential:
            lines.append(f"Authorization: Bearer {self.credential}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


async def fetched(peer: Peer, path: str) -> bytes | Failure:
    """The body behind a path, without side effects on the server."""
    try:
        async with asyncio.timeout(ANSWER_S), _connected(peer) as (reader, writer):
            writer.write(peer.head("GET", path, 0, "application/json"))
            response = Response()
            body = await _rest(reader, response, LARGEST_ANSWER)
    except _EXPECTED as error:
        return why(error, peer)
    return body if response.status == OK else refused(response, body)


async def stream(
    peer: Peer, path: str, body: dict[str, Any], *, tokens: int, timeout_s: float, seen: Callable[[Exchange], None]
) -> Exchange:
    """Send a request and take its answer in. ``seen`` is called when it was sent, has its first token, and ended.

    Nothing is raised but the cancellation of who waits for it; the connection is closed in any case.
    """
    found = Exchange()
    try:
        async with _connected(peer) as (reader, writer), asyncio.timeout(timeout_s) as limit:
            content = json.dumps(body).encode()
            writer.write(peer.head("POST", path, len(content), STREAM_TYPE) + content)
            await writer.drain()
            found.sent_s = time.monotonic()
            seen(found)
            found.failure = await _taken_in(reader, found, tokens, limit, timeout_s, seen)
    except TimeoutError:
        found.failure = _stalled(found, timeout_s)
    except _EXPECTED as error:
        found.failure = why(error, peer)
    except asyncio.CancelledError:
        found.cut = True
        raise
    finally:
        found.ended_s = found.token_s[-1] if found.finish and found.token_s else time.monotonic()
        if found.sent_s:
            seen(found)
    return found


async def _taken_in(
    reader: asyncio.StreamReader,
    found: Exchange,
    tokens: int,
    limit: asyncio.Timeout,
    timeout_s: float,
    seen: Callable[[Exchange], None],
) -> Failure | None:
    """The answer, event by event; why it is none. Only tokens extend the time it may take."""
    response, events, size = Response(), EventReader(), 0
    most = STREAM_BYTES + BYTES_A_TOKEN * tokens
    loop = asyncio.get_running_loop()
    while not response.complete:
        data = await reader.read(PIECE)
        now_s = time.monotonic()
        if not data:
            response.close()
        body = response.feed(data) if data else b""
        if response.status is not None and (response.status != OK or response.content_type != STREAM_TYPE):
            limit.reschedule(loop.time() + 2.0 * ERROR_S)
            with suppress(BadAnswer, OSError):
                async with asyncio.timeout(ERROR_S):
                    body += await _rest(reader, response, LARGEST_ERROR - len(body))
            return refused(response, body)
        size += len(body)
        if size > most:
            return Failure(reason="sends an answer without end", final=True)
        complete = response.complete
        for event in (*events.feed(body), *(events.close() if complete else ())):
            word = completions.said(event)
            if word.error is not None:
                return Failure(reason=f"says in its stream: {word.error}")
            found.usage = word.usage or found.usage
            found.finish = word.finish or found.finish
            if word.token:
                found.token_s.append(now_s)
                limit.reschedule(loop.time() + timeout_s)
                if len(found.token_s) == 1:
                    seen(found)
                if len(found.token_s) > EVENTS_A_TOKEN * tokens + MORE_EVENTS:
                    return Failure(reason="sends more tokens than were asked for", final=True)
            if word.done:
                return _ended(found)
    return _ended(found)


def _ended(found: Exchange) -> Failure | None:
    """Complete with tokens, and with a word that this is the end."""
    if not found.token_s:
        return Failure(reason="ended an answer without a token")
    if found.finish is None and found.usage.output_tokens is None:
        return Failure(reason="broke an answer off before its end")
    found.finish = found.finish or "stop"
    return None


def _stalled(found: Exchange, timeout_s: float) -> Failure:
    what = "no token came" if not found.token_s else "no further token came"
    return Failure(
        reason=f"{what} for {timeout_s:g} s", hint="--timeout SECONDS, if that is how slow it is under this load"
    )


@asynccontextmanager
async def _connected(peer: Peer) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that is closed at once at the end, whatever the other side does."""
    secure = ssl.create_default_context() if peer.address.scheme == "https" else None
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(
                peer.address.host, peer.address.port, ssl=secure, limit=PIECE
            )
    except TimeoutError as error:
        raise ConnectionError(f"no connection within {CONNECT_S:g} s") from error
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(Exception):
            await writer.wait_closed()


async def _rest(reader: asyncio.StreamReader, response: Response, most: int) -> bytes:
    """What remains of a body, no more than so many bytes of it."""
    pieces, size = [], 0
    while not response.complete and size < most:
        data = await reader.read(PIECE)
        if not data:
            response.close()
            break
        pieces.append(response.feed(data))
        size += len(pieces[-1])
    return b"".join(pieces)[:most]


_EXPECTED = (OSError, BadAnswer, OversizedEvent, completions.Garbage, ValueError)


def why(error: Exception, peer: Peer) -> Failure:
    """What went wrong between us and the server."""
    place = peer.address.netloc
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "reason", None) or type(error).__name__
        if isinstance(error, ssl.SSLCertVerificationError):
            reason = error.verify_message or reason
        words = str(reason).replace("_", " ").lower()
        return Failure(reason=f"no TLS with {place}: {words}", hint="http:// if it speaks without TLS", final=True)
    if isinstance(error, ConnectionRefusedError):
        return Failure(reason=f"nobody listens at {place}", hint="is the server up, and is the port right?", final=True)
    if isinstance(error, TimeoutError):
        return Failure(reason="took too long to answer")
    if isinstance(error, BadAnswer):
        hint = "https:// if it speaks TLS" if "HTTP" in str(error) else None
        return Failure(reason=str(error), hint=hint, final=hint is not None)
    if isinstance(error, OversizedEvent):
        return Failure(reason="sends an event of more than a megabyte", final=True)
    if isinstance(error, completions.Garbage):
        return Failure(reason="streams something else than completions", hint="is it an OpenAI-compatible server?")
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return Failure(reason="closed the connection")
    return Failure(reason=f"{place} cannot be reached: {error.__class__.__name__}: {error}"[:200])


def refused(response: Response, body: bytes) -> Failure:
    """An answer that is none."""
    status = response.status or 0
    words = completions.error_in(body)
    tail = f": {words}" if words else ""
    if status == OK:
        kind = response.content_type or "nothing that it names"
        return Failure(reason=f"answers with {kind}, not with a stream of events{tail}", status=status)
    if status in REDIRECTS:
        where = response.headers.get("location", "")[:120]
        where = "".join(c for c in where if c.isprintable())
        return Failure(
            reason=f"redirects to {where or 'elsewhere'}, which is not followed",
            hint="give the address it leads to, if that is the server",
            status=status,
            final=True,
        )
    if status in (401, 403):
        hint = "--api-key-env NAME, the environment variable that holds the key"
        return Failure(reason=f"wants a credential (HTTP {status})", hint=hint, status=status, final=True)
    if status == 429:
        hint = "its limits are lower than this load: fewer --batches, or another server"
        return Failure(reason="says that this is too much (HTTP 429)", hint=hint, status=status, final=True)
    return Failure(reason=f"answered with HTTP {status}{tail}", status=status)
