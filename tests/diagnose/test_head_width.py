"""``--head-bits``: checkpoints whose output head is narrow too, by their shape."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from diagnose import DiagnoseError, Measurements, Result, roofline

PUBLISHED = Path(__file__).parents[1] / "data" / "published" / "decode.csv"
SHAPES: dict[str, dict[str, int]] = {
    "Llama-2-7B": {"layers": 32, "heads": 32, "kv_heads": 32, "intermediate_size": 11008, "vocab_size": 32000},
    "Llama-3-8B": {"layers": 32, "heads": 32, "kv_heads": 8, "intermediate_size": 14336, "vocab_size": 128256},
}
LLAMA_8B: dict[str, Any] = {"hidden_size": 4096, **SHAPES["Llama-3-8B"]}
HEAD = 4096 * 128256


def weights(**options: Any) -> float:
    found = roofline(gpu="H100", **options)
    assert isinstance(found, Result)
    return float(found.to_dict()["roofline"]["weight_bytes_per_step"])


@pytest.mark.parametrize("bits", [4, 6.5625, 8, 16])
@pytest.mark.parametrize("body", [4.5, 8, 16])
def test_the_head_alone_has_its_width(body: float, bits: float) -> None:
    usual = weights(**LLAMA_8B, weight_bits=body)
    narrowed = weights(**LLAMA_8B, weight_bits=body, head_bits=bits)
    assert narrowed == pytest.approx(usual - HEAD * (16 - bits) / 8, rel=1e-5)


def test_a_head_as_wide_as_the_layers_leaves_one_width() -> None:
    assert weights(**LLAMA_8B, weight_bits=8, head_bits=8) == pytest.approx(
        weights(params=7_504_658_432, weight_bits=8)
    )


def test_it_stands_in_place_of_what_the_model_states(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    names = {"layers": "num_hidden_layers", "heads": "num_attention_heads", "kv_heads": "num_key_value_heads"}
    stated = {names.get(name, name): value for name, value in LLAMA_8B.items()}
    config.write_text(json.dumps({**stated, "quantization_config": {"bits": 4}}), encoding="utf-8")
    assert weights(model=config) == pytest.approx(weights(**LLAMA_8B, weight_bits=4))
    assert weights(model=config, head_bits=6.5) == pytest.approx(weights(**LLAMA_8B, weight_bits=4, head_bits=6.5))


def test_published_int8_rows_are_the_publishers_by_shape_and_as_columns_too(tmp_path: Path) -> None:
    """torchao's int8 weight-only narrows the head: the same rows that the table states by ``params``."""
    rows = [
        row
        for row in csv.DictReader(PUBLISHED.read_text(encoding="utf-8").splitlines())
        if row["source"] == "torchao" and "int8wo" in row["label"]
    ]
    assert len(rows) == 2
    table = tmp_path / "m.csv"
    named = [
        {"label": row["label"], **SHAPES[row["label"].split()[0]], "tokens_per_s": row["tokens_per_s"]} for row in rows
    ]
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [*named[0], "head_bits"])
        writer.writeheader()
        writer.writerows({**row, "head_bits": 8} for row in named)
    judged = roofline(csv=table, gpu="A100 80GB SXM", hidden_size=4096, weight_bits=8, context=105)
    assert isinstance(judged, Measurements)
    for row, found in zip(rows, judged.to_dict()["verdicts"], strict=True):
        moved = found["measured"]["bytes_per_step"] * found["measured"]["steps_per_s"] / 1e9
        assert moved == pytest.approx(float(row["publisher_gb_s"]), rel=0.01)


@pytest.mark.parametrize(
    "work",
    [{"params": "8B"}, {"params": "47B", "active_params": "13B"}, {"linear": "64x64"}, {"flops": 1e9, "bytes": 1e9}],
)
def test_what_has_no_head_takes_no_width_for_it(work: dict[str, Any]) -> None:
    with pytest.raises(DiagnoseError, match="head of its own width") as told:
        roofline(gpu="H100", head_bits=8, **work)
    assert "--head-bits with --model" in (told.value.hint or "")


@pytest.mark.parametrize("name", ["head_bits", "weight_bits", "kv_bits"])
def test_a_width_is_one_that_numbers_are_stored_in(name: str) -> None:
    for bits, wrong in (
        (0, "positive"),
        (65, "64 at most"),
        (1e9, "64 at most"),
        (1e30, "between"),
        ("wide", "a number"),
    ):
        with pytest.raises(DiagnoseError, match=wrong) as told:
            roofline(gpu="H100", **{name: bits}, **LLAMA_8B)
        assert told.value.hint
