"""Ctrl-C during ``diagnose sweep``: nothing more is sent, no connection stays open, what was measured is judged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from diagnose import sweep
from tests.diagnose.command import started
from tests.make.batching import Costs, Engine, batching
from tests.reports.contract import VERDICT_JSON


def test_ctrl_c_ends_the_load_and_judges_what_was_measured() -> None:
    with batching(Costs(fixed_s=0.02)) as (engine, url):
        options = ("--batches", "1,2,4,8", "--level-seconds", "0.6", "--output-tokens", "4000", "--format", "json")
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with started("sweep", url, "--timeout", "30", "--max-tokens", "4000000", *options, **pipes) as process:
            _until(lambda: len(engine.posts) >= 1 + 1 + 2, process)
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
            _until(lambda: engine.open == 0, None)
            after = len(engine.posts)
    assert process.returncode == 0, err
    found = json.loads(out)
    jsonschema.Draft202012Validator(VERDICT_JSON).validate(found)
    assert found["sweep"]["ended_early"] == "interrupted"
    assert found["sweep"]["levels"]
    assert after <= 1 + 1 + 2 + 4
    assert b"Traceback" not in err


def test_a_second_ctrl_c_quits() -> None:
    """Also while the first one is being heeded; nothing is printed, and no connection stays open."""
    with batching(Costs(fixed_s=0.02)) as (engine, url):
        options = ("--batches", "1", "--output-tokens", "4000", "--max-tokens", "100000")
        with started("sweep", url, *options, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            _until(lambda: len(engine.posts) >= 2, process)
            process.send_signal(signal.SIGINT)
            time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
            _until(lambda: engine.open == 0, None)
    assert b"Traceback" not in err
    assert process.returncode in (2, 130), "the first may have been heeded in full before the second came"
    assert out == b""


@pytest.fixture
def heeded() -> Iterator[None]:
    """Ctrl-C raises in this process, also where its parent ignores it, as a shell's background does."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_keyboard_interrupt_in_python_ends_the_load_with_it(heeded: None) -> None:
    """The caller's own process goes on, so nothing may be sent from it any more."""
    with batching(Costs(fixed_s=0.02)) as (engine, url):
        threading.Thread(target=_interrupting, args=(engine,), daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            sweep(url, batches="1,2,4", level_seconds=1.0, output_tokens=8, max_seconds=20)
        sent = len(engine.posts)
        _until(lambda: all(thread.name != "diagnose-load" for thread in threading.enumerate()), None)
        _until(lambda: engine.open == 0, None)
        assert len(engine.posts) == sent


def _interrupting(engine: Engine) -> None:
    """Send this process what Ctrl-C sends once the first level runs."""
    _until(lambda: len(engine.posts) >= 3, None)
    os.kill(os.getpid(), signal.SIGINT)


def _until(reached: Any, process: subprocess.Popen[bytes] | None) -> None:
    until_s = time.monotonic() + 60.0
    while not reached():
        assert time.monotonic() < until_s
        assert process is None or process.poll() is None, "the command ended too early"
        time.sleep(0.02)
