"""Two commands in turns, A B B A, on this machine: what the host does to both cancels within a pair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from collectors.dump import Interrupt
from diagnose.printed import WALL, Kind, Reading, reading
from diagnose.running import run
from heuristics.errors import DiagnoseError
from heuristics.regression.beside import beside
from heuristics.regression.metrics import METRICS, Metric, metric_named
from heuristics.regression.outcome import Outcome, Why
from heuristics.regression.paired import PairedCheck, compare_pairs, ended_early
from heuristics.regression.policy import PairedPolicy
from reports.check_figures import figure

WARM_UP = 1


def metric_of(name: Any) -> Metric | None:
    """The metric of that name, wall time among them; None where none is asked for.

    Raises:
        DiagnoseError: there is none of that name.
    """
    if name is None or str(name).replace("-", "_") == WALL.name:
        return None if name is None else WALL
    found = metric_named(str(name))
    if found is None:
        known = ", ".join(metric.name for metric in (*METRICS, WALL))
        raise DiagnoseError(f"no metric named {name!r}", hint=f"one of {known}")
    return found


@dataclass(slots=True, kw_only=True)
class Pairing:
    """Runs commands in turns. ``tell`` takes a line after each pair.

    ``metric``: the one that is asked for. Wall time counts whatever is printed.
    """

    a: str
    b: str
    policy: PairedPolicy
    metric: Metric | None = None
    warm_up: int = WARM_UP
    timeout_s: float
    interrupt: Interrupt
    tell: Callable[[str], None]
    _chosen: Metric | None = field(default=None, init=False)
    _kind: Kind | None = field(default=None, init=False)
    """What the runs print."""

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
        found = replace(found, confirmed_by=again, warnings=(*found.warnings, *again.warnings))
        if again.outcome is Outcome.REGRESSION:
            return found
        return replace(found, outcome=again.outcome, why=(*again.why, Why.NOT_CONFIRMED))

    def _once(self) -> PairedCheck:
        for number in range(self.warm_up):
            for name, command in (("A", self.a), ("B", self.b)):
                found = self._read(command)
                if found is not None:
                    self.tell(f"warm-up {number + 1}: {name} {_told(found)}")
        pairs: list[tuple[Reading, Reading]] = []
        while len(pairs) < self.policy.pairs and not any(side.idle for pair in pairs[-1:] for side in pair):
            turned = len(pairs) % 2 == 1
            first = self._read(self.b if turned else self.a)
            second = None if first is None else self._read(self.a if turned else self.b)
            if first is None or second is None:
                break
            pairs.append((second, first) if turned else (first, second))
            self.tell(f"pair {len(pairs)} of {self.policy.pairs}: {_apart(*pairs[-1])}")
        return self._judged(pairs)

    def _judged(self, pairs: list[tuple[Reading, Reading]]) -> PairedCheck:
        values = [(a.value, b.value) for a, b in pairs if not a.idle and not b.idle]
        sessions = [(a.session, b.session) for a, b in pairs if a.session is not None and b.session is not None]
        also = beside(sessions, self.policy)
        compared = compare_pairs(
            [a for a, _ in values if a is not None],
            [b for _, b in values if b is not None],
            self.policy,
            metric=self.metric or self._chosen or WALL,
            beside=also,
        )
        compared = replace(compared, commands=(self.a, self.b))
        return compared if len(pairs) == self.policy.pairs or also.no_measure is not None else ended_early(compared)

    def _read(self, command: str) -> Reading | None:
        done = run(command, timeout_s=self.timeout_s, interrupt=self.interrupt)
        if done is None:
            return None
        if self.metric is WALL:
            return Reading(kind=Kind.NOTHING, metric=WALL, value=done.wall_s)
        found = reading(done, self.metric or self._chosen, self._kind)
        self._kind, self._chosen = found.kind, found.metric or self._chosen
        return found


def _told(found: Reading) -> str:
    if found.idle or found.value is None or found.metric is None:
        return "idle"
    return figure(found.value, found.metric.unit)


def _apart(a: Reading, b: Reading) -> str:
    sides = f"A {_told(a)}, B {_told(b)}"
    if a.idle or b.idle or a.value is None or b.value is None:
        return sides
    return f"{sides}, {100.0 * (b.value / a.value - 1.0):+.1f} %"
