"""The source note's own example numbers: the corrected functions, and the factor between both.

Rows are numbered as in docs/corrections.md.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from heuristics.gpus import part_named
from heuristics.model_shape import ModelShape
from heuristics.operations import Load, Phase, step_operations
from heuristics.roofline import (
    context_where_cache_equals_weights,
    crossover_batch,
    decode_bytes,
    decode_flops,
    decode_intensity,
    decode_intensity_limit,
    doubling_ratio,
    linear_bytes,
    linear_flops,
    linear_intensity,
)
from heuristics.roofs import datasheet_roofs
from heuristics.vocabulary import Dtype
from tests.heuristics.cases import LLAMA_8B

D = 4096
H100_GB_S = 3350e9
LLAMA_70B = ModelShape(
    layers=80,
    hidden_size=8192,
    heads=64,
    kv_heads=8,
    head_dim=128,
    intermediate_size=28672,
    vocab_size=128256,
)


def ridge(name: str, bandwidth_bytes_per_s: float | None = None) -> float:
    roofs = datasheet_roofs(part_named(name))
    assert roofs.flops_per_s is not None
    return roofs.flops_per_s / (bandwidth_bytes_per_s or roofs.bandwidth_bytes_per_s or 0.0)


def tokens_per_s(bandwidth_bytes_per_s: float) -> float:
    """Decoding 7 G parameters in BF16 at batch 1, bound by bandwidth."""
    return bandwidth_bytes_per_s / (7e9 * 2)


def dense_tokens_per_s(name: str) -> float:
    """The same bound by arithmetic, whatever the batch."""
    return part_named(name).dense_flops_per_s[Dtype.BF16] / (2 * 7e9)


NOTED = [
    ("1: intensity at batch 1", 0.5, 2.0, linear_intensity(D, D, 1)),
    ("7: H100's crossover batch: doubled, and sparse", 1182, 0.25, ridge("H100")),
    ("8: H100's ridge: sparse", 591, 0.5, ridge("H100")),
    ("8: H200's ridge: sparse", 412, 0.5, ridge("H200")),
    ("8: B200's ridge: sparse", 563, 0.5, ridge("B200", 8000e9)),
    ("10: B200's dense BF16 rate", 4500e12, 0.5, part_named("B200").dense_flops_per_s[Dtype.BF16]),
    ("11: intensity at batch 64", 32, 2.0, linear_intensity(10**6, 10**6, 64)),
    ("12: compute used by a P100 at batch 1", 0.017, 2.0, 1 / ridge("P100")),
    ("12: compute used by an H100 at batch 1", 0.5 / 591, 4.0, 1 / ridge("H100")),
    ("18: bytes of 8 G parameters", 32e9, 0.5, decode_bytes(LLAMA_8B, 8e9, 1, 0)),
    (
        "18: context at which the cache equals the weights",
        244_140,
        0.5,
        context_where_cache_equals_weights(LLAMA_8B, 8e9, 1),
    ),
    ("18: intensity at 0.5k of context", 0.499, 2.0, 2 * 8e9 / decode_bytes(LLAMA_8B, 8e9, 1, 512)),
    ("31: intensity of INT4 weights at batch 1", 0.25, 16.0, linear_intensity(D, D, 1, weight_bytes=0.5)),
    ("32: intensity at batch 32", 16, 2.0, linear_intensity(10**6, 10**6, 32)),
    ("34: B200 over H100 in bandwidth", 2.4, 0.958, 7700e9 / H100_GB_S),
    ("35: tokens/s of an H100 at batch 1", 119.6, 2.0, tokens_per_s(H100_GB_S)),
    ("35: tokens/s of an H200 at batch 1", 171.4, 2.0, tokens_per_s(4800e9)),
    ("35: tokens per dollar of an H100 at 2.50 an hour", 172e3, 2.0, tokens_per_s(H100_GB_S) * 3600 / 2.50),
    ("35: tokens per dollar of an H200 at 3.50 an hour", 176e3, 2.0, tokens_per_s(4800e9) * 3600 / 3.50),
    ("36: tokens/s of an H100 bound by arithmetic", 141_000, 0.5, dense_tokens_per_s("H100")),
    ("36: tokens per dollar, likewise", 2.03e8, 0.5, dense_tokens_per_s("H100") * 3600 / 2.50),
]
"""(row and quantity, what the note says, corrected ÷ noted, corrected)."""


@pytest.mark.parametrize(("quantity", "noted", "factor", "corrected"), NOTED, ids=[n[0] for n in NOTED])
def test_the_factor_between_the_note_and_the_corrected_figure(
    quantity: str, noted: float, factor: float, corrected: float
) -> None:
    assert corrected / noted == pytest.approx(factor, rel=0.02), quantity


def test_1_a_matrix_vector_product_in_bf16_has_intensity_one_not_a_half() -> None:
    assert linear_intensity(D, D, 1) == pytest.approx(1.0, rel=1e-3)
    assert linear_intensity(D, D, 1) / 0.5 == pytest.approx(2.0, rel=1e-3)


def test_2_intensity_of_a_linear_layer_is_about_the_batch_not_half_of_it() -> None:
    batch = 8
    assert linear_bytes(D, D, batch) == 2 * D * D + 2 * D * batch + 2 * D * batch
    noted = linear_flops(D, D, batch) / (2 * linear_bytes(D, D, batch))
    assert linear_intensity(D, D, batch) / noted == 2.0


@pytest.mark.parametrize(("batch", "intensity"), [(256, 228), (512, 410)])
def test_3_intensity_at_4096_squared(batch: int, intensity: float) -> None:
    assert linear_intensity(D, D, batch) == pytest.approx(intensity, abs=0.5)


@pytest.mark.parametrize(
    ("gpu", "bandwidth", "leading", "exact"),
    [("A100", None, 153, 165), ("H100", None, 295, 345), ("H200", None, 206, 229), ("B200", 8000e9, 281, 326)],
)
def test_4_crossover_batches(gpu: str, bandwidth: float | None, leading: float, exact: float) -> None:
    edge = ridge(gpu, bandwidth)
    assert edge == pytest.approx(leading, abs=0.6)
    found = crossover_batch(edge, D, D)
    assert found is not None
    assert found == pytest.approx(exact, abs=0.6)
    assert linear_intensity(D, D, found) == pytest.approx(edge)


def test_4_a_layer_whose_activations_are_too_wide_never_crosses() -> None:
    assert crossover_batch(ridge("H100"), 256, 256) is None


@pytest.mark.parametrize(("width", "intensity"), [(4096, 1024), (8192, 1365)])
def test_5_prefill_of_2048_tokens(width: int, intensity: float) -> None:
    assert linear_intensity(width, width, 2048) == pytest.approx(intensity, abs=1)
    assert intensity < 9000 / 8 or width > 4096


def test_6_seven_billion_parameters_on_an_h100() -> None:
    per_s = H100_GB_S / 14e9
    assert per_s == pytest.approx(239.3, abs=0.05)
    assert part_named("H100").dense_flops_per_s[Dtype.BF16] / 1e12 == pytest.approx(989.4)
    sparse_flops_per_s = 1979e12  # the datasheet's number with structured sparsity, which the note took for the peak
    assert sparse_flops_per_s / part_named("H100").dense_flops_per_s[Dtype.BF16] == pytest.approx(2.0, rel=1e-3)


def test_7_h100_over_a100_in_arithmetic_and_ridge() -> None:
    a100, h100 = part_named("A100"), part_named("H100")
    rate = h100.dense_flops_per_s[Dtype.BF16] / a100.dense_flops_per_s[Dtype.BF16]
    assert rate == pytest.approx(3.17, abs=0.01)
    assert ridge("H100") / ridge("A100") == pytest.approx(1.93, abs=0.01)


@pytest.mark.parametrize(
    ("gpu", "expected"),
    [("P100", 29), ("V100", 139), ("A100", 153), ("A100 40GB SXM", 201), ("H100", 295), ("H200", 206), ("B200", 292)],
)
def test_8_ridges_are_dense_and_not_monotonic(gpu: str, expected: float) -> None:
    assert ridge(gpu) == pytest.approx(expected, abs=0.6)


def test_11_batch_64_against_three_generations() -> None:
    intensity = linear_intensity(D, D, 64)
    assert intensity == pytest.approx(62, abs=0.2)
    assert intensity / ridge("P100") > 2
    assert ridge("V100") / intensity == pytest.approx(2.2, abs=0.1)
    assert ridge("H100") / intensity == pytest.approx(4.8, abs=0.2)


@pytest.mark.parametrize(
    ("gpu", "share"),
    [("P100", 0.0345), ("V100", 0.0072), ("A100", 0.0065), ("H100", 0.0034), ("H200", 0.0049), ("B200", 0.0034)],
)
def test_12_compute_used_at_batch_one(gpu: str, share: float) -> None:
    assert 1.0 / ridge(gpu) == pytest.approx(share, abs=1e-4)


def test_13_seventy_billion_with_grouped_query_attention() -> None:
    assert LLAMA_70B.kv_bytes_per_token() * 4096 == pytest.approx(1.34e9, rel=0.005)
    assert LLAMA_70B.kv_bytes_per_token() * 32768 == pytest.approx(10.7e9, rel=0.005)
    with_every_head = replace(LLAMA_70B, kv_heads=64)
    assert with_every_head.kv_bytes_per_token() / LLAMA_70B.kv_bytes_per_token() == 8.0


def test_14_cache_traffic_multiplies_with_the_batch() -> None:
    one = decode_bytes(LLAMA_8B, 8e9, 1, 4096) - 16e9
    many = decode_bytes(LLAMA_8B, 8e9, 32, 4096) - 16e9
    assert many == pytest.approx(32 * one)
    assert LLAMA_8B.kv_bytes_per_token() == 131_072


@pytest.mark.parametrize(("context", "intensity"), [(512, 1.01), (4096, 1.10), (32768, 1.63)])
def test_15_intensity_at_batch_one_rises_with_context_under_gqa(context: int, intensity: float) -> None:
    assert decode_intensity(LLAMA_8B, 8.03e9, 1, context) == pytest.approx(intensity, abs=0.005)


@pytest.mark.parametrize(("context", "limit"), [(512, 242), (4096, 34), (32768, 7.7)])
def test_16_intensity_saturates_as_the_batch_grows(context: int, limit: float) -> None:
    assert decode_intensity_limit(LLAMA_8B, 8e9, context) == pytest.approx(limit, rel=0.006)
    assert decode_intensity(LLAMA_8B, 8e9, 1e6, context) == pytest.approx(limit, rel=0.02)
    assert decode_intensity_limit(LLAMA_8B, 8e9, context) < ridge("H100")


def test_17_context_at_which_attention_flops_equal_the_projections() -> None:
    """The note's 70 G parameters, 80 layers of 64 heads: P ÷ (2·L·h·d) is for QK and PV together."""
    parameters, context = 70e9, 53_406
    attention = decode_flops(LLAMA_70B, parameters, 1, context) - decode_flops(LLAMA_70B, parameters, 1, 0)
    assert attention == pytest.approx(2 * parameters, rel=1e-5)
    assert parameters / (2 * LLAMA_70B.layers * LLAMA_70B.heads * LLAMA_70B.head_dim) == pytest.approx(context, abs=1)


