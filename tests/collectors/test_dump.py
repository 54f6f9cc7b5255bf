"""A dump is read once, forward, in bounded memory, whatever it is stored in and however it is encoded."""

from __future__ import annotations

import gzip
import io
import os
import random
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import collectors.dump
from collectors.dump import CHUNK_BYTES, Dump, Interrupt, fingerprint
from heuristics.errors import UnreadableDump
from tests.make.dumps import dump

LINES = [f"line {n}, of ours" for n in range(2000)]
TEXT = "\n".join(LINES) + "\n"


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def content(data: bytes) -> bytes:
    return b"".join(dump(data).chunks())


# --- containers


def test_plain_content_comes_unchanged() -> None:
    data = noise(3 * CHUNK_BYTES + 17)
    assert content(data) == data


def test_gzip_is_undone() -> None:
    data = noise(2 * CHUNK_BYTES) + bytes(5 * CHUNK_BYTES)
    assert content(gzip.compress(data)) == data


def test_gzip_members_follow_one_another() -> None:
    parts = [noise(1000, seed) for seed in range(5)] + [b"", noise(CHUNK_BYTES)]
    opened = dump(b"".join(gzip.compress(part) for part in parts))
    assert b"".join(opened.chunks()) == b"".join(parts)
    assert opened.cut_short is None


def test_zeros_after_the_last_member_are_padding() -> None:
    opened = dump(gzip.compress(b"whole") + bytes(2 * CHUNK_BYTES))
    assert b"".join(opened.chunks()) == b"whole"
    assert opened.cut_short is None


@given(st.integers(1, 400))
def test_truncated_gzip_gives_what_there_is_and_says_so(kept: int) -> None:
    data = noise(5000)
    packed = gzip.compress(data)
    opened = dump(packed[: len(packed) * kept // 401])
    assert data.startswith(b"".join(opened.chunks()))
    assert kept < 2 or opened.cut_short == "the gzip data end early: the file is truncated"


def test_damaged_gzip_gives_what_comes_before_the_damage() -> None:
    data = noise(300_000)
    packed = bytearray(gzip.compress(data, compresslevel=1))
    packed[200_000:200_050] = bytes(50)
    opened = dump(bytes(packed) + b"x")
    found = b"".join(opened.chunks())
    assert len(found) > 100_000
    assert found[:100_000] == data[:100_000]
    assert opened.cut_short is not None
    assert "damaged" in opened.cut_short


@given(st.binary(max_size=200))
def test_anything_may_follow_the_magic_of_gzip(tail: bytes) -> None:
    assert isinstance(content(b"\x1f\x8b" + tail), bytes)


def test_a_file_that_expands_beyond_reason_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collectors.dump, "BOMBS", ((1 << 23, 250.0),))
    bomb = gzip.compress(bytes(1 << 24))
    with pytest.raises(UnreadableDump, match="expands") as error:
        content(bomb)
    assert error.value.hint is not None
    assert content(gzip.compress(noise(1 << 20) * 9)) == noise(1 << 20) * 9


def test_no_piece_of_a_bomb_is_larger_than_a_chunk() -> None:
    assert max(len(piece) for piece in dump(gzip.compress(bytes(1 << 24))).chunks()) <= 2 * CHUNK_BYTES


# --- encodings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("packed", [False, True])
def test_text_is_the_same_in_every_encoding(encoding: str, packed: bool) -> None:
    data = TEXT.encode(encoding)
    opened = dump(gzip.compress(data) if packed else data)
    assert opened.head_text.startswith("line 0, of ours\nline 1")
    assert list(opened.lines()) == LINES


def test_big_endian_text_is_known_by_its_mark() -> None:
    assert list(dump(b"\xfe\xff" + TEXT.encode("utf-16-be")).lines()) == LINES


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a\r\nb\r\n", ["a", "b"]),
        ("a\nb", ["a", "b"]),
        ("a\0b\n\0c", ["ab", "c"]),
        ("\n\na\n", ["", "", "a"]),
        ("", []),
        ("a\rb\n", ["a\rb"]),
        ("\ufeffa\n", ["a"]),
    ],
)
def test_lines_end_in_one_way(text: str, lines: list[str]) -> None:
    assert list(dump(text).lines()) == lines


def test_a_line_end_may_fall_between_two_pieces() -> None:
    width = collectors.dump.TEXT_BYTES
    text = "x" * (width - 1) + "\r\n" + "y" * (width - 2) + "\r\nz"
    assert list(dump(text).lines()) == ["x" * (width - 1), "y" * (width - 2), "z"]


