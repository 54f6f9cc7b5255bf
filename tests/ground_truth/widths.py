"""The widths of the signals' bounds, fitted to the captures. ``python -m tests.ground_truth.widths`` prints the table.

For each constant the signals that use it are asked about every capture whose shares are known, and what they claim is
weighed alone, as the engine would weigh it, with one width after another: the score of a width is the mean over
captures of the log of the posterior density where the true shares lie, over that of the uniform prior. A width that
is too small loses where a bound is broken, one that is too great says nothing. Each family of workloads is left out
once, and what is best on the others is tried on it.

A bound that no capture strains has no likeliest width but the smallest; that is no estimate, and the width stays. It
stays as well where the likeliest is not clearly better on families that it has not seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from types import ModuleType
from typing import Any

import numpy as np

from heuristics.arrays import Array
from heuristics.budget import weigh
from heuristics.case import Case
from heuristics.claims import RatioBound
from heuristics.evidence import Evidence
from heuristics.simplex import Prior, triangle
from heuristics.vocabulary import Relation
from tests.ground_truth.answers import machines
from tests.ground_truth.known import Known, known_of
from tests.ground_truth.registry import WORKLOADS
from tests.ground_truth.sources import cases
from tests.ground_truth.tables import table
from tests.ground_truth.twice import twice
from tests.ground_truth.width_constants import CONSTANTS, Constant

GRID = np.round(np.geomspace(0.03, 0.8, 22), 3)
"""Widths that are tried: from what nine values of a ceiling resolve to what says nothing."""

STRAINED = 0.01
LEAST_FAMILIES = 4
CLEAR_GAIN, CLEAR_ERRORS = 0.02, 2.0
"""Nats a capture, and standard errors over families, by which the fit has to be better on what it has not seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one signal claims of one capture, and what is known of it."""

    family: str
    workload: str
    evidence: Evidence
    prior: Prior
    known: Known


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Widths tried on the rows of one constant: scores of shape (rows, widths), the present one last."""

    constant: Constant
    rows: tuple[Row, ...]
    scores: Array

    @property
    def families(self) -> tuple[str, ...]:
        """Of each row."""
        return tuple(row.family for row in self.rows)

    @property
    def beyond(self) -> list[float]:
        """How far each capture lies beyond what is claimed of it, in shares; 0 within."""
        return [beyond(row) for row in self.rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The likeliest width, its range with each family left out, and both scores on what was left out."""

    width: float
    low: float
    high: float
    families: int
    present: float
    fitted: float
    error: float
    """Standard error over families of the difference, per capture."""

    @property
    def gain(self) -> float:
        """Nats a capture, on families that the fit has not seen."""
        return self.fitted - self.present

    @property
    def verdict(self) -> str:
        """What follows for the constant."""
        if self.families < LEAST_FAMILIES:
            return "too few families"
        if self.width <= GRID[0]:
            return THE_LEAST
        if self.gain > CLEAR_GAIN and self.gain > CLEAR_ERRORS * self.error:
            return CLEARLY_BETTER
        return "not clearly better"


CLEARLY_BETTER = "clearly better"
THE_LEAST = "the least that is tried: no estimate"


def rows_of(constant: Constant) -> Iterator[Row]:
    """Every claim with this width on a capture whose shares are known."""
    for _, folder, manifest in machines():
        for name, capture in manifest["workloads"].items():
            if "alone" not in capture:
                continue
            known = known_of(name, manifest, watched=set(constant.reading) <= {"gpm", "nvml"})
            if known is None:
                continue
            for case in cases(folder / name, capture, constant.reading, manifest):
                for signal in constant.signals:
                    found = _asked(signal, case, constant)
                    if found is not None:
                        yield Row(
                            family=WORKLOADS[name].family,
                            workload=name,
                            evidence=found,
                            prior=case.prior,
                            known=known,
                        )


def _asked(signal: ModuleType, case: Case, constant: Constant) -> Evidence | None:
    """A signal's evidence cut to the claims that have this width; None where there is none."""
    found: Any = signal.weigh(case)
    if not isinstance(found, Evidence):
        return None
    claims = tuple(claim for claim in found.claims if constant.claims(claim))
    return replace(found, claims=claims) if claims else None


def score(row: Row, width: float) -> float:
    """Log of the posterior density where the true shares lie, over the uniform prior's."""
    claims: Any = tuple(replace(claim, width=width) for claim in row.evidence.claims)  # type: ignore[type-var]
    density = weigh([replace(row.evidence, claims=claims)], row.prior).density
    return float(np.log(max(1e-9, float(row.known.weight() @ density) * density.size)))


def beyond(row: Row) -> float:
    """How far the nearest shares that are not excluded lie beyond the readable bounds, at the typical ceilings."""
    grid = triangle()
    worst = 0.0
    for claim in row.evidence.claims:
        for bound in claim.as_bounds(row.prior):
            if isinstance(bound, RatioBound):
                low, high = row.known.span(grid.compute / (grid.memory + grid.compute))
                expected = bound.value / (1.0 + bound.value)
                excess = max(low - expected, expected - high)
            else:
                low, high = row.known.span(grid.of(bound.share))
                excess = low - bound.value if bound.relation is Relation.AT_MOST else bound.value - high
            worst = max(worst, excess)
    return worst


def fit(constant: Constant) -> Fit:
    """All rows of a constant under all widths."""
    rows = tuple(rows_of(constant))
    widths = [*GRID.tolist(), constant.value]
    return Fit(constant=constant, rows=rows, scores=np.array([[score(row, width) for width in widths] for row in rows]))


def choose(scores: Array, families: Sequence[str]) -> Choice:
    """The likeliest width of these rows, and how well the choice does on each family that it is made without."""
    names = sorted(set(families))
    of = np.array([names.index(family) for family in families])
    tried, fitted, picks, gains = scores[:, :-1], np.zeros(len(scores)), [], []
    for k in range(len(names)):
        rest = tried[of != k] if len(names) > 1 else tried
        pick = int(rest.sum(axis=0).argmax())
        picks.append(float(GRID[pick]))
        fitted[of == k] = tried[of == k, pick]
        gains.append(float((tried[of == k, pick] - scores[of == k, -1]).sum()))
    spread = float(np.square(np.array(gains) - np.mean(gains)).sum())
    return Choice(
        width=float(GRID[int(tried.sum(axis=0).argmax())]),
        low=min(picks),
        high=max(picks),
        families=len(names),
        present=float(scores[:, -1].mean()),
        fitted=float(fitted.mean()),
        error=sqrt(spread * len(names) / max(1, len(names) - 1)) / len(scores),
    )


HEAD = (
    "constant",
    "claims",
    "captures",
    "families",
    "strained",
    "most",
    "present",
    "likeliest",
    "a family left out",
    "held out: present",
    "likeliest",
    "gain",
    "",
)


def main() -> None:
    """Fit, leave each family out once, print."""
    lines = [list(HEAD)]
    for constant in CONSTANTS:
        found = fit(constant)
        choice, far = choose(found.scores, found.families), found.beyond
        lines.append(
            [
                f"`{constant.title}`",
                str(len(found.rows)),
                str(len({row.workload for row in found.rows})),
                str(choice.families),
                str(sum(b > STRAINED for b in far)),
                f"{max(far):.2f}",
                f"{constant.value:.2f}",
                f"{choice.width:.2f}",
                f"{choice.low:.2f} to {choice.high:.2f}",
                f"{choice.present:.3f}",
                f"{choice.fitted:.3f}",
                f"{choice.gain:+.3f} ± {choice.error:.3f}",
                choice.verdict,
            ]
        )
    print(table(lines))
    print(f"\nThe same quantity measured twice:\n\n{table(twice())}")


if __name__ == "__main__":
    main()
