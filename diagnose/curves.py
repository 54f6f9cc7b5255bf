"""Rows of a table that differ only in their batch and context: one batch curve of each such group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from heuristics.batch_fit import fit_batches
from heuristics.batch_shape import BatchFit
from heuristics.observations import LoadCurve
from heuristics.operations import Phase
from heuristics.verdict import Diagnosis


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A curve with the lines of the table that it is of."""

    label: str
    lines: tuple[int, ...]
    fit: BatchFit


def curves(rows: Sequence[tuple[int, Diagnosis]]) -> tuple[Curve, ...]:
    """Curves of decode over three doublings or more, of measurements that can be right; in the order of the table."""
    groups: dict[object, list[tuple[int, Diagnosis]]] = {}
    for number, diagnosis in rows:
        key = _alike(diagnosis)
        if key is not None:
            groups.setdefault(key, []).append((number, diagnosis))
    found = [_curve(group) for group in groups.values() if len(group) > 1]
    return tuple(curve for curve in found if curve.fit.parts is not None)


def _alike(diagnosis: Diagnosis) -> object | None:
    """What the rows of a curve have in common; None of a row that is none of a curve's."""
    found, whole = diagnosis.forecast, diagnosis.whole
    if found is None or found.here.load.phase is not Phase.DECODE or "batch" not in whole.measured:
        return None
    if any(item.evidence.impossible for item in whole.evidence):
        return None
    roofs = found.roofs
    return (
        found.gpu,
        roofs.bandwidth_bytes_per_s,
        roofs.flops_per_s,
        roofs.dtype,
        found.work,
        found.here.load.tensor_parallel,
    )


def _curve(group: Sequence[tuple[int, Diagnosis]]) -> Curve:
    first = group[0][1]
    measured: list[Mapping[str, float]] = [diagnosis.whole.measured for _, diagnosis in group]

    def column(name: str) -> np.ndarray:
        return np.array([row.get(name, np.nan) for row in measured])

    curve = LoadCurve(batch=column("batch"), step_s=column("step_s"), context_tokens=column("context_tokens"))
    bandwidth = (first.forecast.roofs.bandwidth_bytes_per_s if first.forecast is not None else None) or np.nan
    kv_bytes = column("kv_bytes_per_step")
    gpu = first.forecast.gpu if first.forecast is not None else None
    return Curve(
        label=", ".join(word for word in (gpu, first.model) if word),
        lines=tuple(number for number, _ in group),
        fit=fit_batches(curve, kv_s=np.where(kv_bytes > 0.0, kv_bytes / bandwidth, np.nan)),
    )
