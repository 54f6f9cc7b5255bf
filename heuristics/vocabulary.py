"""The closed sets of words that verdicts are made of."""

from __future__ import annotations

from enum import StrEnum


class Share(StrEnum):
    """Where wall time with work goes; the three sum to 1."""

    MEMORY = "memory"
    COMPUTE = "compute"
    LATENCY = "latency"


class Regime(StrEnum):
    """What a verdict answers: the largest share, no work at all, or not enough evidence."""

    MEMORY = "memory"
    COMPUTE = "compute"
    LATENCY = "latency"
    IDLE = "idle"
    INCONCLUSIVE = "inconclusive"


class Cause(StrEnum):
    """Why the largest share is large."""

    WEIGHTS = "weights"
    KV_CACHE = "kv_cache"
    ACTIVATIONS = "activations"
    CACHE = "cache"
    TENSOR = "tensor"
    DEQUANTIZATION = "dequantization"
    HOST = "host"
    UNDERFILL = "underfill"
    COMMUNICATION = "communication"
    TRANSFER = "transfer"

    @property
    def share(self) -> Share:
        """The share this cause belongs to."""
        return _SHARE_OF[self]


_SHARE_OF = {
    Cause.WEIGHTS: Share.MEMORY,
    Cause.KV_CACHE: Share.MEMORY,
    Cause.ACTIVATIONS: Share.MEMORY,
    Cause.CACHE: Share.MEMORY,
    Cause.TENSOR: Share.COMPUTE,
    Cause.DEQUANTIZATION: Share.COMPUTE,
    Cause.HOST: Share.LATENCY,
    Cause.UNDERFILL: Share.LATENCY,
    Cause.COMMUNICATION: Share.LATENCY,
    Cause.TRANSFER: Share.LATENCY,
}


class Limit(StrEnum):
    """What else holds the job back; stands beside the regime, never instead of it."""

    KV_CAPACITY = "kv_capacity"
    QUEUE = "queue"
    PREFILL = "prefill"
    POWER_CAP = "power_cap"
    THERMAL = "thermal"
    STALLED = "stalled"
    VIDEO = "video"


class Quantity(StrEnum):
    """The physical quantity a piece of evidence restates; one source speaks for each."""

    BANDWIDTH = "bandwidth"
    ARITHMETIC = "arithmetic"
    INTENSITY = "intensity"
    KERNEL_SPLIT = "kernel_split"
    OPERATION_SPLIT = "operation_split"
    TIMELINE = "timeline"
    SM_ACTIVITY = "sm_activity"
    TIME_FRACTION = "time_fraction"
    POWER = "power"
    REQUESTS = "requests"
    HOST = "host"
    BATCH_CURVE = "batch_curve"
    LINKS = "links"


class Relation(StrEnum):
    """How a bound compares a share with its value."""

    AT_MOST = "at_most"
    AT_LEAST = "at_least"
    RATIO = "ratio"


class Dtype(StrEnum):
    """Arithmetic types the peak table knows."""

    FP32 = "fp32"
    TF32 = "tf32"
    BF16 = "bf16"
    FP16 = "fp16"
    FP8 = "fp8"
    INT8 = "int8"
    FP4 = "fp4"
