"""Synthetic requests in a closed loop: whenever one ends, the next takes its place, so the batch stays full."""

from __future__ import annotations

import numpy as np

PROMPT_TOKENS = 2
"""Prompts are short and taken in a token a step, so that every step is one of decoding."""


class ClosedLoop:
    """``batch`` sequences, each a prompt and then generated tokens up to ``context``; they end at different steps."""

    def __init__(self, *, batch: int, context: int, vocabulary: int, seed: int = 0) -> None:
        self._draw = np.random.default_rng(seed)
        self._vocabulary, self._context = vocabulary, context
        self.tokens = self._drawn(batch)
        self.positions = np.zeros(batch, np.int64)
        shortest = min(PROMPT_TOKENS + 1, context)
        self._ends = shortest + np.arange(batch) * (context - shortest + 1) // max(batch, 1)

    def advance(self, chosen: np.ndarray) -> tuple[int, int, int]:
        """Take in the tokens chosen after a step; (prompt tokens, generated tokens, requests ended) of that step."""
        prompts = self.positions < PROMPT_TOKENS
        generated = self.positions >= PROMPT_TOKENS - 1
        given = self.positions < PROMPT_TOKENS - 1
        ended = self.positions + 1 >= self._ends
        fresh = given | ended
        self.tokens = np.where(fresh, self._drawn(fresh.size), chosen)
        self.positions = np.where(ended, 0, self.positions + 1)
        self._ends = np.where(ended, self._context, self._ends)
        return int(prompts.sum()), int(generated.sum()), int(ended.sum())

    def _drawn(self, count: int) -> np.ndarray:
        return self._draw.integers(0, self._vocabulary, count)
