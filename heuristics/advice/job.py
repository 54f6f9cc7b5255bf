"""What an action looks at: the judged job, its step explained, and the part of the time that step takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from heuristics.advice.advice import Action, Advice, Withheld
from heuristics.case import Case
from heuristics.observations import Serving
from heuristics.operations import Phase
from heuristics.sweep import Sweep
from heuristics.verdict import Judgement, PhaseJudgement, Verdict
from heuristics.vocabulary import Cause, Limit, Regime, Share
from heuristics.whatif import Measured, Prediction, SharesWork, measured_step

LEAST_GAIN = 1.05
"""Less than this is not worth a change, nor told apart from noise."""

_UNFIT = {
    Regime.IDLE: "there was no work",
    Regime.INCONCLUSIVE: "the verdict is inconclusive: the next measurement comes first",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job with a verdict. ``case``, ``verdict`` and ``measured`` are of decode where that was told apart.

    ``part`` is the fraction of the time with work that ``measured`` stands for; None where that is not known, and
    then ``phase`` names what it stands for.
    """

    case: Case
    verdict: Verdict
    measured: Measured
    whole: Case
    limits: frozenset[Limit]
    judgement: Judgement
    part: float | None = 1.0
    phase: Phase | None = None
    prefill: Case | None = None
    sweep: Sweep | None = None
    """The sweep that this job is the fastest level of."""

    @property
    def serving(self) -> Serving | None:
        """The engine's counters over all phases."""
        return self.whole.serving or self.case.serving

    @property
    def waiting(self) -> float | None:
        """Requests that wait; None where no engine tells."""
        return self.serving.requests_waiting if self.serving is not None else None

    @property
    def explained(self) -> bool:
        """The step's operations are known and account for its time."""
        return not isinstance(self.measured.step.work, SharesWork)

    @property
    def decodes(self) -> bool:
        """It is a step of a whole model in decode, operation by operation."""
        step = self.measured.step
        return self.explained and step.work.generates and step.load.phase is Phase.DECODE

    @property
    def lacking(self) -> str:
        """Why it is no such step."""
        return self.measured.unexplained or "it is not a whole model in decode"

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU runs the model, as far as is known."""
        host = self.whole.host or self.case.host
        if host is not None and host.computes:
            return False
        seen = (self.case.part, self.whole.timeline, self.whole.activity, self.whole.samples)
        return any(item is not None for item in seen)

    @property
    def memory_bytes(self) -> float | None:
        """One device's memory, as it states it or by the table."""
        stated = self.case.device.memory_bytes if self.case.device is not None else None
        return stated or (self.case.part.memory_bytes if self.case.part is not None else None)

    @property
    def wants_room(self) -> bool:
        """The KV cache is full, and requests wait for room in it or are thrown out of it."""
        preempted = self.serving is not None and (self.serving.preemptions or 0.0) > 0.0
        return Limit.KV_CAPACITY in self.limits and ((self.waiting or 0.0) >= 1.0 or preempted)

    @property
    def cache_why(self) -> str:
        """Why a smaller cache helps, a template of ``more`` and ``part``: room where that is wanted, else bytes."""
        if self.wants_room:
            return "the cache is full: {more:number} times the sequences fit"
        return "the cache is {part:percent} of the bytes of a step"

    @property
    def to_fill(self) -> tuple[str, ...]:
        """What is assumed of the requests where room is won for more of them."""
        return ("enough requests wait to fill it",) if self.wants_room else ()

    @property
    def starved(self) -> float:
        """Part of the time in which processors that run the model were others', or held back by a quota."""
        host = self.whole.host or self.case.host
        if host is None or not host.computes:
            return 0.0
        return max(host.wait_fraction or 0.0, host.throttled_fraction or 0.0)

    def share(self, share: Share) -> float:
        """One share of the time."""
        return self.verdict.shares[share] if self.verdict.shares is not None else 0.0

    def cause(self, cause: Cause) -> float:
        """The part of the time that the evidence explains by a cause."""
        return max((item.evidence.causes.get(cause, 0.0) for item in self.judgement.evidence), default=0.0)

    def weight_part(self) -> float:
        """Of the bytes that a step moves, those that are weights."""
        return self._part_of_bytes("weight_bytes")

    def cache_part(self) -> float:
        """Of the bytes that a step moves, those that are KV cache."""
        return self._part_of_bytes("kv_bytes")

    def _part_of_bytes(self, kind: str) -> float:
        operations = self.measured.step.operations
        moved = sum(op.bytes for op in operations)
        return sum(float(getattr(op, kind)) for op in operations) / moved if moved else 0.0

    def advised(
        self,
        action: Action,
        prediction: Prediction,
        sentence: str,
        why: str,
        *,
        figures: Mapping[str, float],
        assumptions: tuple[str, ...] = (),
        of_job: bool = False,
        rest_speedup: float = 1.0,
        devices_factor: float = 1.0,
    ) -> Advice | Withheld:
        """The advice, its speed-up brought to the whole job's; withheld where it gains too little.

        ``of_job``: the prediction is of the whole job already. ``rest_speedup``: of what decode was told apart from.
        """
        factors = [prediction.speedup, prediction.low, prediction.high]
        if not of_job and self.part is not None:
            factors = [self.of_job(factor, rest_speedup) for factor in factors]
        if factors[0] < LEAST_GAIN:
            return Withheld(action=action, reason=f"predicted to gain less than {LEAST_GAIN - 1.0:.0%}")
        return Advice(
            action=action,
            sentence=sentence,
            why=why,
            figures=figures,
            predicted_speedup=factors[0],
            speedup_range=(factors[1], factors[2]),
            then_bound_by=prediction.bound,
            assumptions=assumptions,
            phase=None if of_job or self.part is not None else self.phase,
            devices_factor=devices_factor,
        )

    def of_job(self, speedup: float, rest_speedup: float = 1.0) -> float:
        """What a faster phase makes of the whole: the rest of the work takes as long a token as before, or less."""
        part = 1.0 if self.part is None else self.part
        return 1.0 / ((1.0 - part) / rest_speedup + part / speedup)


