"""Commands that are run for the user: their output, their failures, and nothing left of them."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from collectors.dump import Interrupt
from diagnose import running
from diagnose.running import CommandFailed, Run, run


def test_what_it_prints_and_how_long_it_took() -> None:
    found = run("sleep 0.2; echo talk; echo '{\"step_s\": 0.5}'")
    assert found is not None
    assert found.last_object() == {"step_s": 0.5}
    assert found.wall_s >= 0.2


@pytest.mark.parametrize(
    "printed",
    [
        '{"step_s": 1}\nbye',
        '{"step_s": 2}\n{"step_s": 1}\n\n{broken\n[{"a": 1}]',
        'begin {"a": 2}\n{\n "step_s":\n 1\n}\nbye {"b": 1}',
        '{"step_s": 1}\r',
    ],
)
def test_the_last_object_whatever_is_printed_around_it(printed: str) -> None:
    assert Run(command="bench", wall_s=1.0, output=printed).last_object() == {"step_s": 1}


def test_objects_within_objects_are_not_the_last() -> None:
    outer = '{\n "step_s": 1,\n "runs": [\n  {},\n  {"a": 1}\n ]\n}'
    found = Run(command="bench", wall_s=1.0, output=outer).last_object()
    assert found == {"step_s": 1, "runs": [{}, {"a": 1}]}


def test_of_long_outputs_the_end_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MOST_OUTPUT", 1000)
    found = run("seq 2000; echo '{\"step_s\": 1}'")
    assert found is not None
    assert len(found.output) == 1000
    assert found.last_object() == {"step_s": 1}


def test_an_object_over_several_lines() -> None:
    found = run("printf '{\\n \"step_s\": 1}\\n'")
    assert found is not None
    assert found.last_object() == {"step_s": 1}


@pytest.mark.parametrize("printed", ["", "[1]", "3", "nothing", "{broken"])
def test_output_that_is_no_object(printed: str) -> None:
    found = run(f"echo '{printed}'")
    assert found is not None
    assert found.last_object() is None


def test_a_failure_says_its_code_and_its_last_words() -> None:
    with pytest.raises(CommandFailed, match="ended with exit code 3: no such model"):
        run("echo no such model >&2; exit 3")
    with pytest.raises(CommandFailed, match="ended by SIGKILL"):
        run("kill -9 $$")
    with pytest.raises(CommandFailed, match="exit code 127"):
        run("no-such-command-at-all")


def test_one_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    with pytest.raises(CommandFailed, match=r"did not end within 0\.5 s"):
        run(f"trap '' TERM; sleep 60 & echo $! > {mark}; wait", timeout_s=0.5)
    _gone(mark)


def test_what_it_leaves_behind_is_ended_too(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    run(f"sleep 60 & echo $! > {mark}")
    _gone(mark)


def test_what_it_leaves_behind_may_tidy_up(tmp_path: Path) -> None:
    tidy = tmp_path / "tidy"
    run(
        f"(trap 'sleep 0.3; touch {tidy}; exit' TERM; touch {tidy}.ready; while :; do sleep 0.05; done) & "
        f"while ! test -e {tidy}.ready; do sleep 0.05; done"
    )
    assert tidy.exists()


def test_the_user_need_not_wait() -> None:
    interrupt = Interrupt()
    threading.Timer(0.2, lambda: setattr(interrupt, "requested", True)).start()
    begun = time.monotonic()
    assert run("sleep 60", interrupt=interrupt) is None
    assert time.monotonic() - begun < 30.0


def _gone(mark: Path) -> None:
    """The process of that number ends, or has ended."""
    number = int(mark.read_text())
    for _ in range(200):
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    raise AssertionError(f"process {number} is still there")
