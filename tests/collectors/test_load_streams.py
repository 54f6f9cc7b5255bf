"""Answers as their bytes come in, whatever the pieces: HTTP and server-sent events."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collectors.load.completions import Garbage, error_in, message, models, said
from collectors.load.response import LARGEST_HEAD, BadAnswer, Response
from collectors.load.sse import LARGEST_EVENT, LONGEST_LINE, Event, EventReader, OversizedEvent

LINE = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=40).map(str.encode)
DATA = st.lists(LINE, min_size=1, max_size=3)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The bytes in pieces that end at these places."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[low:high] for low, high in pairwise(edges)]


@given(
    events=st.lists(DATA, max_size=6),
    ends=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    places=st.lists(st.integers(0, 10_000), max_size=30),
    mark=st.booleans(),
    comments=st.booleans(),
)
@example(events=[[b"a"], [b"b"]], ends=b"\r\n", places=[7, 8, 9, 10], mark=False, comments=False)
def test_events_are_the_same_however_they_are_cut(
    events: list[list[bytes]], ends: bytes, places: list[int], mark: bool, comments: bool
) -> None:
    text = b"\xef\xbb\xbf" if mark else b""
    for lines in events:
        text += b": ping" + ends + b"retry: 3" + ends if comments else b""
        text += b"".join(b"data: " + line + ends for line in lines) + ends
    reader = EventReader()
    found = [event for piece in cut(text, places) for event in reader.feed(piece)]
    assert found == [Event("message", b"\n".join(lines)) for lines in events]
    assert reader.close() == []


@given(noise=st.binary(max_size=400), places=st.lists(st.integers(0, 400), max_size=20))
def test_noise_gives_events_or_nothing_but_no_fault_and_the_same_in_pieces(noise: bytes, places: list[int]) -> None:
    whole, pieces = EventReader(), EventReader()
    at_once = [*whole.feed(noise), *whole.close()]
    assert [*(e for piece in cut(noise, places) for e in pieces.feed(piece)), *pieces.close()] == at_once


def test_the_fields_of_an_event() -> None:
    reader = EventReader()
    assert reader.feed(b"event: error\nid: 7\ndata:no space\ndata: one\n\ndata: next\n\n") == [
        Event("error", b"no space\none"),
        Event("message", b"next"),
    ]
    assert reader.feed(b"data: [DONE]\n") == []
    assert reader.close() == [Event("message", b"[DONE]")]
    reader.feed(b"data: half a li")
    assert reader.close() == []


def test_no_event_takes_all_memory() -> None:
    with pytest.raises(OversizedEvent):
        EventReader().feed(b"data: " + b"x" * (LONGEST_LINE + 1))
    with pytest.raises(OversizedEvent):
        EventReader().feed((b"data: " + b"x" * 1000 + b"\n") * (1 + LARGEST_EVENT // 1000))


BODY = b'data: {"choices":[]}\n\ndata: [DONE]\n\n'


def chunked(body: bytes, sizes: list[int]) -> bytes:
    """The body in chunks, with an extension and a trailer that nobody wants."""
    found, at = b"", 0
    while at < len(body):
        size = sizes[at % len(sizes)]
        piece = body[at : at + size]
        found += f"{len(piece):X};note=1\r\n".encode() + piece + b"\r\n"
        at += size
    return found + b"0\r\nX-Trailer: 1\r\n\r\n"


@given(
    kind=st.sampled_from(["chunked", "length", "close"]),
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=5),
    places=st.lists(st.integers(0, 1000), max_size=40),
    informed=st.booleans(),
)
def test_a_body_is_the_same_however_it_is_sent_and_cut(
    kind: str, sizes: list[int], places: list[int], informed: bool
) -> None:
    head = {
        "chunked": b"Transfer-Encoding: chunked\r\n",
        "length": f"Content-Length: {len(BODY)}\r\n".encode(),
        "close": b"",
    }[kind]
    sent = b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\n" + head + b"\r\n"
    sent = (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" if informed else b"") + sent
    sent += chunked(BODY, sizes) if kind == "chunked" else BODY
    response = Response()
    found = b"".join(response.feed(piece) for piece in cut(sent, places))
    assert found == BODY
    assert response.status == 200
    assert response.content_type == "text/event-stream"
    assert response.complete is (kind != "close")
    response.close()
    assert response.complete


@pytest.mark.parametrize(
    "sent",
    [
        b"\x15\x03\x01\x00\x02\x02\x16",
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 2000,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * (LARGEST_HEAD + 1),
    ],
)
def test_what_is_no_answer(sent: bytes) -> None:
    with pytest.raises(BadAnswer):
        Response().feed(sent)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
def test_what_breaks_off(sent: bytes) -> None:
    response = Response()
    response.feed(sent)
    with pytest.raises(BadAnswer):
        response.close()


@given(noise=st.binary(max_size=300))
def test_noise_is_refused_or_waited_for(noise: bytes) -> None:
    response = Response()
    try:
        response.feed(noise)
        response.close()
    except BadAnswer:
        return
    assert response.status is not None


def told(**content: object) -> Event:
    return Event("message", json.dumps(content).encode())


def test_which_events_bring_tokens() -> None:
    assert said(told(choices=[{"text": " a", "finish_reason": None}])).token
    assert said(told(choices=[{"text": "", "finish_reason": None}])).token, "a token may have no text"
    assert not said(told(choices=[{"text": "", "finish_reason": "length"}])).token
    assert not said(told(choices=[{"delta": {"role": "assistant", "content": ""}}])).token
    assert said(told(choices=[{"delta": {"content": "x"}}])).token
    assert said(told(choices=[{"delta": {"reasoning_content": "x"}}])).token
    assert said(Event("message", b" [DONE] ")).done
    counted = said(told(choices=[], usage={"prompt_tokens": 3, "completion_tokens": True})).usage
    assert counted is not None
    assert (counted.prompt_tokens, counted.output_tokens) == (3, None)


def test_what_complains() -> None:
    assert said(told(error={"message": "no\nmemory\x1b[31m"})).error == "no memory [31m"
    assert said(Event("error", b'{"message": "queue full"}')).error == "queue full"
    assert error_in(b'{"detail": "Not Found"}') == "Not Found"
    assert error_in(b"<html>") is None
    assert len(message({"error": "x" * 10_000})) <= 160
    for data in (b"hello", b"[1, 2]", b"\xff\xfe", b"[" * 100_000):
        with pytest.raises(Garbage):
            said(Event("message", data))


def test_lists_of_models() -> None:
    assert models(b'{"data": [{"id": "m", "owned_by": "vllm"}, {"id": ""}, 3, {"id": "n"}]}') == [
        ("m", "vllm"),
        ("n", None),
    ]
    assert models(b"<html>") == models(b'{"data": {}}') == []
