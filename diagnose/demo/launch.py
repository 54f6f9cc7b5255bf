"""Start a demo job, wait until it answers, and leave nothing behind: no process, no file."""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from diagnose.demo.workloads import Workload, workload
from heuristics.errors import DiagnoseError
from heuristics.vocabulary import Share

REGIMES = (Share.MEMORY, Share.COMPUTE, Share.LATENCY)
"""The jobs, in the order in which a demonstration runs them."""

MOST_CPUS = 8
"""With more, what numpy does on one CPU between the matrix products would hold the job back."""

START_S = 60.0
END_S = 5.0
COLLECTED = 2000
"""Characters of a failed job's last words that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A job that runs and answers at ``http://127.0.0.1:port/metrics``; ``workload.regime`` is what it is made for."""

    pid: int
    port: int
    workload: Workload

    @property
    def regime(self) -> Share:
        """The regime expected of it."""
        return self.workload.regime


def chosen_device() -> str:
    """``cuda`` where torch is installed and finds a GPU, else ``cpu``."""
    if find_spec("torch") is None:
        return "cpu"
    asked = "import torch, sys; sys.exit(0 if torch.cuda.is_available() else 1)"
    try:
        done = subprocess.run([sys.executable, "-c", asked], capture_output=True, timeout=START_S, check=False)
    except subprocess.TimeoutExpired:
        return "cpu"
    return "cuda" if done.returncode == 0 else "cpu"


@contextmanager
def running(job: Share | Workload, *, device: str = "cpu") -> Iterator[Running]:
    """A job of a regime, or with a given load, for as long as the block runs.

    It ends with the block, with this process however that ends, and is no part of the terminal's Ctrl-C.

    Raises:
        DiagnoseError: it did not start.
    """
    load = job if isinstance(job, Workload) else _workload(job, device)
    with tempfile.TemporaryDirectory(prefix="diagnose-demo-") as folder:
        model = Path(folder) / f"demo-{load.shape.layers}x{load.shape.hidden_size}"
        model.mkdir()
        (model / "config.json").write_text(json.dumps(load.config, indent=1), encoding="utf-8")
        with (Path(folder) / "errors").open("w+b") as errors:
            process = subprocess.Popen(
                _command(load, model),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
            try:
                port = _port(process, errors)
                _answers(port)
                yield Running(pid=process.pid, port=port, workload=load)
            finally:
                _end(process)


def _workload(regime: Share, device: str) -> Workload:
    from collectors.calibration.machine import this_machine

    return workload(regime, last_level_cache_bytes=this_machine().last_level_cache_bytes, device=device)


def _command(load: Workload, model: Path) -> list[str]:
    from collectors.calibration.machine import on_distinct_cores, usable_cpus

    cpus = ",".join(map(str, on_distinct_cores(usable_cpus(), MOST_CPUS)))
    options = {"model": model, "batch": load.batch, "context": load.context, "pause": load.pause_s, "cpus": cpus}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    flags = ["--eager"] if load.eager else []
    return [
        *(sys.executable, "-m", "diagnose.demo.job", *words),
        *("--device", load.device, *flags, "--end-with-stdin"),
    ]


def _port(process: subprocess.Popen[bytes], errors: IO[bytes]) -> int:
    """The port that the job names once it has taken a step."""
    assert process.stdout is not None
    line, deadline_s = b"", time.monotonic() + START_S
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, deadline_s - time.monotonic())):
                raise DiagnoseError(f"the demo job did not start within {START_S:.0f} s")
            read = process.stdout.read1(256)  # type: ignore[attr-defined]
            if not read:
                raise DiagnoseError(f"the demo job ended at its start: {_last_words(errors)}")
            line += read
    return int(json.loads(line)["port"])


def _last_words(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = errors.read().decode("utf-8", "replace")[-COLLECTED:].strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _answers(port: int) -> None:
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{port}/metrics", timeout=START_S) as answer:
            answer.read()
    except (OSError, urllib.error.URLError) as error:
        raise DiagnoseError(f"the demo job does not answer: {error}") from error


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close its input, which ends it; kill it where it does not."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.close()
        process.wait(END_S)
    except (subprocess.TimeoutExpired, OSError, KeyboardInterrupt):
        process.kill()
        process.wait()
    finally:
        process.stdout.close()
