"""Tables of measurements whose rows differ in their batch: one curve each, beside the verdicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from diagnose import Measurements, roofline
from tests.diagnose.test_roofline import ATTENTION_8B, command
from tests.golden_files import compare_text
from tests.reports.contract import BATCH_DOUBLING

LAYERS = (178, 175, 281, 475, 738, 1028, 1220, 1219, 1471)
"""Tokens a second at batch 1 to 256 of six fp32 layers of 2048², one thread of a CPU that reads 18.1 GB/s."""
CPU: dict[str, Any] = {"params": "25.2e6", "dtype": "fp32", "bandwidth_gb_s": 18.1, "tflops": 0.085}
PAGE = Path(__file__).parents[2] / "docs" / "roofline.md"


def table(path: Path, rows: list[str], head: str = "batch,tokens_per_s") -> Path:
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def layers(folder: Path) -> Path:
    return table(folder / "layers.csv", [f"{2**n},{speed}" for n, speed in enumerate(LAYERS)])


def judged(**options: Any) -> Measurements:
    found = roofline(**options)
    assert isinstance(found, Measurements)
    return found


def test_the_whole_text_and_that_the_page_shows_it(tmp_path: Path) -> None:
    text = str(judged(csv=layers(tmp_path), **CPU))
    compare_text("numbers_curve", "txt", text)
    assert text[text.index("Batch doubling") :] in PAGE.read_text(encoding="utf-8")
    assert max(map(len, text[text.index("Batch doubling") :].splitlines())) <= 80


def test_the_curve_is_in_the_dict_and_at_the_end_of_the_lines(tmp_path: Path) -> None:
    (curve,) = judged(csv=layers(tmp_path), **CPU).to_dict()["curves"]
    assert curve["lines"] == list(range(2, 11))
    jsonschema.Draft202012Validator(BATCH_DOUBLING).validate(curve["batch_doubling"])
    assert curve["batch_doubling"]["levels"][1]["gain_per_doubling"]["value"] < 1.0
    options = [word for name, value in CPU.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    code, out, _ = command("--csv", layers(tmp_path), *options, "--format", "json")
    assert code == 0
    *rows, last = map(json.loads, out.splitlines())
    assert last == {"curves": [curve]}
    assert all("verdict" in row for row in rows)


def test_rows_of_several_devices_make_several_curves(tmp_path: Path) -> None:
    rows = [f"{gpu},{2**n},{3 + 0.02 * 2**n}" for n in range(6) for gpu in ("H100", "H200", "A100")]
    found = judged(csv=table(tmp_path / "m.csv", [*rows, "L4,1,80"], "gpu,batch,step_ms"), params="2B")
    assert [curve.label.split(",")[0] for curve in found.curves] == ["H100 SXM5", "H200 SXM", "A100 80GB SXM"]
    assert [curve.lines for curve in found.curves] == [tuple(range(first, 20, 3)) for first in (2, 3, 4)]
    assert "lines 2, 5, 8, 11, 14, 17" in str(found)


def test_the_cache_of_each_row_is_told(tmp_path: Path) -> None:
    rows = [f"{2**n},{1000 + 500 * n},{9 + 0.2 * 2**n}" for n in range(7)]
    path = table(tmp_path / "m.csv", rows, "batch,context,step_ms")
    (curve,) = judged(csv=path, gpu="H100", params="8B", **ATTENTION_8B).curves
    shares = [level.kv_share for level in curve.fit.levels]
    assert all(share is not None for share in shares)
    assert shares[-1] == pytest.approx(64 * 4001 * 131072 / 3.35e12 / 0.0218, rel=1e-3)


@pytest.mark.parametrize(
    ("head", "rows"),
    [
        ("batch,step_ms", ["1,8", "2,8.1", "4,8.3"]),
        ("batch,step_ms,phase,context", [f"{2**n},{80 * 2**n},prefill,512" for n in range(6)]),
        ("batch,step_ms,params", [f"{2**n},8,{8 + n}B" for n in range(6)]),
        ("batch,step_ms", [f"{2**n},0.5" for n in range(6)]),
    ],
    ids=["two doublings", "prompts", "other models", "faster than the roof"],
)
def test_what_is_no_curve_gives_none(head: str, rows: list[str], tmp_path: Path) -> None:
    options = {} if "params" in head else {"params": "8B"}
    found = judged(csv=table(tmp_path / "m.csv", rows, head), gpu="H100", **options)
    assert found.curves == ()
    assert "Batch doubling" not in str(found)
