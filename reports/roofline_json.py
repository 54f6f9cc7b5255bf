"""What numbers came to, as JSON: the ``roofline`` and ``candidates`` fields of the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from heuristics.candidates import Candidate, by_cost
from heuristics.crossover import Crossover
from heuristics.step import Forecast, Point, Speed
from reports.words import rounded

Json = dict[str, Any]


def forecast_of(found: Forecast) -> Json:
    """The whole forecast; a batch that is null has its reason beside it."""
    cache = found.cache
    return {
        "gpu": found.gpu,
        **_point(found.here),
        "weight_bytes_per_step": rounded(found.weight_bytes),
        "kv_bytes_per_token": None if cache is None else rounded(cache.bytes_per_token),
        "kv_bytes_per_step": None if cache is None else rounded(cache.bytes_per_step),
        "kv_equals_weights_context_tokens": None if cache is None else rounded(cache.equal_context_tokens),
        "fitting_batch": {"batch": found.fit.batch, "reason": found.fit.reason},
        "crossover": {
            "step": _crossover(found.step_crossover),
            "operations": [{"name": name, **_crossover(x)} for name, x in found.operation_crossovers],
            "linear_layers": [
                {
                    "dtype": w.dtype.value,
                    "weight_bits": rounded(w.weight_bits),
                    "ridge_flops_per_byte": rounded(w.ridge_flops_per_byte),
                    **_crossover(w.crossover),
                }
                for w in found.width_crossovers
            ],
        },
        "other_phase": None if found.other_phase is None else _point(found.other_phase),
        "by_batch": [_point(p) for p in found.by_batch],
        "by_context": [_point(p) for p in found.by_context],
    }


def headroom_of(found: Forecast | None) -> Json:
    """The batch at which the whole step turns compute-bound, at least 1; null with the reason where it never does."""
    if found is None:
        return {}
    batch, reason = found.step_crossover.batch, found.step_crossover.reason
    return {"batch_crossover": None if batch is None else rounded(max(1.0, batch)), "batch_crossover_reason": reason}


def candidates_of(found: Sequence[Candidate]) -> list[Json]:
    """Fastest first, with the rank by cost where prices were given."""
    cheapest = {c.gpu: rank for rank, c in enumerate(by_cost(found), start=1)}
    return [
        {
            "gpu": c.gpu,
            "step_s": rounded(c.step_s),
            "tokens_per_s": rounded(c.tokens_per_s),
            "at_roof": {
                "step_s": rounded(c.step_s_at_roof),
                "tokens_per_s": rounded(c.tokens_per_s_at_roof),
                "usd_per_million_tokens": rounded(c.usd_per_million_tokens_at_roof),
            },
            "fits": c.fits,
            "usd_per_hour": rounded(c.usd_per_hour),
            "usd_per_million_tokens": rounded(c.usd_per_million_tokens),
            "rank_by_cost": cheapest.get(c.gpu),
        }
        for c in found
    ]


def _crossover(found: Crossover) -> Json:
    return {"batch": rounded(found.batch), "reason": found.reason}


def _speed(speed: Speed) -> Json:
    return {"step_s": rounded(speed.step_s), "tokens_per_s": rounded(speed.tokens_per_s)}


def _point(point: Point) -> Json:
    load = point.load
    return {
        "phase": load.phase.value,
        "batch": rounded(load.batch),
        "context_tokens": rounded(load.context_tokens),
        "tensor_parallel": load.tensor_parallel,
        "at_roof": _speed(point.at_roof),
        "achievable": _speed(point.achievable),
        "bound": point.bound.value,
        "intensity_flops_per_byte": rounded(point.intensity_flops_per_byte),
        "compute_fraction": rounded(point.compute_fraction),
        "bandwidth_fraction": rounded(point.bandwidth_fraction),
    }
