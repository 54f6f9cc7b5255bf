"""Names for numpy arrays in signatures, and a median: without what numpy loads for either, 20 ms each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    """Real numbers."""
    Ns = NDArray[np.int64]
    """Nanoseconds, exact."""
    Flags = NDArray[np.bool_]
    """Truth values."""
    Index = NDArray[np.int32]
    """Indices into a table."""
    Rows = NDArray[np.intp]
    """Row numbers."""
    Small = NDArray[np.float32]
    """Real numbers of which a few digits matter."""
    Bytes = NDArray[np.uint8]
    """A text, byte by byte."""
else:
    Array = Ns = Flags = Index = Rows = Small = Bytes = np.ndarray


def median(values: Array | Ns) -> float | None:
    """The middle one, or the mean of the two in the middle; None of nothing. ``np.median`` loads masked arrays."""
    if not values.size:
        return None
    middle = (values.size - 1) // 2
    around = np.sort(values)[middle : values.size - middle]
    return float(around.mean())
