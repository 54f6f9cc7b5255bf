"""The probe on this machine's processors, at corners whose regime is known by construction, and the knee of a product.

``python -m tests.benchmarks.probe_corners [--times N] [--threads N]`` needs torch. It says how often each corner was
labelled as built; nothing is asserted. Large weights are over twice the last-level cache, so that they are streamed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from collectors.calibration.machine import this_machine
from diagnose import ProbeResult, probe
from heuristics.batch_fit import fit_batches
from heuristics.observations import LoadCurve

LEAST_WEIGHTS_BYTES = 1 << 28
ROTATED_CACHES = 2.5
LEAST_ROWS = 16


def main() -> None:
    """Probe every corner so many times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seconds", type=float, default=0.5)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    hits: dict[str, list[str]] = {}
    for turn in range(asked.times):
        for name, built_for, found in corners(asked.seconds):
            if turn == 0:
                print(f"== {name}\n{found}")
            for row in found.batches:
                wanted = built_for.get(row.batch)
                if wanted is None:
                    continue
                verdict = row.judgement.verdict
                label = "none" if verdict is None else verdict.regime.value
                mark = "as built" if label == wanted else f"built for {wanted}"
                hits.setdefault(f"{name}, batch {row.batch}", []).append("hit" if label == wanted else label)
                print(f"-> {name}, batch {row.batch}: {label}, {mark}", flush=True)
    for name, labels in hits.items():
        others = [label for label in labels if label != "hit"]
        print(f"{name}: {labels.count('hit')} of {len(labels)} as built{f', else {others}' if others else ''}")


def corners(seconds: float) -> Iterator[tuple[str, dict[int, str], ProbeResult]]:
    """(name, regime by batch that it was built for, what the probe found)."""
    weights_bytes = max(LEAST_WEIGHTS_BYTES, ROTATED_CACHES * (this_machine().last_level_cache_bytes or 0.0))
    edge = 256 * round((weights_bytes / 4.0) ** 0.5 / 256)
    large = torch.nn.Linear(edge, edge, bias=False)
    wide = {b: torch.randn(b, edge) for b in (1, 2, 4, 8, 16, 32, 64, 128, 256)}
    found = probe(large, make_inputs=wide.__getitem__, batches=wide, model=large, seconds=seconds)
    yield f"one product of {edge} x {edge}", {1: "memory", 128: "compute", 256: "compute"}, found
    print(f"-> knee: {knee(found)}")

    del large, wide
    tiny = stack(layers=8, hidden=64)
    small = {b: torch.randn(b, 64) for b in (1, 2, 4, 8)}
    yield "8 layers of 64", {1: "latency"}, probe(tiny, make_inputs=small.__getitem__, batches=small, seconds=seconds)

    waiting = {1: torch.randn(1, 64)}

    def late(x: Any) -> Any:
        time.sleep(0.005)
        return tiny(x)

    yield "5 ms on the host a step", {1: "latency"}, probe(late, make_inputs=waiting.__getitem__, batches=[1])


def stack(*, layers: int, hidden: int) -> torch.nn.Module:
    """Feed-forward blocks with a norm, as small as a dispatch."""
    block = [
        torch.nn.Sequential(
            torch.nn.LayerNorm(hidden),
            torch.nn.Linear(hidden, 4 * hidden),
            torch.nn.SiLU(),
            torch.nn.Linear(4 * hidden, hidden),
        )
        for _ in range(layers)
    ]
    return torch.nn.Sequential(*block)


def knee(found: ProbeResult) -> str:
    """From which batch on every batch is judged compute-bound, and where the curve of the larger batches bends.

    Below the library's products of a few rows are no faster for fewer: no curve of one kernel has such a beginning.
    """
    rows = found.batches
    regimes = [row.judgement.verdict.regime.value if row.judgement.verdict else "" for row in rows]
    bound = [r.batch for i, r in enumerate(rows) if all(regime == "compute" for regime in regimes[i:])]
    judged = f"compute-bound from batch {bound[0]} on" if bound else "the largest is not compute-bound"
    upper = [row for row in rows if row.batch >= LEAST_ROWS]
    curve = LoadCurve(
        batch=np.array([float(row.batch) for row in upper]),
        step_s=np.array([row.step_s for row in upper]),
        context_tokens=np.full(len(upper), np.nan),
    )
    fit = fit_batches(curve)
    if fit.parts is None:
        return f"{judged}; no curve: {fit.reason}"
    at = fit.parts.knee_batch
    bend = f"none, {fit.parts.knee_reason}" if at is None else f"batch {at.value:.0f} ({at.low:.0f} to {at.high:.0f})"
    return f"{judged}; a doubling gains less than 4/3 from {bend}"


if __name__ == "__main__":
    main()
