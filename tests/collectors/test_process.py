"""Single facts of processes: real ones, and made-up ones in a folder that looks like ``/proc``."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from collectors.process import tree
from collectors.process.proc import LARGEST_TEXT, Proc
from heuristics.errors import NoSuchProcess
from tests.make.stand_ins import JOBS, running, started_plain

PROC = Proc()
OURS = 4711


@pytest.fixture
def made_up(tmp_path: Path) -> Proc:
    """An empty process of a made-up ``/proc``."""
    (tmp_path / str(OURS)).mkdir()
    return Proc(root=str(tmp_path))


def write(proc: Proc, name: str, content: bytes) -> None:
    path = Path(proc.path(OURS, name))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


# --- command lines and environments


def test_a_title_and_the_empty_strings_behind_it(made_up: Proc) -> None:
    write(made_up, "cmdline", b"VLLM::EngineCore" + bytes(150))
    assert made_up.arguments(OURS) == ("VLLM::EngineCore",)


def test_empty_strings_inside_a_command_line_stay(made_up: Proc) -> None:
    write(made_up, "cmdline", b"x\0\0--dtype\0\0half\0")
    assert made_up.arguments(OURS) == ("x", "", "--dtype", "", "half")


def test_words_that_are_no_utf_8(made_up: Proc) -> None:
    write(made_up, "cmdline", b"vllm\0serve\0/models/\xff\xfe\0")
    assert made_up.arguments(OURS)[:2] == ("vllm", "serve")


def test_a_command_line_without_an_end_is_read_in_part(made_up: Proc) -> None:
    write(made_up, "cmdline", b"vllm\0serve\0" + b"x" * (2 * LARGEST_TEXT))
    assert made_up.arguments(OURS)[:2] == ("vllm", "serve")
    assert sum(map(len, made_up.arguments(OURS))) <= LARGEST_TEXT


def test_an_environment_that_begins_in_the_middle(made_up: Proc) -> None:
    write(made_up, "environ", b"ODEL_ID=x\0\0no pair\0HOME=/home/a=b\0=\0" + bytes(9))
    assert made_up.environment(OURS)["HOME"] == "/home/a=b"
    assert "no pair" not in made_up.environment(OURS)


@pytest.mark.parametrize("title", [["VLLM::EngineCore"], ["a\udcff\udcfe", "serve"], ["x" * 1500, ""], ["ü", "漢"]])
def test_a_process_that_calls_itself_something_else(title: list[str], tmp_path: Path) -> None:
    job = replace(JOBS["llama.cpp"], command=tuple(title))
    with running(job, tmp_path) as made:
        words = [word.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for word in title]
        while words and not words[-1]:
            words.pop()
        assert list(PROC.arguments(made.pid)) == words


# --- absence


FACTS = {
    "arguments": (),
    "environment": {},
    "mapped_files": frozenset(),
    "open_files": [],
    "threads": (),
    "addresses": [],
    "same_network": True,
}


@pytest.mark.parametrize("fact", FACTS)
def test_nobody_there_is_no_error(fact: str, made_up: Proc) -> None:
    for proc, pid in ((made_up, OURS), (made_up, 1), (PROC, 2**22 + 1)):
        assert getattr(proc, fact)(pid) == FACTS[fact]
    assert made_up.link(OURS, "exe") is None
    assert made_up.listeners([OURS, 1]) == []


def test_files_that_are_garbage(made_up: Proc) -> None:
    for name in ("cmdline", "environ", "maps", "status", "net/tcp", "net/tcp6", "net/fib_trie"):
        write(made_up, name, bytes(range(256)) * 50)
    write(made_up, "task/7x/comm", b"")
    for fact in FACTS:
        getattr(made_up, fact)(OURS)
    assert made_up.listeners([OURS]) == []
    assert made_up.threads(OURS) == ()


def test_another_users_process(tmp_path: Path) -> None:
    """What may be seen of it, as somebody else: its command line, and nothing of its files or sockets."""
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else for a moment")
    code = (
        "import json, os, sys\n"
        "from collectors.job import find\n"
        "from collectors.process.proc import Proc\n"
        "from collectors.process import tree\n"
        "from collectors.engines.source import EngineSource\n"
        "from collectors.host.source import HostSource\n"
        "import psutil, prometheus_client.parser, encodings.ascii, resource\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "pid = int(sys.argv[1]); proc = Proc()\n"
        "job = find(pid, proc)\n"
        "said = EngineSource(job, proc).start() + HostSource(lambda: job.pids, pid, proc).start()\n"
        "print(json.dumps([job.engine, len(job.listeners), len(proc.environment(pid)), said]))\n"
    )
    with running(JOBS["vLLM"], tmp_path) as made:
        command = [sys.executable, "-c", code, str(made.pids[-1])]
        done = subprocess.run(
            command, capture_output=True, timeout=60, check=False, cwd=Path(__file__).parents[2], text=True
        )
        assert made.requests() == []
    assert done.returncode == 0, done.stderr
    engine, listeners, environment, said = json.loads(done.stdout)
    assert (engine, listeners, environment) == ("vLLM", 0, 0)
    assert [record["what"] for record in said if record["source"] == "engine"] == ["missing"]
    assert all(record["unlock"] for record in said)


# --- namespaces


def test_another_network_namespace(made_up: Proc) -> None:
    (Path(made_up.root) / "self" / "ns").mkdir(parents=True)
    os.symlink("net:[1]", f"{made_up.root}/self/ns/net")
    Path(made_up.path(OURS, "ns")).mkdir()
    os.symlink("net:[2]", made_up.path(OURS, "ns/net"))
    assert not made_up.same_network(OURS)
    os.unlink(made_up.path(OURS, "ns/net"))
    os.symlink("net:[1]", made_up.path(OURS, "ns/net"))
    assert made_up.same_network(OURS)


def test_addresses_of_a_container(made_up: Proc) -> None:
    write(
        made_up,
        "net/fib_trie",
        b"Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 172.17.0.2\n"
        b"        /32 host LOCAL\n     |-- 172.17.255.255\n        /32 link BROADCAST\nLocal:\n     |-- 172.17.0.2\n"
        b"        /32 host LOCAL\n",
    )
    assert made_up.addresses(OURS) == ["172.17.0.2"]


def test_numbers_in_every_pid_namespace(made_up: Proc) -> None:
    write(made_up, "status", b"Name:\tx\nPid:\t4711\nNSpid:\t4711\t17\t1\n")
    assert made_up.pids_by_namespace(OURS) == (4711, 17, 1)
    assert PROC.pids_by_namespace(os.getpid())[0] == os.getpid()


# --- sockets


def row(place: int, address: str, state: str, inode: int) -> str:
    return f"   {place}: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  0  0 {inode} 1 0 100\n"


def test_sockets_as_the_kernel_prints_them(made_up: Proc) -> None:
    little = sys.byteorder == "little"
    loopback = "0100007F" if little else "7F000001"
    six = "00000000000000000000000001000000" if little else "0" * 31 + "1"
    text = "  sl  local_address rem_address   st\n"
    write(
        made_up,
        "net/tcp",
        (
            text
            + row(0, f"{loopback}:1F40", "0A", 11)
            + row(1, "00000000:1F41", "0A", 12)
            + row(2, f"{loopback}:1F42", "01", 13)
            + row(3, "zz:1F43", "0A", 14)
        ).encode(),
    )
    write(made_up, "net/tcp6", (text + row(0, f"{six}:1F44", "0A", 15) + "short\n").encode())
    Path(made_up.path(OURS, "fd")).mkdir()
    for n, inode in enumerate((11, 12, 13, 14, 15)):
        os.symlink(f"socket:[{inode}]", made_up.path(OURS, f"fd/{n}"))
    os.symlink("/dev/null", made_up.path(OURS, "fd/9"))
    found = [(listener.address, listener.port) for listener in made_up.listeners([OURS])]
    assert found == [("127.0.0.1", 8000), ("0.0.0.0", 8001), ("::1", 8004)]


def test_real_sockets() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mine, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        ports = {listener.port for listener in PROC.listeners([os.getpid()])}
        assert mine.getsockname()[1] in ports
        assert silent.getsockname()[1] not in ports


def test_mapped_files(made_up: Proc) -> None:
    write(
        made_up,
        "maps",
        b"7f00-7f01 r--p 00000000 08:01 1 /opt/a b/libx.so\n7f02-7f03 rw-p 00000000 00:00 0 \n"
        b"7f04-7f05 rw-p 00000000 00:00 0 [heap]\n7f06-7f07 r--s 0 08:01 2   /m/x.gguf (deleted)\nbroken\n",
    )
    assert made_up.mapped_files(OURS) == {"/opt/a b/libx.so", "/m/x.gguf (deleted)"}
    assert any("python" in path for path in PROC.mapped_files(os.getpid()))


# --- the tree


@pytest.mark.parametrize("name", ["python", "a b", "x) R 1 (y", "((", "ü"])
def test_state_and_start_whatever_the_name(name: str, made_up: Proc) -> None:
    rest = " ".join(str(n) for n in range(4, 53))
    write(made_up, "stat", f"4711 ({name}) S {rest}\n".encode())
    assert made_up.life(OURS) == ("S", 22)
    known = tree.Process(pid=OURS, parent=1, started_ticks=22, name=name, arguments=())
    assert tree.alive(known, made_up)
    assert not tree.alive(replace(known, started_ticks=23), made_up)
    for state in "ZX":
        write(made_up, "stat", f"4711 ({name}) {state} {rest}\n".encode())
        assert not tree.alive(known, made_up)
    for broken in (b"", b"4711", b"4711 (x) S", b"4711 (x", b"\xff\0" * 99):
        write(made_up, "stat", broken)
        assert made_up.life(OURS) is None
    assert made_up.life(1) is None


def test_a_number_given_to_another_process() -> None:
    with started_plain("import time; print(flush=True); time.sleep(600)") as pid:
        known = tree.process(pid, PROC)
        assert tree.alive(known, PROC)
        assert not tree.alive(replace(known, started_ticks=known.started_ticks - 1), PROC)
    assert not tree.alive(known, PROC)
    with pytest.raises(NoSuchProcess):
        tree.process(pid, PROC)


def test_a_zombie_is_not_alive() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as process:
        known = tree.process(process.pid, PROC)
        assert process.stdin is not None
        process.stdin.close()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not tree.alive(known, PROC)
        assert tree.descendants(process.pid, PROC) == []
        with pytest.raises(NoSuchProcess):
            tree.process(process.pid, PROC)


def test_up_and_down_the_tree(tmp_path: Path) -> None:
    with running(JOBS["vLLM"], tmp_path) as made:
        assert {p.pid for p in tree.descendants(made.pid, PROC)} == set(made.pids[1:])
        above = [p.pid for p in tree.ancestors(made.pids[-1], PROC)]
        assert above[:2] == [made.pids[2], made.pid]
        assert os.getpid() in above
        everyone = [tree.process(pid, PROC) for pid in made.pids]
        assert [p.pid for p in tree.lineage(everyone, made.pids[-1])] == [made.pids[-1], made.pids[2], made.pid]


def test_a_circle_of_parents_ends() -> None:
    one = tree.Process(pid=1, parent=2, started_ticks=0, name="a", arguments=())
    two = tree.Process(pid=2, parent=1, started_ticks=0, name="b", arguments=())
    assert [p.pid for p in tree.lineage([one, two], 1)] == [1, 2]
