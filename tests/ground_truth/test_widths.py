"""The fit of the widths: it finds what made the bounds and refuses what cannot be told; every width says its origin."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from heuristics.claims import Bound
from heuristics.evidence import Evidence
from heuristics.signals import (
    bandwidth_saturation,
    compute_saturation,
    dram_activity,
    kernel_speed_of_light,
    kernel_timeline,
    sm_activity,
    tensor_activity,
)
from heuristics.simplex import Prior
from heuristics.vocabulary import Quantity, Relation, Share
from tests.ground_truth.held_out import fitted_widths, with_widths
from tests.ground_truth.known import Known, Within
from tests.ground_truth.width_constants import CONSTANTS, Constant
from tests.ground_truth.widths import CLEARLY_BETTER, GRID, THE_LEAST, Fit, Row, beyond, choose, fit, score

SIGNALS = Path(sm_activity.__file__).parent
FAMILIES = 6
SLOW = (
    (dram_activity, tensor_activity),
    (bandwidth_saturation, compute_saturation),
    (kernel_speed_of_light,),
    (kernel_timeline,),
)
"""Seconds each; the script has them."""

TIMELINE = next(c for c in CONSTANTS if c.homes == (kernel_timeline,))


def row(latency: float, stated: float, family: int) -> Row:
    """A bound latency ≥ ``stated`` on a workload whose latency is known."""
    claim = Bound(share=Share.LATENCY, relation=Relation.AT_LEAST, value=stated, width=0.05)
    return Row(
        family=f"family {family}",
        workload="x",
        evidence=Evidence(
            signal="x", source="x", quantity=Quantity.TIMELINE, claims=(claim,), sentence="", measured={}
        ),
        prior=Prior(),
        known=Known(within={Share.LATENCY: Within(low=latency, high=latency, error=0.02)}),
    )


def found(rows: list[Row], present: float) -> Fit:
    """Their scores under all widths."""
    widths = [*GRID.tolist(), present]
    return Fit(constant=TIMELINE, rows=tuple(rows), scores=np.array([[score(r, w) for w in widths] for r in rows]))


def drawn(width: float, count: int = 36) -> list[Row]:
    """Latencies as the posterior of a bound of this width has them: uniform where it holds, a normal tail beyond it."""
    random = np.random.default_rng(5)
    rows = []
    for k in range(count):
        stated = random.uniform(0.4, 0.7)
        points = np.linspace(0.0, 1.0, 400)
        density = (1.0 - points) * np.exp(-0.5 * (np.maximum(0.0, stated - points) / width) ** 2)
        rows.append(row(float(random.choice(points, p=density / density.sum())), stated, k % FAMILIES))
    return rows


@pytest.mark.parametrize(("width", "present"), [(0.08, 0.6), (0.2, 0.03)])
def test_the_width_that_made_the_bounds_is_found(width: float, present: float) -> None:
    seen = found(drawn(width), present=present)
    choice = choose(seen.scores, seen.families)
    assert width / 2 < choice.width < 2 * width
    assert choice.low <= choice.width <= choice.high
    assert choice.verdict == CLEARLY_BETTER


def test_a_width_that_is_right_already_stays() -> None:
    seen = found(drawn(0.1), present=0.1)
    assert choose(seen.scores, seen.families).verdict != CLEARLY_BETTER


def test_bounds_that_nothing_strains_have_no_likeliest_width() -> None:
    seen = found([row(0.2 + 0.1 * k, 0.1 + 0.1 * k, k) for k in range(FAMILIES)], present=0.3)
    assert choose(seen.scores, seen.families).verdict == THE_LEAST
    assert max(seen.beyond) == 0.0


def test_one_family_tells_nothing() -> None:
    seen = found([row(0.5, 0.6, 0) for _ in range(5)], present=0.3)
    assert choose(seen.scores, seen.families).verdict == "too few families"


def test_a_family_is_left_out_of_what_is_fitted_for_it() -> None:
    """One family breaks its bounds, the others do not: without it the least width is best."""
    rows = [row(0.3, 0.6, 0) for _ in range(4)] + [row(0.7, 0.6, k) for k in range(1, FAMILIES) for _ in range(4)]
    seen = found(rows, present=0.1)
    without = fitted_widths([seen], "family 0", by_the_rule=False)
    assert without[TIMELINE] == GRID[0]
    assert fitted_widths([seen], "another", by_the_rule=False)[TIMELINE] > GRID[0]


def test_how_far_a_bound_is_broken() -> None:
    assert beyond(row(0.3, 0.5, 0)) == pytest.approx(0.2, abs=0.04)
    assert beyond(row(0.5, 0.3, 0)) == 0.0


def test_widths_are_put_back() -> None:
    before = kernel_timeline.WIDTH
    with with_widths({TIMELINE: 0.33}):
        assert kernel_timeline.WIDTH == 0.33
    assert before == kernel_timeline.WIDTH


@pytest.mark.parametrize("constant", [c for c in CONSTANTS if c.signals not in SLOW], ids=lambda c: c.title)
def test_no_width_is_clearly_worse_than_what_the_captures_tell(constant: Constant) -> None:
    seen = fit(constant)
    assert seen.rows
    assert choose(seen.scores, seen.families).verdict != CLEARLY_BETTER


def test_every_width_cites_the_fit_or_says_why_there_is_none() -> None:
    told, silent = set(), []
    for path in sorted(SIGNALS.glob("*.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for statement, after in zip(body, [*body[1:], None], strict=True):
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                name = statement.targets[0].id
                if not name.endswith("WIDTH"):
                    continue
                value = after.value if isinstance(after, ast.Expr) else None
                text = value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""
                if "tests/ground_truth/widths.py" in text:
                    told.add(f"{path.stem}.{name}")
                elif "ot fitted" not in text.replace("\n", " "):
                    silent.append(f"{path.stem}.{name}")
    assert silent == []
    assert {c.title for c in CONSTANTS} <= told
