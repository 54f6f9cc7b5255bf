"""Checks of every kind, by the gate itself on sessions made up: one vLLM decode job on an H100, ten nights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from diagnose.pairing import WALL
from heuristics.regression.beside import Beside, beside
from heuristics.regression.gate import check, confirmed
from heuristics.regression.outcome import Check, Flip, Outcome, Why
from heuristics.regression.paired import PairedCheck, compare_pairs, ended_early
from heuristics.regression.policy import PairedPolicy, Policy
from heuristics.regression.session import Health, Session, figures_of
from heuristics.vocabulary import Cause, Regime

STEP_S = 0.020
OFFSETS = (0.004, -0.011, 0.008, 0.0, -0.006, 0.013, -0.002, 0.007, -0.009, 0.003)
"""Of ten nights from their mean, relative."""

WINDOWS = (0.003, -0.005, 0.009, -0.002, 0.0, 0.006, -0.008, 0.001, -0.004, 0.005)

IDENTITY: Mapping[str, str | None] = {
    "workload": "decode-b8",
    "gpu": "NVIDIA H100 80GB HBM3",
    "devices": "1 x NVIDIA H100 80GB HBM3",
    "engine": "vllm",
    "engine_version": "0.11.0",
    "model": "ours/an-8b",
    "dtype": "bf16",
    "parallelism": None,
    "measured_by": "watching",
    "driver": "560.35.03",
    "host": "Xeon 8480C, 64 cores",
}

HEALTH = Health(clocks={"sm_hz": 1.98e9}, power_limit_w=700.0, other_processes=0, other_busy_cores=0.4)


def session(night: int = 11, slower: float = 0.0, **changes: Any) -> Session:
    """A night's session. ``roof`` and ``batch`` change these, ``without`` leaves figures out, ``identity`` adds."""
    step_s = STEP_S * (1.0 + (OFFSETS[night - 1] if night <= len(OFFSETS) else 0.002)) * (1.0 + slower)
    measured = {
        "time_to_first_token_s": 9.5 * step_s,
        "tokens_per_s": 7.9 / step_s,
        "bandwidth_fraction": changes.pop("roof", 0.6) * STEP_S / step_s,
        "compute_fraction": 0.02,
        "busy_fraction": 0.91,
        "joules_per_token": 31.0 * step_s,
    }
    samples = {"time_per_output_token_s": tuple(step_s * (1.0 + offset) for offset in WINDOWS)}
    for name in changes.pop("without", ()):
        measured.pop(name, None)
        samples.pop(name, None)
    made = Session(
        name=f"night-{night:02d}.json",
        created_at=f"2026-03-{night:02d}T02:00:00+00:00",
        data=f"{night}-{slower}",
        identity={**IDENTITY, **changes.pop("identity", {})},
        figures=figures_of(measured, samples),
        regime=Regime.MEMORY,
        cause=Cause.WEIGHTS,
        confidence=0.93,
        health=HEALTH,
        verdict={"measured": {"batch": changes.pop("batch", 8.0)}},
    )
    return replace(made, **changes)


def nights(count: int = 10, **changes: Any) -> list[Session]:
    return [session(night, **changes) for night in range(1, count + 1)]


def checked(current: Session | None = None, records: list[Session] | None = None, **policy: Any) -> Check:
    return check(session() if current is None else current, nights() if records is None else records, Policy(**policy))


def in_turns(slower: float = 0.0, pairs: int = 10, noise: float = 1.0, **more: Any) -> PairedCheck:
    """Pairs on a host that gets slower from run to run."""
    a = [STEP_S * (1.0 + 0.002 * pair + noise * OFFSETS[pair % 10] / 2) for pair in range(pairs)]
    b = [STEP_S * (1.0 + slower) * (1.0 + 0.002 * pair - noise * WINDOWS[pair % 10] / 2) for pair in range(pairs)]
    return compare_pairs(a, b, PairedPolicy(**more.pop("policy", {})), **more)


FLIPPED = Flip(
    why=Why.REGIME_FLIP,
    baseline="memory",
    current="latency",
    baseline_confidence=0.94,
    current_confidence=0.90,
    agreeing=10,
    sessions=10,
)

FARTHER = tuple((0.6 * (1.0 + offset), 0.52 * (1.0 - offset)) for offset in OFFSETS)
"""Fractions of the roof, of A and of B."""

ELSEWHERE = {"gpu": "NVIDIA L40S", "devices": "1 x NVIDIA L40S", "driver": "570.10"}

COMMANDS = ("python decode.py --batch 8", "python decode.py --batch 8 --eager")

SICK = Health(
    throttled=frozenset({"power_cap"}),
    clocks={"sm_hz": 1.41e9},
    power_limit_w=500.0,
    other_processes=2,
    other_busy_cores=12.5,
)

LATENCY: dict[str, Any] = {"regime": Regime.LATENCY, "cause": Cause.HOST, "confidence": 0.9}
UNLIKE = {"driver": "570.10", "engine_version": "0.12.0"}
SLOW = session(11, 0.12)


def _unlike() -> Check:
    return checked(session(identity=UNLIKE))


