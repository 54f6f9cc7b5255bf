"""From observations to the whole answer: every device and phase judged, and the devices' mean taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan

from heuristics.assemble import Given, device_cases, phase_cases
from heuristics.budget import DECIDED
from heuristics.case import Case
from heuristics.judge import MOST_CONFIDENCE, judge
from heuristics.measures import headroom
from heuristics.observations import Observation, Serving
from heuristics.operations import Phase
from heuristics.signals.compute_saturation import flops_per_s
from heuristics.simplex import SHARES
from heuristics.verdict import Judgement, PhaseJudgement, Verdict
from heuristics.vocabulary import Cause, Limit, Regime, Share

MOSTLY = 0.5

ADDITIVE = frozenset({"energy_j", "joules_per_token", "power_w"})
"""Figures of which each device has a part; others are the same on all, or averaged."""


def judge_devices(observations: Sequence[Observation], given: Given) -> list[Judgement]:
    """One judgement a device."""
    proven = _proven_flops_per_s(phase_cases(observations, given))
    return [judge(replace(case, proven_flops_per_s=proven)) for case in device_cases(observations, given)]


def _proven_flops_per_s(cases: Mapping[Phase, Case]) -> float | None:
    """Arithmetic that prompts were taken in with, where prefill was told apart."""
    return flops_per_s(cases[Phase.PREFILL]) if Phase.PREFILL in cases else None


def judge_phases(observations: Sequence[Observation], given: Given) -> dict[Phase, PhaseJudgement]:
    """One judgement a phase, with its part of the time: of all phases, and of the time without work where known."""
    cases = phase_cases(observations, given)
    proven = _proven_flops_per_s(cases)
    seconds = {phase: _seconds(case) for phase, case in cases.items()}
    known = [s for s in seconds.values() if s is not None]
    idle = max((o.payload.idle_fraction or 0.0 for o in observations if isinstance(o.payload, Serving)), default=0.0)
    whole = sum(known) / (1.0 - idle) if len(known) == len(seconds) and idle < 1.0 else None
    judged = {phase: judge(_with(case, phase, proven)) for phase, case in cases.items()}
    return {
        phase: PhaseJudgement(judgement=found, time_fraction=(seconds[phase] or 0.0) / whole if whole else None)
        for phase, found in judged.items()
    }


def _with(case: Case, phase: Phase, proven: float | None) -> Case:
    """Prefill cannot prove its own roof."""
    return case if phase is Phase.PREFILL else replace(case, proven_flops_per_s=proven)


def with_phase_limits(whole: Judgement, phases: Mapping[Phase, PhaseJudgement]) -> Judgement:
    """Prefill is a limit where its time, which is better than counting tokens, is most of the time with work."""
    seconds = {phase: part.time_fraction for phase, part in phases.items()}
    prefill, decode = seconds.get(Phase.PREFILL, 0.0), seconds.get(Phase.DECODE, 0.0)
    if whole.verdict is None or prefill is None or decode is None or not prefill + decode:
        return whole
    others = {limit for limit in whole.verdict.limits if limit is not Limit.PREFILL}
    limits = others | ({Limit.PREFILL} if prefill > MOSTLY * (prefill + decode) else set())
    return replace(whole, verdict=replace(whole.verdict, limits=tuple(sorted(limits))))


def _seconds(case: Case) -> float | None:
    if case.timeline is not None:
        return case.timeline.window_s
    if case.profile is not None:
        total = float((case.profile.duration_s * case.profile.launches).sum())
        return None if isnan(total) else total
    return case.serving.window_s if case.serving is not None else None


def whole_of(devices: Sequence[Judgement]) -> Judgement:
    """The judgement of the job: the only device's, or the mean over devices that worked.

    Devices that idle while others work are not the job's. Evidence and kernels are those of the device
    nearest to the mean, named as ``witness``.
    """
    if len(devices) == 1:
        return devices[0]
    working = [d for d in devices if d.verdict is not None and d.verdict.regime is not Regime.IDLE] or list(devices)
    if len(working) == 1:
        return working[0]
    verdicts = [d.verdict for d in working if d.verdict is not None]
    known = [(v.shares, d) for d in working if (v := d.verdict) is not None and v.shares is not None]
    if not known:
        return working[0]
    shares = {s: sum(each[s] for each, _ in known) / len(known) for s in SHARES}
    _, nearest = min(known, key=lambda pair: sum((pair[0][s] - shares[s]) ** 2 for s in SHARES))
    leader = max(SHARES, key=lambda s: shares[s])
    mass = {s: sum(d.mass[s] for d in working) / len(working) for s in SHARES}
    confidence = min(MOST_CONFIDENCE, mass[leader])
    decided = confidence >= DECIDED
    figures = means([d.measured for d in working])
    return Judgement(
        verdict=Verdict(
            regime=Regime(leader.value) if decided else Regime.INCONCLUSIVE,
            confidence=confidence,
            shares=shares,
            cause=_common_cause(verdicts, leader) if decided else None,
            limits=tuple(sorted({limit for v in verdicts for limit in v.limits}, key=_by_value)),
        ),
        mass=mass,
        latency_range=nearest.latency_range,
        case=nearest.case,
        device=None,
        roofs=nearest.roofs,
        measured=figures,
        evidence=nearest.evidence,
        abstained=nearest.abstained,
        operations=nearest.operations,
        profile=nearest.profile,
        timeline=nearest.timeline,
        headroom=headroom(figures, nearest.roofs),
        batch_fit=nearest.batch_fit,
        witness=nearest.device.index if nearest.device is not None else None,
        next_measurement=None if decided else next((d.next_measurement for d in working if d.next_measurement), None),
        warnings=tuple(dict.fromkeys(w for d in working for w in d.warnings)),
    )


def _by_value(limit: Limit) -> str:
    return limit.value


def _common_cause(verdicts: Sequence[Verdict], leader: Share) -> Cause | None:
    """The cause most devices name."""
    named = [v.cause for v in verdicts if v.cause is not None and v.cause.share is leader]
    return max(named, key=lambda cause: (named.count(cause), cause.value), default=None)


def means(devices: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means over devices of the figures that all of them have."""
    common = set.intersection(*map(set, devices))
    return {
        name: sum(figures[name] for figures in devices) / (1 if name in ADDITIVE else len(devices))
        for name in devices[0]
        if name in common
    }


