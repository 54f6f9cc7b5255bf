"""A step function measured over batches: times, counts and a verdict for each."""

from __future__ import annotations

from dataclasses import dataclass

from heuristics.operations import Phase
from heuristics.verdict import Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbedBatch:
    """One batch. Seconds a step, medians over rounds.

    ``step_s`` is what the host's clock says, ``device_s`` the device's with launches queued ahead, ``graph_s`` a
    replay of the captured step. ``spread``: quartile distance over the median, of what was judged. ``rounds`` were
    judged of ``rounds_taken``, ``steps`` a round after ``warm_ups`` steps.
    """

    batch: int
    step_s: float
    spread: float
    rounds: int
    rounds_taken: int
    steps: int
    warm_ups: int
    tokens_per_s: float
    judgement: Judgement
    device_s: float | None = None
    graph_s: float | None = None
    eager: Judgement | None = None
    """The verdict on the step as it is, where ``judgement`` is on its graph."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """All batches, in ascending order. ``batch`` is the one that the whole result is about."""

    phase: Phase
    device: str
    batch: int
    batches: tuple[ProbedBatch, ...]
    threads: int | None = None
    work: str | None = None
    """How FLOPs and bytes are known: counted, stated, or from the model's shape; None where they are not."""
