"""Prometheus text: families as client libraries print them, whole scrapes, and dcgm-exporter's series.

Numbers are of our own invention. Engines have writers of their own in ``tests.make.engines``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from collectors.engines import windows
from collectors.prometheus import dcgm as dcgm_reader
from collectors.prometheus.exposition import Scrapes, Snapshot
from collectors.readers import read
from heuristics.observations import Observation, Serving
from tests.make.dumps import dump

START_S = 1_800_000_000.0
Labels = Mapping[str, str]
Series = tuple[str, Labels, float | str]
"""(suffix of the name, labels, value)."""


def family(name: str, kind: str, *series: Series, comments: bool = True) -> list[str]:
    """A family's lines."""
    lines = [f"# HELP {name} Ours, to be read.", f"# TYPE {name} {kind}"] if comments else []
    for suffix, labels, value in series:
        inside = ",".join(f'{k}="{_escaped(v)}"' for k, v in labels.items())
        shown = value if isinstance(value, str) else repr(float(value))
        lines.append(f"{name}{suffix}{'{' + inside + '}' if inside else ''} {shown}")
    return lines


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def counter(name: str, *series: tuple[Labels, float], created: bool = False) -> list[str]:
    """A counter of prometheus_client, ``name`` with its ``_total``."""
    lines = family(name, "counter", *(("", labels, value) for labels, value in series))
    if created:
        lines += family(
            name.removesuffix("_total") + "_created", "gauge", *(("", labels, START_S) for labels, _ in series)
        )
    return lines


def gauge(name: str, *series: tuple[Labels, float | str]) -> list[str]:
    """A gauge."""
    return family(name, "gauge", *(("", labels, value) for labels, value in series))


def histogram(
    name: str, *series: tuple[Labels, float, float], buckets: bool = True, created: bool = False
) -> list[str]:
    """A histogram of (labels, sum, count)."""
    rows: list[Series] = []
    for labels, total, count in series:
        if buckets:
            rows += [("_bucket", {**labels, "le": edge}, count) for edge in ("0.01", "0.1", "1.0", "+Inf")]
        rows += [("_count", labels, count), ("_sum", labels, total)]
    lines = family(name, "histogram", *rows)
    return lines + (gauge(f"{name}_created", *((labels, START_S) for labels, _, _ in series)) if created else [])


def page(*parts: Iterable[str], captured_at: str | None = None, process_start_s: float | None = START_S) -> str:
    """A whole scrape: what a Python process exports of itself, then the parts."""
    lines = [] if captured_at is None else [f"# captured_at: {captured_at}"]
    lines += counter("python_gc_collections_total", ({"generation": "0"}, 55.0), ({"generation": "1"}, 5.0))
    if process_start_s is not None:
        lines += gauge("process_start_time_seconds", ({}, process_start_s))
    return "\n".join([*lines, *(line for part in parts for line in part)]) + "\n"


@dataclass(frozen=True, kw_only=True)
class Board:
    """A GPU, or a MIG instance of one, as dcgm-exporter sees it. Activity from 0 to 1."""

    gpu: int = 0
    instance: tuple[str, str] | None = None
    """(GPU_I_ID, GPU_I_PROFILE)."""
    engine: float | None = 0.99
    sm: float | None = 0.88
    tensor: float | None = 0.07
    dram: float | None = 0.74
    util: float | str | None = 100.0
    decoder: float | None = 0.0
    power_w: float | None = 512.5
    memory_clock_mhz: float | None = 2619.0


OLD_NAMES = {
    "engine": "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
    "sm": "DCGM_FI_PROF_SM_ACTIVE",
    "tensor": "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
    "dram": "DCGM_FI_PROF_DRAM_ACTIVE",
}
NEW_NAMES = {
    "engine": "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO",
    "sm": "DCGM_FI_PROF_SM_UTIL_RATIO",
    "tensor": "DCGM_FI_PROF_TENSOR_UTIL_RATIO",
    "dram": "DCGM_FI_PROF_DRAM_UTIL_RATIO",
}
READINGS = {
    "util": "DCGM_FI_DEV_GPU_UTIL",
    "decoder": "DCGM_FI_DEV_DEC_UTIL",
    "power_w": "DCGM_FI_DEV_POWER_USAGE",
    "memory_clock_mhz": "DCGM_FI_DEV_MEM_CLOCK",
}


def dcgm(boards: Sequence[Board], *, names: Mapping[str, str] = OLD_NAMES, factor: float = 1.0) -> list[str]:
    """dcgm-exporter's text; ``factor`` 100 for an exporter that prints percent."""
    lines = []
    for field, name in {**names, **READINGS}.items():
        series: list[Series] = []
        for board in boards:
            value = getattr(board, field)
            if value is not None:
                scaled = value * factor if field in names else value
                series.append(("", _board_labels(board), scaled))
        lines += family(name, "gauge", *series)
    return lines


def _board_labels(board: Board) -> dict[str, str]:
    labels = {
        "gpu": str(board.gpu),
        "UUID": f"GPU-0f0f0f0f-5a5a-4b4b-8c8c-{board.gpu:012x}",
        "device": f"nvidia{board.gpu}",
        "modelName": "NVIDIA H100 80GB HBM3",
        "Hostname": "node-a",
    }
    if board.instance is not None:
        labels |= {"GPU_I_PROFILE": board.instance[1], "GPU_I_ID": board.instance[0]}
    return labels


def snapshots(*texts: str) -> list[Snapshot]:
    """What reading texts gives, through the registry of readers; each is a file of its own."""
    found: list[Snapshot] = []
    for place, text in enumerate(texts):
        contents = read(dump(text, f"{place}.prom"))
        assert isinstance(contents, Scrapes)
        found += contents.snapshots
    return found


def served(*texts: str, interval_s: float | None = None) -> Serving:
    """The only serving window in texts, over all phases."""
    found, _ = windows.observations(snapshots(*texts), interval_s)
    (payload,) = (o.payload for o in found if isinstance(o.payload, Serving) and o.phase is None)
    return payload


def boards(*texts: str) -> list[Observation]:
    """What dcgm-exporter's series in texts give."""
    return dcgm_reader.observations(snapshots(*texts))