@given(
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0\r\n\ufeff"), max_size=50), st.integers(1, 40)
)
def test_characters_are_kept_wherever_pieces_are_cut(text: str, size: int) -> None:
    class Slow(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self.data = data

        def read(self, _: int = -1) -> bytes:
            piece, self.data = self.data[:size], self.data[size:]
            return piece

    found = list(Dump(path="slow", stream=Slow(f"{text}\nend".encode())).lines())  # type: ignore[arg-type]
    assert found == [text, "end"]


@given(st.binary(max_size=500))
def test_any_bytes_are_lines_of_text(data: bytes) -> None:
    opened = dump(data)
    assert all("\n" not in line for line in opened.lines())


def test_a_line_longer_than_any_tool_writes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collectors.dump, "LINE_LIMIT", 1 << 20)
    with pytest.raises(UnreadableDump, match="a line longer than"):
        list(dump(b"x" * (3 << 20)).lines())
    assert [len(line) for line in dump((b"x" * 1000 + b"\n") * 4000).lines()] == [1000] * 4000


# --- where dumps come from


def test_standard_input_is_a_dump(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(TEXT.encode()))))
    opened = Dump(path="-")
    assert list(opened.lines()) == LINES
    opened.close()
    assert not sys.stdin.closed


def test_closed_standard_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UnreadableDump, match="standard input is closed"):
        Dump(path="-")


def test_a_named_pipe_is_read(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    feeder = threading.Thread(target=fifo.write_bytes, args=(TEXT.encode(),))
    feeder.start()
    opened = Dump(path=str(fifo))
    assert list(opened.lines()) == LINES
    opened.close()
    feeder.join()
    assert fingerprint(str(fifo)) is None


@pytest.mark.parametrize(
    ("path", "why"),
    [("absent.log", "no such file"), (".", "is a directory"), ("a\0b", "is no path"), ("x" * 300, "cannot be opened")],
)
def test_what_is_no_file_is_refused(tmp_path: Path, path: str, why: str) -> None:
    with pytest.raises(UnreadableDump, match=why) as error:
        Dump(path=f"{tmp_path}/{path}")
    assert path in error.value.path
    assert fingerprint(f"{tmp_path}/{path}") is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.log"
    path.write_text(TEXT)
    path.chmod(0)
    with pytest.raises(UnreadableDump, match="Permission denied"):
        Dump(path=str(path))


def test_a_device_that_fails_while_it_is_read_is_refused() -> None:
    class Failing(io.RawIOBase):
        def read(self, _: int = -1) -> bytes:
            raise OSError(5, "Input/output error")

    stream = Failing()
    with pytest.raises(UnreadableDump, match="cannot be read: Input/output error"):
        Dump(path="failing", stream=stream)  # type: ignore[arg-type]
    assert stream.closed


# --- progress, interrupts, identity


def test_progress_counts_the_bytes_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(noise(3 * CHUNK_BYTES)))
    seen: list[tuple[int, int | None]] = []
    opened = Dump(path=str(path), progress=lambda _, done, size: seen.append((done, size)))
    list(opened.chunks())
    opened.close()
    size = path.stat().st_size
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (size, size)


@pytest.mark.parametrize("packed", [False, True])
def test_an_interrupt_ends_the_content_and_says_so(packed: bool) -> None:
    data = noise(6 * CHUNK_BYTES)
    interrupt = Interrupt()
    opened = Dump(path="big", stream=io.BytesIO(gzip.compress(data) if packed else data), interrupt=interrupt)
    pieces = opened.chunks()
    found = next(pieces)
    interrupt.requested = True
    found += b"".join(pieces)
    assert data.startswith(found)
    assert len(found) < len(data)
    assert opened.cut_short == "interrupted: judged by what was read so far"


@pytest.mark.parametrize("size", [0, 1000, (1 << 22) + 1])
def test_a_fingerprint_is_that_of_the_content(tmp_path: Path, size: int) -> None:
    one, two, other = (tmp_path / name for name in ("one", "two", "other"))
    one.write_bytes(noise(size))
    two.write_bytes(noise(size))
    other.write_bytes(noise(size)[:-1] + b"!" if size else b"!")
    assert fingerprint(str(one)) == fingerprint(str(two))
    assert fingerprint(str(one)) != fingerprint(str(other))
