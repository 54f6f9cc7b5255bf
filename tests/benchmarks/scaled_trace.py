"""A trace repeated until it is as large as wanted, later copies later in time and with ids of their own."""

from __future__ import annotations

import gzip
import re
import sys
from pathlib import Path

from collectors.dump import Dump
from collectors.kineto.scanner import EventScanner

_TIME = re.compile(rb'("ts": ?)(\d+)')
_ID = re.compile(rb'("(?:correlation|External id|external id|id)": ?)(\d+)')
PAUSE_US = 1000
IDS_A_COPY = 10_000_000


def write_scaled(source: Path, target: Path, size: int) -> None:
    """Write copies of a Kineto trace (.json or .json.gz), at least ``size`` bytes in all."""
    packed = source.read_bytes()
    text = gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed
    scanner = EventScanner(Dump(path=str(source)).chunks())
    for _ in scanner.blocks():
        pass
    if scanner.tail is None:
        raise SystemExit(f"{source} is truncated")
    head, tail = scanner.head, scanner.tail
    body = text[len(head) : len(text) - len(tail)].rstrip()
    indent = body[: len(body) - len(body.lstrip())]
    times = [int(t[2]) for t in _TIME.finditer(body)]
    span = max(times) - min(times) + PAUSE_US
    copies = -(-size // len(body))
    with target.open("wb") as out:
        out.write(head)
        for copy in range(copies):
            out.write(b"," if copy else b"")
            out.write(indent + _moved(body, copy, span).lstrip())
        out.write(b"\n  " + tail.lstrip() if b"\n" in indent else tail)


def _moved(body: bytes, copy: int, span: int) -> bytes:
    later = _TIME.sub(lambda m: m[1] + str(int(m[2]) + copy * span).encode(), body)
    return _ID.sub(lambda m: m[1] + str(int(m[2]) + copy * IDS_A_COPY).encode(), later)


if __name__ == "__main__":
    write_scaled(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
