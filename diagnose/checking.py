"""``check``: one session against a baseline, or two commands against each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from collectors.baseline import store
from collectors.baseline.lines import Flaw
from collectors.dump import Interrupt
from collectors.verdict_json import session_of
from diagnose import __version__
from diagnose.check_policy import paired_policy_of, policy_of, settings
from diagnose.diffing import DiffResult
from diagnose.given import Path, option, scaled
from diagnose.pairing import WARM_UP, Pairing, metric_of
from diagnose.running import TIMEOUT_S
from diagnose.running import run as run_command
from diagnose.sessions import Source, verdict_of, watched
from heuristics.errors import DiagnoseError, UnreadableDump
from heuristics.regression.difference import difference
from heuristics.regression.gate import check as gate
from heuristics.regression.gate import confirmed, most_usual
from heuristics.regression.outcome import Check, Outcome, Why
from heuristics.regression.paired import PairedCheck
from heuristics.regression.policy import Policy
from heuristics.regression.session import Session

if TYPE_CHECKING:
    import pandas

UNFIT = frozenset({Why.SICK_HOST, Why.NO_WORK})
"""A session that shows these is no measure for later ones."""

OF_SESSIONS = ("baseline", "workload", "sessions", "latest", "across", "allow_noisy", "add")
OF_PAIRS = ("pairs", "warm_up")
"""Options of one mode alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What a check came to. ``str()`` is the terminal's report; ``exit_code`` is 0, 1 or 3."""

    check: Check | PairedCheck
    created_at: str
    baseline: str | None = None
    warnings: tuple[str, ...] = ()
    added: str | None = None
    """The file that the session was added to."""

    def difference(self) -> DiffResult | None:
        """What moved since the most usual of the like sessions, where the check came to a regression."""
        found = self.check
        if isinstance(found, PairedCheck) or found.outcome is not Outcome.REGRESSION:
            return None
        usual = most_usual(found)
        return None if usual is None else DiffResult(difference(usual, found.current))

    def to_dict(self) -> dict[str, Any]:
        """The check's JSON (schema ``diagnose.check/1``) as plain Python values."""
        from reports.check_json import to_dict

        found = to_dict(self.check, baseline=self._folder)
        moved = self.difference()
        return {
            "schema": found.pop("schema"),
            "tool_version": __version__,
            "created_at": self.created_at,
            **found,
            "added_to": self.added,
            "difference": None if moved is None else moved.to_dict(),
            "warnings": [*self.warnings, *found["warnings"]],
        }

    def to_frame(self) -> pandas.DataFrame:
        """One row a metric, columns as in the JSON's ``metrics``; of pairs, one row a pair."""
        import pandas as pd

        if isinstance(self.check, PairedCheck):
            return pd.DataFrame({"a": self.check.a, "b": self.check.b})
        return pd.DataFrame(self.to_dict()["metrics"])

    def to_text(self, *, width: int = 80, colour: bool = False) -> str:
        """The terminal's report; under a regression, what moved."""
        from reports.check_text import render

        moved = self.difference()
        told = [] if moved is None else moved.brief(width=width - 2, colour=colour)
        return render(self.check, width=width, colour=colour, baseline=self._folder, moved=told)

    def to_markdown(self) -> str:
        """For a comment; under a regression, what moved in full."""
        from reports.check_markdown import render
        from reports.diff_markdown import render as render_difference

        moved = self.difference()
        more = "" if moved is None else "\n" + render_difference(moved.moved, __version__)
        return render(self.check, baseline=self._folder) + more

    def __str__(self) -> str:
        return self.to_text()

    @property
    def _folder(self) -> str:
        from reports.check_next import FOLDER

        return self.baseline or FOLDER

    @property
    def outcome(self) -> str:
        """``pass``, ``improvement``, ``regression`` or ``cannot_tell``."""
        return self.check.outcome.value

    @property
    def exit_code(self) -> int:
        """As the command's: 0 a pass, 1 a regression, 3 where it cannot be told."""
        return self.check.outcome.exit_code


@dataclass(slots=True, kw_only=True)
class Against:
    """A baseline with the policy to check against it."""

    directory: str
    workload: str | None
    policy: Policy
    warnings: list[str] = field(default_factory=list)

    def check(self, verdict: dict[str, Any], name: str) -> Check:
        """One session against it.

        Raises:
            UnreadableDump: it is no verdict, or one that says nothing.
            DiagnoseError: the baseline cannot be read.
        """
        kept = store.read(self.directory)
        for flaw, words in (
            (Flaw.DAMAGED, "damaged and passed over"),
            (Flaw.NEWER, "written by a newer diagnose and passed over"),
        ):
            if lines := kept.flawed(flaw):
                self._warn(f"{len(lines)} of the baseline's lines {words}: the first is {lines[0].place}")
        sessions = kept.sessions
        current = session_of(watched(verdict, name), name, workload=self.workload)
        if current.identity.get("workload") is None:
            current = self._named(verdict, name, sessions) or current
        if current.regime is None and not current.figures:
            raise UnreadableDump(name, "nothing was measured", hint="diagnose attach PID --for 20, under load")
        return gate(current, sessions, self.policy)

    def _named(self, verdict: dict[str, Any], name: str, sessions: list[Session]) -> Session | None:
        """The session under the baseline's only workload, where neither it nor the user names one."""
        workloads = {s.identity.get("workload") for s in sessions}
        if len(workloads) != 1 or None in workloads:
            return None
        only = str(next(iter(workloads)))
        self._warn(f"no workload is named: taken for {only}, the only one of the baseline")
        return session_of(verdict, name, workload=only)

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


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
        workload: which of them: those that were added under this name.
        run: in place of ``current``, a command that prints a verdict as JSON.
        paired: two commands, which are run in turns; no baseline then. What is compared is the metric in a verdict or a
            JSON object that each run prints last, or the time that they take where none prints any.
        confirm: before failing, measure once more: ``run`` again, or all pairs.
        add: add the session to the baseline, unless it is a regression, idle, or of a sick host.
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
        return CheckResult(check=pairing.check(confirm=confirm), created_at=_now())
    if found.get("baseline") is None:
        raise DiagnoseError("no baseline is given", hint="--baseline DIR, or --paired 'CMD_A' 'CMD_B'")
    against = Against(directory=str(found["baseline"]), workload=found.get("workload"), policy=policy_of(found))
    if add:
        store.make(against.directory)
    verdict, name = _current(current, run, timeout_s, stop, options)
    first = against.check(verdict, name)
    if confirm and first.outcome is Outcome.REGRESSION and not stop.requested:
        say("looks like a regression: once more, to confirm it")
        first = confirmed(first, against.check(*_current(None, run, timeout_s, stop, options)))
    added = None
    fit = first.outcome is not Outcome.REGRESSION and not UNFIT.intersection(first.why)
    if add and fit and first.current.regime is not None:
        kept = store.append(
            against.directory, dict(verdict), workload=first.current.identity.get("workload"), added_at=_now()
        )
        added = kept.path
    return CheckResult(
        check=first,
        created_at=_now(),
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
    return found, command


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
    from diagnose.given import whole

    return whole("warm_up", stated)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _untold(_: str) -> None:
    """Nobody wants to know."""