@pytest.mark.parametrize(("batch", "context"), [(1, 122_070), (32, 3_815)])
def test_18_context_at_which_the_cache_equals_the_weights(batch: int, context: float) -> None:
    assert context_where_cache_equals_weights(LLAMA_8B, 8e9, batch) == pytest.approx(context, abs=1)


def test_19_batch_100_is_compute_bound_on_parts_with_a_low_ridge() -> None:
    assert ridge("H20") == pytest.approx(37, abs=0.1)
    assert ridge("RTX 3090") == pytest.approx(76, abs=0.2)
    assert linear_intensity(D, D, 100) > ridge("RTX 3090")


def test_21_throughput_doubles_when_weights_bind_and_barely_when_the_cache_does() -> None:
    assert doubling_ratio(16e9, 0.0, 1) == 2.0
    assert doubling_ratio(16e9, 131_072 * 100, 1) == pytest.approx(2.0, abs=0.002)
    assert doubling_ratio(16e9, 131_072 * 32768, 64) == pytest.approx(1.03, abs=0.02)


def test_31_int4_weights_raise_intensity_fourfold_and_cut_the_crossover_fourfold() -> None:
    bf16, int4 = linear_intensity(D, D, 1), linear_intensity(D, D, 1, weight_bytes=0.5)
    assert int4 / bf16 == pytest.approx(4.0, rel=0.01)
    assert ridge("H100") / 4 == pytest.approx(74, abs=0.3)
    found = crossover_batch(ridge("H100"), D, D, weight_bytes=0.5)
    assert found is not None
    assert found / (crossover_batch(ridge("H100"), D, D) or 0.0) == pytest.approx(0.25)


def test_32_attention_has_the_intensity_of_its_groups() -> None:
    attention = next(
        op for op in step_operations(LLAMA_8B, Load(batch=1, context_tokens=100_000)) if op.name == "attention"
    )
    assert attention.intensity_flops_per_byte == pytest.approx(LLAMA_8B.heads / LLAMA_8B.kv_heads, rel=0.01)


def test_prefill_of_a_long_prompt_is_compute_bound_operation_by_operation() -> None:
    edge = ridge("H100")
    operations = step_operations(LLAMA_8B, Load(phase=Phase.PREFILL, batch=1, context_tokens=8192))
    large = [op for op in operations if op.flops > 1e12]
    assert large
    assert all(op.intensity_flops_per_byte > edge for op in large)
