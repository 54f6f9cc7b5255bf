"""What a batch curve comes to: the fixed and the marginal part of a step, by batch, with how sure each is."""

from __future__ import annotations

import math
from dataclasses import dataclass

SURE = 0.95
"""Probability with which an interval holds the truth."""

DEVIATIONS = 1.96
"""Standard deviations of a normal from the middle to the end of such an interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate, and the range that holds the truth with a probability of 0.95."""

    value: float
    low: float
    high: float

    @property
    def deviation(self) -> float:
        """The standard deviation of a normal as wide."""
        return 0.5 * (self.high - self.low) / DEVIATIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLevel:
    """Windows of about one measured batch, taken together. Seconds, tokens a second of all sequences.

    ``gain``: throughput gained for each doubling of the batch since the level before; None at the first.
    ``fixed_share``: the part of this step that does not grow with the batch, e = 1 − d log step ÷ d log batch, 0 to
    1; None where nothing could be fitted. ``unsettled``: why it is hardly known. ``kv_share``: what reading the KV
    cache takes of the step at the peak bandwidth, at least; None where its bytes are not known. ``capped``: more
    sequences were asked for than ran.
    """

    batch: float
    step_s: float
    windows: int
    capped: bool = False
    gain: Interval | None = None
    fixed_share: Interval | None = None
    unsettled: str | None = None
    kv_share: float | None = None

    @property
    def tokens_per_s(self) -> float:
        """One token a sequence and step."""
        return self.batch / self.step_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """Between two batches every step becomes ``factor`` times as long, beside what the batch explains."""

    below_batch: float
    above_batch: float
    factor: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A step as fixed_s + marginal_s · batch, as it is at the largest batch measured.

    The fixed part is weights, launches and waiting alike; the marginal part is arithmetic, KV traffic, experts and
    the host's work for each sequence alike: a curve tells none of them apart.

    ``elasticity``: d log throughput ÷ d log batch over all that was measured. ``knee_batch``: from here on a
    doubling gains less than 4/3, which is where the marginal part has grown to the fixed one; None with
    ``knee_reason``. ``scatter``: relative standard deviation of a window about its level, None
    where no batch was seen twice. ``misfit``: of the levels about the curve.
    """

    fixed_s: Interval
    marginal_s: Interval
    elasticity: Interval
    knee_batch: Interval | None
    knee_reason: str | None
    switches: tuple[Switch, ...]
    scatter: float | None
    misfit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFit:
    """All that a batch curve tells. ``levels`` by rising batch; ``parts`` is None with the ``reason``.

    ``cap_batch``: the batch at which it stopped to grow although more was asked for; None where it never did, or
    where what was asked for is not known. ``outliers``: windows that were not believed.
    """

    levels: tuple[BatchLevel, ...]
    parts: Parts | None
    reason: str | None = None
    cap_batch: float | None = None
    outliers: int = 0

    @property
    def largest(self) -> BatchLevel | None:
        """The level of the largest batch measured."""
        return self.levels[-1] if self.levels else None

    def fixed_share_at(self, batch: float) -> Interval | None:
        """The fixed share at any batch: between levels by the logarithm of the batch, above them as f + m·B goes on.

        Below all of them it is that of the lowest, at least.
        """
        known = [(level.batch, level.fixed_share) for level in self.levels if level.fixed_share is not None]
        if not known:
            return None
        after = next((place for place, (at, _) in enumerate(known) if at >= batch), len(known) - 1)
        before = max(0, after - 1)
        (low, first), (high, second) = known[before], known[after]
        part = 1.0 if high <= low else math.log(max(low, min(high, batch)) / low) / math.log(high / low)

        def between(a: float, b: float) -> float:
            return (1.0 - part) * a + part * b

        beyond = max(1.0, batch / high)

        def grown(share: float) -> float:
            return share / (share + (1.0 - share) * beyond)

        return Interval(
            value=grown(between(first.value, second.value)),
            low=grown(between(first.low, second.low)),
            high=grown(between(first.high, second.high)),
        )
