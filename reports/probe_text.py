"""The probe's batches as a table, 80 columns wide."""

from __future__ import annotations

from heuristics.probed import Probe, ProbedBatch
from heuristics.verdict import Judgement
from reports.words import number, percent, seconds


def title(probe: Probe) -> str:
    """What the table is of."""
    threads = "" if probe.threads is None else f", {probe.threads} thread{'s' if probe.threads != 1 else ''}"
    return f"Batches of {probe.phase.value}{threads}"


def table(probe: Probe) -> list[str]:
    """A line a batch; columns of times that were not taken are left out, and the spread where there is no room."""
    on_device = any(row.device_s is not None for row in probe.batches)
    in_graph = any(row.graph_s is not None for row in probe.batches)
    times = ["step", *(["device"] if on_device else []), "graph" if in_graph else "spread"]
    heads = ["batch", *times, "tokens/s"]
    found = ["  " + " ".join(f"{head:>{_width(head)}}" for head in heads) + "  regime"]
    for row in probe.batches:
        cells = {
            "batch": str(row.batch),
            "step": seconds(row.step_s),
            "device": "" if row.device_s is None else seconds(row.device_s),
            "graph": "" if row.graph_s is None else seconds(row.graph_s),
            "spread": percent(row.spread),
            "tokens/s": number(row.tokens_per_s),
        }
        mark = "  <- judged" if row.batch == probe.batch and len(probe.batches) > 1 and not in_graph else ""
        found.append("  " + " ".join(f"{cells[head]:>{_width(head)}}" for head in heads) + f"  {_regime(row)}{mark}")
    if in_graph:
        found.append("  regimes are of the graph's replay, in brackets of the step as it is launched")
    return found


def _width(head: str) -> int:
    return {"batch": 6, "spread": 6, "tokens/s": 9}.get(head, 7)


def _regime(row: ProbedBatch) -> str:
    said = _named(row.judgement)
    eager = row.eager.verdict if row.eager is not None else None
    return said if eager is None else f"{said} ({eager.regime.value})"


def _named(judgement: Judgement) -> str:
    verdict = judgement.verdict
    return "" if verdict is None else f"{verdict.regime.value} {percent(verdict.confidence)}"
