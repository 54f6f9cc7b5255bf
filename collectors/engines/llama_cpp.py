"""llama.cpp's server: its mean batch is over the lifetime, and its token counter moves only when a request ends."""

from __future__ import annotations

from collectors.engines.concepts import Concept, Readings


def readings(now: Readings, before: Readings | None) -> Readings:
    """Turn the lifetime mean of busy slots into a sum over steps, so that a window's batch follows from differences.

    Generated tokens of requests still running are not counted yet; over a window in which the counter
    stands still while steps go on, tokens follow from steps × batch instead, and the counter is dropped.
    """
    found = dict(now)
    steps, mean = now.get(Concept.STEPS), now.get(Concept.MEAN_BATCH)
    if steps is not None and mean is not None:
        found[Concept.BATCH_STEPS] = steps * mean
    if before is not None and now.get(Concept.GENERATION_TOKENS) == before.get(Concept.GENERATION_TOKENS):
        found.pop(Concept.GENERATION_TOKENS, None)
    return found
