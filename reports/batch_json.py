"""The batch curve as JSON: what was measured at each batch, and the parts it was taken into."""

from __future__ import annotations

from typing import Any

from heuristics.batch_shape import BatchFit, BatchLevel, Interval, Parts
from reports.words import rounded

Json = dict[str, Any]


def doubling_of(fit: BatchFit) -> Json:
    """``batch_doubling`` of the verdict; ``parts`` is null with the ``reason``."""
    return {
        "levels": [_level(level) for level in fit.levels],
        "parts": None if fit.parts is None else _parts(fit.parts),
        "reason": fit.reason,
        "cap_batch": rounded(fit.cap_batch),
        "outliers": fit.outliers,
    }


def _level(level: BatchLevel) -> Json:
    found: Json = {
        "batch": rounded(level.batch),
        "step_s": rounded(level.step_s),
        "tokens_per_s": rounded(level.tokens_per_s),
        "windows": level.windows,
        "capped": level.capped,
        "gain_per_doubling": _interval(level.gain),
        "fixed_share": _interval(level.fixed_share),
    }
    if level.unsettled is not None:
        found["unsettled"] = level.unsettled
    if level.kv_share is not None:
        found["kv_share"] = rounded(level.kv_share)
    return found


def _parts(parts: Parts) -> Json:
    return {
        "fixed_s": _interval(parts.fixed_s),
        "marginal_s": _interval(parts.marginal_s),
        "elasticity": _interval(parts.elasticity),
        "knee_batch": _interval(parts.knee_batch),
        "knee_reason": parts.knee_reason,
        "switches": [
            {
                "below_batch": rounded(switch.below_batch),
                "above_batch": rounded(switch.above_batch),
                "factor": _interval(switch.factor),
            }
            for switch in parts.switches
        ],
        "scatter": rounded(parts.scatter),
        "misfit": rounded(parts.misfit),
    }


def _interval(found: Interval | None) -> Json | None:
    if found is None:
        return None
    return {"value": rounded(found.value), "low": rounded(found.low), "high": rounded(found.high)}
