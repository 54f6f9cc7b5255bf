"""Verdicts held against what is known otherwise. ``python -m tests.ground_truth.score`` prints the docs' tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from heuristics.simplex import Ceilings
from heuristics.vocabulary import Regime
from tests.ground_truth.naive import NAIVE
from tests.ground_truth.registry import WORKLOADS
from tests.ground_truth.sources import ON_CPU, SUBSETS, cases, judged
from tests.ground_truth.truth import SHARES, Truth, truth_of

CAPTURES = Path(__file__).parent.parent / "data" / "ground_truth"
SURE = 0.80

LARGE_GAP = 0.5
"""Of a timeline that is mostly gaps latency is gaps; elsewhere it is also what kernels lose."""


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


def rates(every: Sequence[Answer]) -> Iterator[list[str]]:
    """A row a reading: how often it names a regime, how often rightly, how often it is sure and wrong."""
    yield ["reading", "captures", "named", "right of named", "95 % interval", "sure and wrong", "Brier"]
    for reading in dict.fromkeys(a.reading for a in every):
        mine = [a for a in every if a.reading == reading]
        told = [a for a in mine if a.right is not None]
        hits = sum(bool(a.right) for a in told)
        low, high = interval(hits, len(told))
        scored = [(a.confidence, bool(a.right)) for a in told if a.confidence is not None]
        yield [
            reading,
            str(len(mine)),
            str(sum(a.given for a in mine)),
            f"{hits} of {len(told)}",
            f"{low:.2f} to {high:.2f}",
            str(sum(a.confidently_wrong for a in mine)),
            f"{sum((c - r) ** 2 for c, r in scored) / len(scored):.3f}" if scored else "states none",
        ]


def confusion(every: Sequence[Answer], reading: str) -> Iterator[list[str]]:
    """Truth by answer, of one reading."""
    columns = [*(r.value for r in Regime)]
    yield ["truth", *columns]
    mine = [a for a in every if a.reading == reading]
    for truth in dict.fromkeys(a.truth.regime for a in mine):
        of = [a for a in mine if a.truth.regime == truth]
        yield [truth, *(str(sum(a.regime == column for a in of)) for column in columns)]


def calibration(every: Sequence[Answer]) -> Iterator[list[str]]:
    """Stated confidence against how often that is right, over all of our own readings."""
    yield ["confidence stated", "answers", "mean", "right", "95 % interval"]
    told = [(a.confidence, bool(a.right)) for a in every if a.right is not None and a.confidence is not None]
    for low, high in ((0.60, 0.70), (0.70, 0.80), (0.80, 0.90), (0.90, 0.98), (0.98, 1.01)):
        mine = [(c, r) for c, r in told if low <= c < high]
        if mine:
            hits = sum(r for _, r in mine)
            least, most = interval(hits, len(mine))
            mean = sum(c for c, _ in mine) / len(mine)
            upper = "1.00" if high > 1.0 else f"{high:.2f}"
            yield [
                f"{low:.2f} to {upper}",
                str(len(mine)),
                f"{mean:.2f}",
                f"{hits / len(mine):.2f}",
                f"{least:.2f} to {most:.2f}",
            ]


def shares(every: Sequence[Answer], reading: str) -> Iterator[list[str]]:
    """Parts by intervention beside the shares of the verdict."""
    yield ["workload", "by intervention: memory, compute, latency", "verdict", "confidence", "cause", "its shares"]
    for a in (a for a in every if a.reading == reading):
        parts = ", ".join(f"{a.truth.parts[s]:.2f}" if s in a.truth.parts else "?" for s in SHARES)
        own = "" if a.shares is None else ", ".join(f"{a.shares[s]:.2f}" for s in SHARES)
        yield [
            a.workload,
            f"{parts} ({a.truth.regime})",
            a.regime or "",
            f"{a.confidence or 0.0:.2f}",
            a.cause or "",
            own,
        ]


def gaps(every: Sequence[Answer]) -> Iterator[list[str]]:
    """Where a trace shows the device without work: those gaps beside the latency share from all sources."""
    yield ["workload", "gaps in the trace", "gaps by GPM", "latency share", "latency by intervention"]
    shown = {a.workload: a for a in every if a.reading == "all" and a.shares is not None}
    for _, folder, manifest in machines():
        for name, answer in shown.items():
            if name not in manifest["workloads"]:
                continue
            found = cases(folder / name, manifest["workloads"][name], ("gpm", "trace"), manifest)
            timeline, activity = found[0].timeline, found[0].activity
            if timeline is None or activity is None or activity.engine_active is None or answer.shares is None:
                continue
            gap = 1.0 - timeline.roof_busy_s / timeline.window_s
            if gap >= LARGE_GAP:
                part = answer.truth.parts.get("latency")
                yield [
                    name,
                    f"{gap:.2f}",
                    f"{1.0 - activity.engine_active:.2f}",
                    f"{answer.shares['latency']:.2f}",
                    "?" if part is None else f"{part:.2f}",
                ]


def table(rows: Iterable[list[str]]) -> str:
    """Rows as a table of Markdown, the first being its head."""
    head, *rest = rows
    lines = [head, ["---"] * len(head), *rest]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """All tables, machine by machine."""
    every = list(answers())
    for machine in dict.fromkeys(a.machine for a in every):
        mine = [a for a in every if a.machine == machine]
        own = [a for a in mine if a.reading not in NAIVE]
        print(f"## {machine}\n\n{table(rates(mine))}\n")
        print(f"Answers from all sources together:\n\n{table(confusion(mine, 'all'))}\n")
        print(f"Stated confidence and what came of it:\n\n{table(calibration(own))}\n")
        print(f"{table(shares(mine, 'all'))}\n")
        if (waits := list(gaps(mine))) and len(waits) > 1:
            print(f"Latency where it is gaps:\n\n{table(waits)}\n")


if __name__ == "__main__":
    main()
