"""Batch curve

What it looks at: the time of a step against the measured batch, over decode-only windows as the load varies by itself
or is varied.

What it bounds and why: a step of f + m·B has a fixed part f, weights or waiting, and a part that grows with the batch:
arithmetic, KV traffic, experts, the host's work for each sequence. Arithmetic grows, so at the batch that is served
compute ≤ 1 − fixed share. What the KV cache's bytes take at the peak bandwidth is told apart. Twice the throughput for
twice the batch means weights or latency; no more of it means compute or KV traffic.

Blind spots: the fixed part may be memory or latency, and the growing part any of four things, so the curve never
proves compute. Fewer than three doublings, or four batches, say nothing. A kernel that changes between two batches is
told from growth only where both sides were seen. Of a batch that was held back the measured one counts,
never the offered concurrency; where the job sits at that cap nothing is claimed at all.

Example: 1 to 16 sequences at 9.1 to 9.6 ms a step: 95 % of a step at 16 is fixed, compute at most a few percent.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from heuristics.arrays import Array
from heuristics.batch_fit import fit_batches
from heuristics.batch_shape import BatchFit, Parts
from heuristics.case import Case
from heuristics.claims import Bound
from heuristics.evidence import Abstention, Evidence, Finding
from heuristics.observations import LoadCurve
from heuristics.operations import Phase
from heuristics.vocabulary import Limit, Quantity, Relation, Share

NAME = "batch_curve"

WIDTH = 0.06
"""A step between two that were measured, a batch that is a mean over a window: what no interval of the fit holds. Not
fitted to captures, which have no varying load; the fit of the curve has intervals of its own."""

TOO_WIDE = 0.6
"""An interval of the fixed share that says nothing."""

AT_CAP = 0.9
"""Of the batch at which the cache was full: the job sits there."""

FULL_CACHE = 0.9
"""Use of the cache from which on it is what held the batch back, rather than the engine's own limit."""

NOTABLE = 0.01
CONTEXTS = 17


def weigh(case: Case) -> Finding:
    """Bound compute by the part of a step that does not grow with the batch."""
    fit = fitted(case)
    if fit is None:
        return Abstention(signal=NAME, reason="no varying load was watched")
    batch = _batch(case, fit)
    if fit.cap_batch is not None and batch is not None and batch >= AT_CAP * fit.cap_batch:
        return _capped(case, fit.cap_batch)
    share = fit.fixed_share_at(batch) if batch is not None else None
    if fit.parts is None or share is None or batch is None:
        return Abstention(signal=NAME, missing=False, reason=fit.reason or "no batch is known")
    if share.high - share.low > TOO_WIDE:
        reason = f"throughput scatters too much: the fixed part may be {share.low:.2f} to {share.high:.2f} of a step"
        return Abstention(signal=NAME, missing=False, reason=reason)
    cache = kv_part(case)
    measured = {
        "batch": batch,
        "fixed_share": share.value,
        "fixed_share_low": share.low,
        "fixed_share_high": share.high,
        "kv_fraction": cache,
        **_range(fit, fit.parts),
    }
    sentence = (
        "at batch {batch:number} {fixed_share:percent} of a step does not grow with the batch "
        "({fixed_share_low:percent} to {fixed_share_high:percent}, by batches from {least_batch:number} to "
        "{most_batch:number})"
    )
    if cache > NOTABLE:
        sentence += "; the KV cache explains at least {kv_fraction:percent} of it beside"
    return Evidence(
        signal=NAME,
        source=case.source(LoadCurve),
        quantity=Quantity.BATCH_CURVE,
        claims=(
            Bound(
                share=Share.COMPUTE,
                relation=Relation.AT_MOST,
                value=min(1.0, max(0.0, 1.0 - share.value - cache)),
                width=float(np.hypot(WIDTH, share.deviation)),
            ),
        ),
        sentence=sentence,
        measured=measured,
    )


def fitted(case: Case) -> BatchFit | None:
    """The fit of the case's curve, with the KV cache's part where the model tells it; None without a curve."""
    return None if case.curve is None else fit_batches(case.curve, kv_s=kv_seconds(case, case.curve))


def kv_seconds(case: Case, curve: LoadCurve) -> Array | None:
    """Time that reading each window's KV cache takes at the peak bandwidth; None where that is not known.

    Windows that do not state their contexts are taken to have the case's.
    """
    bandwidth = case.roofs.bandwidth_bytes_per_s if case.roofs is not None else None
    if not bandwidth or case.load is None or not case.operations:
        return None
    usual = case.load.context_tokens if case.load.phase is Phase.DECODE else 0.0
    context = np.where(np.isfinite(curve.context_tokens), curve.context_tokens, usual)
    every = np.unique(context)
    some = every if every.size <= CONTEXTS else np.linspace(every[0], every[-1], CONTEXTS)
    loads = [
        replace(case.load, phase=Phase.DECODE, batch=1.0, prefill_tokens=0.0, context_tokens=float(c)) for c in some
    ]
    a_sequence = [sum(op.kv_bytes for op in replace(case, load=load).operations) for load in loads]
    found: Array = curve.batch * np.interp(context, some, a_sequence) / bandwidth
    return found


def kv_part(case: Case) -> float:
    """The part of a step that reading the KV cache takes at the peak bandwidth: at least so much. 0 if not known."""
    bandwidth = case.roofs.bandwidth_bytes_per_s if case.roofs is not None else None
    step_s = case.serving.step_s if case.serving is not None else None
    if not bandwidth or not step_s:
        return 0.0
    return min(1.0, sum(op.kv_bytes for op in case.operations) / bandwidth / step_s)


def _batch(case: Case, fit: BatchFit) -> float | None:
    """The batch that is judged: the served one, else the largest that was watched."""
    if case.serving is not None and case.serving.batch:
        return case.serving.batch
    return fit.largest.batch if fit.largest is not None else None


def _range(fit: BatchFit, parts: Parts) -> dict[str, float]:
    """What was measured at all."""
    return {
        "elasticity": parts.elasticity.value,
        "elasticity_error": parts.elasticity.deviation,
        "least_batch": fit.levels[0].batch,
        "most_batch": fit.levels[-1].batch,
    }


def _capped(case: Case, cap: float) -> Evidence:
    """A plateau that the cache's size made, or the engine's own limit: it says nothing of the shares.

    The cache is named only where its use or the engine's own word shows it full.
    """
    usage = case.serving.kv_cache_usage if case.serving is not None else None
    flagged = case.curve is not None and case.curve.capped is not None and bool(case.curve.capped.any())
    full = flagged or (usage is not None and usage >= FULL_CACHE)
    if full:
        why = "the KV cache is full"
    elif usage is not None:
        why = "the engine admits no more"
    else:
        why = "the engine admits no more, or its KV cache is full, which nothing here tells"
    return Evidence(
        signal=NAME,
        source=case.source(LoadCurve),
        quantity=Quantity.BATCH_CURVE,
        claims=(),
        sentence="the batch stopped at {cap_batch:number} sequences although more were asked for: "
        f"{why}, and the throughput that stopped with it says nothing of compute",
        measured={"cap_batch": cap},
        limits=frozenset({Limit.KV_CAPACITY if full else Limit.QUEUE}),
    )
