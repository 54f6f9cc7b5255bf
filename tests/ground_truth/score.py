"""Verdicts held against what is known otherwise. ``python -m tests.ground_truth.score`` prints the tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from heuristics.vocabulary import Regime
from tests.ground_truth.naive import NAIVE
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


def answers() -> Iterator[Answer]:
    """Every verdict on every capture from every set of sources, and every naive reading."""
    for machine, folder, manifest in machines():
        on_cpu = bool(manifest["machine"].get("threads"))
        for name, capture in manifest["workloads"].items():
            truth = truth_of(name, capture) if "alone" in capture else None
            if truth is None:
                continue
            for reading, sources in (ON_CPU if on_cpu else SUBSETS).items():
                found = judged(folder / name, capture, sources, manifest)
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
                if (folder / name / "dmon.log").exists():
                    yield Answer(
                        machine=machine,
                        workload=name,
                        reading=reading,
                        truth=truth,
                        regime=naive(folder / name, capture),
                    )


def interval(hits: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % interval of a rate (E. B. Wilson, 1927)."""
    if count == 0:
        return 0.0, 1.0
    p = hits / count
    middle = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z * sqrt(p * (1 - p) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def main() -> None:
    """Every answer, then the rates."""
    found = list(answers())
    if "--rows" in sys.argv:
        for a in found:
            mark = {True: "right", False: "WRONG", None: "-"}[a.right]
            shares = "" if a.shares is None else " ".join(f"{k[0]} {v:.2f}" for k, v in a.shares.items())
            truth = " ".join(f"{k[0]} {v:.2f}" for k, v in a.truth.parts.items())
            print(
                f"{a.workload:22s} {a.reading:38s} {a.truth.regime:8s} [{truth:20s}] {a.regime or '-':13s}"
                f" {a.confidence or 0:.2f} {shares:24s} {a.cause or '':12s} {mark}"
            )
    readings = dict.fromkeys(a.reading for a in found)
    print(f"{'reading':40s} {'n':>3s} {'named':>6s} {'right of named':>22s} {'sure and wrong':>14s} {'Brier':>6s}")
    for reading in readings:
        mine = [a for a in found if a.reading == reading]
        told = [a for a in mine if a.right is not None]
        hits = sum(bool(a.right) for a in told)
        low, high = interval(hits, len(told))
        sure = sum(a.confidently_wrong for a in mine)
        scored = [(a.confidence, bool(a.right)) for a in told if a.confidence is not None]
        brier = sum((c - r) ** 2 for c, r in scored) / len(scored) if scored else None
        rate = f"{hits}/{len(told)} [{low:.2f}, {high:.2f}]"
        named = sum(a.given for a in mine)
        print(
            f"{reading:40s} {len(mine):3d} {named:6d} {rate:>22s} {sure:14d} {'' if brier is None else f'{brier:6.3f}'}"
        )


if __name__ == "__main__":
    main()
