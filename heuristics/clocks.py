"""Clocks under load: what of the periodic readings of a device speaks of the time in which it worked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from heuristics.arrays import Array, median
from heuristics.observations import Activity, Samples

if TYPE_CHECKING:
    from heuristics.verdict import Judgement

ACTIVE = 0.01
"""An engine active for less of the window ran nothing that shows its clock under load."""


def under_load(values: Array, samples: Samples, activity: Activity | None) -> Array:
    """Of values beside the rows of samples those in which a kernel ran; all, where only GPM tells that some did."""
    stated = ~np.isnan(values)
    if not np.isnan(samples.sm).all():
        return values[stated & (np.nan_to_num(samples.sm) > 0)]
    busy = activity is not None and max(activity.engine_active or 0.0, activity.sm_active or 0.0) > ACTIVE
    return values[stated] if busy else values[:0]


def clocks(devices: Sequence[Judgement]) -> dict[str, float]:
    """Medians under load over all devices, ``sm_hz`` and ``memory_hz``; what was not read is absent."""
    cases = [d.case for d in devices if d.case is not None and d.case.samples is not None]
    found = {}
    for name, column in (("sm_hz", "sm_clock_hz"), ("memory_hz", "memory_clock_hz")):
        rows = [under_load(getattr(c.samples, column), c.samples, c.activity) for c in cases if c.samples is not None]
        middle = median(np.concatenate(rows)) if rows else None
        if middle:
            found[name] = middle
    return found
