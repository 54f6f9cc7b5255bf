"""Quantities that the captures hold twice, by ways that have nothing in common: how far they are apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from heuristics.case import Case
from tests.ground_truth.answers import machines
from tests.ground_truth.known import gaps_at_own_speed
from tests.ground_truth.sources import cases

STREAMING = (
    "stream-add",
    "attention-b128",
    "gemm-b16",
    "int8-b1",
    "int4-b1",
    "decode-8b-b1-graph",
    "decode-8b-b64-graph",
    "decode-8b-b64-long",
    "decode-1b-b1-graph",
    "decode-1b-b64-graph",
    "decode-1b-b256-graph",
)
"""Needed bytes are all that must move: each is read once, and what is written again stays in the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What is compared: ``of`` gives what is claimed and what else is known of it, None where either is missing."""

    what: str
    reading: tuple[str, ...]
    of: Callable[[str, Mapping[str, Any], Case], tuple[float, float] | None]


def _dram(name: str, capture: Mapping[str, Any], case: Case) -> tuple[float, float] | None:
    peak = case.roofs.bandwidth_bytes_per_s if case.roofs is not None else None
    if name not in STREAMING or case.activity is None or case.activity.dram_active is None or peak is None:
        return None
    return case.activity.dram_active, capture["built"]["bytes"] / capture["watched"]["step_s"] / peak


def _gaps(name: str, capture: Mapping[str, Any], case: Case) -> tuple[float, float] | None:
    if case.timeline is None:
        return None
    return (
        1.0 - case.timeline.roof_busy_s / case.timeline.window_s,
        gaps_at_own_speed(case.timeline, capture["traced"]["steps"], capture["alone"]["step_s"]),
    )


def _utilisation(name: str, capture: Mapping[str, Any], case: Case) -> tuple[float, float] | None:
    if case.samples is None or case.activity is None or case.activity.engine_active is None or name == "copying":
        return None
    return float(np.nanmean(case.samples.sm)), case.activity.engine_active


PAIRS = (
    Pair(what="DRAM activity, and needed bytes ÷ time ÷ peak", reading=("gpm",), of=_dram),
    Pair(what="gaps in a trace, and kernel time ÷ the step that nobody traces", reading=("trace",), of=_gaps),
    Pair(what="`sm` of NVML, and the engine's activity by GPM, copies left out", reading=("gpm",), of=_utilisation),
)


def twice() -> Iterator[list[str]]:
    """A row a pair: how far the first is above the second."""
    yield ["what is claimed, and what is also known", "captures", "mean", "root mean square", "least", "most"]
    for pair in PAIRS:
        apart = [
            both[0] - both[1]
            for _, folder, manifest in machines()
            for name, capture in manifest["workloads"].items()
            if "alone" in capture
            for case in cases(folder / name, capture, pair.reading, manifest)
            if (both := pair.of(name, capture, case)) is not None
        ]
        off = np.array(apart)
        figures = (off.mean(), np.sqrt((off**2).mean()), off.min(), off.max())
        yield [pair.what, str(off.size), *(f"{figure:+.3f}" for figure in figures)]
