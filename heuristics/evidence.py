"""What a signal hands to the time budget: evidence, or the reason why it has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from heuristics.claims import Claim
from heuristics.vocabulary import Cause, Limit, Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One source's word on one physical quantity.

    ``sentence`` is a template over ``measured``: ``{dram_active:percent}``; the readers of ``reports`` fill it.
    ``rank`` orders sources of the same quantity, 0 the best. ``causes`` are time fractions explained.
    """

    signal: str
    source: str
    quantity: Quantity
    claims: tuple[Claim, ...]
    sentence: str
    measured: Mapping[str, float]
    rank: int = 0
    causes: Mapping[Cause, float] = field(default_factory=dict)
    limits: frozenset[Limit] = frozenset()
    warnings: tuple[str, ...] = ()
    impossible: str | None = None
    """Set when the value cannot be: more than the peak. No confident label may follow."""
    activity: float | None = None
    """How busy the device was seen, 0 to 1, by whatever this signal looks at; None when it cannot tell."""
    no_work: float | None = None
    """Certainty that there was no work at all, 0 to 1; None when work was seen or is not this signal's business."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abstention:
    """A signal that says nothing, and why. ``missing``: its input is simply not there."""

    signal: str
    reason: str
    missing: bool = True


Finding = Evidence | Abstention
