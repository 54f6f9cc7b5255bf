"""What would help, as JSON: the ``advice`` and ``advice_withheld`` fields of the verdict."""

from __future__ import annotations

from typing import Any

from heuristics.advice.advice import Advice
from heuristics.verdict import Diagnosis
from reports.words import filled, rounded

Json = dict[str, Any]


def advice_of(diagnosis: Diagnosis) -> Json:
    """Both fields, the largest gain first."""
    return {
        "advice": [_advice(item) for item in diagnosis.advice],
        "advice_withheld": [{"action": w.action.value, "reason": w.reason} for w in diagnosis.withheld],
    }


def _advice(item: Advice) -> Json:
    optional: Json = {
        "predicted_speedup": rounded(item.predicted_speedup),
        "predicted_speedup_range": None if item.speedup_range is None else [rounded(x) for x in item.speedup_range],
        "then_bound_by": item.then_bound_by.value if item.then_bound_by is not None else None,
        "phase": item.phase.value if item.phase is not None else None,
        "devices_factor": rounded(item.devices_factor) if item.devices_factor != 1.0 else None,
    }
    return {
        "action": item.action.value,
        "text": filled(item.sentence, item.figures),
        **{name: value for name, value in optional.items() if value is not None},
        "why": filled(item.why, item.figures),
        "assumptions": list(item.assumptions),
        "figures": {name: rounded(value) for name, value in item.figures.items()},
    }
