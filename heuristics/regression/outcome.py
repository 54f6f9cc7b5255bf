"""What a check comes to, with all that led to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from heuristics.regression.likeness import Difference
from heuristics.regression.metrics import Metric
from heuristics.regression.policy import Policy
from heuristics.regression.session import Session


class Outcome(StrEnum):
    """Of a check as a whole, and of each metric in it."""

    PASS = "pass"
    IMPROVEMENT = "improvement"
    REGRESSION = "regression"
    CANNOT_TELL = "cannot_tell"

    @property
    def exit_code(self) -> int:
        """0 a pass, 1 a regression, 3 where it cannot be told."""
        return {Outcome.REGRESSION: 1, Outcome.CANNOT_TELL: 3}.get(self, 0)


class Why(StrEnum):
    """What an outcome rests on."""

    SLOWER = "slower"
    FARTHER_FROM_ROOF = "farther_from_roof"
    REGIME_FLIP = "regime_flip"
    CAUSE_FLIP = "cause_flip"
    FASTER = "faster"
    UNCHANGED = "unchanged"
    TOO_FEW_SESSIONS = "too_few_sessions"
    UNLIKE = "unlike"
    TOO_NOISY = "too_noisy"
    SICK_HOST = "sick_host"
    MISSING_METRIC = "missing_metric"
    NO_WORK = "no_work"
    STALLED = "stalled"
    NO_VERDICT = "no_verdict"
    OTHER_LOAD = "other_load"
    ENDED_EARLY = "ended_early"
    NOT_CONFIRMED = "not_confirmed"


class Role(StrEnum):
    """Whether a metric can fail a build, or is only told."""

    GATE = "gate"
    REPORT = "report"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One metric, in its own units; changes are fractions, +0.1 for a tenth more.

    ``baseline``: the median of the ``sessions``. ``low`` and ``high``: the prediction interval. ``spread``: the
    deviation between sessions, relative. ``floor``: the change that it must exceed at least. ``visible``: the smallest
    worsening that would have been found. ``p`` is two-sided, ``p_holm`` adjusted over the metrics that are told.
    """

    metric: Metric
    role: Role
    outcome: Outcome
    why: Why
    sessions: int
    current: float | None = None
    windows: int = 0
    within: float | None = None
    """Deviation of the windows within the current session, relative."""
    baseline: float | None = None
    low: float | None = None
    high: float | None = None
    change: float | None = None
    spread: float | None = None
    floor: float | None = None
    visible: float | None = None
    p: float | None = None
    p_holm: float | None = None
    drift: float | None = None
    """Change a session, relative, where the sessions before drifted by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """Another regime, or another cause of the same regime, than the sessions before had."""

    why: Why
    baseline: str
    current: str
    baseline_confidence: float
    current_confidence: float
    agreeing: int
    sessions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A sign that the host, not the job, was slow. Values in the units of the name, or words."""

    name: str
    current: float | str
    baseline: float | str | None = None


class Reason(StrEnum):
    """Why sessions of a baseline do not count."""

    TWICE = "told twice"
    CURRENT = "the current session itself"
    UNLIKE = "unlike"
    UNWELL = "a host that was throttled or shared"
    WITHOUT_METRIC = "without the metric"
    OLDER = "older"
    BEFORE_A_STEP = "before a step"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Sessions that do not count, and why; of unlike ones the traits in which they are."""

    count: int
    reason: Reason
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The gate's answer on one current session."""

    outcome: Outcome
    why: tuple[Why, ...]
    current: Session
    policy: Policy
    sessions: tuple[Session, ...]
    """Those that it was compared with, oldest first."""
    primary: Metric | None = None
    comparisons: tuple[Comparison, ...] = ()
    flip: Flip | None = None
    guards: tuple[Guard, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    batch: tuple[float, float] | None = None
    """Sequences in a step before and now, where the load was another one."""
    confirmed_by: Check | None = None
    """A second session, measured because the first looked like a regression."""
    kept: bool = False
    """The current session is in the baseline by now."""
    warnings: tuple[str, ...] = ()

    @property
    def nearly_alike(self) -> tuple[Difference, ...]:
        """In what the unlike sessions that are nearest differ: of the same workload, in the fewest traits, the most."""
        groups = [left for left in self.left_out if left.differences]

        def far(left: LeftOut) -> tuple[bool, int, int]:
            return any(d.trait == "workload" for d in left.differences), len(left.differences), -left.count

        return min(groups, key=far).differences if groups else ()
