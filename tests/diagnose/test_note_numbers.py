"""The source note's remaining numbers, asked of ``roofline``. Tests bear the rows of docs/corrections.md.

Rows that need no more than one line are in test_roofline.py, closed forms in tests/heuristics/test_note_corrections.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from diagnose import Result, roofline
from heuristics.operations import Load
from heuristics.work import ALL_EXPERTS, ModelWork
from tests.heuristics.cases import LLAMA_8B

GEMM = "4096x4096"
LLAMA_2_7B: dict[str, Any] = {
    "layers": 32,
    "heads": 32,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "vocab_size": 32000,
}
ATTENTION_8B: dict[str, Any] = {"layers": 32, "heads": 32, "kv_heads": 8, "head_dim": 128}
ATTENTION_70B: dict[str, Any] = {"layers": 80, "heads": 64, "kv_heads": 8, "head_dim": 128}


def asked(**options: Any) -> dict[str, Any]:
    found = roofline(**options)
    assert isinstance(found, Result)
    return found.to_dict()


def numbers(**options: Any) -> dict[str, Any]:
    return dict(asked(**options)["roofline"])


def roofs(gpu: str, **more: Any) -> dict[str, Any]:
    return dict(asked(gpu=gpu, params=7e9, **more)["roofs"])


def operation(name: str, **options: Any) -> dict[str, Any]:
    return next(op for op in asked(**options)["operations"] if op["name"] == name)


def test_1_bytes_of_a_matrix_vector_product_are_two_an_element() -> None:
    assert numbers(gpu="H100", linear=GEMM)["weight_bytes_per_step"] == pytest.approx(2 * 4096**2, rel=1e-5)


@pytest.mark.parametrize("batch", [1, 64, 256, 512])
@pytest.mark.parametrize(("rows", "columns"), [(4096, 4096), (14336, 4096)])
def test_2_bytes_and_intensity_of_a_product(rows: int, columns: int, batch: int) -> None:
    found = asked(gpu="H100", linear=f"{rows}x{columns}", batch=batch)["operations"][0]
    moved = 2 * rows * columns + 2 * columns * batch + 2 * rows * batch
    assert found["bytes"] == pytest.approx(moved, rel=1e-5)
    exact = rows * columns * batch / (rows * columns + columns * batch + rows * batch)
    assert found["intensity"] == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_2_intensity_is_twice_the_batch_over_the_bytes_of_a_weight(bits: int) -> None:
    found = numbers(gpu="H100", params=7e9, batch=8, weight_bits=bits)["intensity_flops_per_byte"]
    assert found == pytest.approx(2 * 8 / (bits / 8), rel=1e-5)


@pytest.mark.parametrize(("batch", "error"), [(512, 0.25), (409, 0.20)])
def test_3_relative_error_of_the_leading_term(batch: int, error: float) -> None:
    found = numbers(gpu="H100", linear=GEMM, batch=batch)["intensity_flops_per_byte"]
    assert batch / found - 1 == pytest.approx(error, abs=0.001)


@pytest.mark.parametrize(
    ("more", "leading", "exact", "used"),
    [({"bandwidth_gb_s": 8000}, 281, 326, 0.0036), ({}, 292, 341, 0.0034)],
    ids=["8.0 TB/s", "7.7 TB/s"],
)
def test_4_8_12_a_b200_by_both_of_its_bandwidths(
    more: dict[str, Any], leading: float, exact: float, used: float
) -> None:
    found = asked(gpu="B200", params=7e9, **more)
    assert found["roofs"]["ridge_flops_per_byte"] == pytest.approx(leading, abs=0.6)
    assert found["roofline"]["crossover"]["step"]["batch"] == pytest.approx(leading, abs=0.6)
    assert found["roofline"]["compute_fraction"] == pytest.approx(used, abs=5e-5)
    layer = numbers(gpu="B200", linear=GEMM, **more)
    assert layer["crossover"]["step"]["batch"] == pytest.approx(exact, abs=0.6)


def test_5_a_prompt_of_2048_is_below_the_ridge_of_a_b200_in_fp4() -> None:
    options = {"gpu": "B200", "dtype": "fp4", "bandwidth_gb_s": 8000, "weight_bits": 16}
    found = asked(**options, linear=GEMM, phase="prefill", context=2048)
    assert found["roofs"]["ridge_flops_per_byte"] == pytest.approx(1125)
    assert found["roofline"]["intensity_flops_per_byte"] == pytest.approx(1024, abs=1)
    assert found["roofline"]["bound"] == "memory"


def test_6_llama_2_7b_has_6_74_b_parameters_and_streams_all_but_the_embedding() -> None:
    found = numbers(gpu="H100", **LLAMA_2_7B)
    streamed = found["weight_bytes_per_step"] / 2
    assert streamed == pytest.approx(6.607e9, rel=1e-4)
    assert streamed + 32000 * 4096 == pytest.approx(6.738e9, rel=1e-4)
    assert numbers(gpu="H100", params=7e9)["intensity_flops_per_byte"] == pytest.approx(1.0)
    assert roofs("H100")["flops_per_s"] == pytest.approx(989.4e12)


def test_7_h100_over_a100() -> None:
    a100, h100 = roofs("A100"), roofs("H100")
    assert h100["flops_per_s"] / a100["flops_per_s"] == pytest.approx(3.17, abs=0.005)
    assert h100["ridge_flops_per_byte"] / a100["ridge_flops_per_byte"] == pytest.approx(1.93, abs=0.005)
    at_one = numbers(gpu="H100", params=7e9)
    attained = at_one["compute_fraction"] * h100["flops_per_s"]
    assert attained == pytest.approx(1.0 * h100["bandwidth_bytes_per_s"], rel=1e-4)


@pytest.mark.parametrize("gpu", ["P100", "V100", "T4"])
def test_8_parts_without_bf16_are_asked_in_fp16(gpu: str) -> None:
    assert roofs(gpu)["dtype"] == "fp16"


def test_8_p100_and_the_smaller_a100() -> None:
    assert roofs("P100")["bandwidth_bytes_per_s"] == 732e9
    assert roofs("P100")["flops_per_s"] == 21.2e12
    assert roofs("A100 40GB SXM")["ridge_flops_per_byte"] == pytest.approx(201, abs=0.6)


GENERATIONS = ["P100", "V100", "A100", "H100", "H200", "B200"]


def test_9_ridges_are_not_monotonic() -> None:
    found = [roofs(gpu, **({"bandwidth_gb_s": 8000} if gpu == "B200" else {})) for gpu in GENERATIONS]
    ridges = [roof["ridge_flops_per_byte"] for roof in found]
    assert ridges == pytest.approx([29, 139, 153, 295, 206, 281], abs=0.6)
    assert ridges != sorted(ridges)


@pytest.mark.parametrize(
    ("older", "newer", "compute", "bandwidth"),
    [
        ("P100", "V100", 5.9, 1.23),
        ("V100", "A100", 2.5, 2.27),
        ("A100", "H100", 3.2, 1.64),
        ("H100", "H200", 1.0, 1.43),
        ("H200", "B200", 2.3, 1.60),
    ],
)
def test_9_from_one_generation_to_the_next(older: str, newer: str, compute: float, bandwidth: float) -> None:
    before, after = roofs(older), roofs(newer)
    assert after["flops_per_s"] / before["flops_per_s"] == pytest.approx(compute, abs=0.05)
    assert after["bandwidth_bytes_per_s"] / before["bandwidth_bytes_per_s"] == pytest.approx(bandwidth, abs=0.006)


@pytest.mark.parametrize(("dtype", "tflops"), [("bf16", 2250), ("fp8", 4500), ("fp4", 9000)])
def test_10_dense_rates_of_a_b200(dtype: str, tflops: float) -> None:
    assert roofs("B200", dtype=dtype)["flops_per_s"] == tflops * 1e12


@pytest.mark.parametrize(
    ("gpu", "bound", "apart"), [("P100", "compute", 2.2), ("V100", "memory", 2.2), ("H100", "memory", 4.6)]
)
def test_11_batch_64_against_three_generations(gpu: str, bound: str, apart: float) -> None:
    found = asked(gpu=gpu, params=7e9, batch=64)
    assert found["roofline"]["intensity_flops_per_byte"] == pytest.approx(64)
    assert found["roofline"]["bound"] == bound
    ratio = found["roofs"]["ridge_flops_per_byte"] / 64
    assert max(ratio, 1 / ratio) == pytest.approx(apart, abs=0.05)


@pytest.mark.parametrize("split", [1, 2, 4, 8])
@pytest.mark.parametrize("batch", [1, 32, 1000])
def test_14_each_sequence_has_its_own_cache_and_each_device_its_shard(batch: int, split: int) -> None:
    found = numbers(gpu="H100", params=8e9, **ATTENTION_8B, batch=batch, context=4096, tensor_parallel=split)
    a_token = 2 * 2 * 32 * (8 // split) * 128
    assert found["kv_bytes_per_token"] == a_token
    # One token more than the formula's: that which the step itself adds to each cache.
    assert found["kv_bytes_per_step"] == pytest.approx(batch * a_token * (4096 + 1), rel=1e-5)
    assert found["weight_bytes_per_step"] == pytest.approx(2 * 8e9 / split)


def test_14_a_mixture_does_arithmetic_with_what_is_active() -> None:
    mixture = {"params": 47e9, "active_params": 13e9, "experts": 8, "experts_per_token": 2}
    found = operation("weights", gpu="H100", **mixture, batch=1)
    assert found["flops"] == pytest.approx(2 * 13e9)
    assert found["bytes"] == pytest.approx(2 * 13e9)


@pytest.mark.parametrize("batch", [1, 16, 256])
@pytest.mark.parametrize(
    ("shape", "groups"), [({"layers": 32, "heads": 32, "head_dim": 128}, 1), (ATTENTION_8B, 4), (ATTENTION_70B, 8)]
)
def test_15_attention_has_the_intensity_of_its_groups_at_any_batch(
    shape: dict[str, Any], groups: int, batch: int
) -> None:
    found = operation("attention", gpu="H100", params=8e9, **shape, batch=batch, context=100_000)
    assert found["intensity"] == pytest.approx(groups, rel=1e-4)


@pytest.mark.parametrize("context", [512, 4096, 32768])
def test_15_the_limit_is_the_formula(context: int) -> None:
    parameters = 8.03e9
    per_sequence = 2 * parameters + 4 * 32 * 32 * 128 * context
    limit = per_sequence / (4 * 32 * 8 * 128 * context)
    found = numbers(gpu="H100", params=parameters, **ATTENTION_8B, context=context, batch=1e8)
    assert found["intensity_flops_per_byte"] == pytest.approx(limit, rel=0.003)


def test_17_context_at_which_attention_does_as_much_as_the_projections() -> None:
    """P ÷ (2·L·h·d) of 70 B with 80 layers of 64 heads is for QK and PV; QK alone takes twice the context."""
    for context, half in ((53_406, 1.0), (106_812, 0.5)):
        options = {"gpu": "H100", "params": 70e9, **ATTENTION_70B, "context": context}
        attention, weights = (operation(name, **options)["flops"] for name in ("attention", "weights"))
        assert half * attention == pytest.approx(weights, rel=2e-5)


@pytest.mark.parametrize(
    ("context", "intensity", "noted"), [(512, 0.996, 0.499), (4096, 0.968, 0.492), (32768, 0.788, 0.441)]
)
def test_18_intensity_by_the_flops_of_the_weights_alone(context: int, intensity: float, noted: float) -> None:
    found = asked(gpu="H100", params=8e9, **ATTENTION_8B, context=context)
    assert found["roofline"]["weight_bytes_per_step"] == 16e9
    weights = operation("weights", gpu="H100", params=8e9, **ATTENTION_8B, context=context)
    kv_bytes = found["roofline"]["kv_bytes_per_step"]
    assert weights["flops"] / (weights["bytes"] + kv_bytes) == pytest.approx(intensity, abs=6e-4)
    # With the note's four bytes a parameter.
    assert weights["flops"] / (2 * weights["bytes"] + kv_bytes) == pytest.approx(noted, abs=6e-4)


def test_18_one_sequence_is_295_times_below_the_ridge() -> None:
    found = asked(gpu="H100", params=8e9)
    apart = found["roofs"]["ridge_flops_per_byte"] / found["roofline"]["intensity_flops_per_byte"]
    assert apart == pytest.approx(295, abs=0.5)


@pytest.mark.parametrize(
    ("gpu", "bound"), [("H20", "compute"), ("RTX 3090", "compute"), ("V100", "memory"), ("H100", "memory")]
)
def test_19_batch_99_is_not_memory_bound_on_every_part_since_v100(gpu: str, bound: str) -> None:
    assert numbers(gpu=gpu, params=7e9, batch=99)["bound"] == bound


@pytest.mark.parametrize("batch", [1, 32, 100, 512, 2000])
def test_20_the_batch_bounds_a_layers_intensity_and_half_of_it_does_not(batch: int) -> None:
    assert batch / 2 < numbers(gpu="H100", linear=GEMM, batch=batch)["intensity_flops_per_byte"] < batch


@pytest.mark.parametrize("context", [512, 8192, 131_072])
@pytest.mark.parametrize("batch", [1, 8, 64])
def test_21_gain_of_a_doubling_bound_by_bandwidth(batch: int, context: int) -> None:
    options = {"gpu": "H100", "params": 8e9, **ATTENTION_8B, "context": context}
    here, there = (numbers(**options, batch=b) for b in (batch, 2 * batch))
    gain = there["at_roof"]["tokens_per_s"] / here["at_roof"]["tokens_per_s"]
    weights, caches = here["weight_bytes_per_step"], here["kv_bytes_per_step"]
    assert gain == pytest.approx(2 * (weights + caches) / (weights + 2 * caches), rel=1e-4)
    assert 1.0 < gain < 2.0


def test_21_gain_of_a_doubling_at_its_ends() -> None:
    def gain(batch: int, **more: Any) -> float:
        here, there = (numbers(gpu="H100", params=8e9, batch=b, **more) for b in (batch, 2 * batch))
        return float(there["at_roof"]["tokens_per_s"] / here["at_roof"]["tokens_per_s"])

    assert gain(1) == pytest.approx(2.0, rel=1e-4)
    assert gain(64, **ATTENTION_8B, context=131_072) == pytest.approx(1.0, abs=0.01)
    assert gain(512) == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize("batch", [1, 100, 1000])
def test_22_tokens_a_second_are_the_batch_over_the_time_of_a_step(batch: int) -> None:
    found = numbers(gpu="H100", params=7e9, batch=batch)["at_roof"]
    assert found["tokens_per_s"] * found["step_s"] == pytest.approx(batch, rel=1e-4)
    step_s = max(2 * 7e9 * batch / 989.4e12, 2 * 7e9 / 3350e9)
    assert found["step_s"] == pytest.approx(step_s, rel=1e-4)


@pytest.mark.parametrize("fraction", [0.85, 0.93])
def test_25_34_what_is_reached_in_practice_is_neither_doubted_nor_all_there_is(fraction: float) -> None:
    found = asked(gpu="H100", params=7e9, tokens_per_s=fraction * 239.3)
    assert found["verdict"]["regime"] == "memory"
    assert found["measured"]["bandwidth_fraction"] == pytest.approx(fraction, abs=0.001)
    assert not any("cannot be" in warning for warning in found["warnings"])


def test_25_the_notes_example_is_84_percent() -> None:
    found = asked(gpu="H100", params=7e9, tokens_per_s=200)
    assert found["measured"]["bandwidth_fraction"] == pytest.approx(0.84, abs=0.005)


def test_32_batch_32_is_nine_times_below_the_ridge() -> None:
    found = asked(gpu="H100", params=7e9, batch=32)
    assert found["roofline"]["intensity_flops_per_byte"] == pytest.approx(32)
    assert found["roofs"]["ridge_flops_per_byte"] / 32 == pytest.approx(9.2, abs=0.05)


@pytest.mark.parametrize("context", [0, 8192])
def test_32_norms_and_element_wise_work_of_a_step(context: int) -> None:
    options = {"gpu": "H100", **LLAMA_2_7B, "batch": 32, "context": context}
    assert 1.0 <= operation("norms", **options)["intensity"] <= 2.0
    # Between an addition, one FLOP for three elements of two bytes, and four FLOPs for as many.
    assert 1 / 6 < operation("elementwise", **options)["intensity"] < 4 / 6


def test_33_the_first_token_is_arithmetic_and_the_others_are_bandwidth() -> None:
    found = numbers(gpu="H100", **LLAMA_2_7B, phase="prefill", context=2048)
    assert (found["phase"], found["bound"]) == ("prefill", "compute")
    assert (found["other_phase"]["phase"], found["other_phase"]["bound"]) == ("decode", "memory")


def test_34_b200_over_h100() -> None:
    apart = roofs("B200")["bandwidth_bytes_per_s"] / roofs("H100")["bandwidth_bytes_per_s"]
    assert apart == pytest.approx(2.30, abs=0.005)


def test_35_tokens_a_dollar_of_one_over_the_other() -> None:
    found = asked(gpu=["H100", "H200"], params=7e9, price=["H100=2.5", "H200=3.5"])["candidates"]
    cost = {c["gpu"]: c["at_roof"]["usd_per_million_tokens"] for c in found}
    assert cost["H100 SXM5"] / cost["H200 SXM"] == pytest.approx(1.023, abs=0.001)


def test_36_the_cache_of_a_thousand_sequences_is_half_a_terabyte() -> None:
    found = numbers(gpu="H100", **LLAMA_2_7B, batch=1000, context=1000)
    assert found["kv_bytes_per_token"] == pytest.approx(0.524e6, rel=0.001)
    assert found["kv_bytes_per_step"] == pytest.approx(0.52e12, rel=0.01)
    assert found["fitting_batch"]["batch"] < 1000
    assert found["bound"] == "memory"


@pytest.mark.parametrize("batch", [207, 211, 250, 295])
def test_37_speed_up_of_an_h200_between_both_crossovers(batch: int) -> None:
    found = asked(gpu=["H100", "H200"], params=7e9, batch=batch)["candidates"]
    step_s = {c["gpu"]: c["at_roof"]["step_s"] for c in found}
    assert step_s["H100 SXM5"] / step_s["H200 SXM"] == pytest.approx(295.3 / batch, rel=5e-4)


def test_38_39_dense_rates_of_the_h200_nvl_and_the_h100() -> None:
    assert roofs("H200 NVL")["flops_per_s"] == pytest.approx(835.5e12)
    assert roofs("H100")["flops_per_s"] == pytest.approx(1979e12 / 2, rel=1e-3)


def test_6_18_what_is_stored_has_the_embedding_too() -> None:
    work = ModelWork(shape=LLAMA_8B)
    stored = work.stored_bytes(Load())
    assert stored is not None
    streamed = sum(op.weight_bytes for op in work.operations(Load(batch=ALL_EXPERTS)))
    assert stored - streamed == 2 * LLAMA_8B.vocab_size * LLAMA_8B.hidden_size
    assert stored == pytest.approx(2 * 8.03e9, rel=1e-3)
