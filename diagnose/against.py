"""The baseline of a check: what a session is held against, and where it is kept afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from collectors.baseline import store
from collectors.baseline.lines import Flaw
from collectors.verdict_json import session_of
from diagnose.sessions import settled, watched
from heuristics.errors import DiagnoseError, UnreadableDump
from heuristics.regression.gate import check as gate
from heuristics.regression.minded import minded
from heuristics.regression.outcome import Check, Outcome, Why
from heuristics.regression.policy import Policy
from heuristics.regression.session import Session

UNFIT = {
    Why.SICK_HOST: "the host was not well",
    Why.NO_WORK: "the job did no work",
    Why.STALLED: "the job stalled",
    Why.OTHER_LOAD: "the load was another one",
}
"""A session that shows these is no measure for later ones."""


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
        found = gate(current, sessions, self.policy)
        return replace(found, warnings=(*found.warnings, *minded(current, found.sessions)))

    def add(self, verdict: dict[str, Any], found: Check, *, now: str) -> str | None:
        """Keep the session that was checked; the file that it was added to. Where it is not, a warning says why.

        Raises:
            DiagnoseError: the folder cannot be written.
        """
        if reason := _unfit(verdict, found):
            self._warn(f"not added to the baseline: {reason}")
            return None
        kept = store.append(self.directory, verdict, workload=found.current.identity.get("workload"), added_at=now)
        if kept.known:
            self._warn(f"not added to the baseline: it is there already, in {kept.path}")
            return None
        return kept.path

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


def _unfit(verdict: dict[str, Any], found: Check) -> str | None:
    """Why a session is no measure for later ones, if it is none."""
    if found.outcome is Outcome.REGRESSION:
        return "it is a regression"
    if bad := next((words for why, words in UNFIT.items() if why in found.why), None):
        return bad
    try:
        settled(verdict, found.current.name)
    except DiagnoseError as error:
        return str(error)
    if found.primary is None:
        return "no speed was measured"
    if found.current.figure(found.primary.name) is None:
        return f"{found.primary.label} was not measured"
    return None
