"""Every verdict on every capture from every set of sources, beside what is known otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heuristics.simplex import Ceilings
from heuristics.vocabulary import Regime
from tests.ground_truth.naive import NAIVE
from tests.ground_truth.registry import WORKLOADS
from tests.ground_truth.sources import ON_CPU, SUBSETS, judged
from tests.ground_truth.truth import Truth, truth_of

CAPTURES = Path(__file__).parent.parent / "data" / "ground_truth"
SURE = 0.80


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One verdict beside the truth. ``confidence`` is None for readings that state none."""

    machine: str
    workload: str
    reading: str
    truth: Truth
    regime: str | None
    confidence: float | None = None
    shares: Mapping[str, float] | None = None
    cause: str | None = None

    @property
    def given(self) -> bool:
        """It names a regime."""
        return self.regime not in (None, Regime.INCONCLUSIVE.value)

    @property
    def right(self) -> bool | None:
        """None where it names nothing, or where nothing is right: between two regimes either may be named."""
        if not self.given:
            return None
        if self.truth.regime == "mixed":
            return None if not self.truth.between or self.regime in self.truth.between else False
        return self.regime == self.truth.regime

    @property
    def confidently_wrong(self) -> bool:
        """Wrong at 0.80 or more."""
        return self.right is False and (self.confidence is None or self.confidence >= SURE)


def machines() -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """Every machine whose captures are stored."""
    for path in sorted(CAPTURES.glob("*/capture.json")):
        yield path.parent.name, path.parent, json.loads(path.read_text())


def answers(family: str | None = None, ceilings: Ceilings | None = None) -> Iterator[Answer]:
    """Every verdict on every capture, or on those of a family, from every set of sources, and every naive reading."""
    for machine, folder, manifest in machines():
        on_cpu = bool(manifest["machine"].get("threads"))
        for name, capture in manifest["workloads"].items():
            truth = truth_of(name, capture) if "alone" in capture else None
            if truth is None or family not in (None, WORKLOADS[name].family):
                continue
            for reading, sources in (ON_CPU if on_cpu else SUBSETS).items():
                found = judged(folder / name, capture, sources, manifest, ceilings)
                if found is None:
                    continue
                verdict = found.verdict
                yield Answer(
                    machine=machine,
                    workload=name,
                    reading=reading,
                    truth=truth,
                    regime=None if verdict is None else verdict.regime.value,
                    confidence=None if verdict is None else verdict.confidence,
                    shares=None
                    if verdict is None or verdict.shares is None
                    else {share.value: part for share, part in verdict.shares.items()},
                    cause=verdict.cause.value if verdict is not None and verdict.cause is not None else None,
                )
            for reading, naive in NAIVE.items():
                if not on_cpu and (regime := naive(folder / name, capture)) is not None:
                    yield Answer(machine=machine, workload=name, reading=reading, truth=truth, regime=regime)
