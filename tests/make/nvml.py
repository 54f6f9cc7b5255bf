"""NVML without a GPU: a library of our own behind the real binding, and a source that reads it."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

Record = dict[str, Any]

ROOT = Path(__file__).parents[2]
NAME = "libnvidia-ml.so.1"


def compiler() -> str | None:
    """A C compiler, if there is one."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


@cache
def stub(*options: str) -> Path:
    """A folder with the stub in it under the name that the binding loads; skips where nothing can compile it."""
    found = compiler()
    if found is None:
        pytest.skip("no C compiler (cc, gcc or clang) for the stub of NVML")
    folder = Path(tempfile.mkdtemp(prefix="nvml-stub-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    source = Path(__file__).with_name("nvml_stub.c")
    command = [found, "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", *options, "-o", str(folder / NAME)]
    subprocess.run([*command, str(source), "-lm"], check=True)
    return folder


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Records of one run, and what the stub counted."""

    records: list[Record]
    counts: Mapping[str, int]
    loaded: list[str] = field(default_factory=list)

    def of(self, what: str, device: int | None = None) -> list[Record]:
        """Records of one kind, of one device where it is given."""
        key = "index" if what == "device" else "device"
        return [r for r in self.records if r["what"] == what and (device is None or r.get(key) == device)]

    @property
    def missing(self) -> list[str]:
        """What is missing, as one text each."""
        return [f"{r['source']}: {r['reason']}" for r in self.of("missing")]


def seen(
    scenario: str,
    *,
    folder: Path | None = None,
    jobs: Sequence[Sequence[int]] = ((700,),),
    known: Mapping[int, int] | Sequence[Mapping[int, int]] | None = None,
    visible: str | None = None,
    holds_device: bool | None = None,
    turns: int = 3,
    period_s: float = 1.0,
    survey: Path | None = None,
    path: Sequence[Path] = (),
) -> Seen:
    """What a source sees in a scenario.

    ``jobs``: the job's pids each time they are asked for, the last for good; ``known``: likewise what NVML's pids are.
    """
    mappings = [known] if isinstance(known, Mapping) else known
    order = {
        "jobs": [list(pids) for pids in jobs],
        "known": None if mappings is None else [list(mapping.items()) for mapping in mappings],
        "visible": visible,
        "holds_device": holds_device,
        "turns": turns,
        "period_s": period_s,
        "survey": None if survey is None else str(survey),
    }
    text = json.dumps({**order, "scenario": scenario})
    if path or folder is not None:
        child = _child(folder or stub(), path)
        answer, _ = child.communicate(text + "\n", timeout=60)
    else:
        child = _running()
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(text + "\n")
        child.stdin.flush()
        answer = child.stdout.readline()
    assert answer, "the child died; its errors are above"
    return Seen(**json.loads(answer))


def _child(folder: Path, path: Sequence[Path] = ()) -> subprocess.Popen[str]:
    """A process that finds the library in the folder, and modules in these places first."""
    places = os.pathsep.join(map(str, [*path, ROOT]))
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.make.nvml_child"],
        cwd=ROOT,
        env={**os.environ, "LD_LIBRARY_PATH": str(folder), "PYTHONPATH": places},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@cache
def _running() -> subprocess.Popen[str]:
    """One for all runs with the stub as it is: every opening of the library begins anew."""
    child = _child(stub())
    atexit.register(child.communicate)
    return child
