"""A baseline's files: nothing that was written is lost, whoever writes, and whatever else stands in them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from collectors.baseline import store
from collectors.baseline.lines import Flaw
from collectors.baseline.store import append, prune, read
from heuristics.errors import DiagnoseError
from tests.make.verdicts import baseline, verdict

NOW = "2026-11-26T00:00:00+00:00"
TORN = b'{"schema": "diagnose.verdict/1", "tool_ver'


def added(folder: Path, night: int, **options: Any) -> bool:
    return not append(str(folder), verdict(night=night, **options), workload="chat", added_at=NOW).known


def dates(folder: Path) -> list[str | None]:
    return [session.created_at for session in read(str(folder)).sessions]


def test_what_is_added_is_read_back_with_its_workload_and_added_once(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    assert added(folder, 0)
    assert not added(folder, 0)
    assert added(folder, 1)
    kept = read(str(folder))
    assert [s.identity["workload"] for s in kept.sessions] == ["chat", "chat"]
    assert kept.sessions[0].figure("step_s") == pytest.approx(verdict()["measured"]["step_s"])
    assert not append(str(folder), verdict(), workload="another", added_at=NOW).known


def test_a_verdict_is_known_again_whether_or_not_it_names_its_workload(tmp_path: Path) -> None:
    bare = verdict()
    del bare["subject"]["workload"]
    assert not append(str(tmp_path), bare, workload="chat", added_at=NOW).known
    assert append(str(tmp_path), bare, workload="chat", added_at=NOW).known


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "..", "-rf", "名前", "x" * 500, " ", "\U0001d4d0" * 80])
def test_a_workloads_name_leads_to_no_other_folder(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    found = append(str(folder), verdict(), workload=name, added_at=NOW)
    assert Path(found.path).resolve().parent == folder.resolve()
    assert [s.identity["workload"] for s in read(str(folder)).sessions] == [name]


_WRITER = """
import sys
from collectors.baseline.store import append
from tests.make.verdicts import verdict
first, folder = int(sys.argv[1]), sys.argv[2]
for night in range(first, first + 12):
    made = verdict(night=night) | {"created_at": f"2026-01-01T00:00:{night:02d}+00:00"}
    append(folder, made, workload="chat", added_at="2026-11-26")
