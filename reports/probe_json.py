"""The probe's batches as plain values."""

from __future__ import annotations

from typing import Any

from heuristics.probed import Probe, ProbedBatch
from heuristics.verdict import Judgement
from reports.words import rounded

Json = dict[str, Any]


def probe_of(probe: Probe) -> Json:
    """The field ``probe``."""
    found: Json = {"phase": probe.phase.value, "device": probe.device, "batch": probe.batch}
    if probe.threads is not None:
        found["threads"] = probe.threads
    if probe.work is not None:
        found["work"] = probe.work
    return found | {"batches": [flat(row) for row in probe.batches]}


def flat(row: ProbedBatch) -> Json:
    """One batch; what was not measured is absent. ``eager_regime`` stands where the graph's replay is judged."""
    figures = {
        "batch": row.batch,
        "step_s": rounded(row.step_s),
        "device_s": rounded(row.device_s),
        "graph_s": rounded(row.graph_s),
        "spread": rounded(row.spread),
        "tokens_per_s": rounded(row.tokens_per_s),
        **_verdict(row.judgement),
        "eager_regime": _verdict(row.eager).get("regime") if row.eager is not None else None,
        "bandwidth_fraction": rounded(row.judgement.measured.get("bandwidth_fraction")),
        "compute_fraction": rounded(row.judgement.measured.get("compute_fraction")),
        "bytes_per_step": rounded(row.judgement.measured.get("bytes_per_step")),
        "flops_per_step": rounded(row.judgement.measured.get("flops_per_step")),
        "rounds": row.rounds,
        "rounds_taken": row.rounds_taken,
        "steps": row.steps,
        "warm_ups": row.warm_ups,
    }
    return {name: value for name, value in figures.items() if value is not None}


def _verdict(judgement: Judgement) -> Json:
    verdict = judgement.verdict
    if verdict is None:
        return {}
    shares = verdict.shares or {}
    return {
        "regime": verdict.regime.value,
        "cause": verdict.cause.value if verdict.cause is not None else None,
        "confidence": rounded(verdict.confidence),
        **{share.value: rounded(value) for share, value in shares.items()},
    }
