"""Real exports, where the corpus is at hand: read or refused for a reason of its own, and judged as is known of it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collectors.dump import Dump
from collectors.ncu import export
from collectors.readers import read, reader_of
from heuristics.errors import UnreadableDump
from heuristics.ncu_rule import ncu_rule
from heuristics.observations import KernelProfile

pytestmark = pytest.mark.corpus

REFUSED = {
    "negative__": "is a table made from Nsight Compute metrics, not ncu's own export",
    "section_MemoryWorkloadAnalysis": "1 kernel, but no memory or SM throughput and no DRAM bytes",
    "section_Occupancy": "1 kernel, but no memory or SM throughput and no DRAM bytes",
    "section_SchedulerStats": "1 kernel, but no memory or SM throughput and no DRAM bytes",
    "RooflineChart": "1 kernel, but no memory or SM throughput and no DRAM bytes",
    "pooling_nsight16": "240 kernels, but no memory or SM throughput and no DRAM bytes",
    "__ctx_": "",
}
"""Part of a file's name: how its refusal begins."""

PER_RULE = {
    "memory per rule": "memory",
    "compute per rule": "compute",
    "latency per rule": "latency",
    "latency per ncu": "latency",
}
ROOFS: dict[str, Any] = {"bandwidth_gb_s": 672, "tflops": 32.26, "dtype": "fp32"}
"""Of the part on which the counters-only files were recorded, as stated beside them."""


@pytest.fixture
def listed(corpus: Path) -> dict[Path, str]:
    """Files of Nsight Compute, and the regime that is known of each."""
    with (corpus / "MANIFEST.tsv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE) if row["kind"] == "ncu"]
    found = {corpus / row["file"]: row["known_regime"] or "" for row in rows}
    assert found
    return found


def known(listed: dict[Path, str], *regimes: str) -> list[Path]:
    found = [path for path, regime in listed.items() if regime in regimes]
    assert found
    return found


def profiles(listed: dict[Path, str]) -> Iterator[tuple[Path, KernelProfile]]:
    for path in listed:
        if not any(part in path.name for part in REFUSED):
            dump = Dump(path=str(path))
            assert reader_of(dump) is export, path.name
            contents = export.read(dump)
            dump.close()
            assert contents.warnings == (), path.name
            for observation in contents.observations:
                assert isinstance(observation.payload, KernelProfile)
                yield path, observation.payload


def verdict(path: Path, **options: Any) -> dict[str, Any]:
    from diagnose import analyze

    found: dict[str, Any] = analyze(path, **options).to_dict()["verdict"]
    return found


def test_every_export_is_read_without_a_damaged_line(listed: dict[Path, str]) -> None:
    for path, profile in profiles(listed):
        assert profile.name_index.size > 0, path.name
        throughputs = (profile.memory_throughput, profile.compute_throughput, profile.dram_throughput)
        for values in throughputs:
            stated = values[~np.isnan(values)]
            assert ((stated >= 0.0) & (stated <= 1.05)).all(), path.name
        stated = profile.duration_s[~np.isnan(profile.duration_s)]
        assert ((stated > 1e-7) & (stated < 1.0)).all(), path.name


def test_every_other_file_is_refused_for_its_own_reason(listed: dict[Path, str]) -> None:
    for path in listed:
        begins = next((text for part, text in REFUSED.items() if part in path.name), None)
        if begins is not None:
            dump = Dump(path=str(path))
            with pytest.raises(UnreadableDump) as raised:
                read(dump)
            dump.close()
            assert raised.value.reason.startswith(begins), path.name
            assert raised.value.hint, path.name


def test_recomputed_rule_says_what_ncus_own_row_says(listed: dict[Path, str]) -> None:
    compared = 0
    for path, profile in profiles(listed):
        for row, label in enumerate(profile.ncu_label):
            pair = 100.0 * float(profile.memory_throughput[row]), 100.0 * float(profile.compute_throughput[row])
            if label and not np.isnan(pair).any():
                waves = float(profile.waves_per_sm[row])
                rule = ncu_rule(*pair, None if np.isnan(waves) else waves)
                assert rule is not None
                assert rule.label == label, path.name
                compared += 1
    assert compared >= 10


def test_regime_is_the_one_that_ncus_rule_gives(listed: dict[Path, str]) -> None:
    for path in known(listed, *PER_RULE):
        found = verdict(path)
        assert found["regime"] == PER_RULE[listed[path]], path.name
        assert found["confidence"] >= 0.6, path.name


def test_streaming_kernel_is_memory_bound_by_its_counters_alone(listed: dict[Path, str]) -> None:
    for path in known(listed, "memory"):
        found = verdict(path, **ROOFS)
        assert found["regime"] == "memory", path.name
        assert found["confidence"] >= 0.6, path.name


@pytest.mark.parametrize("options", [{}, ROOFS], ids=["no roofs given", "roofs given"])
def test_kernels_far_below_the_bandwidth_are_not_called_memory_bound(
    listed: dict[Path, str], options: dict[str, Any]
) -> None:
    for path in known(listed, "not memory"):
        found = verdict(path, **options)
        assert found["regime"] != "memory" or found["confidence"] < 0.6, path.name
