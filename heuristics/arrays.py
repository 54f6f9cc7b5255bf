"""Names for numpy arrays in signatures. numpy.typing is heavy to import and is needed by type checkers only."""

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
