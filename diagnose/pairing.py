"""Two commands in turns, A B B A, on this machine: what the host does to both cancels within a pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from collectors.dump import Interrupt
from collectors.verdict_json import session_of
from diagnose.running import Run, run
from heuristics.errors import DiagnoseError
from heuristics.regression.flips import flip_between
from heuristics.regression.metrics import METRICS, PRIMARY, Better, Metric, metric_named
from heuristics.regression.outcome import Outcome, Why
from heuristics.regression.paired import PairedCheck, compare_pairs
from heuristics.regression.policy import PairedPolicy
from heuristics.regression.session import Session

WALL = Metric(name="wall_s", label="wall time of the command", better=Better.LOWER, unit="seconds")
VERDICT = "diagnose.verdict/"
WARM_UP = 1
_HINT = 'print a verdict (diagnose ... --format json), a JSON object such as {"step_s": 0.02}, or nothing of the kind'


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one run of a command came to."""

    metric: Metric
    value: float
    session: Session | None = None


@dataclass(slots=True, kw_only=True)
class Pairing:
    """Runs commands in turns. ``tell`` takes a line after each pair."""

    a: str
    b: str
    policy: PairedPolicy
    metric: str | None = None
    warm_up: int = WARM_UP
    timeout_s: float
    interrupt: Interrupt
    tell: Callable[[str], None]
    _chosen: Metric | None = field(default=None, init=False)

    def check(self, *, confirm: bool = False) -> PairedCheck:
        """All pairs, and once more where they look like a regression and that is to be confirmed.

        Raises:
            CommandFailed: a command fails or hangs.
            DiagnoseError: what they print cannot be compared.
        """
        found = self._once()
        if not confirm or found.outcome is not Outcome.REGRESSION or self.interrupt.requested:
            return found
        self.tell("looks like a regression: once more, to confirm it")
        again = self._once()
        if again.outcome is Outcome.REGRESSION:
            return replace(found, confirmed_by=again)
        return replace(found, outcome=again.outcome, why=(*again.why, Why.NOT_CONFIRMED), confirmed_by=again)

    def _once(self) -> PairedCheck:
        for number in range(self.warm_up):
            for name, command in (("A", self.a), ("B", self.b)):
                found = self._read(command)
                if found is not None:
                    self.tell(f"warm-up {number + 1}: {name} {found.value:.4g}")
        pairs: list[tuple[Reading, Reading]] = []
        for number in range(self.policy.pairs):
            turned = number % 2 == 1
            first = self._read(self.b if turned else self.a)
            second = None if first is None else self._read(self.a if turned else self.b)
            if first is None or second is None:
                break
            pairs.append((second, first) if turned else (first, second))
            before, after = pairs[-1]
            self.tell(
                f"pair {number + 1} of {self.policy.pairs}: A {before.value:.4g}, B {after.value:.4g}, "
                f"{100.0 * (after.value / before.value - 1.0):+.1f} %"
            )
        sessions = [(a.session, b.session) for a, b in pairs if a.session is not None and b.session is not None]
        compared = compare_pairs(
            [a.value for a, _ in pairs],
            [b.value for _, b in pairs],
            self.policy,
            metric=self._chosen or WALL,
            flip=flip_between([a for a, _ in sessions], [b for _, b in sessions], self.policy.flip_confidence),
        )
        early = len(pairs) < self.policy.pairs
        return replace(
            compared,
            commands=(self.a, self.b),
            warnings=(f"ended early: {len(pairs)} of {self.policy.pairs} pairs",) if early else (),
        )

    def _read(self, command: str) -> Reading | None:
        done = run(command, timeout_s=self.timeout_s, interrupt=self.interrupt)
        if done is None:
            return None
        found = _reading(done, self._chosen, self.metric)
        self._chosen = found.metric
        return found


def _reading(done: Run, chosen: Metric | None, asked: str | None) -> Reading:
    """The metric of a verdict or of a JSON object that was printed; else the time that the command took."""
    told = done.last_object()
    session = session_of(told, done.command) if told is not None and _is_verdict(told) else None
    values = _values(told, session)
    wanted = metric_named(asked) if asked is not None else chosen
    if wanted is None:
        wanted = next((m for m in (*PRIMARY, *METRICS) if m.name in values), WALL)
    if wanted is WALL:
        return Reading(metric=WALL, value=done.wall_s, session=session)
    value = values.get(wanted.name)
    if value is None:
        raise DiagnoseError(f"{done.command}: does not tell its {wanted.label} ({wanted.name})", hint=_HINT)
    return Reading(metric=wanted, value=value, session=session)


def _is_verdict(told: Mapping[str, Any]) -> bool:
    return str(told.get("schema")).startswith(VERDICT)


def _values(told: Mapping[str, Any] | None, session: Session | None) -> dict[str, float]:
    """Positive numbers by the names of metrics."""
    if session is not None:
        found = {name: session.figure(name) for name in session.figures}
        return {name: value for name, value in found.items() if value is not None}
    return {
        name: float(value)
        for name, value in (told or {}).items()
        if isinstance(value, int | float) and not isinstance(value, bool) and 0.0 < value < float("inf")
    }
