"""The brief calibration through a torch that answers instead of computing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from collectors.calibration.brief import BriefCalibration
from collectors.calibration.machine import Machine

MACHINE = Machine(cpu="a processor", cpus=2, memory_bytes=8e9, last_level_cache_bytes=32e6)


class FakeMatrix:
    def __init__(self, runs: list[str]) -> None:
        self._runs = runs
        self.T = self

    def __iter__(self) -> Any:
        return iter([FakeMatrix(self._runs) for _ in range(4)])

    def __matmul__(self, other: FakeMatrix) -> FakeMatrix:
        self._runs.append("product")
        return self


def fake(runs: list[str]) -> Any:
    return SimpleNamespace(
        get_num_threads=lambda: 2,
        ones=lambda *shape, **options: FakeMatrix(runs),
        mv=lambda matrix, vector: runs.append("reading"),
        float32="float32",
        bfloat16="bfloat16",
        float16="float16",
    )


def test_it_measures_in_glances_at_torchs_number_of_threads() -> None:
    runs: list[str] = []
    brief = BriefCalibration(fake(runs), ("fp32",), MACHINE)
    begun = len(runs)
    for _ in range(3):
        brief.glance(0.0)
    assert runs[begun:].count("reading") == 3 * 2 * 2
    assert runs[begun:].count("product") == 3 * 2
    (level,) = brief.calibration().levels
    assert level.threads == 2
    assert level.bandwidth_bytes_per_s > 0
    assert set(level.flops_per_s) == {"fp32"}
    assert level.bandwidth_spread is not None
    assert 0.0 <= level.bandwidth_spread < 1.0


@pytest.mark.parametrize(("name", "known"), [("bf16", True), ("int8", False)])
def test_types_that_it_cannot_multiply_are_left_out(name: str, known: bool) -> None:
    runs: list[str] = []
    brief = BriefCalibration(fake(runs), (name,), MACHINE)
    brief.glance(0.0)
    assert (name in brief.calibration().levels[0].flops_per_s) is known
