"""What a child process spends: CPU seconds and peak memory, each the least of a few runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds (user and system, children included) and peak resident bytes of one process."""

    cpu_s: float
    peak_bytes: int


def spent(*commands: Sequence[str], runs: int = 9) -> list[Spent]:
    """The least that each command needs, output thrown away; they take turns, so that noise meets all alike.

    Raises:
        SystemExit: a command failed.
    """
    found = [[_once(argv) for argv in commands] for _ in range(runs)]
    return [Spent(min(f.cpu_s for f in each), min(f.peak_bytes for f in each)) for each in zip(*found, strict=True)]


def _once(argv: Sequence[str]) -> Spent:
    # bytecode is cached as it is for a user; pytest and some shells turn that off
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    nothing = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawnp(argv[0], argv, environment, file_actions=nothing)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"failed: {' '.join(argv)}")
    return Spent(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def python(code: str, *arguments: str) -> list[str]:
    """The command that runs a line of Python with arguments."""
    return [sys.executable, "-c", code, *arguments]


def diagnose(*arguments: str) -> list[str]:
    """The command that runs diagnose as it is installed."""
    return python("from diagnose.cli import main; main()", *arguments)


def row(what: str, value: float, bound: float) -> str:
    """One line of the table: a ratio, its bound, and whether it keeps it."""
    return f"{what:<64} {value:>6.2f}  {'≤' if value <= bound else '>'} {bound:.2f}"
