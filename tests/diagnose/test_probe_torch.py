"""The probe with torch itself, on this machine's processors: what is counted and traced. No time is asserted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from diagnose import probe

torch = pytest.importorskip("torch")

from collectors.probe.backend import Backend  # noqa: E402
from collectors.probe.census import Counted, count  # noqa: E402
from collectors.probe.through_torch import Processors  # noqa: E402
from collectors.probe.window import traced  # noqa: E402
from heuristics.vocabulary import Dtype  # noqa: E402


def of(found: Counted, name: str) -> Any:
    return next(op for op in found.operations if op.name.startswith(name))


def test_a_layer_is_two_flops_a_weight_and_row() -> None:
    layer, x = torch.nn.Linear(64, 128, bias=False), torch.randn(8, 64)
    for module in (layer, None):
        found = count(torch, lambda: layer(x), module)
        assert found.flops == 2 * 8 * 64 * 128
        assert of(found, "mm").weight_bytes == 4 * 64 * 128
        assert of(found, "mm").activation_bytes == 4 * (8 * 64 + 8 * 128)
        assert (found.dtype, found.weight_bits, found.reason) == (Dtype.FP32, 32.0, None)


def test_a_vector_times_a_matrix_counts_as_the_product_that_it_is() -> None:
    matrix, vector = torch.randn(64, 128), torch.randn(128)
    assert count(torch, lambda: torch.mv(matrix, vector)).flops == 2 * 64 * 128


@pytest.mark.parametrize("kv_heads", [8, 2])
def test_attention_reads_the_cache_of_its_sequences_and_no_more(kv_heads: int) -> None:
    batch, heads, width, context = 2, 8, 16, 32
    keys, values = (torch.zeros(4, kv_heads, 64, width) for _ in range(2))
    query = torch.randn(batch, heads, 1, width)

    def step() -> Any:
        new = query * 2.0
        keys[:batch, :, context - 1 : context] = new[:, :kv_heads]
        seen = [t[:batch, :, :context] for t in (keys, values)]
        return torch.nn.functional.scaled_dot_product_attention(new, *seen, enable_gqa=kv_heads != heads)

    found = of(count(torch, step), "attention")
    assert found.flops == 4 * batch * heads * context * width
    assert found.kv_bytes == 2 * 4 * batch * kv_heads * context * width
    assert found.weight_bytes == 0


def test_a_lookup_reads_rows_and_bf16_is_half_as_wide() -> None:
    table = torch.nn.Embedding(1000, 64, dtype=torch.bfloat16)
    layer = torch.nn.Linear(64, 64, bias=False, dtype=torch.bfloat16)
    tokens = torch.arange(8)
    found = count(torch, lambda: layer(table(tokens)), torch.nn.Sequential(table, layer))
    assert sum(op.weight_bytes for op in found.operations) == 2 * (8 * 64 + 64 * 64)
    assert (found.dtype, found.weight_bits) == (Dtype.BF16, 16.0)


def test_a_step_without_a_product_says_so() -> None:
    x = torch.randn(8)
    assert "no product" in (count(torch, lambda: x + 1).reason or "")


def test_a_step_that_cannot_be_counted_says_so() -> None:
    def step() -> None:
        raise ValueError("not now")

    assert count(torch, step).reason == "counting failed: ValueError: not now"


def test_a_window_of_the_profiler_is_a_timeline() -> None:
    blocks = torch.nn.Sequential(*(torch.nn.Linear(64, 64) for _ in range(8)))
    x = torch.randn(4, 64)
    backend: Backend = Processors(torch)
    with torch.no_grad():
        found = traced(torch, lambda: blocks(x), backend, 1e-3)
    assert found.reason is None
    assert found.timeline is not None
    assert found.timeline.window_s == pytest.approx(found.steps * 1e-3, rel=0.01) or (
        found.timeline.window_s == found.timeline.busy_s
    )
    assert any(k.name == "aten::addmm" for k in found.timeline.kernels)


def test_the_whole_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("collectors.calibration.brief.read_bytes", lambda cache, free: 64e6)
    blocks = torch.nn.Sequential(*(torch.nn.Linear(64, 64) for _ in range(4)))
    found = probe(
        blocks,
        make_inputs=lambda batch: torch.randn(batch, 64),
        batches=(1, 2, 4),
        graph=True,
        seconds=0.05,
        repeats=3,
    )
    told = found.to_dict()
    assert told["subject"]["model"] == "Sequential"
    assert told["probe"]["work"] == "counted"
    assert told["measured"]["flops_per_step"] == 2 * 4 * 4 * 64 * 64
    assert told["roofs"]["source"].startswith("calibrated on this machine")
    assert told["roofs"]["dtype"] == "fp32"
    assert any("no CUDA graph" in text for text in told["warnings"])
    assert {e["signal"] for e in told["evidence"] if "text" in e} >= {"bandwidth_saturation", "compute_saturation"}


def test_other_types_have_roofs_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("collectors.calibration.brief.read_bytes", lambda cache, free: 64e6)
    layer = torch.nn.Linear(64, 64, dtype=torch.bfloat16)
    found = probe(
        layer,
        make_inputs=lambda batch: torch.randn(batch, 64, dtype=torch.bfloat16),
        batches=[1],
        seconds=0.02,
        repeats=3,
        trace=False,
    )
    assert found.to_dict()["roofs"]["dtype"] == "bf16"