def job_of(whole: Judgement, phases: Mapping[Phase, PhaseJudgement]) -> Job | str:
    """The job to advise, or the reason why nothing can be."""
    if whole.verdict is None or whole.case is None:
        return "nothing was measured"
    if any(item.evidence.impossible for item in whole.evidence):
        return "an input cannot be right"
    if whole.verdict.regime in _UNFIT:
        return _UNFIT[whole.verdict.regime]
    if Limit.STALLED in whole.verdict.limits:
        return "the job stands still"
    limits = frozenset(whole.verdict.limits)
    apart = _decode_apart(phases)
    if apart is not None and apart.judgement.case is not None and apart.judgement.verdict is not None:
        measured = measured_step(apart.judgement.case, apart.judgement)
        if not isinstance(measured, str) and not isinstance(measured.step.work, SharesWork):
            known = phases.get(Phase.PREFILL)
            return Job(
                case=apart.judgement.case,
                verdict=apart.judgement.verdict,
                measured=measured,
                whole=whole.case,
                limits=limits | frozenset(apart.judgement.verdict.limits),
                judgement=whole,
                part=_part(phases),
                phase=Phase.DECODE,
                prefill=known.judgement.case if known is not None else None,
            )
    measured = measured_step(whole.case, whole)
    if isinstance(measured, str):
        return measured
    return Job(
        case=whole.case, verdict=whole.verdict, measured=measured, whole=whole.case, limits=limits, judgement=whole
    )


def _decode_apart(phases: Mapping[Phase, PhaseJudgement]) -> PhaseJudgement | None:
    """Decode's own judgement, where it is decided."""
    found = phases.get(Phase.DECODE)
    if found is None or found.judgement.verdict is None or found.judgement.verdict.regime in _UNFIT:
        return None
    return None if any(item.evidence.impossible for item in found.judgement.evidence) else found


def _part(phases: Mapping[Phase, PhaseJudgement]) -> float | None:
    """Decode's part of the time with work; None where the phases' times are not known."""
    seconds = [part.time_fraction for part in phases.values()]
    known = [s for s in seconds if s is not None]
    if not known or len(known) < len(seconds):
        return None
    decode = phases[Phase.DECODE].time_fraction or 0.0
    return decode / sum(known) if sum(known) > 0 else None
