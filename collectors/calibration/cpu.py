"""What the processors reach with numpy: reading memory as a matrix-vector product does, and FP32 arithmetic.

Each thread runs single-threaded linear algebra on matrices of its own, so numpy must have been loaded with
``OPENBLAS_NUM_THREADS=1`` (and its like), as the command line does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle

from collectors.calibration.figures import Level
from collectors.calibration.rounds import Trial, Work, trial

CACHE_MULTIPLE = 16.0
"""The matrices read are together this many times the last-level cache: some of four times it would still be there."""
LEAST_BYTES, MOST_BYTES = 256e6, 2e9
LEAST_BYTES_A_THREAD = 16e6
COLUMNS = 4096
SECTIONS = 16
"""A round reads the next part of the matrix only, so that it is short."""
EDGES = (512, 1024)
"""Products of square matrices: the smaller fit between disturbances, the larger are nearer to the peak."""


def thread_counts(cpus: int) -> tuple[int, ...]:
    """1, 2, 4 ... and all."""
    powers = [1 << k for k in range(cpus.bit_length()) if 1 << k < cpus]
    return (*powers, cpus)


def read_bytes(last_level_cache_bytes: float | None, available_bytes: float | None) -> float:
    """Bytes to stream in a pass: well beyond the cache, within a quarter of the memory that is free."""
    wanted = min(MOST_BYTES, max(LEAST_BYTES, CACHE_MULTIPLE * (last_level_cache_bytes or 0.0)))
    return min(wanted, (available_bytes or wanted * 4.0) / 4.0)


def measured_level(
    threads: int,
    *,
    seconds: float,
    stream_bytes: float,
    edges: Sequence[int] = EDGES,
) -> tuple[Level, tuple[Trial, Trial]]:
    """Both rates of so many threads, and the trials they come from; ``seconds`` in all."""
    own_bytes = max(LEAST_BYTES_A_THREAD, stream_bytes / threads)
    reading = trial(lambda: _reading(own_bytes), threads=threads, seconds=seconds / 2.0)
    products = trial(lambda: [_product(edge) for edge in edges], threads=threads, seconds=seconds / 2.0)
    level = Level(
        threads=threads,
        bandwidth_bytes_per_s=reading.best_per_s,
        flops_per_s={"fp32": products.best_per_s},
        bandwidth_spread=reading.spread,
        arithmetic_spread=products.spread,
    )
    return level, (reading, products)


def _reading(own_bytes: float) -> list[Work]:
    """One matrix, by rows and by columns: libraries differ in which they stream faster."""
    import numpy as np

    rows = max(1, int(own_bytes / 4.0 / COLUMNS / SECTIONS))
    sections = np.ones((SECTIONS, rows, COLUMNS), np.float32)
    row, column = np.ones(rows, np.float32), np.ones(COLUMNS, np.float32)
    ahead = cycle(sections)
    by_rows: Callable[[], object] = lambda: next(ahead) @ column  # noqa: E731
    by_columns: Callable[[], object] = lambda: row @ next(ahead)  # noqa: E731
    return [Work(amount=float(sections[0].nbytes), run=run) for run in (by_rows, by_columns)]


def _product(edge: int) -> Work:
    import numpy as np

    left, right = (np.full((edge, edge), 0.5, np.float32) for _ in range(2))
    result = np.empty_like(left)
    return Work(amount=2.0 * edge**3, run=lambda: np.matmul(left, right, out=result))
