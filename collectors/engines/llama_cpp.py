"""llama.cpp's server: its mean batch is over the lifetime, and its token counter moves only when a request ends."""

from __future__ import annotations

from math import floor, log10

from collectors.engines.concepts import Concept, Readings

GAUGE_DIGITS = 6
"""Significant digits that the server prints of the mean."""

COARSE = 0.1
"""Sequences a step by which the printed mean may be wrong over a window before it is not used."""


def pair(now: Readings, before: Readings | None) -> tuple[Readings, Readings | None]:
    """Turn the lifetime mean of busy slots into a sum over steps, so that a window's batch follows from differences.

    Each busy slot yields one token a step, so that sum also stands for the generated tokens, whose own
    counter leaves out requests still running and adds the whole of one that ends. Speculation yields more
    than one; there the counter stays, unless it stands still. Where the slots were read, they count exactly.
    """
    if before is not None and Concept.LIVE_TOKENS in now and Concept.LIVE_TOKENS in before:
        return _live(_summed(now)), _live(_summed(before))
    if before is None:
        return _summed(now), None
    if _coarse(now, before):
        return _moving(now, before), before
    if now.get(Concept.DRAFTS, 0.0) > before.get(Concept.DRAFTS, 0.0):
        return _summed(_moving(now, before)), _summed(before)
    return _counted(_summed(now)), _counted(_summed(before))


def _live(values: Readings) -> Readings:
    return {**values, Concept.GENERATION_TOKENS: values[Concept.LIVE_TOKENS]}


def _summed(values: Readings) -> Readings:
    steps, mean = values.get(Concept.STEPS), values.get(Concept.MEAN_BATCH)
    return values if steps is None or mean is None else {**values, Concept.BATCH_STEPS: steps * mean}


def _counted(values: Readings) -> Readings:
    slots = values.get(Concept.BATCH_STEPS)
    return values if slots is None else {**values, Concept.GENERATION_TOKENS: slots}


def _moving(now: Readings, before: Readings) -> Readings:
    """Without the token counter where it stands still: tokens follow from steps and batch instead."""
    if now.get(Concept.GENERATION_TOKENS) != before.get(Concept.GENERATION_TOKENS):
        return now
    return {c: v for c, v in now.items() if c is not Concept.GENERATION_TOKENS}


def _coarse(now: Readings, before: Readings) -> bool:
    """Whether the mean, as printed, is too coarse for the window: it is over millions of steps on an old server."""
    mean, steps = now.get(Concept.MEAN_BATCH, 0.0), now.get(Concept.STEPS, 0.0)
    if mean <= 0.0 or Concept.MEAN_BATCH not in before:
        return True
    digit = 10.0 ** (floor(log10(mean)) + 1 - GAUGE_DIGITS)
    return digit * steps > COARSE * (steps - before.get(Concept.STEPS, 0.0))
