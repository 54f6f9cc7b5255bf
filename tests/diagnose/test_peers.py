"""The four rows that other tools mislabel, from dcgm-exporter's text to the printed report.

Their answers stand by construction: two are ordinary decoding at its bandwidth roof, one has no single right
label but is certainly not compute-bound, and one waits for the host between its kernels.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from diagnose import analyze
from heuristics.vocabulary import Regime
from tests.golden_files import compare, settled

ROWS = {
    "decode_batch_1": {"GR_ENGINE": 0.99, "SM": 0.92, "PIPE_TENSOR": 0.04, "DRAM": 0.85},
    "decode_batch_32": {"GR_ENGINE": 0.99, "SM": 0.90, "PIPE_TENSOR": 0.20, "DRAM": 0.78},
    "in_between": {"SM": 0.65, "PIPE_TENSOR": 0.08, "DRAM": 0.60},
    "launch_bound": {"GR_ENGINE": 0.95, "SM": 0.55, "DRAM": 0.30},
}


def exported(active: dict[str, float]) -> str:
    """What dcgm-exporter shows of one GPU."""
    device = 'gpu="0",UUID="GPU-0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3"'
    return "".join(
        f"# TYPE DCGM_FI_PROF_{name}_ACTIVE gauge\nDCGM_FI_PROF_{name}_ACTIVE{{{device}}} {value:.6f}\n"
        for name, value in active.items()
    )


@pytest.fixture(params=ROWS)
def row(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    name: str = request.param
    Path("dcgm.prom").write_text(exported(ROWS[name]), encoding="utf-8")
    return name


@pytest.mark.parametrize("suffix", ["txt", "json"])
def test_the_whole_report(row: str, suffix: str) -> None:
    compare(f"peers_{row}", suffix, settled(analyze("dcgm.prom")))


def test_the_answer(row: str) -> None:
    verdict = analyze("dcgm.prom").diagnosis.whole.verdict
    assert verdict is not None
    if row.startswith("decode"):
        assert verdict.regime is Regime.MEMORY
        assert verdict.confidence >= 0.80
    elif row == "launch_bound":
        assert verdict.regime is Regime.LATENCY
    else:
        assert verdict.regime in (Regime.MEMORY, Regime.INCONCLUSIVE)
