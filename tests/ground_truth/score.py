"""Verdicts held against what is known otherwise. ``python -m tests.ground_truth.score`` prints the docs' tables.

With ``--every`` also each capture's answer from each set of sources, and a confusion matrix of each.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from heuristics.vocabulary import Regime
from tests.ground_truth.answers import Answer, answers
from tests.ground_truth.naive import NAIVE
from tests.ground_truth.shares import gaps, share_errors, shares
from tests.ground_truth.tables import interval, rate, table
from tests.ground_truth.truth import SHARES


def rates(every: Sequence[Answer]) -> Iterator[list[str]]:
    """A row a reading: how often it names a regime, how often rightly, how often it is sure and wrong.

    Of all that have a regime how many are told rightly; of those that are named and can be right or wrong, how many are
    right. A mixed workload can be wrong, and right only where two shares compete.
    """
    yield [
        "reading",
        "captures",
        "right of all with a regime",
        "right of named",
        "names none",
        "sure and wrong",
        "Brier",
    ]
    for reading in dict.fromkeys(a.reading for a in every):
        mine = [a for a in every if a.reading == reading]
        told = [a for a in mine if a.right is not None]
        clear = [a for a in mine if a.truth.regime != "mixed"]
        scored = [(a.confidence, bool(a.right)) for a in told if a.confidence is not None]
        yield [
            reading,
            str(len(mine)),
            rate(sum(bool(a.right) for a in clear), len(clear)),
            rate(sum(bool(a.right) for a in told), len(told)),
            rate(sum(not a.given for a in mine), len(mine)),
            rate(sum(a.confidently_wrong for a in mine), len(mine)),
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
    """How many answers their stated confidence expects to be right, and how many are, over all of our own readings."""
    yield ["confidence stated", "answers", "expected right", "right", "95 % interval"]
    told = [(a.confidence, bool(a.right)) for a in every if a.right is not None and a.confidence is not None]
    for low, high in ((0.60, 0.70), (0.70, 0.80), (0.80, 0.90), (0.90, 0.98), (0.98, 1.01)):
        mine = [(c, r) for c, r in told if low <= c < high]
        if mine:
            hits = sum(r for _, r in mine)
            least, most = interval(hits, len(mine))
            expected = sum(c for c, _ in mine)
            upper = "1.00" if high > 1.0 else f"{high:.2f}"
            yield [
                f"{low:.2f} to {upper}",
                str(len(mine)),
                f"{expected:.1f} ({expected / len(mine):.2f})",
                f"{hits} ({hits / len(mine):.2f})",
                f"{least:.2f} to {most:.2f}",
            ]


def all_answers(every: Sequence[Answer]) -> Iterator[list[str]]:
    """A row an answer."""
    yield ["workload", "truth", "reading", "answer", "confidence", "memory, compute, latency"]
    for a in every:
        own = "" if a.shares is None else ", ".join(f"{a.shares[s]:.2f}" for s in SHARES)
        stated = "" if a.confidence is None else f"{a.confidence:.2f}"
        yield [a.workload, a.truth.regime, a.reading, a.regime or "", stated, own]


def tables(every: Sequence[Answer]) -> Iterator[tuple[str, str]]:
    """Name and Markdown of each table on the answers of one machine."""
    own = [a for a in every if a.reading not in NAIVE]
    yield "rates", table(rates(every))
    yield "answers from all sources together", table(confusion(every, "all"))
    yield "stated confidence and what came of it", table(calibration(own))
    yield "how far shares are off", table(share_errors(own))
    yield "shares from all sources together", table(shares(every, "all"))
    waits = list(gaps(every))
    if len(waits) > 1:
        yield "latency where it is gaps", table(waits)


def main() -> None:
    """All tables, machine by machine."""
    every = list(answers())
    for machine in dict.fromkeys(a.machine for a in every):
        mine = [a for a in every if a.machine == machine]
        for name, text in tables(mine):
            print(f"{machine}: {name}\n\n{text}\n")
        if "--every" in sys.argv[1:]:
            for reading in dict.fromkeys(a.reading for a in mine):
                print(f"{machine}: {reading}\n\n{table(confusion(mine, reading))}\n")
            print(f"{machine}: every answer\n\n{table(all_answers(mine))}\n")


if __name__ == "__main__":
    main()
