"""Power and clocks

What it looks at: board power against its limit, and the reasons the driver gives for lowered clocks.

What it bounds and why: switching transistors and moving bytes is what takes power, so a board near its
limit is not mostly waiting: latency ≤ 1 − (power − idle) ÷ (limit − idle), very softly. A power cap or heat
that lowers the clocks also lowers the compute roof; both become limits beside the regime.

Blind spots: weak by nature. Dense matrix products and streaming both draw high power; a low limit, a
shared board and the one-second average of the sensor all blur it. Low power bounds nothing.

Example: 634 W of 700 W on an H100 under gpu-burn: not waiting; beside mem 8 that leaves compute.
"""

from __future__ import annotations

import numpy as np

from heuristics.case import Case
from heuristics.claims import Bound
from heuristics.evidence import Abstention, Evidence, Finding
from heuristics.observations import Samples
from heuristics.signals.common import OTHERS
from heuristics.vocabulary import Limit, Quantity, Relation, Share

NAME = "power_and_clocks"

WIDTH = 0.20
"""``tests/ground_truth/widths.py`` finds 0.07 likeliest, not clearly better on families that are left out, and on one
board; limits and sensors of others differ more."""
IDLE_PART = 0.12
"""Boards draw 10 to 15 % of their limit with clocks up and nothing running."""

LOWERED = 0.8
"""Below this part of the board's own limit, drawing all of it says little of how much is done."""

THROTTLED_PART = 0.10
"""Clocks held down in this part of the samples make a limit."""


def weigh(case: Case) -> Finding:
    """Bound latency softly from above by the power drawn."""
    samples = case.samples
    if samples is None or np.isnan(samples.power_w).all():
        return Abstention(signal=NAME, reason="no power readings in the input")
    limits = _limits(samples)
    ceiling = case.device.power_limit_w if case.device is not None else None
    if ceiling is None and case.roofs is not None:
        ceiling = case.roofs.board_power_w
    active = np.nan_to_num(samples.sm) > 0
    power = samples.power_w[active & ~np.isnan(samples.power_w)]
    if ceiling is None or power.size == 0:
        reason = "no power limit to compare with: give --gpu" if ceiling is None else "no power reading under load"
        return _unbounded(case, reason, limits, missing=ceiling is None)
    if case.shared:
        return _unbounded(case, OTHERS, limits)
    board = case.roofs.board_power_w if case.roofs is not None else None
    if board is not None and ceiling < LOWERED * board:
        reason = f"the limit of {ceiling:.0f} W is lowered from {board:.0f} W: near it, the board may yet wait"
        return _unbounded(case, reason, limits)
    mean = float(power.mean())
    drawn = min(1.0, max(0.0, (mean / ceiling - IDLE_PART) / (1.0 - IDLE_PART)))
    return Evidence(
        signal=NAME,
        source=case.source(Samples),
        quantity=Quantity.POWER,
        claims=(Bound(share=Share.LATENCY, relation=Relation.AT_MOST, value=1.0 - drawn, width=WIDTH),),
        sentence="{power_w:watts} of {power_limit_w:watts} drawn",
        measured={"power_w": mean, "power_limit_w": ceiling},
        limits=limits,
    )


def _unbounded(case: Case, reason: str, limits: frozenset[Limit], *, missing: bool = False) -> Finding:
    """The power bounds nothing; what holds the clocks down is a limit all the same."""
    if not limits:
        return Abstention(signal=NAME, missing=missing, reason=reason)
    return Evidence(
        signal=NAME,
        source=case.source(Samples),
        quantity=Quantity.POWER,
        claims=(),
        sentence=f"clocks are held down ({', '.join(sorted(limits))}); {reason}",
        measured={},
        limits=limits,
    )


def _limits(samples: Samples) -> frozenset[Limit]:
    found = set()
    for reading, limit in ((samples.power_limited, Limit.POWER_CAP), (samples.thermally_limited, Limit.THERMAL)):
        if not np.isnan(reading).all() and float(np.nanmean(reading)) > THROTTLED_PART:
            found.add(limit)
    return frozenset(found)
