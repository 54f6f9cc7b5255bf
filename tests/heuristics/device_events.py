"""Device events with invented times, as short to write as the situations are to tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heuristics.intervals import Spans, union
from heuristics.timeline import NOT_LAUNCHED, DeviceEvents

GEMM = "nvjet_tst_128x64_TNT"
NORM = "rms_norm_kernel"
REDUCE_ALL = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL"
TO_DEVICE = "Memcpy HtoD (Pinned -> Device)"
ON_DEVICE = "Memcpy DtoD (Device -> Device)"

MS = 1_000_000
"""Nanoseconds."""


@dataclass(frozen=True)
class Ran:
    """One event from ``start`` to ``end``; ``launch`` is (start, end) of its call, None when it is not recorded."""

    start: int
    end: int
    name: str = GEMM
    launch: tuple[int, int] | None = None
    graph: bool = False
    blocks: float = np.nan


def device_events(rows: Sequence[Ran]) -> DeviceEvents:
    """As a collector hands them over."""
    names = tuple(dict.fromkeys(row.name for row in rows))
    return DeviceEvents(
        names=names,
        name_index=np.array([names.index(row.name) for row in rows], np.int32),
        start=np.array([row.start for row in rows], np.int64),
        end=np.array([row.end for row in rows], np.int64),
        launch_start=np.array([row.launch[0] if row.launch else NOT_LAUNCHED for row in rows], np.int64),
        launch_end=np.array([row.launch[1] if row.launch else NOT_LAUNCHED for row in rows], np.int64),
        from_graph=np.array([row.graph for row in rows], bool),
        blocks_per_sm=np.array([row.blocks for row in rows], np.float32),
    )


def spans(*pairs: tuple[int, int]) -> Spans:
    """The union of (start, end) pairs."""
    return union(np.array([start for start, _ in pairs], np.int64), np.array([end for _, end in pairs], np.int64))