"""


def test_processes_that_write_at_once_lose_nothing_and_readers_see_whole_lines(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(first), str(folder)], stderr=subprocess.PIPE)
        for first in (0, 12, 24)
    ]
    seen = []
    while any(writer.poll() is None for writer in writers):
        kept = read(str(folder))
        assert not kept.flawed(Flaw.DAMAGED)
        seen.append(len(kept.sessions))
    assert [writer.communicate()[1] for writer in writers] == [b"", b"", b""]
    assert seen == sorted(seen)
    assert sorted(filter(None, dates(folder))) == [f"2026-01-01T00:00:{night:02d}+00:00" for night in range(36)]


def test_a_line_that_was_not_finished_is_ended_before_the_next(tmp_path: Path) -> None:
    folder = Path(baseline(tmp_path / "b", 2))
    file = folder / "chat.jsonl"
    file.write_bytes(TORN)
    assert added(folder, 5)
    kept = read(str(folder))
    assert len(kept.sessions) == 3
    (torn,) = kept.flawed(Flaw.DAMAGED)
    assert torn.raw == TORN
    assert "no JSON" in str(torn.reason)


@pytest.mark.parametrize(
    ("line", "flaw"),
    [
        (b"not json", Flaw.DAMAGED),
        (b"[1, 2]", Flaw.DAMAGED),
        (b'{"a": 1}', Flaw.DAMAGED),
        (b"null", Flaw.DAMAGED),
        (b"\xff\xfe\x00", Flaw.DAMAGED),
        (b"[" * 100_000, Flaw.DAMAGED),
        (b'{"schema": "diagnose.verdict/9", "verdict": {}}', Flaw.NEWER),
        (b"<<<<<<< HEAD", Flaw.DAMAGED),
        (json.dumps(verdict() | {"baseline": {"schema": "diagnose.baseline/2"}}).encode(), Flaw.NEWER),
    ],
)
def test_what_is_no_session_is_counted_and_stays(line: bytes, flaw: Flaw, tmp_path: Path) -> None:
    folder = Path(baseline(tmp_path / "b", 3))
    file = folder / "decode-8.jsonl"
    file.write_bytes(line + b"\r\n\n" + file.read_bytes())
    kept = read(str(folder))
    assert len(kept.sessions) == 3
    assert [found.number for found in kept.flawed(flaw)] == [1]
    prune(str(folder), lambda lines: lines)
    assert file.read_bytes() == line + b"\r\n\n"


def test_pruning_keeps_every_other_byte(tmp_path: Path) -> None:
    folder = Path(baseline(tmp_path / "b", 4))
    file = folder / "decode-8.jsonl"
    lines = file.read_bytes().splitlines()
    file.write_bytes(b"\n".join([lines[0], TORN, lines[1], "ünïcode ☃".encode(), *lines[2:]]))
    other = folder / "other.jsonl"
    other.write_bytes(TORN)
    gone = prune(str(folder), lambda all_: [x for x in all_ if x.number in (1, 5)], dry_run=True)
    assert [x.number for x in gone] == [1, 5]
    assert len(read(str(folder)).sessions) == 4
    prune(str(folder), lambda all_: [x for x in all_ if x.number in (1, 5)])
    assert file.read_bytes().splitlines() == [TORN, lines[1], "ünïcode ☃".encode(), lines[3]]
    assert other.read_bytes() == TORN
    assert sorted(p.name for p in folder.iterdir()) == ["decode-8.jsonl", "other.jsonl"]


def test_pruning_keeps_line_ends_blank_lines_and_what_is_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LONGEST_LINE", 4096)
    lines = [json.dumps(verdict(night=night)).encode() for night in range(4)]
    long = b'{"schema": "diagnose.verdict/1", "rest": "' + b"x" * 10_000 + b'"}'
    parts = [lines[0] + b"\r\n", b"\n", b"  \n", long + b"\n", lines[1] + b"\n", b"\r\n", lines[2] + b"\r\n", lines[3]]
    file = tmp_path / "decode-8.jsonl"
    file.write_bytes(b"".join(parts))
    file.chmod(0o640)
    assert [line.number for line in read(str(tmp_path)).lines] == [1, 3, 4, 5, 7, 8]
    prune(str(tmp_path), lambda all_: [x for x in all_ if x.number in (5, 7)])
    assert file.read_bytes() == b"".join([*parts[:4], parts[5], parts[7]])
    assert file.stat().st_mode & 0o777 == 0o640


def test_pruning_writes_what_a_link_leads_to_and_leaves_the_link(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "b", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    target = Path(baseline(elsewhere, 4), "decode-8.jsonl")
    lines = target.read_bytes().splitlines(keepends=True)
    for name in ("one.jsonl", "two.jsonl"):
        (folder / name).symlink_to(target)
    prune(str(folder), lambda all_: [x for x in all_ if x.number < 3])
    assert target.read_bytes() == b"".join(lines[2:]), "once, although two links lead to it"
    assert all((folder / name).is_symlink() for name in ("one.jsonl", "two.jsonl"))
    assert [p.name for p in elsewhere.iterdir()] == ["decode-8.jsonl"]


def test_the_name_is_kept_beside_what_the_verdict_states(tmp_path: Path) -> None:
    stated = verdict(subject={"workload": "sweep 1,2 x (32 + 16 tokens)"})
    for name in ("chat", None):
        append(str(tmp_path), stated, workload=name, added_at=NOW)
    bare = verdict(night=1, subject={"workload": None})
    append(str(tmp_path), bare, workload="chat", added_at=NOW)
    kept = read(str(tmp_path)).sessions
    told = {(s.identity["workload"], s.identity["load"]) for s in kept}
    load = "sweep 1,2 x (32 + 16 tokens)"
    assert told == {("chat", load), (load, load), ("chat", None)}
    assert len({s.data for s in kept}) == 2, "the name is no part of what was measured"


@pytest.mark.parametrize(("one", "other"), [("caf\u00e9", "cafe\u0301"), ("chat-\udcff", "chat-\udcff")])
def test_a_name_is_the_same_however_it_came(one: str, other: str, tmp_path: Path) -> None:
    assert not append(str(tmp_path), verdict(), workload=one, added_at=NOW).known
    assert append(str(tmp_path), verdict(), workload=other, added_at=NOW).known
    (session,) = read(str(tmp_path)).sessions
    assert append(str(tmp_path), verdict(), workload=session.identity["workload"], added_at=NOW).known
    assert not append(str(tmp_path), verdict(), workload="chat-\udcfe", added_at=NOW).known


def test_half_a_character_anywhere_is_read_back_as_it_was(tmp_path: Path) -> None:
    odd = verdict(subject={"model": "m\ud800"})
    append(str(tmp_path), odd, workload="chat", added_at=NOW)
    (session,) = read(str(tmp_path)).sessions
    assert session.identity["model"] == "m\ud800"


_FULL = """
import resource, signal, sys
from collectors.baseline.store import append
from heuristics.errors import DiagnoseError
from tests.make.verdicts import verdict
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    append(sys.argv[1], verdict(night=9), workload="chat", added_at="2026-11-26")
except DiagnoseError as error:
    print(error, error.hint, sep="|")
