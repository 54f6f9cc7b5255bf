"""Single facts of ``/proc/PID``, each absent rather than an error where the process is gone or another user's.

psutil finds processes; what it does not tell (namespaces, mapped libraries by name, sockets of another network
namespace) is read here. The root is injectable, so that odd trees can be made up.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

LARGEST_TEXT = 1 << 20
"""Command lines and environments are shorter; a process may rewrite both."""
MOST_MAPS = 1 << 22
"""Bytes of ``maps`` read: an engine maps thousands of files."""

LISTENING = "0A"
_FILE_IN_MAPS = re.compile(rb"^\S+ \S+ \S+ \S+ \S+ +(/.*)$", re.MULTILINE)
_SOCKET = re.compile(r"socket:\[(\d+)\]")

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A listening TCP socket: the address as bound (``0.0.0.0``, ``::``, ``127.0.0.1`` ...) and its port."""

    pid: int
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Proc:
    """Reader of one ``/proc``."""

    root: str = "/proc"

    def path(self, pid: int, name: str) -> str:
        """Where a fact of a process stands."""
        return f"{self.root}/{pid}/{name}"

    def text(self, pid: int, name: str) -> str | None:
        """A small file as text; None where it cannot be read."""
        content = _tried(lambda: _content(self.path(pid, name), LARGEST_TEXT))
        return None if content is None else content.decode("utf-8", "replace")

    def arguments(self, pid: int) -> tuple[str, ...]:
        """The command line; a retitled process has its title and then empty strings, which are left out."""
        parts = (self.text(pid, "cmdline") or "").split("\0")
        while parts and not parts[-1]:
            parts.pop()
        return tuple(parts)

    def environment(self, pid: int) -> dict[str, str]:
        """The environment at the start, as far as the process left it in place."""
        pairs = (self.text(pid, "environ") or "").split("\0")
        return dict(pair.split("=", 1) for pair in pairs if "=" in pair)

    def link(self, pid: int, name: str) -> str | None:
        """Where ``exe``, ``cwd``, ``root`` or ``ns/net`` points to."""
        return _tried(lambda: os.readlink(self.path(pid, name)))

    def status(self, pid: int, field: str) -> str | None:
        """One line of ``status``, without its name."""
        text = self.text(pid, "status") or ""
        found = re.search(rf"^{field}:\s*(.*)$", text, re.MULTILINE)
        return found[1].strip() if found else None

    def life(self, pid: int) -> tuple[str, int] | None:
        """Its state, as one letter, and its time of start in clock ticks since boot; None where it is gone."""
        fields = (self.text(pid, "stat") or "").rpartition(")")[2].split()
        return (fields[0], int(fields[19])) if len(fields) > 19 and fields[19].isdecimal() else None

    def pids_by_namespace(self, pid: int) -> tuple[int, ...]:
        """The process's number in every pid namespace it is in, ours first, its own last."""
        return tuple(int(word) for word in (self.status(pid, "NSpid") or str(pid)).split() if word.isdecimal())

    def mapped_files(self, pid: int) -> frozenset[str]:
        """Paths of the files it has mapped: libraries, and weights of engines that map them."""
        content = _tried(lambda: _content(self.path(pid, "maps"), MOST_MAPS)) or b""
        return frozenset(path.decode("utf-8", "replace") for path in set(_FILE_IN_MAPS.findall(content)))

    def open_files(self, pid: int) -> list[str]:
        """What its descriptors lead to."""
        folder = self.path(pid, "fd")
        links = (_tried(partial(os.readlink, f"{folder}/{name}")) for name in _tried(lambda: os.listdir(folder)) or [])
        return [link for link in links if link is not None]

    def threads(self, pid: int) -> tuple[int, ...]:
        """Numbers of its threads."""
        names = _tried(lambda: os.listdir(self.path(pid, "task"))) or []
        return tuple(int(name) for name in names if name.isdecimal())

    def same_network(self, pid: int) -> bool:
        """Whether its loopback is ours; taken to be so where the link cannot be read."""
        own, theirs = _tried(lambda: os.readlink(f"{self.root}/self/ns/net")), self.link(pid, "ns/net")
        return own is None or theirs is None or own == theirs

    def listeners(self, pids: Sequence[int]) -> list[Listener]:
        """Listening TCP sockets held by any of the processes, in the order of the processes."""
        found: list[Listener] = []
        tables: dict[str, dict[str, tuple[str, int]]] = {}
        for pid in pids:
            held = self._sockets(pid)
            if not held:
                continue
            network = self.link(pid, "ns/net") or str(pid)
            if network not in tables:
                tables[network] = dict(self._listening(pid))
            for inode, (address, port) in tables[network].items():
                if inode in held and all(port != known.port for known in found):
                    found.append(Listener(pid=pid, address=address, port=port))
        return found

    def addresses(self, pid: int) -> list[str]:
        """Own IPv4 addresses of its network namespace, loopback left out."""
        table = self.text(pid, "net/fib_trie") or ""
        found = re.findall(r"\|-- (\d+\.\d+\.\d+\.\d+)\n\s+/32 host LOCAL", table)
        return [address for address in dict.fromkeys(found) if not address.startswith("127.")]

    def _sockets(self, pid: int) -> set[str]:
        """Inodes of the sockets it holds."""
        matches = (_SOCKET.fullmatch(link) for link in self.open_files(pid))
        return {found[1] for found in matches if found is not None}

    def _listening(self, pid: int) -> Iterator[tuple[str, tuple[str, int]]]:
        """Inode, address and port of every listening TCP socket of its network namespace."""
        for name in ("net/tcp", "net/tcp6"):
            content = _tried(partial(_content, self.path(pid, name), MOST_MAPS)) or b""
            for line in content.decode("ascii", "replace").splitlines()[1:]:
                fields = line.split()
                if len(fields) > 9 and fields[3] == LISTENING:
                    where = _address(fields[1])
                    if where is not None:
                        yield fields[9], where


def _address(text: str) -> tuple[str, int] | None:
    """An address as the kernel prints it: words of the machine's byte order in hexadecimal, and the port."""
    host, _, port = text.partition(":")
    try:
        raw = bytes.fromhex(host)
        words = struct.pack(f"={len(raw) // 4}I", *struct.unpack(f">{len(raw) // 4}I", raw))
        return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, words), int(port, 16)
    except (ValueError, struct.error, OSError):
        return None


def _content(path: str, most: int) -> bytes:
    with open(path, "rb") as stream:
        return stream.read(most)


def _tried(read: Callable[[], _Found]) -> _Found | None:
    """What a read gives, None where the process is gone, not ours to see, or half gone."""
    try:
        return read()
    except (OSError, ValueError):
        return None
