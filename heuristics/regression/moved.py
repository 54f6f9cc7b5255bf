"""What two verdicts of one job differ in: the parts that a comparison is made of. SI units, fractions from 0 to 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from heuristics.regression.likeness import Difference
from heuristics.vocabulary import Cause, Regime, Share


class Basis(StrEnum):
    """Which time is split into shares: the first of these that both sides have."""

    STEP = "step"
    OUTPUT_TOKEN = "output_token"
    TOKEN = "token"
    KERNELS = "kernels"
    RECORDING = "recording"


class Certainty(StrEnum):
    """How far the shares can be trusted, by the less confident of both verdicts."""

    SURE = "sure"
    LIKELY = "likely"
    OPEN = "open"


class Presence(StrEnum):
    """Whether a row is listed on both sides. Lists end after so many rows: beyond that a row may be there unseen."""

    BOTH = "both"
    NEW = "new"
    GONE = "gone"
    UNLISTED_BEFORE = "unlisted_before"
    UNLISTED_AFTER = "unlisted_after"


class Measure(StrEnum):
    """What the times of rows are: of one step, of everything recorded, or what the roofs allow for a step."""

    STEP = "step"
    RECORDING = "recording"
    ROOF = "roof"


class Group(StrEnum):
    """What a circumstance belongs to."""

    LOAD = "load"
    SETUP = "setup"
    DEVICE = "device"
    HOST = "host"


class Kind(StrEnum):
    """What a reason is about."""

    LAUNCHES = "launches"
    LAUNCH_DELAY = "launch_delay"
    IDLE = "idle"
    HOST_GAPS = "host_gaps"
    COMMUNICATION = "communication"
    TRANSFER = "transfer"
    HOST_WAIT = "host_wait"
    KV_CACHE = "kv_cache"
    WEIGHTS = "weights"
    FLOPS = "flops"
    BATCH = "batch"
    CONTEXT = "context"
    ROOFS = "roofs"
    CLOCKS = "clocks"
    THROTTLED = "throttled"
    PROMPTS = "prompts"
    KERNEL = "kernel"
    EFFICIENCY = "efficiency"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One figure before and after, None where it is not known. ``unit`` is one of the words of ``reports.words``.

    ``noise``, in the figure's own unit: what it may differ by without having changed.
    """

    name: str
    label: str
    unit: str
    before: float | None
    after: float | None
    noise: float = 0.0

    @property
    def by(self) -> float | None:
        """After less before, where both are known."""
        return None if self.before is None or self.after is None else self.after - self.before

    @property
    def relative(self) -> float | None:
        """The change as a part of what was before."""
        return None if self.by is None or not self.before else self.by / self.before

    @property
    def unchanged(self) -> bool:
        """Both are known, and differ by no more than the noise."""
        return self.by is not None and abs(self.by) <= self.noise

    @property
    def changed(self) -> bool:
        """Both are known, and differ by more than the noise."""
        return self.by is not None and abs(self.by) > self.noise


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one verdict says: of the whole, or of a phase."""

    regime: Regime | None = None
    cause: Cause | None = None
    confidence: float | None = None
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The whole, or a phase of it: two answers, a time, and where it goes.

    ``split`` has one change a share, adding up to that of ``time`` where there is one; else they are fractions of the
    time with work. ``device`` holds the measured times in which the device was busy and idle, or the job's threads
    where they compute.
    """

    before: Answer
    after: Answer
    basis: Basis | None = None
    time: Change | None = None
    split: tuple[Change, ...] = ()
    device: tuple[Change, ...] = ()
    certainty: Certainty = Certainty.OPEN

    @property
    def regime_flip(self) -> bool:
        """Both know a regime, and not the same."""
        return None not in (self.before.regime, self.after.regime) and self.before.regime is not self.after.regime

    @property
    def cause_flip(self) -> bool:
        """The same regime for another cause."""
        same = self.before.regime is self.after.regime
        return same and None not in (self.before.cause, self.after.cause) and self.before.cause is not self.after.cause


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseMove:
    """A phase on both sides. ``time_fraction`` is of the time judged; ``time`` its seconds, of whole recordings."""

    name: str
    part: Part
    time_fraction: Change | None = None
    time: Change | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowMove:
    """A kernel or an operation by its name. ``moved_s`` is signed; at least that where one side does not list it."""

    name: str
    kind: str | None
    presence: Presence
    moved_s: float
    before_s: float | None
    after_s: float | None
    before_launches: float | None = None
    after_launches: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows that moved, the farthest first, and all others together: these and ``rest_s`` add up to ``total``."""

    measure: Measure
    total: Change
    rows: tuple[RowMove, ...] = ()
    rest_s: float = 0.0
    rest_count: int = 0
    common: int = 0
    """Names that are on both sides."""
    kinds: tuple[RowMove, ...] = ()
    """The same time by class of kernel: what changed when only the names did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelMove:
    """One level of a sweep, or one batch of a probe, on both sides."""

    name: str
    step: Change
    tokens_per_s: Change
    before: Answer
    after: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstance:
    """What surrounds the job, where it is known on both sides and not the same. Numbers have a ``unit``."""

    name: str
    label: str
    group: Group
    before: float | str
    after: float | str
    unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Something counted that fits what moved. The sentence has places like ``{before:seconds}`` for its figures.

    ``share`` is the one that it moves, None where it moves the whole. ``subject`` is a name to put before it.
    """

    kind: Kind
    sentence: str
    figures: Mapping[str, float]
    share: Share | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The whole comparison. ``apart`` names what makes it two jobs, ``measured_apart`` two ways of measuring."""

    before: str
    after: str
    same_data: bool
    whole: Part
    apart: tuple[Difference, ...] = ()
    measured_apart: Difference | None = None
    other_load: tuple[Change, ...] = ()
    """Batch or context, where they differ so much that speeds are those of another load."""
    host_wait: Change | None = None
    """Of the time that the job's threads wanted a CPU, the part in which they waited for one."""
    figures: tuple[Change, ...] = ()
    roofs: tuple[Change, ...] = ()
    """How far from both roofs."""
    phases: tuple[PhaseMove, ...] = ()
    kernels: Rows | None = None
    operations: Rows | None = None
    levels: tuple[LevelMove, ...] = ()
    levels_by: str = ""
    circumstances: tuple[Circumstance, ...] = ()
    reasons: tuple[Reason, ...] = ()
    """Those that fit the share that moved most come first."""

    @property
    def leading(self) -> Change | None:
        """The share that the change mostly is, None where none changed."""
        moved = [share for share in self.whole.split if share.changed]
        time = self.whole.time
        if time is not None and time.changed and time.by is not None:
            moved = [share for share in moved if (share.by or 0.0) * time.by > 0.0] or moved
        return max(moved, key=lambda share: (abs(share.by or 0.0), share.name), default=None)

    @property
    def nothing(self) -> bool:
        """No figure, answer, row or circumstance differs."""
        parts = [self.whole, *(phase.part for phase in self.phases)]
        changes = [*self.figures, *self.roofs, *(c for p in parts for c in (*p.split, *p.device, p.time) if c)]
        changes += [change for p in self.phases for change in (p.time_fraction, p.time) if change]
        changes += [c for level in self.levels for c in (level.step, level.tokens_per_s)]
        rows = [self.kernels, self.operations]
        return not (
            any(change.changed for change in changes)
            or any(p.regime_flip or p.cause_flip or p.before.limits != p.after.limits for p in parts)
            or any(found is not None and found.rows for found in rows)
            or any(level.before.regime is not level.after.regime for level in self.levels)
            or self.circumstances
            or self.apart
            or self.measured_apart
        )
