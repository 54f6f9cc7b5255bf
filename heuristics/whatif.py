"""What if: the judged step again under another load, other widths or other roofs, operation by operation.

The step's time is what its operations take at the part of the peaks that this job reaches, and its latency in seconds.
A change alters the operations or the roofs; the parts reached and the latency stay, unless the change removes some.
Source: the roofline per operation, Σ max(bytes ÷ bandwidth reached, FLOPs ÷ arithmetic reached) + latency.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from heuristics.case import Case
from heuristics.operations import Load, Operation
from heuristics.roofs import Roofs
from heuristics.signals.bandwidth_saturation import cached
from heuristics.simplex import SHARES, Ceiling, Prior
from heuristics.verdict import Judgement
from heuristics.vocabulary import Dtype, Share
from heuristics.work import ModelWork, Work

MOST_MORE, HALVINGS = 64.0, 30
MOST_UNEXPLAINED = 3.0
"""Operations that take so many times their achievable time are not what keeps the device at work."""

UNIT_ROOFS = Roofs(bandwidth_bytes_per_s=1.0, flops_per_s=1.0, dtype=Dtype.BF16, source="")
"""Where the peaks are not known the shares are times all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The parts of both peaks that a job's operations run at, 0 to 1; of measured peaks slightly more."""

    bandwidth: float
    arithmetic: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A step: seconds by what binds, and the tokens it makes of all sequences."""

    memory_s: float
    compute_s: float
    latency_s: float
    tokens: float

    @property
    def step_s(self) -> float:
        """The whole step."""
        return self.memory_s + self.compute_s + self.latency_s

    @property
    def bound(self) -> Share:
        """Where most of its time goes."""
        parts = {Share.MEMORY: self.memory_s, Share.COMPUTE: self.compute_s, Share.LATENCY: self.latency_s}
        return max(SHARES, key=lambda share: parts[share])

    def speedup_over(self, other: Outcome) -> float:
        """Tokens a second over another step's."""
        return self.tokens / self.step_s / (other.tokens / other.step_s)


@lru_cache(maxsize=128)
def operations_of(work: Work, load: Load) -> tuple[Operation, ...]:
    """A step's operations, which every explanation of it shares."""
    return work.operations(load)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step whose time is explained: operations at the reach, and ``latency_s`` beside them. Roofs are both known."""

    work: Work
    load: Load
    roofs: Roofs
    reach: Reach
    latency_s: float

    @property
    def operations(self) -> tuple[Operation, ...]:
        """What it does, on one device."""
        return operations_of(self.work, self.load)

    def outcome(self, *, tokens: float | None = None, operations: Sequence[Operation] | None = None) -> Outcome:
        """What it comes to; ``tokens`` and ``operations`` stand in for those of the load."""
        bandwidth = (self.roofs.bandwidth_bytes_per_s or 0.0) * self.reach.bandwidth
        arithmetic = (self.roofs.flops_per_s or 0.0) * self.reach.arithmetic
        seconds = {Share.MEMORY: 0.0, Share.COMPUTE: 0.0}
        for op in self.operations if operations is None else operations:
            moving_s, computing_s = op.bytes / bandwidth, op.flops / arithmetic
            seconds[Share.COMPUTE if computing_s > moving_s else Share.MEMORY] += max(moving_s, computing_s)
        return Outcome(
            memory_s=seconds[Share.MEMORY],
            compute_s=seconds[Share.COMPUTE],
            latency_s=self.latency_s,
            tokens=tokens if tokens is not None else _made(self.load),
        )


def _made(load: Load) -> float:
    """Tokens a step is for: one a sequence in decode, whatever prompts share it; the prompts' own in prefill."""
    return load.tokens - load.prefill_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A speed-up with its range over what is uncertain, and what the new step is made of."""

    speedup: float
    low: float
    high: float
    outcome: Outcome

    @property
    def bound(self) -> Share:
        """What binds then."""
        return self.outcome.bound

    def widened(self, others: Sequence[Prediction]) -> Prediction:
        """The same with a range that spans others, as under other assumptions."""
        return replace(
            self, low=min(self.low, *(p.low for p in others)), high=max(self.high, *(p.high for p in others))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A measured step: its likeliest explanation, and others that the evidence allows as well."""

    step: Step
    others: tuple[Step, ...]
    unexplained: str | None = None
    """Why the step is one of shares alone."""

    def predict(self, change: Callable[[Step], Outcome]) -> Prediction:
        """What a change comes to under every explanation, each against its own present."""
        found = change(self.step)
        speedup = found.speedup_over(self.step.outcome())
        every = [speedup, *(change(other).speedup_over(other.outcome()) for other in self.others)]
        return Prediction(speedup=speedup, low=min(every), high=max(every), outcome=found)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharesWork:
    """Work of which only the time at either roof is known: it cannot change, the roofs can."""

    flops: float
    bytes: float
    weight_bits: float = 16.0
    name: str | None = None
    generates: bool = False

    def operations(self, load: Load) -> tuple[Operation, ...]:
        """The two parts of the time."""
        return (
            Operation(name="memory", flops=0.0, activation_bytes=self.bytes),
            Operation(name="compute", flops=self.flops),
        )

    def with_weight_bits(self, bits: float) -> SharesWork:
        """The same."""
        return self

    def with_kv_bits(self, bits: float) -> SharesWork:
        """The same."""
        return self

    def stored_bytes(self, load: Load) -> float | None:
        """Not known."""
        return None


