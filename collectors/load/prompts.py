"""Prompts of about equal length that share no beginning, so that no prefix cache answers for the engine."""

from __future__ import annotations

import random

WORDS = (  # noqa: SIM905
    "stone river under light paper green seven chair window over cloud table small bridge north summer "
    "field night water glass round metal early house tower quick garden front sound eight plain market "
    "forest open travel winter cotton silver letter street corner yellow simple train morning island "
    "copper narrow valley shadow engine mirror basket candle orange pocket harbor violet thunder meadow"
).split()
"""Common words, most of which are one token in most vocabularies."""

FEWEST_WORDS = 4


class Prompts:
    """A prompt a call. The length is a number of words, learnt from what the server counts."""

    def __init__(self, tokens: int, seed: int) -> None:
        self._tokens = tokens
        self._random = random.Random(seed)
        self._tokens_a_word = 1.0
        self.words = max(FEWEST_WORDS, tokens)

    @property
    def expected_tokens(self) -> float:
        """Tokens that a prompt should have by what was learnt."""
        return self.words * self._tokens_a_word

    def learn(self, counted: int) -> None:
        """The server counted so many tokens in a prompt of the present length."""
        if counted > 0:
            self._tokens_a_word = counted / self.words
            self.words = max(FEWEST_WORDS, round(self._tokens / self._tokens_a_word))

    def next(self) -> str:
        """A new prompt."""
        return " ".join(self._random.choices(WORDS, k=self.words))
