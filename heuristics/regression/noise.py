"""What two figures may differ by without having changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

ALIKE = 0.01
"""Relative. Two runs of one job differ by more from one day to the next; less is not worth a line."""

FEWEST_WINDOWS = 3
DEVIATIONS = 2.6
"""Of a normal distribution, 99 % lie within so many standard deviations."""

_MEDIAN_ERROR = 1.2533 * 1.4826
"""A median's standard error is √(π/2) deviations over √n, and a deviation 1.4826 median absolute ones."""


def relative_noise(before: Sequence[float] = (), after: Sequence[float] = ()) -> float:
    """Of two medians over windows, as a part of them: from the windows' own spread, never below ``ALIKE``.

    What differs between two runs beyond that, from one day or host to another, windows cannot show.
    """
    errors = [_error(windows) for windows in (before, after)]
    return max(ALIKE, DEVIATIONS * math.hypot(*errors))


def _error(windows: Sequence[float]) -> float:
    """The relative standard error of a median; 0 where there are too few windows to tell."""
    if len(windows) < FEWEST_WINDOWS or not (centre := abs(median(windows))) > 0.0:
        return 0.0
    spread = median(abs(window - median(windows)) for window in windows)
    return min(1.0, _MEDIAN_ERROR * spread / centre) / math.sqrt(len(windows))
