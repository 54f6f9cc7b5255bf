"""A second simulator of batch curves, written without a look at the first: the fit was not tuned on it.

``python -m tests.heuristics.batch_apart [RUNS]`` prints how often the fixed share is told and how near it is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np

from heuristics.batch_fit import fit_batches
from heuristics.observations import LoadCurve

KINDS = ("plain", "kv", "switch", "cap", "warm", "out", "tail", "all")
SEED = 99
NOISE = 0.03
NEAR = 0.05


def errors(kind: str, rng: np.random.Generator) -> tuple[float | None, float | None]:
    """Distance of the fixed share from the truth at the largest and at the middle level; None where it is not told."""
    top = int(rng.choice([5, 6, 7, 8]))
    levels = 2.0 ** np.arange(0, top + 1)
    if rng.random() < 0.4:
        levels = np.unique(np.round(levels * rng.uniform(0.85, 1.15, levels.size)).clip(1))
    windows = int(rng.integers(3, 12))
    fixed_s = 10 ** rng.uniform(-3, -1.3)
    marginal_s = fixed_s / 2.0 ** rng.uniform(0, top + 2)
    if kind in ("kv", "all"):
        marginal_s *= rng.uniform(1.1, 2.0)
    asked = np.repeat(levels, windows)
    capped = kind in ("cap", "all")
    ran = np.minimum(asked, levels[-1] / rng.choice([2.0, 4.0])) if capped else asked
    step_s = fixed_s + marginal_s * ran
    if kind in ("switch", "all"):
        step_s = np.where(ran >= levels[int(rng.integers(1, levels.size - 1))], step_s * rng.uniform(0.75, 1.3), step_s)
    heavy = kind in ("tail", "all")
    noise = rng.standard_t(3, ran.size) / np.sqrt(3) if heavy else rng.normal(0, 1, ran.size)
    seen_s = step_s * np.exp(NOISE * noise)
    if kind in ("warm", "all"):
        first = [int(np.flatnonzero(asked == level)[0]) for level in levels]
        seen_s[first] *= rng.uniform(1.3, 3.0, len(first))
    if kind == "out":
        struck = rng.random(ran.size) < 0.06
        seen_s[struck] *= rng.uniform(1.5, 5.0, int(struck.sum()))
    fit = fit_batches(
        LoadCurve(
            batch=ran * np.exp(rng.normal(0, 0.01, ran.size)),
            step_s=seen_s,
            context_tokens=np.full(ran.size, 1000.0),
            offered=asked if capped else None,
        )
    )
    if fit.parts is None:
        return None, None
    found: list[float | None] = []
    for level in (fit.levels[-1], fit.levels[len(fit.levels) // 2]):
        truth = fixed_s / (fixed_s + marginal_s * level.batch)
        told = level.fixed_share is not None and level.unsettled is None
        found.append(abs(level.fixed_share.value - truth) if told and level.fixed_share is not None else None)
    return found[0], found[1]


def rows(runs: int) -> Iterator[tuple[str, str, float, float]]:
    """(kind, level, part told, part of those within 0.05)."""
    rng = np.random.default_rng(SEED)
    for kind in KINDS:
        found = [errors(kind, rng) for _ in range(runs)]
        for place, name in ((0, "largest"), (1, "middle")):
            told = [e[place] for e in found if e[place] is not None]
            yield kind, name, len(told) / runs, float(np.mean([e is not None and e <= NEAR for e in told]))


def main() -> None:
    """Print the table."""
    for kind, name, told, near in rows(int(sys.argv[1]) if len(sys.argv) > 1 else 1000):
        print(f"{kind:8s} {name:8s} told {told:6.1%}   within {NEAR} {near:6.1%}")


if __name__ == "__main__":
    main()
