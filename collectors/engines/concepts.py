"""What engines are asked for, whatever they call it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class Concept(Enum):
    """One quantity. Counters and sums are cumulative; the others are as of the scrape."""

    RUNNING = "requests running"
    WAITING = "requests waiting"
    KV_USAGE = "fraction of the KV cache in use"
    KV_CAPACITY_TOKENS = "tokens the KV cache holds"
    TOKEN_RATE = "generated tokens per second, the engine's own gauge"
    CONTEXT_TOKENS = "tokens cached, summed over running requests"
    MEAN_BATCH = "mean sequences in a step over the lifetime"

    PROMPT_TOKENS = "prompt tokens"
    CACHED_PROMPT_TOKENS = "prompt tokens from the prefix cache"
    REQUEST_SECONDS = "seconds requests took from arrival to end"
    REQUESTS = "requests ended"
    GENERATION_TOKENS = "generated tokens"
    LIVE_TOKENS = "generated tokens, those of running requests included"
    PREFILL_SECONDS = "seconds in prompts, summed over sequences"
    STEPS = "steps"
    STEP_TOKENS = "tokens passed through steps"
    STEP_TIME_SUM = "seconds in steps"
    STEP_TIME_COUNT = "steps timed"
    DECODE_SECONDS = "seconds generating, summed over sequences"
    BATCH_STEPS = "sequences summed over steps"
    TOKEN_LATENCY_SUM = "seconds between tokens"
    TOKEN_LATENCY_COUNT = "intervals between tokens"
    FIRST_TOKEN_SUM = "seconds to first tokens"
    FIRST_TOKEN_COUNT = "first tokens"
    PREEMPTIONS = "preemptions"
    FLOPS = "FLOPs of one device, the engine's estimate"
    READ_BYTES = "bytes read by one device, the engine's estimate"
    WRITE_BYTES = "bytes written by one device, the engine's estimate"
    ACCEPTED = "accepted draft tokens"
    DRAFTS = "drafts verified"

    @property
    def cumulative(self) -> bool:
        """Whether differences between scrapes mean something."""
        return self not in _INSTANT


_INSTANT = frozenset(
    {
        Concept.RUNNING,
        Concept.WAITING,
        Concept.KV_USAGE,
        Concept.KV_CAPACITY_TOKENS,
        Concept.TOKEN_RATE,
        Concept.MEAN_BATCH,
        Concept.CONTEXT_TOKENS,
    }
)

AVERAGED = frozenset({Concept.KV_USAGE, Concept.MEAN_BATCH, Concept.FLOPS, Concept.READ_BYTES, Concept.WRITE_BYTES})
"""Over several engines these are averaged (a fraction, or a figure per device); the others add up."""

Readings = Mapping[Concept, float]
"""Values of one snapshot; what an engine does not export is not in it."""
