"""One independent run as the statistics see it: a median per metric, who it was, and whether its host was well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from heuristics.regression.loose import mapping, numbers, positive, words
from heuristics.regression.metrics import METRICS, ROOF
from heuristics.vocabulary import Cause, Limit, Regime, Share

HELD = frozenset({Limit.POWER_CAP.value, Limit.THERMAL.value})
"""Limits of power or heat, which ``environment.throttled`` tells of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A metric in one session: the median over its windows, and the windows where they were kept. SI units."""

    value: float
    windows: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What may have slowed a host down beside the job.

    ``throttled``: limits of power or heat that held the clocks. ``other_processes`` on the busiest device,
    ``other_busy_cores`` of the host, both without the job's own.
    """

    throttled: frozenset[str] = frozenset()
    clocks: Mapping[str, float] = field(default_factory=dict)
    """By the name they are told under."""
    power_limit_w: float | None = None
    other_processes: int | None = None
    other_busy_cores: float | None = None
    cores: float | None = None
    """That the host has."""
    wait_fraction: float | None = None
    """Of the time in which its busiest thread wanted a CPU, the part that it waited for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A verdict, reduced to what is compared.

    ``identity`` has a text for each trait that makes runs alike (``likeness.TRAITS``), None where it is not known.
    ``data`` names what was measured: the same for a dump that was judged twice. ``verdict`` is the whole JSON.
    """

    name: str
    created_at: str | None
    data: str
    identity: Mapping[str, str | None]
    figures: Mapping[str, Figure] = field(default_factory=dict)
    regime: Regime | None = None
    cause: Cause | None = None
    confidence: float = 0.0
    shares: Mapping[Share, float] | None = None
    health: Health = field(default_factory=Health)
    verdict: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str | None]:
        """What makes it one and the same, however often it is told: what was measured, under the name it was given."""
        return self.data, self.identity.get("workload")

    @property
    def batch(self) -> float | None:
        """Sequences in a step, where that was measured."""
        return positive(mapping(self.verdict, "measured").get("batch"))

    @property
    def stalled(self) -> bool:
        """Requests ran, and nothing came of them."""
        return Limit.STALLED.value in words(mapping(self.verdict, "verdict"), "limits")

    @property
    def peaks(self) -> Mapping[str, float]:
        """The roofs that its fractions are of."""
        return numbers(mapping(self.verdict, "roofs"))

    def figure(self, metric: str) -> float | None:
        """The session's value of a metric, where it is a positive number, which a ratio needs."""
        found = self.figures.get(metric)
        return found.value if found is not None and found.value > 0.0 else None


def distinct(sessions: Iterable[Session]) -> list[Session]:
    """Each once, however often it is told; under each name that it was given."""
    return list({s.key: s for s in reversed(list(sessions))}.values())[::-1]


def figures_of(measured: Mapping[str, float], samples: Mapping[str, tuple[float, ...]]) -> dict[str, Figure]:
    """Each metric's session value: the median of its windows, else what was measured over the whole."""
    found = {}
    for metric in METRICS:
        if windows := samples.get(metric.name):
            found[metric.name] = Figure(value=median(windows), windows=windows)
        elif metric.name in measured:
            found[metric.name] = Figure(value=measured[metric.name])
    roof = _roof(measured, samples)
    if roof is not None:
        found[ROOF] = roof
    return found


_PEAKS = {"bandwidth_fraction": "bandwidth_bytes_per_s", "compute_fraction": "flops_per_s"}


def roof_fraction(session: Session, *, of: Session) -> float | None:
    """How near a session came to the roofs of another, so that a roof that was stated anew is no change of the job.

    Its fraction of its own roofs where one of the two does not state them.
    """
    own = session.figure(ROOF)
    if own is None:
        return None
    measured = mapping(session.verdict, "measured")
    nearest = _nearest(numbers(measured))
    peaks = [positive(roofs.get(_PEAKS[nearest])) for roofs in (session.peaks, of.peaks)] if nearest is not None else []
    if len(peaks) != 2 or peaks[0] is None or peaks[1] is None:
        return own
    return own * peaks[0] / peaks[1]


def _roof(measured: Mapping[str, float], samples: Mapping[str, tuple[float, ...]]) -> Figure | None:
    """Of both peaks, the fraction of the one that more is used of."""
    nearest = _nearest(measured)
    if nearest is None:
        return None
    windows = samples.get(nearest, ())
    return Figure(value=median(windows) if windows else measured[nearest], windows=windows)


def _nearest(measured: Mapping[str, float]) -> str | None:
    return max((name for name in _PEAKS if name in measured), key=lambda name: measured[name], default=None)
