"""From a case to a verdict: run the signals, let one source speak for each quantity, weigh, and name the cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from heuristics.budget import DECIDED, Budget, one_a_quantity, weigh
from heuristics.case import Case
from heuristics.evidence import Abstention, Evidence
from heuristics.measures import headroom, measured
from heuristics.next_measurement import suggest
from heuristics.signals import SIGNALS
from heuristics.signals.batch_curve import fitted
from heuristics.simplex import SHARES
from heuristics.verdict import Judgement, Verdict, WeighedEvidence
from heuristics.vocabulary import Cause, Limit, Regime, Share

BARELY_ACTIVE = 0.05
"""A device busier than this contradicts an engine that has no requests."""

UNDECIDED = 0.59
"""The most that is said of a case whose inputs cannot be right."""

LEAST_CAUSE = 0.02
LEAST_PART = 0.25
"""A cause that explains less than this part of the share is not what the job suffers from."""

MOST_CONFIDENCE = 0.99
"""No evidence excludes that the model behind it is wrong."""


def judge(case: Case) -> Judgement:
    """The verdict on one case, with what led to it."""
    findings = [signal.weigh(case) for signal in SIGNALS]
    every = [f for f in findings if isinstance(f, Evidence)]
    evidence = one_a_quantity(every)
    abstained = [f for f in findings if isinstance(f, Abstention)] + _restating(every, evidence)
    prior = case.prior
    budget = weigh([e for e in evidence if e.claims], prior)
    mass = _mass(evidence, budget)
    figures = measured(case)
    verdict = _verdict(evidence, mass, budget.shares) if evidence or figures else None
    undecided = verdict is None or verdict.regime is Regime.INCONCLUSIVE
    return Judgement(
        verdict=verdict,
        mass=mass,
        latency_range=budget.latency_range,
        case=case,
        device=case.device,
        roofs=case.roofs,
        measured=figures,
        evidence=tuple(
            WeighedEvidence(evidence=e, bounds=tuple(b for c in e.claims for b in c.as_bounds(prior))) for e in evidence
        ),
        abstained=tuple(abstained),
        operations=case.operations,
        profile=case.profile,
        timeline=case.timeline,
        headroom=headroom(figures, case.roofs),
        batch_fit=fitted(case),
        next_measurement=_next(case, evidence, budget) if undecided else None,
        warnings=_warnings(case, evidence, budget),
    )


def _next(case: Case, evidence: Sequence[Evidence], budget: Budget) -> str:
    """What to measure; where an input cannot be right, that first."""
    if any(e.impossible for e in evidence):
        return "check the inputs first: one of them comes out above a peak, and the warnings name the usual reasons"
    return suggest(case, budget)


def _restating(evidence: Sequence[Evidence], kept: Sequence[Evidence]) -> list[Abstention]:
    """Evidence set aside because a better source speaks for its quantity."""
    best = {e.quantity: e.signal for e in kept}
    return [
        Abstention(
            signal=e.signal,
            missing=False,
            reason=f"restates {e.quantity.value}, for which {best[e.quantity]} is the better source",
        )
        for e in evidence
        if all(e is not k for k in kept)
    ]


def _verdict(evidence: Sequence[Evidence], mass: Mapping[Share, float], shares: Mapping[Share, float]) -> Verdict:
    limits = _limits(evidence)
    no_work = [e.no_work for e in evidence if e.no_work is not None]
    if no_work and _activity(evidence) < BARELY_ACTIVE:
        return Verdict(regime=Regime.IDLE, confidence=max(no_work), shares=None, limits=limits)
    leader = max(SHARES, key=lambda share: mass[share])
    confidence = min(MOST_CONFIDENCE, mass[leader])
    if confidence < DECIDED:
        return Verdict(regime=Regime.INCONCLUSIVE, confidence=confidence, shares=shares, limits=limits)
    return Verdict(
        regime=Regime(leader.value),
        confidence=confidence,
        shares=shares,
        cause=_cause(evidence, leader, shares[leader]),
        limits=limits,
    )


def _mass(evidence: Sequence[Evidence], budget: Budget) -> dict[Share, float]:
    """The posterior mass of each share; never decisive where an input cannot be right or nothing moves."""
    if Limit.STALLED in _limits(evidence) or any(e.impossible for e in evidence):
        return {share: min(p, UNDECIDED) for share, p in budget.mass.items()}
    return budget.mass


def _limits(evidence: Sequence[Evidence]) -> tuple[Limit, ...]:
    return tuple(sorted({limit for e in evidence for limit in e.limits}))


def _activity(evidence: Sequence[Evidence]) -> float:
    return max((e.activity for e in evidence if e.activity is not None), default=0.0)


def _cause(evidence: Sequence[Evidence], share: Share, expected: float) -> Cause | None:
    """The cause that explains most of the share, by its best witness; None where that is but a small part of it."""
    weight: dict[Cause, float] = {}
    for item in evidence:
        for cause, fraction in item.causes.items():
            if cause.share is share:
                weight[cause] = max(weight.get(cause, 0.0), fraction)
    best = max(weight, key=lambda cause: (weight[cause], cause.value), default=None)
    return best if best is not None and weight[best] >= max(LEAST_CAUSE, LEAST_PART * expected) else None


def _warnings(case: Case, evidence: Sequence[Evidence], budget: Budget) -> tuple[str, ...]:
    found = [*case.warnings, *(case.roofs.warnings if case.roofs is not None else ())]
    if case.shared and case.board is not None:
        index = "" if case.device is None or case.device.index is None else f" {case.device.index}"
        found.append(
            f"{case.board.other_processes} other process(es) hold memory on device{index}: its counters and energy are "
            "not the job's alone"
        )
    for item in evidence:
        found += item.warnings
        if item.impossible:
            found.append(item.impossible)
    if budget.conflict:
        found.append("these cannot all be right: " + ", ".join(budget.conflict) + "; the confidence is lowered")
    if any(e.no_work is not None for e in evidence) and _activity(evidence) >= BARELY_ACTIVE:
        found.append("the engine has no requests but the device is busy: another process, or another device")
    return tuple(dict.fromkeys(found))
