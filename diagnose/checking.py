"""``check``: one session against a baseline, or two commands against each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from os import PathLike, fspath
from typing import Any

from collectors.baseline import store
from collectors.dump import Interrupt
from diagnose.against import Against
from diagnose.check_policy import paired_policy_of, policy_of
from diagnose.check_result import CheckResult
from diagnose.check_settings import settings
from diagnose.clock import now_text
from diagnose.given import Path, option, scaled, whole
from diagnose.pairing import WARM_UP, Pairing, metric_of
from diagnose.running import TIMEOUT_S
from diagnose.running import run as run_command
from diagnose.sessions import Source, verdict_of, workload_named
from heuristics.errors import DiagnoseError, UnreadableDump
from heuristics.regression.gate import confirmed
from heuristics.regression.outcome import Outcome

SAME_AGAIN = "the second run printed the first one's session again, which confirms nothing: it must measure afresh"

OF_SESSIONS = ("baseline", "workload", "sessions", "latest", "across", "allow_noisy", "add")
OF_PAIRS = ("pairs", "warm_up")
"""Options of one mode alone."""


def check(
    current: Source | None = None,
    *,
    baseline: Path | None = None,
    workload: str | None = None,
    run: str | None = None,
    paired: tuple[str, str] | None = None,
    confirm: bool = False,
    add: bool = False,
    metric: str | None = None,
    min_effect: float | str | None = None,
    confidence: float | str | None = None,
    resolution: float | str | None = None,
    sessions: int | str | None = None,
    latest: int | str | None = None,
    across: str | Iterable[str] = (),
    allow_noisy: bool | None = None,
    flips: bool | None = None,
    roof: bool | None = None,
    pairs: int | str | None = None,
    warm_up: int | str | None = None,
    timeout: float | str | None = None,
    interrupt: Interrupt | None = None,
    tell: Callable[[str], None] | None = None,
    **options: Any,
) -> CheckResult:
    """Did a job get slower, change its regime, or move away from its roof?

    Args:
        current: a verdict's JSON, a dump or a recording, a ``Result``, or a verdict's dict.
        baseline: the folder of the sessions to compare with.
        workload: which of them: those that were added under this name. What the verdict itself states of its load,
            such as a sweep's levels, must agree nevertheless.
        run: in place of ``current``, a command that prints a verdict as JSON.
        paired: two commands, which are run in turns; no baseline then. What is compared is the metric in a verdict or a
            JSON object that each run prints last, or the time that they take where none prints any.
        confirm: before failing, measure once more: ``run`` again, or all pairs.
        add: add the session to the baseline, the second one where it had to be confirmed; unless it is a regression,
            idle, of a sick host, without the metric that gates, or there already: then a warning says so.
        metric: the one that gates; time per output token, else step time, tokens/s, kernel time. In pairs also
            ``wall_s``, the time that the commands take, whatever they print.
        min_effect: percent; a smaller change never fails. 3 unless stated.
        confidence: percent, of the interval that a session must leave. 99 unless stated.
        resolution: percent; where a slow-down of this size could hide, nothing can be told. 20 unless stated; 5 in
            pairs, for which ``pyproject.toml`` has ``paired-resolution``.
        sessions: like ones that are needed, 8 at least. latest: so many of them count at most, 30 unless stated.
        across: traits that may differ, such as ``engine_version`` or ``driver``, because they are what is tested.
        allow_noisy: check although the host was throttled or shared.
        flips, roof: whether another regime or cause, or a move away from the roof, fails; both do unless stated.
        pairs: 10 unless stated, five at least. warm_up: runs of each before them, 1 unless stated.
        timeout: seconds that a command may take, 1800 unless stated.
        interrupt: set ``requested`` on it to end the runs and judge what there is: pairs that are not all there can
            fail, and never pass.
        tell: takes a line after each run.
        options: those of ``analyze``, for a dump.

    What is not stated is taken from ``[tool.diagnose.check]`` of the nearest ``pyproject.toml``.

    Raises:
        CommandFailed: a command fails or does not end.
        UnreadableDump: the current file is none that can be compared.
        DiagnoseError: an option makes no sense or is of the other mode, or the baseline cannot be read; in pairs,
            runs print different kinds of things, no usable figure, or a provisional verdict.
    """
    stated = {
        "baseline": None if baseline is None else fspath(baseline),
        "workload": workload,
        "metric": metric,
        "min_effect": min_effect,
        "confidence": confidence,
        "resolution": resolution,
        "sessions": sessions,
        "latest": latest,
        "across": across if isinstance(across, str) else tuple(across),
        "allow_noisy": allow_noisy,
        "flips": flips,
        "roof": roof,
        "pairs": pairs,
        "warm_up": warm_up,
        "timeout": timeout,
    }
    found = settings(stated, paired=paired is not None)
    stop, say = interrupt or Interrupt(), tell or _untold
    timeout_s = scaled("timeout", found.get("timeout"), 1.0) or TIMEOUT_S
    _one_question(current, run, paired, confirm=confirm)
    _of_one_mode({**stated, **options, "add": add or None}, options, in_pairs=paired is not None)
    if paired is not None:
        pairing = Pairing(
            a=paired[0],
            b=paired[1],
            policy=paired_policy_of(found),
            metric=metric_of(found.get("metric")),
            warm_up=_warm_ups(found.get("warm_up")),
            timeout_s=timeout_s,
            interrupt=stop,
            tell=say,
        )
        return CheckResult(check=pairing.check(confirm=confirm), created_at=now_text())
    if found.get("baseline") is None:
        raise DiagnoseError("no baseline is given", hint="--baseline DIR, or --paired 'CMD_A' 'CMD_B'")
    against = Against(
        directory=str(found["baseline"]), workload=workload_named(found.get("workload")), policy=policy_of(found)
    )
    if add:
        store.make(against.directory)
    verdict, name = _current(current, run, timeout_s, stop, options)
    answer = against.check(verdict, name)
    if confirm and answer.outcome is Outcome.REGRESSION and not stop.requested:
        say("looks like a regression: once more, to confirm it")
        fresh, name = _current(None, run, timeout_s, stop, options)
        second = against.check(fresh, name)
        if second.current.data == answer.current.data:
            answer = replace(answer, warnings=(*answer.warnings, SAME_AGAIN))
        else:
            verdict, answer = fresh, confirmed(answer, second)
    now = now_text()
    added = against.add(verdict, answer.confirmed_by or answer, now=now) if add else None
    return CheckResult(
        check=replace(answer, kept=added is not None),
        created_at=now,
        baseline=against.directory,
        warnings=tuple(against.warnings),
        added=added,
    )


def _current(
    current: Source | None,
    command: str | None,
    timeout_s: float,
    interrupt: Interrupt,
    options: Mapping[str, Any],
) -> tuple[dict[str, Any], str]:
    """The verdict to check, and what it is called."""
    if command is None:
        assert current is not None
        name = fspath(current) if isinstance(current, str | PathLike) else "the current session"
        return verdict_of(current, **options), name
    begun_s = time.monotonic()
    done = run_command(command, timeout_s=timeout_s, interrupt=interrupt)
    if done is None:
        raise DiagnoseError(f"{command}: ended by you after {time.monotonic() - begun_s:.0f} s", hint="let it end")
    found = done.last_object()
    if found is None:
        raise UnreadableDump(command, "printed no verdict", hint="end it with --format json")
    return found, f"{command} (--run)"


def _one_question(current: object, command: str | None, paired: tuple[str, str] | None, *, confirm: bool) -> None:
    given = [
        name for name, value in (("CURRENT", current), ("--run", command), ("--paired", paired)) if value is not None
    ]
    if len(given) != 1:
        raise DiagnoseError(
            "nothing to check is given" if not given else f"{' and '.join(given)} are two questions",
            hint="diagnose check verdict.json --baseline DIR, or --run 'CMD', or --paired 'CMD_A' 'CMD_B'",
        )
    if confirm and current is not None:
        raise DiagnoseError("a file cannot be measured once more", hint="--run 'diagnose attach PID --format json'")


def _of_one_mode(stated: Mapping[str, Any], dump: Iterable[str], *, in_pairs: bool) -> None:
    """What was typed for the other mode is an error; ``dump`` names options of a dump."""
    foreign = (*OF_SESSIONS, *dump) if in_pairs else OF_PAIRS
    typed = [option(name) for name in foreign if stated.get(name) is not None and stated[name] != ()]
    if not typed:
        return
    listed = ", ".join(f"--{name}" for name in typed)
    if in_pairs:
        raise DiagnoseError(
            f"{listed}: means nothing with --paired, which compares two commands and no sessions",
            hint="leave it out, or check a verdict: diagnose check verdict.json --baseline DIR",
        )
    raise DiagnoseError(f"{listed}: means nothing without --paired", hint="leave it out, or --paired 'CMD_A' 'CMD_B'")


def _warm_ups(stated: Any) -> int:
    """Runs before the pairs; none is allowed here."""
    if stated is None:
        return WARM_UP
    if str(stated).strip() == "0":
        return 0
    return whole("warm_up", stated)


def _untold(_: str) -> None:
    """Nobody wants to know."""
