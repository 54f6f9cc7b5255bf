"""How often labels are right on workloads that no constant was fitted to. ``python -m tests.ground_truth.held_out``.

For each family of workloads the achievable ceilings and the widths of all bounds are fitted to the other families, and
its captures are judged with them. *Widths by the rule* changes those that are clearly better on what they have not
seen, as ``widths.py`` does; *every width at its likeliest* takes it, however little the captures say of it. The rules
of the signals were corrected on these captures as well, and that cannot be taken back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import product
from unittest import mock

import numpy as np

from heuristics.simplex import Ceilings
from tests.ground_truth import ceilings
from tests.ground_truth.answers import Answer, answers
from tests.ground_truth.naive import NAIVE
from tests.ground_truth.registry import WORKLOADS
from tests.ground_truth.score import rates
from tests.ground_truth.tables import table
from tests.ground_truth.width_constants import CONSTANTS, Constant
from tests.ground_truth.widths import CLEARLY_BETTER, Fit, choose, fit

Widths = Mapping[Constant, float]


def fitted_ceilings() -> Mapping[str, Ceilings]:
    """By the family that is left out, what is best on the others."""
    rows = [row for row in ceilings.rows() if row.case.roofs is not None]
    settings = list(product(ceilings.BANDWIDTH, ceilings.ARITHMETIC))
    scores = np.array([[ceilings.score(row, ceilings.setting(*s)) for row in rows] for s in settings])
    of = np.array([row.family for row in rows])
    return {
        family: ceilings.setting(*settings[int(scores[:, of != family].mean(axis=1).argmax())])
        for family in {w.family for w in WORKLOADS.values()}
    }


def fitted_widths(fits: list[Fit], left_out: str, *, by_the_rule: bool) -> Widths:
    """Widths chosen without one family."""
    chosen = {}
    for found in fits:
        rest = [k for k, family in enumerate(found.families) if family != left_out]
        if not rest:
            continue
        choice = choose(found.scores[rest], [found.families[k] for k in rest])
        if not by_the_rule or choice.verdict == CLEARLY_BETTER:
            chosen[found.constant] = choice.width
    return chosen


@contextmanager
def with_widths(widths: Widths) -> Iterator[None]:
    """Judge with these."""
    with ExitStack() as stack:
        for constant, width in widths.items():
            for home in constant.homes:
                stack.enter_context(mock.patch.object(home, constant.name, width))
        yield


def held_out(fits: list[Fit], ceilings_without: Mapping[str, Ceilings], *, by_the_rule: bool) -> Iterator[Answer]:
    """Every answer of ours, with constants that were fitted to the other families."""
    for family, without in sorted(ceilings_without.items()):
        with with_widths(fitted_widths(fits, family, by_the_rule=by_the_rule)):
            yield from (a for a in answers(family, without) if a.reading not in NAIVE)


def compared(as_it_is: Sequence[Answer], by_rule: Sequence[Answer], likeliest: Sequence[Answer]) -> Iterator[list[str]]:
    """A row a reading: with the constants as they are, and with those fitted without the family in question."""
    yield ["reading", "constants", "right of all with a regime", "right of named", "sure and wrong", "Brier"]
    sets = {"as they are": as_it_is, "held out": by_rule, "held out, widths likeliest": likeliest}
    for reading in dict.fromkeys(a.reading for a in as_it_is):
        for name, every in sets.items():
            head, row = rates([a for a in every if a.reading == reading])
            shown = dict(zip(head, row, strict=True))
            figures = [shown[column] for column in ("right of all with a regime", "right of named")]
            yield [reading, name, *figures, shown["sure and wrong"], shown["Brier"]]


def main() -> None:
    """Fit without each family, judge it, print."""
    fits, without = [fit(constant) for constant in CONSTANTS], fitted_ceilings()
    print("left out: the ceilings of bandwidth and arithmetic that are best on the others, and what the rule changes\n")
    for family, found in sorted(without.items()):
        changed = ", ".join(f"{c.title} {w:.2f}" for c, w in fitted_widths(fits, family, by_the_rule=True).items())
        b, a = found.bandwidth, found.arithmetic
        print(
            f"{family:14s} {b.mean:.2f} ± {b.deviation:.2f}, {a.mean:.2f} ± {a.deviation:.2f}  {changed or 'nothing'}"
        )
    three = [
        [a for a in answers() if a.reading not in NAIVE],
        *(list(held_out(fits, without, by_the_rule=by_the_rule)) for by_the_rule in (True, False)),
    ]
    for machine in dict.fromkeys(a.machine for a in three[0]):
        mine = [[a for a in every if a.machine == machine] for every in three]
        print(f"\n{machine}:\n\n{table(compared(*mine))}")


if __name__ == "__main__":
    main()