def measured_step(case: Case, judgement: Judgement) -> Measured | str:
    """The judged step, explained by its operations; or by its shares alone where they do not explain it.

    Returns the reason where not even the shares are known.
    """
    verdict = judgement.verdict
    known = case.roofs is not None and case.roofs.bandwidth_bytes_per_s and case.roofs.flops_per_s
    roofs = case.roofs if known and case.roofs is not None else UNIT_ROOFS
    if verdict is None or verdict.shares is None:
        return "no share of the time is known"
    likely = verdict.shares[Share.LATENCY]
    low, high = judgement.latency_range or (likely, likely)
    prior = case.prior
    typical = prior.arithmetic.typical
    slow, fast = spread(prior.arithmetic)
    allowed = [(low, typical), (high, typical), (likely, slow), (likely, fast)]
    found = _explained(case, judgement, roofs, likely, typical) if known else "the roofs are not both known"
    if isinstance(found, str):
        return Measured(
            step=_of_shares(judgement, roofs, likely),
            others=tuple(_of_shares(judgement, roofs, latency) for latency in (low, high)),
            unexplained=found,
        )
    others = (_explained(case, judgement, roofs, latency, arithmetic) for latency, arithmetic in allowed)
    return Measured(step=found, others=tuple(step for step in others if isinstance(step, Step)))


def spread(ceiling: Ceiling) -> tuple[float, float]:
    """A ceiling's usual range: a standard deviation to both sides, the middle half of a roof that is unknown."""
    if ceiling.log_uniform:
        ratio = ceiling.high / ceiling.low
        return ceiling.low * ratio**0.25, ceiling.low * ratio**0.75
    return max(ceiling.low, ceiling.mean - ceiling.deviation), min(ceiling.high, ceiling.mean + ceiling.deviation)


def _explained(case: Case, judgement: Judgement, roofs: Roofs, latency: float, arithmetic: float) -> Step | str:
    """The step at the reach that its operations must have, for a share of latency and an arithmetic ceiling.

    A job slower than the ceilings is so on all operations; one that is faster shows that only of the roof that
    most of its time is bound by, and of the other no more than the measured time asks for.
    """
    work = case.work or (ModelWork(shape=case.model) if case.model is not None else None)
    step_s = judgement.measured.get("step_s")
    if work is None:
        return "the model is not known"
    if case.load is None or not step_s or latency >= 1.0:
        return "the batch, or the time of a step, is not known"
    if cached(case):
        return "what a step reads comes from a cache, not from memory"
    ceilings = case.prior
    usual = Step(
        work=work,
        load=case.load,
        roofs=roofs,
        reach=Reach(bandwidth=ceilings.bandwidth.typical, arithmetic=arithmetic),
        latency_s=0.0,
    )
    expected = usual.outcome()
    slower = (1.0 - latency) * step_s / expected.step_s
    if slower > MOST_UNEXPLAINED:
        return "the model's operations explain less than a third of the time at the roofs"
    memory = expected.bound is Share.MEMORY
    reach = Reach(
        bandwidth=min(
            max(1.0, ceilings.bandwidth.high), usual.reach.bandwidth / (slower if memory else max(1.0, slower))
        ),
        arithmetic=min(max(1.0, ceilings.arithmetic.high), arithmetic / (max(1.0, slower) if memory else slower)),
    )
    found = _no_slower(replace(usual, reach=reach), step_s, ceilings)
    return replace(found, latency_s=max(0.0, step_s - found.outcome().step_s))


def _no_slower(step: Step, step_s: float, ceilings: Prior) -> Step:
    """The step, at so much more of both peaks that it takes no longer than it was measured to, at most all of them."""

    def reaching(factor: float) -> Step:
        return replace(
            step,
            reach=Reach(
                bandwidth=min(max(1.0, ceilings.bandwidth.high), step.reach.bandwidth * factor),
                arithmetic=min(max(1.0, ceilings.arithmetic.high), step.reach.arithmetic * factor),
            ),
        )

    if step.outcome().step_s <= step_s:
        return step
    low, high = 1.0, MOST_MORE
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if reaching(middle).outcome().step_s > step_s else (low, middle)
    return reaching(high)


def _of_shares(judgement: Judgement, roofs: Roofs, latency: float) -> Step:
    """A step of which only the shares are known, at the peaks; its time is the measured one, or a second."""
    assert judgement.verdict is not None
    assert judgement.verdict.shares is not None
    shares = judgement.verdict.shares
    at_roofs = shares[Share.MEMORY] + shares[Share.COMPUTE]
    scale = (1.0 - latency) / at_roofs if at_roofs > 0 else 0.0
    step_s = judgement.measured.get("step_s") or 1.0
    return Step(
        work=SharesWork(
            flops=shares[Share.COMPUTE] * scale * step_s * (roofs.flops_per_s or 0.0),
            bytes=shares[Share.MEMORY] * scale * step_s * (roofs.bandwidth_bytes_per_s or 0.0),
        ),
        load=Load(),
        roofs=roofs,
        reach=Reach(bandwidth=1.0, arithmetic=1.0),
        latency_s=latency * step_s,
    )
