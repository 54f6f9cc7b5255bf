"""What is answered, for the whole job, for each device and for each phase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heuristics.advice.advice import Advice, Withheld
from heuristics.batch_shape import BatchFit
from heuristics.candidates import Candidate
from heuristics.case import Case
from heuristics.claims import Bound, RatioBound
from heuristics.evidence import Abstention, Evidence
from heuristics.observations import KernelProfile, Timeline
from heuristics.operations import Operation, Phase
from heuristics.ranking import Ranking
from heuristics.roofs import Device, Roofs
from heuristics.step import Forecast
from heuristics.subject import Machine, Subject
from heuristics.sweep import Sweep
from heuristics.vocabulary import Cause, Limit, Regime, Share

if TYPE_CHECKING:
    from heuristics.probed import Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Regime, cause, confidence 0..1 and shares that sum to 1 (None when idle)."""

    regime: Regime
    confidence: float
    shares: Mapping[Share, float] | None
    cause: Cause | None = None
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WeighedEvidence:
    """Evidence with its claims spelled out as bounds at the typical ceilings."""

    evidence: Evidence
    bounds: tuple[Bound | RatioBound, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict with everything that led to it. ``measured`` is in SI units, fractions 0..1 of the peak."""

    verdict: Verdict | None
    mass: Mapping[Share, float] = field(default_factory=dict)
    """The probability that each share is the largest."""
    latency_range: tuple[float, float] | None = None
    """Between these the latency share lies with 80 % probability."""
    case: Case | None = None
    """What was judged."""
    device: Device | None = None
    roofs: Roofs | None = None
    measured: Mapping[str, float] = field(default_factory=dict)
    evidence: tuple[WeighedEvidence, ...] = ()
    abstained: tuple[Abstention, ...] = ()
    operations: tuple[Operation, ...] = ()
    profile: KernelProfile | None = None
    timeline: Timeline | None = None
    headroom: Mapping[str, float] = field(default_factory=dict)
    batch_fit: BatchFit | None = None
    """What the batch curve came to, where one was watched."""
    next_measurement: str | None = None
    idle_fraction: float | None = None
    warnings: tuple[str, ...] = ()
    witness: int | None = None
    """In a judgement over several devices, the index of the one whose evidence and kernels stand here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file given by the user and what it was recognised as."""

    path: str
    kind: str
    fingerprint: str | None = None
    """The same for the same content; None for a pipe, which can be read only once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseJudgement:
    """A phase's own verdict, and its share of the time judged, idle time included."""

    judgement: Judgement
    time_fraction: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The answer: one judgement for the whole, others by phase and by device where there are several.

    ``created_at`` is an ISO 8601 time, handed in because nothing here reads a clock.
    """

    kind: str
    whole: Judgement
    subject: Subject | None = None
    """What was watched, where it was a live job."""
    clocks: Mapping[str, float] = field(default_factory=dict)
    """Of the devices under load: medians of ``sm_hz`` and ``memory_hz``, as far as they were read."""
    machine: Machine | None = None
    """Where it ran, where that could be seen."""
    files: tuple[SourceFile, ...] = ()
    engine: str | None = None
    model: str | None = None
    workload: str | None = None
    """The work that it was given, where that was ours to choose."""
    window_s: float | None = None
    idle_fraction: float | None = None
    provisional: bool = False
    """Over a shorter time than asked for: more is to come."""
    phases: Mapping[Phase, PhaseJudgement] = field(default_factory=dict)
    devices: tuple[Judgement, ...] = ()
    slowest_device: int | None = None
    forecast: Forecast | None = None
    """What follows from numbers alone, where those were given."""
    advice: tuple[Advice, ...] = ()
    """What would help, the largest predicted gain first."""
    withheld: tuple[Withheld, ...] = ()
    """What was considered and is not advised."""
    candidates: tuple[Candidate, ...] = ()
    """Of several devices, or with prices: fastest first."""
    sweep: Sweep | None = None
    """The levels of a load that was put on the job meanwhile."""
    ranking: Ranking | None = None
    """The same devices as the batch grows."""
    samples: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Some of ``measured``, by the same names, over short times one after another or step by step."""
    probe: Probe | None = None
    """A step function measured over batches, where that is what was judged."""
    warnings: tuple[str, ...] = ()
    tool_version: str = ""
    created_at: str = ""

    @property
    def batch_fit(self) -> BatchFit | None:
        """What the batch curve came to: the whole job's, else that of its decode."""
        decode = self.phases.get(Phase.DECODE)
        return self.whole.batch_fit or (decode.judgement.batch_fit if decode is not None else None)