SITUATIONS: Mapping[str, Callable[[], Check | PairedCheck]] = {
    "pass": checked,
    "slower": lambda: checked(session(slower=0.12, roof=0.6)),
    "slower_and_flipped": lambda: checked(session(slower=0.3, **LATENCY)),
    "regime_flip": lambda: checked(session(**LATENCY)),
    "cause_flip": lambda: checked(session(cause=Cause.KV_CACHE)),
    "flip_told_only": lambda: checked(session(**LATENCY), flips_gate=False),
    "farther_from_roof": lambda: checked(session(roof=0.5)),
    "improvement": lambda: checked(session(slower=-0.15)),
    "too_few": lambda: checked(session(slower=0.12), nights(3)),
    "first_night": lambda: checked(session(), []),
    "few_have_the_metric": lambda: checked(
        records=[*nights(4), *(session(n, without=("time_per_output_token_s",)) for n in range(5, 11))],
        metric="time_per_output_token_s",
    ),
    "unlike": _unlike,
    "unlike_and_unstated": lambda: checked(session(identity={"workload": None, "measured_by": "sweep"})),
    "across": lambda: checked(session(identity=UNLIKE), across=frozenset({"driver", "engine_version"})),
    "noisy": lambda: checked(records=[session(n, 8.0 * OFFSETS[n - 1]) for n in range(1, 11)]),
    "sick": lambda: checked(session(slower=0.12, health=SICK)),
    "waiting": lambda: checked(
        session(health=Health(wait_fraction=0.4)), [session(n, health=Health(wait_fraction=0.1)) for n in range(1, 11)]
    ),
    "sick_but_allowed": lambda: checked(session(slower=0.12, health=SICK), allow_noisy=True),
    "missing_metric": lambda: checked(session(without=("time_per_output_token_s",))),
    "unknown_metric": lambda: checked(metric="tokens_per_fortnight"),
    "no_metric": lambda: checked(session(figures={}), [session(n, figures={}) for n in range(1, 11)]),
    "idle": lambda: checked(session(regime=Regime.IDLE, cause=None, figures={})),
    "stalled": lambda: checked(
        session(regime=Regime.INCONCLUSIVE, cause=None, verdict={"verdict": {"limits": ["stalled"]}})
    ),
    "not_judged": lambda: checked(session(regime=None, cause=None, confidence=0.0)),
    "since_a_step": lambda: checked(
        session(12), [session(n, 0.0 if n < 8 else -0.1, data=f"night {n}") for n in range(1, 11)]
    ),
    "another_load": lambda: checked(session(slower=0.4, batch=16.0)),
    "drift": lambda: checked(session(12, 0.05), [session(n, 0.005 * n) for n in range(1, 11)]),
    "confirmed": lambda: confirmed(checked(SLOW), checked(session(12, 0.11))),
    "not_confirmed": lambda: confirmed(checked(SLOW), checked(session(12))),
    "then_sick": lambda: confirmed(checked(SLOW), checked(session(12, health=SICK))),
    "paired_slower": lambda: replace(in_turns(0.06), commands=COMMANDS),
    "paired_pass": lambda: replace(in_turns(), commands=COMMANDS),
    "paired_faster": lambda: in_turns(-0.1),
    "paired_flip": lambda: in_turns(beside=Beside(flip=FLIPPED)),
    "paired_slower_and_flipped": lambda: in_turns(0.2, beside=Beside(flip=FLIPPED)),
    "paired_farther": lambda: in_turns(beside=Beside(roof=FARTHER)),
    "paired_slower_and_farther": lambda: in_turns(0.15, beside=Beside(roof=FARTHER)),
    "paired_faster_and_farther": lambda: in_turns(-0.2, beside=Beside(roof=FARTHER)),
    "paired_farther_told_only": lambda: in_turns(beside=Beside(roof=FARTHER), policy={"roof_gates": False}),
    "paired_unlike": lambda: replace(
        in_turns(-0.2, beside=beside([(session(), session(identity=ELSEWHERE))] * 10, PairedPolicy())),
        commands=COMMANDS,
    ),
    "paired_another_load": lambda: in_turns(0.3, beside=Beside(batch=(8.0, 16.0))),
    "paired_idle": lambda: in_turns(beside=Beside(no_measure=Why.NO_WORK)),
    "paired_ended_early": lambda: replace(ended_early(in_turns(pairs=6)), commands=COMMANDS),
    "paired_noisy": lambda: in_turns(noise=20.0, pairs=6),
    "paired_unsettled": lambda: in_turns(noise=6.0, pairs=6),
    "paired_hopeless": lambda: in_turns(noise=85.0, pairs=6),
    "paired_few": lambda: in_turns(0.1, pairs=4),
    "paired_none": lambda: in_turns(pairs=0),
    "paired_wall": lambda: in_turns(0.1, metric=WALL),
    "paired_many": lambda: in_turns(0.1, pairs=30),
    "paired_confirmed": lambda: replace(in_turns(0.06), confirmed_by=in_turns(0.07)),
    "paired_not_confirmed": lambda: replace(
        in_turns(0.06),
        outcome=Outcome.PASS,
        why=(Why.UNCHANGED, Why.NOT_CONFIRMED),
        confirmed_by=in_turns(),
        warnings=("one run of B was repeated",),
    ),
}
"""By name, what makes it."""
