"""Whole lines of a text and where each begins, found once for all who need it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heuristics.arrays import Bytes, Rows

NEWLINE = 10


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """``begins`` of shape (lines + 1,): the last one is the end of the text, which ends with a line."""

    text: bytes
    begins: Rows

    @classmethod
    def of(cls, text: bytes) -> Lines:
        """The lines of a text that ends with a line feed, or is empty."""
        ends = np.flatnonzero(np.frombuffer(text, np.uint8) == NEWLINE)
        return cls(text, np.concatenate([np.zeros(1, np.intp), ends + 1]))

    def __len__(self) -> int:
        return self.begins.size - 1

    @property
    def letters(self) -> Bytes:
        """The text byte by byte."""
        return np.frombuffer(self.text, np.uint8)

    def part(self, first: int, behind: int | None = None) -> Lines:
        """From the line ``first`` on, up to before the line ``behind``."""
        begins = self.begins[first : None if behind is None else behind + 1]
        if begins.size == self.begins.size:
            return self
        return Lines(self.text[begins[0] : begins[-1]], begins - begins[0])

    def after(self, earlier: Lines) -> Lines:
        """The earlier lines and these."""
        if not len(earlier):
            return self
        begins = np.concatenate([earlier.begins, self.begins[1:] + len(earlier.text)])
        return Lines(earlier.text + self.text, begins)


NO_LINES = Lines.of(b"")
