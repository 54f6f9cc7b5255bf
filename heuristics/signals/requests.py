"""Requests

What it looks at: a serving engine's running and waiting requests, its counters, the use of its KV cache
and its preemptions, between two snapshots.

What it bounds and why: nothing on the three shares. It decides whether there was work at all (no request
running or waiting and no counter moving: idle), and names limits: requests waiting behind a full batch
(queue), a KV cache that is full or preempts (kv_capacity), more prompt than generated tokens (prefill),
requests running while no counter moves (stalled).

Blind spots: a single snapshot is one instant: running requests may be about to end, and an idle instant
proves little. Counters of some engines move only when a request ends.

Example: KV cache 99 % used with preemptions: raising max_num_seqs changes nothing, whatever the regime.
"""

from __future__ import annotations

from heuristics.case import Case
from heuristics.evidence import Abstention, Evidence, Finding
from heuristics.observations import FULL_CACHE, Serving
from heuristics.vocabulary import Limit, Quantity

NAME = "requests"

IDLE_WINDOW_CERTAINTY = 0.98
IDLE_INSTANT_CERTAINTY = 0.70
STALL_S = 5.0
QUIET = 0.05
"""Use of the device below which it had nothing to do."""
HARD_AT_WORK = 0.5
"""Cores' worth of computing at which counters that stand still mean a long prompt, not a stall."""
PREFILL_RATIO = 10.0
"""Prompt tokens come tens of times cheaper than generated ones; above this ratio they take most of the time."""


def weigh(case: Case) -> Finding:
    """Say whether there was work, and what limits it beside its regime."""
    serving = case.serving
    if serving is None:
        return Abstention(signal=NAME, reason="no serving engine's counters in the input")
    if serving.stale:
        return _stale(case, serving)
    if serving.requests_running is None:
        return Abstention(signal=NAME, missing=False, reason=f"{serving.engine} states no running requests")
    waiting = serving.requests_waiting or 0.0
    measured = {"requests_running": serving.requests_running, "requests_waiting": waiting}
    sentence = "running {requests_running:number}, waiting {requests_waiting:number}"
    if serving.kv_cache_usage is not None:
        measured["kv_cache_usage"] = serving.kv_cache_usage
        sentence += ", KV cache {kv_cache_usage:percent} used"
    return Evidence(
        signal=NAME,
        source=case.source(Serving),
        quantity=Quantity.REQUESTS,
        claims=(),
        sentence=sentence,
        measured=measured,
        limits=frozenset(_limits(serving, waiting, _computing(case))),
        no_work=_no_work(serving, waiting),
        warnings=_warnings(serving, _computing(case)),
    )


def _stale(case: Case, serving: Serving) -> Finding:
    """No counter moved, and the gauges may be of any time before: the device alone tells whether there was work."""
    seen = _device_use(case)
    if seen is None or seen >= QUIET:
        reason = f"{serving.engine} told nothing while it was watched: it counts when requests end"
        return Abstention(signal=NAME, missing=False, reason=reason)
    return Evidence(
        signal=NAME,
        source=case.source(Serving),
        quantity=Quantity.REQUESTS,
        claims=(),
        sentence="no counter moved, and the device was used {device_use:percent}",
        measured={"device_use": seen},
        no_work=IDLE_WINDOW_CERTAINTY,
    )


def _device_use(case: Case) -> float | None:
    """How much a GPU was seen at work; None where it was not looked at."""
    import numpy as np

    seen = []
    if case.activity is not None:
        seen += [v for v in (case.activity.sm_active, case.activity.dram_active) if v is not None]
    if case.samples is not None and not np.isnan(case.samples.sm).all():
        seen.append(float(np.nanmean(case.samples.sm)))
    return max(seen, default=None)


def _moved(serving: Serving) -> bool:
    counters = (serving.steps, serving.generation_tokens, serving.prompt_tokens)
    return any(c is not None and c > 0 for c in counters)


def _no_work(serving: Serving, waiting: float) -> float | None:
    if (serving.requests_running or 0.0) > 0 or waiting > 0:
        return None
    if serving.lifetime:
        return IDLE_INSTANT_CERTAINTY
    return None if _moved(serving) else IDLE_WINDOW_CERTAINTY


def _computing(case: Case) -> bool:
    """Whether the model is at work whatever the counters say: bytes move on the device, or its CPUs are busy."""
    if case.activity is not None and (case.activity.dram_active or 0.0) > QUIET:
        return True
    return case.host is not None and case.host.computes and (case.host.busy_cores or 0.0) > HARD_AT_WORK


def _still_s(serving: Serving) -> float:
    """For how long nothing moved although requests ran."""
    running = (serving.requests_running or 0.0) > 0 and not _moved(serving)
    return max(serving.frozen_s, (serving.window_s or 0.0) if running and not serving.lifetime else 0.0)


def _limits(serving: Serving, waiting: float, computing: bool) -> set[Limit]:
    found = set()
    full = serving.kv_cache_usage is not None and serving.kv_cache_usage >= FULL_CACHE
    if full or ((serving.preemptions or 0.0) > 0 and not serving.lifetime):
        found.add(Limit.KV_CAPACITY)
    if waiting >= 1.0:
        found.add(Limit.QUEUE)
    if _still_s(serving) >= STALL_S and not computing:
        found.add(Limit.STALLED)
    prompt, generated = serving.prompt_tokens_computed, serving.generation_tokens
    if not serving.lifetime and prompt and prompt > PREFILL_RATIO * (generated or 0.0):
        found.add(Limit.PREFILL)
    return found


def _warnings(serving: Serving, computing: bool) -> tuple[str, ...]:
    if computing and _still_s(serving) >= STALL_S:
        return (f"no counter moved for {_still_s(serving):.0f} s while the device was at work: a long prompt?",)
    if serving.lifetime:
        return (f"one snapshot of {serving.engine}: lifetime means only; a second one some seconds later gives rates",)
    return ()