def slowest_device(devices: Sequence[Judgement], *, ranks: bool = False) -> int | None:
    """The device that the others wait for: at work longest on a timeline, else with the busiest pipe for equal work.

    ``ranks``: the devices share one model, so their work is equal. None where nothing tells them apart.
    """
    if ranks and all(d.timeline is None for d in devices):
        return _busiest_pipe(devices)
    at_work = [
        (d.timeline.roof_busy_s, d.device.index)
        for d in devices
        if d.timeline is not None and d.timeline.gaps_known and d.device is not None and d.device.index is not None
    ]
    if len(at_work) < 2 or len(at_work) < len(devices):
        return None
    longest, shortest = max(at_work), min(at_work)
    return longest[1] if longest[0] > 1.02 * shortest[0] else None


SLOWER = 0.03
"""Difference of activity above which one rank is named."""


def _busiest_pipe(devices: Sequence[Judgement]) -> int | None:
    """Ranks of one model do equal work in equal time; on the slow one it takes more of its cycles."""
    active = [
        (d.measured["tensor_active_fraction"], d.device.index)
        for d in devices
        if "tensor_active_fraction" in d.measured and d.device is not None and d.device.index is not None
    ]
    if len(active) < 2 or len(active) < len(devices):
        return None
    most, least = max(active), min(active)
    return most[1] if most[0] - least[0] > SLOWER else None
