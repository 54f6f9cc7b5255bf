"""What an action hands over: advice with its prediction, or the reason why it is withheld."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from heuristics.operations import Phase
from heuristics.vocabulary import Share


class Action(StrEnum):
    """What can be changed about a job."""

    LARGER_BATCH = "larger_batch"
    QUANTISE_WEIGHTS = "quantise_weights"
    NARROWER_ARITHMETIC = "narrower_arithmetic"
    QUANTISE_KV_CACHE = "quantise_kv_cache"
    SHORTER_CONTEXT = "shorter_context"
    CUDA_GRAPHS = "cuda_graphs"
    LESS_HOST_WORK = "less_host_work"
    MORE_TENSOR_PARALLELISM = "more_tensor_parallelism"
    LESS_TENSOR_PARALLELISM = "less_tensor_parallelism"
    SPECULATIVE_DECODING = "speculative_decoding"
    CHUNKED_PREFILL = "chunked_prefill"
    LIFT_POWER_CAP = "lift_power_cap"
    ANOTHER_DEVICE = "another_device"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One thing that would help.

    ``sentence`` says what to do and ``why`` what of the evidence speaks for it; both are templates over ``figures``,
    as the sentences of evidence are. ``predicted_speedup`` is of the job's tokens a second, or of
    ``phase``'s alone where its part of the time is not known; None where nothing predicts it. ``speedup_range`` spans
    what the shares, the ceilings and the assumptions leave open.
    """

    action: Action
    sentence: str
    why: str
    figures: Mapping[str, float]
    predicted_speedup: float | None = None
    speedup_range: tuple[float, float] | None = None
    then_bound_by: Share | None = None
    assumptions: tuple[str, ...] = ()
    phase: Phase | None = None
    devices_factor: float = 1.0
    """Times as many devices as now; the speed-up is of all together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """An action that was considered and is not advised, and why."""

    action: Action
    reason: str
