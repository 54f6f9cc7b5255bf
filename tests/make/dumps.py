"""Dumps that were never files, and ways in which dumps get damaged."""

from __future__ import annotations

import io
from pathlib import Path

from hypothesis import strategies as st

from collectors.dump import Contents, Dump, Interrupt
from collectors.readers import read
from heuristics.errors import UnreadableDump


def dump(content: str | bytes, name: str = "dump") -> Dump:
    """A dump of that content, which a tool might have piped in."""
    return Dump(path=name, stream=io.BytesIO(content if isinstance(content, bytes) else content.encode()))


def read_file(path: Path | str, interrupt: Interrupt | None = None) -> Contents:
    """What reading a file gives."""
    opened = Dump(path=str(path), interrupt=interrupt or Interrupt())
    try:
        return read(opened)
    finally:
        opened.close()


def survives(content: bytes) -> Contents | UnreadableDump:
    """What reading gives, or how the dump is refused. Any other exception is the test's failure."""
    try:
        return read(dump(content))
    except UnreadableDump as error:
        return error


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Content after one or two mishaps: cut, a byte changed, lines lost, doubled or foreign, or a tail of anything."""
    for _ in range(draw(st.integers(1, 2))):
        kind = draw(st.sampled_from(["cut", "byte", "lost", "doubled", "foreign", "tail"]))
        at = draw(st.integers(0, max(0, len(content) - 1)))
        lines = content.split(b"\n")
        line = draw(st.integers(0, len(lines) - 1))
        if kind == "cut":
            content = content[:at]
        elif kind == "byte":
            content = content[:at] + draw(st.binary(min_size=1, max_size=1)) + content[at + 1 :]
        elif kind == "lost":
            content = b"\n".join(lines[:line] + lines[line + 1 :])
        elif kind == "doubled":
            content = b"\n".join(lines[: line + 1] + lines[line:])
        elif kind == "foreign":
            content = b"\n".join([*lines[:line], draw(st.binary(max_size=60)), *lines[line:]])
        else:
            content = content[:at] + draw(st.binary(max_size=300))
    return content
