"""Batch curve

What it looks at: throughput against the measured batch, over short decode-only windows as the load varies by itself.

What it bounds and why: with e = d log throughput ÷ d log batch, work that grows with the batch takes 1 − e of the
step. Arithmetic does, so compute ≤ 1 − e. Weights and waiting do not: doubling throughput with the batch means either.
The KV cache's traffic grows with the batch too; what it takes at the peak bandwidth, by the model, is told apart.

Blind spots: 1 − e also holds experts that more tokens touch and the host's work for each sequence, so it never proves
compute. Fewer than three doublings say nothing: kernels change between batches. A batch
capped by a full KV cache is no batch: the measured one is used, never the offered concurrency.

Example: 1 to 16 sequences at 9.1 to 9.6 ms a step: e = 0.98, compute at most a few percent.
"""

from __future__ import annotations

import numpy as np

from heuristics.arrays import Array
from heuristics.case import Case
from heuristics.claims import Bound
from heuristics.evidence import Abstention, Evidence, Finding
from heuristics.observations import LoadCurve
from heuristics.vocabulary import Quantity, Relation, Share

NAME = "batch_curve"

LEAST_RANGE = 7.0
"""Largest over smallest batch: three doublings, less what rounding and half-full steps take."""

WIDTH = 0.12
"""Kernels change between batches, and the slope is that of the whole range, not of its end."""

LARGEST_ERROR = 0.15
NOTABLE = 0.01


def weigh(case: Case) -> Finding:
    """Bound compute by how little throughput falls behind the batch."""
    curve = case.curve
    if curve is None:
        return Abstention(signal=NAME, reason="no varying load was watched")
    low, high = float(curve.batch.min()), float(curve.batch.max())
    if high < LEAST_RANGE * low:
        return Abstention(
            signal=NAME,
            missing=False,
            reason=f"the batch went only from {low:.3g} to {high:.3g}: three doublings are needed",
        )
    elasticity, error = slope(np.log(curve.batch), np.log(curve.batch / curve.step_s))
    if error > LARGEST_ERROR:
        return Abstention(
            signal=NAME, missing=False, reason=f"throughput scatters too much around {elasticity:.2f} ± {error:.2f}"
        )
    cache = kv_part(case)
    measured = {"elasticity": elasticity, "elasticity_error": error, "least_batch": low, "most_batch": high}
    sentence = (
        "throughput grew as batch to the power {elasticity:number} ± {elasticity_error:number} "
        "from {least_batch:number} to {most_batch:number} sequences"
    )
    if cache > NOTABLE:
        measured["kv_fraction"] = cache
        sentence += ", of which the KV cache explains at least {kv_fraction:percent} of the step"
    return Evidence(
        signal=NAME,
        source=case.source(LoadCurve),
        quantity=Quantity.BATCH_CURVE,
        claims=(
            Bound(
                share=Share.COMPUTE,
                relation=Relation.AT_MOST,
                value=min(1.0, max(0.0, 1.0 - elasticity - cache)),
                width=float(np.hypot(WIDTH, error)),
            ),
        ),
        sentence=sentence,
        measured=measured,
    )


def kv_part(case: Case) -> float:
    """The part of a step that reading the KV cache takes at the peak bandwidth: at least so much. 0 if not known."""
    bandwidth = case.roofs.bandwidth_bytes_per_s if case.roofs is not None else None
    step_s = case.serving.step_s if case.serving is not None else None
    if not bandwidth or not step_s:
        return 0.0
    return min(1.0, sum(op.kv_bytes for op in case.operations) / bandwidth / step_s)


def slope(x: Array, y: Array) -> tuple[float, float]:
    """The median of the slopes through all pairs (Theil and Sen), and its standard error from the residuals."""
    first, second = np.triu_indices(x.size, 1)
    apart = x[second] - x[first]
    wide = np.abs(apart) > 0.25 * np.log(2.0)
    slopes = (y[second] - y[first])[wide] / apart[wide]
    middle = float(np.sort(slopes)[slopes.size // 2])
    rest = y - middle * x
    rest -= np.sort(rest)[rest.size // 2]
    deviation = 1.4826 * float(np.sort(np.abs(rest))[rest.size // 2])
    spread = float(np.sqrt(((x - x.mean()) ** 2).sum()))
    return middle, deviation / spread
