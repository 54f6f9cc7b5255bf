"""Every action that is considered, and how the advice that is given is chosen among what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType

from heuristics.advice import (
    another_device,
    chunked_prefill,
    larger_batch,
    launches,
    narrower_arithmetic,
    power_cap,
    quantise_kv_cache,
    quantise_weights,
    shorter_context,
    speculative_decoding,
    tensor_parallel,
)
from heuristics.advice.advice import Advice, Withheld
from heuristics.advice.job import job_of
from heuristics.operations import Phase
from heuristics.sweep import Sweep
from heuristics.verdict import Judgement, PhaseJudgement

ACTIONS: tuple[ModuleType, ...] = (
    larger_batch,
    launches,
    chunked_prefill,
    quantise_weights,
    narrower_arithmetic,
    quantise_kv_cache,
    shorter_context,
    speculative_decoding,
    power_cap,
    tensor_parallel,
    another_device,
)
"""In the order in which equal gains are listed: what costs least first."""

MOST = 5


def advise(
    whole: Judgement, phases: Mapping[Phase, PhaseJudgement] | None = None, *, sweep: Sweep | None = None
) -> tuple[tuple[Advice, ...], tuple[Withheld, ...]]:
    """What would help, the largest predicted gain first, and what was considered and is not advised.

    At most five; what nothing predicts comes last. All of it is withheld where the verdict gives no ground.
    ``sweep``: the one whose fastest level this is.
    """
    job = job_of(whole, phases or {})
    if isinstance(job, str):
        return (), ()
    job = replace(job, sweep=sweep)
    said = [action.advise(job) for action in ACTIONS]
    given = sorted((s for s in said if isinstance(s, Advice)), key=lambda a: -(a.predicted_speedup or 0.0))
    withheld = [s for s in said if isinstance(s, Withheld)]
    withheld += [Withheld(action=a.action, reason="five others are predicted to gain more") for a in given[MOST:]]
    return tuple(given[:MOST]), tuple(withheld)


def advise_swept(sweep: Sweep) -> tuple[tuple[Advice, ...], tuple[Withheld, ...]]:
    """What would help at the fastest level of a sweep, which is how the server should be run; not at their mean."""
    level = sweep.fastest
    return ((), ()) if level.judgement is None else advise(level.judgement, level.phases, sweep=sweep)
