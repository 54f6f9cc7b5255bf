"""Nights in a quarter of an hour: a real inference job on this CPU, kept, slowed by a known amount, and changed.

``python -m tests.benchmarks.night [FOLDER]`` runs everything through the command line, as a nightly job does, and
prints what it prints. With ``--server llama-server --model A.gguf --slower B.gguf`` the job is llama.cpp's own server,
loaded one request at a time, and B a model of the same name that streams more bytes; without, it is the decoder of
``diagnose demo``. Quiet machines only: beside other load the check will say that the host was not well, and be right.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from diagnose.demo.launch import running
from diagnose.demo.workloads import Workload, workload
from heuristics.vocabulary import Share

DIAGNOSE = [sys.executable, "-m", "diagnose"]
WATCH_S = 8
SLOWER = 0.15
"""What is added to each step of the slowed version, of the step itself."""
WAITING = 3.0
BATCH = 64
HERE = [sys.executable, "-m", "tests.benchmarks.night"]


def kept(job: str, step_s: float = 0.0) -> dict[str, Workload]:
    """The versions of one of the demo's decoders: as it is, and changed by a known amount."""
    usual = workload(Share.LATENCY if job == "pausing" else Share.MEMORY, last_level_cache_bytes=32e6)
    return {
        "usual": usual,
        "slower": replace(usual, pause_s=usual.pause_s + SLOWER * step_s),
        "waiting": replace(usual, pause_s=WAITING * step_s),
        "batch": replace(usual, batch=BATCH),
    }


def session(job: str, version: str, step_s: float, out: Path) -> None:
    """One session of a decoder of the demo's: started, watched, ended."""
    with running(kept(job, step_s)[version]) as process:
        time.sleep(1.0)
        ran("attach", process.pid, "--for", WATCH_S, "--format", "json", "-o", out)


@contextmanager
def served(server: str, model: str) -> Iterator[int]:
    """llama.cpp's server with that model; its pid."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--port", port, "--threads", 1, "--parallel", 16, "--ctx-size", 8192, "--metrics"]
    process = subprocess.Popen(
        [server, "-m", model, *map(str, options)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=1.0)
                break
            except (OSError, urllib.error.URLError):
                time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def swept(server: str, model: str, at_once: int, out: Path) -> None:
    """One session of llama.cpp's server under a load of so many requests at once."""
    with served(server, model) as pid:
        load = ["--batches", at_once, "--level-seconds", WATCH_S, "--prompt-tokens", 32, "--output-tokens", 96]
        ran("sweep", pid, *load, "--format", "json", "-o", out)


def ran(*arguments: Any) -> subprocess.CompletedProcess[str]:
    """A command as the user types it; what it says on standard error is not shown."""
    done = subprocess.run(
        [*DIAGNOSE, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "80"},
    )
    if done.returncode == 2:
        raise SystemExit(f"diagnose {shlex.join(map(str, arguments))}\n{done.stderr}")
    return done


def shown(*arguments: Any, lines: int | None = None) -> int:
    """The same, with its beginning printed as a terminal shows it."""
    print(f"$ diagnose {shlex.join(map(str, arguments))}", flush=True)
    done = ran(*arguments)
    out = done.stdout.splitlines()
    print("\n".join(out[:lines]))
    print(f"exit code {done.returncode}\n", flush=True)
    return done.returncode


def week(take: Callable[[str, Path], None], versions: list[str], sessions: int) -> None:
    """So many nights of the usual version, then one of each version, checked."""
    began = time.monotonic()
    for night in range(sessions):
        take("usual", Path(f"night-{night + 1}.json"))
        ran("baseline", "add", f"night-{night + 1}.json", "--baseline", "nights", "--workload", "decode")
        if night == 3:
            shown("check", "night-4.json", "--baseline", "nights", "--workload", "decode", lines=3)
    shown("baseline", "list", "--baseline", "nights")
    for version in versions:
        print(f"--- a night of the version: {version} ---\n", flush=True)
        take(version, Path(f"{version}.json"))
        shown("check", f"{version}.json", "--baseline", "nights", "--workload", "decode")
    print(f"{time.monotonic() - began:.0f} s in all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default="night")
    parser.add_argument("--sessions", type=int, default=10)
    parser.add_argument("--server")
    parser.add_argument("--model")
    parser.add_argument("--slower")
    parser.add_argument("--one", nargs=3, metavar=("JOB", "VERSION", "STEP_S"), help="one session of it, as JSON")
    given = parser.parse_args()
    if given.one:
        out = Path(given.folder)
        session(given.one[0], given.one[1], float(given.one[2]), out)
        print(out.read_text(encoding="utf-8"))
        return
    folder = Path(given.folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    root = Path.cwd()
    os.environ["PYTHONPATH"] = str(root)
    if given.server:
        server, models = (
            str(Path(given.server).absolute()),
            {
                "usual": str(Path(given.model).absolute()),
                "slower": str(Path(given.slower).absolute()),
            },
        )

        def load(version: str, out: Path) -> None:
            swept(server, models.get(version, models["usual"]), 16 if version == "batch" else 1, out)

        os.chdir(folder)
        week(load, ["usual", "slower", "batch"], given.sessions)
        return
    for job, versions in (("pausing", ["usual", "slower"]), ("streaming", ["usual", "waiting", "batch"])):
        (folder / job).mkdir(exist_ok=True)
        os.chdir(folder / job)
        session(job, "usual", 0.0, Path("first.json"))
        step_s = json.loads(Path("first.json").read_text(encoding="utf-8"))["measured"]["step_s"]
        print(f"=== {job}: a step takes {1e3 * step_s:.1f} ms ===\n", flush=True)
        week(partial(taken, job, step_s), versions, given.sessions)
        if job == "pausing":
            commands = [
                shlex.join([*HERE, f"pair-{v}.json", "--one", job, v, str(step_s)]) for v in ("usual", "slower")
            ]
            shown("check", "--paired", *commands, "--pairs", 6)


def taken(job: str, step_s: float, version: str, out: Path) -> None:
    """The same, as ``week`` wants it."""
    session(job, version, step_s, out)


if __name__ == "__main__":
    main()
