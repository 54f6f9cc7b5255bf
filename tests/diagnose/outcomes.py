"""The command inside this process, and what every run of it must come to, whatever file it was given."""

from __future__ import annotations

import io
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

import jsonschema

from diagnose.cli import main
from tests.reports.contract import VERDICT_JSON

CONTRACT = jsonschema.Draft202012Validator(VERDICT_JSON)

PATIENCE_S = 60
CONFIDENT = 0.80


class Hung(BaseException):
    """The command did not end."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A result, or an error: what is wrong and what to type next."""

    result: dict[str, Any] | None = None
    wrong: str = ""
    hint: str = ""

    @property
    def regime(self) -> str | None:
        """The regime, where something was judged."""
        verdict = self.result and self.result["verdict"]
        return str(verdict["regime"]) if verdict else None

    @property
    def sure_of(self) -> str | None:
        """The regime, if the verdict is confident of one."""
        verdict = self.result and self.result["verdict"]
        return self.regime if verdict and verdict["confidence"] >= CONFIDENT else None

    @property
    def warnings(self) -> list[str]:
        """What the result warns of."""
        return [] if self.result is None else list(self.result["warnings"])

    @property
    def said(self) -> str:
        """The warnings or the error, whichever there is."""
        return "\n".join(self.warnings) if self.result is not None else self.wrong


def analysed(*arguments: object) -> Outcome:
    """``diagnose analyze ... --format json`` in this process."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    before = sys.argv
    sys.argv = ["diagnose", "analyze", *map(str, arguments), "--format", "json"]
    try:
        with impatient(), redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as stopped:
        code = stopped.code
    finally:
        sys.argv = before
    return outcome(code, out.getvalue(), err.getvalue())


def outcome(code: object, out: str, err: str) -> Outcome:
    """A result that keeps the contract with exit code 0, or two lines of error with exit code 2; nothing else."""
    assert code in (0, 2), (code, err)
    if code == 0:
        assert err == ""
        result = json.loads(out, parse_constant=_refused)
        CONTRACT.validate(result)
        return Outcome(result=result)
    assert out == ""
    assert "fault in diagnose" not in err, err
    lines = err.splitlines()
    assert len(lines) == 2, err
    assert lines[0].startswith("Error: "), err
    assert lines[1].startswith("Hint: "), err
    return Outcome(wrong=lines[0].removeprefix("Error: "), hint=lines[1].removeprefix("Hint: "))


@contextmanager
def impatient() -> Iterator[None]:
    """Ends what does not end."""
    before = signal.signal(signal.SIGALRM, _hung)
    signal.alarm(PATIENCE_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _hung(number: int, frame: FrameType | None) -> NoReturn:
    raise Hung


def _refused(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is no JSON")
