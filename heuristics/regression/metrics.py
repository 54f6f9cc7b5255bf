"""The figures that are compared between sessions: what each is called, its unit, and which way is worse."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Better(StrEnum):
    """Which way a figure improves."""

    LOWER = "lower"
    HIGHER = "higher"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """``name`` is the field of ``measured`` and ``samples``. ``unit`` is one of the words of ``reports.words``.

    ``slower`` and ``faster`` are the words for a change to the worse and to the better.
    """

    name: str
    label: str
    better: Better
    unit: str
    slower: str = "slower"
    faster: str = "faster"

    def worsening(self, log_ratio: float) -> float:
        """A change of the logarithm, counted upwards for the worse."""
        return log_ratio if self.better is Better.LOWER else -log_ratio


ROOF = "roof_fraction"
"""The larger of the fractions of both peaks: how near the job is to the roof that it is nearest to."""

TIME_PER_OUTPUT_TOKEN = Metric(
    name="time_per_output_token_s", label="time per output token", better=Better.LOWER, unit="seconds"
)
STEP = Metric(name="step_s", label="step time", better=Better.LOWER, unit="seconds")
TOKENS_PER_S = Metric(name="tokens_per_s", label="tokens/s", better=Better.HIGHER, unit="number")
KERNEL_TIME = Metric(name="kernel_time_s", label="kernel time", better=Better.LOWER, unit="seconds")
ROOF_FRACTION = Metric(
    name=ROOF,
    label="roof",
    better=Better.HIGHER,
    unit="percent",
    slower="farther from the roof",
    faster="nearer to the roof",
)

METRICS: tuple[Metric, ...] = (
    TIME_PER_OUTPUT_TOKEN,
    Metric(name="time_to_first_token_s", label="time to first token", better=Better.LOWER, unit="seconds"),
    TOKENS_PER_S,
    STEP,
    ROOF_FRACTION,
    Metric(
        name="busy_fraction",
        label="busy fraction",
        better=Better.HIGHER,
        unit="percent",
        slower="less busy",
        faster="busier",
    ),
    KERNEL_TIME,
    Metric(
        name="joules_per_token",
        label="energy per token",
        better=Better.LOWER,
        unit="joules",
        slower="more energy",
        faster="less energy",
    ),
)
"""All that can be compared, in the order of the reports."""

PRIMARY: tuple[Metric, ...] = (TIME_PER_OUTPUT_TOKEN, STEP, TOKENS_PER_S, KERNEL_TIME)
"""What gates where nothing is told: the first of these that any session of a workload has."""


def metric_named(name: str) -> Metric | None:
    """The metric of that field, which may be typed with hyphens; None where there is none."""
    field = name.replace("-", "_")
    return next((m for m in METRICS if m.name == field), None)