"""


def test_a_full_disk_takes_nothing_that_was_there_and_leaves_no_half_line(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    assert added(folder, 0)
    file = folder / "chat.jsonl"
    before = file.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", _FULL, str(folder), str(len(before) + 100)], capture_output=True, text=True, check=True
    )
    assert "cannot be written: File too large" in done.stdout
    assert "where there is room" in done.stdout
    assert file.read_bytes() == before
    assert added(folder, 9)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not here")
def test_git_merges_what_two_branches_added(tmp_path: Path) -> None:
    folder = tmp_path / "repo" / "baseline"
    (tmp_path / "repo").mkdir()

    def git(*arguments: str) -> None:
        named = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"]
        subprocess.run(
            ["git", *named, *arguments],
            cwd=tmp_path / "repo",
            check=True,
            capture_output=True,
            env=os.environ | {"GIT_CONFIG_GLOBAL": os.devnull},
        )

    git("init")
    assert added(folder, 0)
    git("add", ".")
    git("commit", "-m", "first")
    git("checkout", "-b", "other")
    assert added(folder, 1)
    git("commit", "-am", "other")
    git("checkout", "main")
    assert added(folder, 2)
    git("commit", "-am", "main")
    git("merge", "other", "-m", "both")
    kept = read(str(folder))
    assert not kept.flawed(Flaw.DAMAGED)
    assert sorted(filter(None, dates(folder))) == [f"2026-11-0{day}T02:00:00+00:00" for day in (1, 2, 3)]


@pytest.mark.parametrize(("make", "wrong"), [("nothing", "no such folder"), ("file", "is no folder")])
def test_no_folder_is_told(make: str, wrong: str, tmp_path: Path) -> None:
    place = tmp_path / "b"
    if make == "file":
        place.write_text(json.dumps(verdict()), encoding="utf-8")
    with pytest.raises(DiagnoseError, match=wrong) as told:
        read(str(place))
    assert told.value.hint == "diagnose baseline add verdict.json --baseline DIR"


def test_what_cannot_be_written_as_json_is_refused_before_anything_is(tmp_path: Path) -> None:
    with pytest.raises(DiagnoseError, match="cannot be written as JSON"):
        append(str(tmp_path), verdict(measured={"step_s": float("nan")}), workload=None, added_at=NOW)
    assert not list(tmp_path.glob("*.jsonl"))
