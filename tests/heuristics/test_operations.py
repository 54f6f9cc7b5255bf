"""One step, operation by operation, against closed forms worked out by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heuristics.errors import UnusableModel
from heuristics.gpus import part_named
from heuristics.model_shape import Experts, LatentAttention, ModelShape
from heuristics.operations import Load, Operation, Phase, step_operations, step_roof_s
from heuristics.roofs import datasheet_roofs
from heuristics.vocabulary import Cause, Share
from tests.heuristics.cases import LLAMA_8B

DEEPSEEK = ModelShape(
    layers=61,
    hidden_size=7168,
    heads=128,
    kv_heads=128,
    head_dim=128,
    intermediate_size=18432,
    vocab_size=129280,
    latent_attention=LatentAttention(
        kv_lora_rank=512, qk_rope_head_dim=64, qk_nope_head_dim=128, v_head_dim=128, q_lora_rank=1536
    ),
    experts=Experts(count=256, per_token=8, intermediate_size=2048, layers=58, shared_intermediate_size=2048),
    weight_bits=8,
)
MIXTRAL = replace(LLAMA_8B, vocab_size=32000, experts=Experts(count=8, per_token=2, intermediate_size=14336, layers=32))


def by_name(shape: ModelShape, load: Load) -> dict[str, Operation]:
    return {op.name: op for op in step_operations(shape, load)}


def weight_bytes(shape: ModelShape, load: Load) -> float:
    return sum(op.weight_bytes for op in step_operations(shape, load))


def test_the_weights_of_llama_3_8b() -> None:
    """8.03 G parameters less the untied input embedding, which is gathered and not streamed."""
    assert weight_bytes(LLAMA_8B, Load()) / 2.0 == pytest.approx(8.03e9 - 128256 * 4096, rel=2e-3)


def test_a_tied_embedding_is_streamed_once_as_the_head() -> None:
    assert weight_bytes(replace(LLAMA_8B, tied_embedding=True), Load()) == weight_bytes(LLAMA_8B, Load())


@pytest.mark.parametrize("batch", [1, 4, 64, 256])
def test_weights_move_once_a_step_whatever_the_batch(batch: int) -> None:
    assert weight_bytes(LLAMA_8B, Load(batch=batch)) == weight_bytes(LLAMA_8B, Load())


@pytest.mark.parametrize(("bits", "per_sequence"), [(32, 0.5), (16, 1.0), (8, 2.0), (4, 4.0)])
def test_the_intensity_of_a_linear_layer_is_two_b_over_bytes_per_weight(bits: float, per_sequence: float) -> None:
    shape = replace(LLAMA_8B, weight_bits=bits, activation_bits=1e-9)
    for batch in (1, 8, 64):
        op = by_name(shape, Load(batch=batch))["mlp up projection"]
        assert op.intensity_flops_per_byte == pytest.approx(per_sequence * batch, rel=1e-6)


def test_cache_traffic_grows_with_batch_and_context() -> None:
    one = by_name(LLAMA_8B, Load(batch=1, context_tokens=1000))["attention"]
    many = by_name(LLAMA_8B, Load(batch=32, context_tokens=4000))["attention"]
    per_token = 2 * 32 * 8 * 128 * 2
    assert LLAMA_8B.kv_bytes_per_token() == per_token
    assert one.kv_bytes == (1000 + 1) * per_token
    assert many.kv_bytes == 32 * (4000 + 1) * per_token


@pytest.mark.parametrize("batch", [1, 64, 1024])
def test_attention_stays_memory_bound_at_any_batch(batch: int) -> None:
    roofs = datasheet_roofs(part_named("H100"))
    assert roofs.ridge_flops_per_byte is not None
    ops = by_name(LLAMA_8B, Load(batch=batch, context_tokens=4096))
    assert ops["attention"].bound(roofs.ridge_flops_per_byte) is Share.MEMORY
    assert ops["attention"].intensity_flops_per_byte < 2 * 32 / 8
    wanted = Share.COMPUTE if batch > 400 else Share.MEMORY
    assert ops["mlp up projection"].bound(roofs.ridge_flops_per_byte) is wanted


def test_grouped_queries_cut_the_cache_and_not_the_arithmetic() -> None:
    load = Load(batch=8, context_tokens=2048)
    grouped, whole = (
        by_name(LLAMA_8B, load)["attention"],
        by_name(replace(LLAMA_8B, kv_heads=32), load)["attention"],
    )
    assert whole.kv_bytes == 4 * grouped.kv_bytes
    assert whole.flops == grouped.flops


def test_a_narrow_cache_halves_its_bytes_alone() -> None:
    load = Load(batch=8, context_tokens=2048)
    narrow, wide = by_name(replace(LLAMA_8B, kv_bits=8), load), by_name(LLAMA_8B, load)
    assert narrow["attention"].kv_bytes == wide["attention"].kv_bytes / 2
    assert narrow["mlp up projection"] == wide["mlp up projection"]


def test_the_cause_is_what_the_bytes_mostly_are() -> None:
    ops = by_name(LLAMA_8B, Load(batch=8, context_tokens=2048))
    assert ops["mlp up projection"].cause is Cause.WEIGHTS
    assert ops["attention"].cause is Cause.KV_CACHE
    assert ops["norms"].cause is Cause.ACTIVATIONS


def test_prefill_reads_weights_once_and_computes_for_every_token() -> None:
    prefill = by_name(LLAMA_8B, Load(phase=Phase.PREFILL, batch=2, context_tokens=1024))
    decode = by_name(LLAMA_8B, Load(batch=1, context_tokens=1024))
    up, up_once = prefill["mlp up projection"], decode["mlp up projection"]
    assert up.flops == 2 * 1024 * up_once.flops
    assert up.weight_bytes == up_once.weight_bytes
    assert prefill["head"].flops == 2 * decode["head"].flops


def test_a_causal_prompt_attends_to_half_of_itself() -> None:
    tokens, shape = 512, LLAMA_8B
    op = by_name(shape, Load(phase=Phase.PREFILL, batch=1, context_tokens=tokens))["attention"]
    assert op.flops == pytest.approx(4 * tokens * shape.heads * shape.head_dim * tokens / 2 * shape.layers)


@pytest.mark.parametrize("window", [128, 512, 4096])
def test_a_window_caps_what_is_read_and_attended(window: int) -> None:
    shape = replace(LLAMA_8B, sliding_window=window, sliding_layers=16)
    context = 1000
    op = by_name(shape, Load(batch=1, context_tokens=context))["attention"]
    seen = min(context, window)
    per_layer = 2 * 8 * 128 * 2
    assert op.kv_bytes == pytest.approx(per_layer * (16 * context + 16 * seen + 32))
    assert op.flops == pytest.approx(4 * 4096 * (16 * context + 16 * seen))


@pytest.mark.parametrize("window", [64, 200, 1000])
def test_a_window_over_a_causal_prompt_counted_pair_by_pair(window: int) -> None:
    tokens = 200
    shape = replace(LLAMA_8B, sliding_window=window, sliding_layers=32)
    op = by_name(shape, Load(phase=Phase.PREFILL, batch=1, context_tokens=tokens))["attention"]
    pairs = sum(min(i, window) for i in range(tokens))
    assert op.flops == pytest.approx(4 * 4096 * pairs * 32, rel=0.02)


@pytest.mark.parametrize("tokens", [1, 2, 8, 64, 4096])
def test_experts_stream_the_expected_distinct_ones(tokens: int) -> None:
    experts = MIXTRAL.experts
    assert experts is not None
    distinct = experts.expected_distinct(tokens)
    assert experts.per_token - 1e-9 <= distinct <= min(experts.count, experts.per_token * tokens) + 1e-9
    op = by_name(MIXTRAL, Load(batch=tokens))["routed experts up projection"]
    assert op.weight_bytes == pytest.approx(distinct * 2 * 4096 * 14336 * 2 * 32)
    assert op.flops == pytest.approx(tokens * 2 * 2.0 * 2 * 4096 * 14336 * 32)


def test_one_token_streams_the_active_parameters_only() -> None:
    """Mixtral 8x7B: 46.7 G parameters, 12.9 G of them active."""
    active = weight_bytes(MIXTRAL, Load()) / 2.0
    assert active == pytest.approx(12.9e9 - 32000 * 4096, rel=5e-3)
    every = weight_bytes(MIXTRAL, Load(batch=1e6)) / 2.0
    assert every == pytest.approx(46.7e9 - 32000 * 4096, rel=5e-3)


def test_latent_attention_reads_one_compressed_vector_a_token() -> None:
    load = Load(batch=16, context_tokens=4096)
    op = by_name(DEEPSEEK, load)["attention"]
    assert DEEPSEEK.kv_bytes_per_token() == 61 * 576 * 2
    assert op.kv_bytes == pytest.approx(16 * 4097 * 61 * 576 * 2)
    assert op.flops / op.kv_bytes == pytest.approx(2 * (576 + 512) * 128 / (576 * 2), rel=1e-3)
    assert weight_bytes(DEEPSEEK, Load()) == pytest.approx(37e9 - 129280 * 7168, rel=0.03)
    assert weight_bytes(DEEPSEEK, Load(batch=1e6)) == pytest.approx(671e9 - 129280 * 7168, rel=0.03)


@pytest.mark.parametrize("split", [1, 2, 4, 8])
def test_tensor_parallelism_splits_weights_and_cache(split: int) -> None:
    load = Load(batch=4, context_tokens=1024, tensor_parallel=split)
    whole, part = by_name(LLAMA_8B, replace(load, tensor_parallel=1)), by_name(LLAMA_8B, load)
    for name in ("qkv projection", "mlp up projection", "mlp down projection", "head", "output projection"):
        assert part[name].weight_bytes == pytest.approx(whole[name].weight_bytes / split)
        assert part[name].flops == pytest.approx(whole[name].flops / split)
    assert part["attention"].kv_bytes == pytest.approx(whole["attention"].kv_bytes / split)


def test_kv_heads_are_copied_where_there_are_fewer_than_devices() -> None:
    load = Load(batch=4, context_tokens=1024, tensor_parallel=8)
    few = replace(LLAMA_8B, kv_heads=2)
    assert by_name(few, load)["attention"].kv_bytes == pytest.approx(
        by_name(replace(LLAMA_8B, kv_heads=8), load)["attention"].kv_bytes
    )


def test_heads_that_do_not_split_are_refused() -> None:
    with pytest.raises(UnusableModel, match="cannot be split"):
        step_operations(LLAMA_8B, Load(tensor_parallel=3))


@pytest.mark.parametrize("wrong", [{"batch": 0.0}, {"context_tokens": -1.0}, {"phase": Phase.PREFILL}])
def test_loads_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UnusableModel):
        Load(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"layers": 0},
        {"heads": -1},
        {"kv_heads": 5},
        {"experts": Experts(count=4, per_token=8, intermediate_size=1, layers=1)},
    ],
)
def test_shapes_that_mean_nothing_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UnusableModel):
        replace(LLAMA_8B, **wrong)  # type: ignore[arg-type]


@given(
    batch=st.floats(0.5, 4096),
    context=st.floats(1, 1e6),
    bits=st.sampled_from([4.0, 4.5, 8.0, 16.0, 32.0]),
    shape=st.sampled_from([LLAMA_8B, MIXTRAL, DEEPSEEK]),
    phase=st.sampled_from(list(Phase)),
)
def test_work_never_shrinks_with_batch_or_context(
    batch: float, context: float, bits: float, shape: ModelShape, phase: Phase
) -> None:
    shape = replace(shape, weight_bits=bits)
    roofs = datasheet_roofs(part_named("H100"))

    def step(b: float, c: float) -> float:
        found = step_roof_s(step_operations(shape, Load(phase=phase, batch=b, context_tokens=c)), roofs)
        assert found is not None
        return found

    base = step(batch, context)
    assert base > 0.0
    assert step(2 * batch, context) >= base
    assert step(batch, 2 * context) >= base
    assert step(2 * batch, context) <= 2.0 * base * (1 + 1e-9)


def test_a_step_without_roofs_has_no_time() -> None:
    roofs = replace(datasheet_roofs(part_named("H100")), flops_per_s=None)
    assert step_roof_s(step_operations(LLAMA_8B, Load()), roofs) is None


def _attention(load: Load, shape: ModelShape = LLAMA_8B) -> Operation:
    return by_name(shape, load)["attention"]


def test_a_prompt_in_a_decode_step_attends_as_it_would_by_itself() -> None:
    mixed = _attention(Load(batch=4, context_tokens=2048, prefill_tokens=2048))
    decode = _attention(Load(batch=4, context_tokens=2048))
    alone = _attention(Load(phase=Phase.PREFILL, batch=1, context_tokens=2048))
    assert mixed.flops - decode.flops == pytest.approx(alone.flops)


def test_prefill_reads_every_key_once_whatever_the_window() -> None:
    prefill = Load(phase=Phase.PREFILL, batch=2, context_tokens=8192)
    windowed = replace(LLAMA_8B, sliding_window=1024, sliding_layers=16)
    assert _attention(prefill, windowed).kv_bytes == _attention(prefill).kv_bytes
    assert _attention(prefill, windowed).flops < _attention(prefill).flops


# --- several devices

SPLITTABLE = st.sampled_from([LLAMA_8B, MIXTRAL, DEEPSEEK])
LOADS = st.builds(
    Load,
    phase=st.sampled_from(list(Phase)),
    batch=st.floats(1, 4096),
    context_tokens=st.floats(1, 1e5),
)


def total(operations: Iterable[Operation], *, head: bool = True) -> tuple[float, float, float]:
    """(FLOPs, weight bytes, cache bytes)."""
    counted = [op for op in operations if head or op.name != "head"]
    return sum(o.flops for o in counted), sum(o.weight_bytes for o in counted), sum(o.kv_bytes for o in counted)


@given(shape=SPLITTABLE, load=LOADS, stages=st.integers(1, 16))
def test_the_stages_of_a_pipeline_add_up_to_the_model(shape: ModelShape, load: Load, stages: int) -> None:
    whole = step_operations(shape, load)
    stage = step_operations(shape, replace(load, pipeline_parallel=stages))
    for part, of in zip(total(stage, head=False), total(whole, head=False), strict=True):
        assert part * stages == pytest.approx(of)
    assert {op.name: op for op in stage}["head"] == {op.name: op for op in whole}["head"]


@given(shape=st.sampled_from([LLAMA_8B, MIXTRAL]), load=LOADS, devices=st.sampled_from([1, 2, 4, 8]))
def test_the_devices_of_a_tensor_split_add_up_to_the_model(shape: ModelShape, load: Load, devices: int) -> None:
    whole = step_operations(shape, load)
    part = step_operations(shape, replace(load, tensor_parallel=devices))
    for name, mine in {op.name: op for op in part}.items():
        of = next(op for op in whole if op.name == name)
        if name not in ("router", "norms", "elementwise"):
            assert mine.flops * devices == pytest.approx(of.flops)
            assert mine.weight_bytes * devices == pytest.approx(of.weight_bytes)
            assert mine.kv_bytes * devices == pytest.approx(of.kv_bytes)


@given(load=LOADS, devices=st.sampled_from([2, 8, 128]))
def test_every_device_holds_the_whole_compressed_cache(load: Load, devices: int) -> None:
    whole = by_name(DEEPSEEK, load)["attention"]
    part = by_name(DEEPSEEK, replace(load, tensor_parallel=devices))["attention"]
    assert part.kv_bytes == whole.kv_bytes
    assert part.flops * devices == pytest.approx(whole.flops)


@given(load=LOADS, devices=st.sampled_from([1, 2, 8, 32]), shape=st.sampled_from([MIXTRAL, DEEPSEEK]))
def test_experts_shared_by_replicas_serve_the_tokens_of_all(shape: ModelShape, load: Load, devices: int) -> None:
    whole = by_name(shape, replace(load, batch=load.batch * devices))
    part = by_name(shape, replace(load, expert_parallel=devices))
    for name in ("routed experts up projection", "routed experts down projection"):
        assert part[name].weight_bytes * devices == pytest.approx(whole[name].weight_bytes)
        assert part[name].flops * devices == pytest.approx(whole[name].flops)
    alone = by_name(shape, load)
    assert {n: op for n, op in part.items() if "routed" not in n} == {
        n: op for n, op in alone.items() if "routed" not in n
    }


@pytest.mark.parametrize("experts", [1, 2, 8])
def test_whole_experts_on_devices_weigh_what_slices_of_all_do(experts: int) -> None:
    load = Load(batch=16, context_tokens=100, tensor_parallel=8)
    assert step_operations(MIXTRAL, replace(load, expert_parallel=experts)) == step_operations(MIXTRAL, load)


@given(
    shape=SPLITTABLE,
    load=LOADS,
    tensor=st.sampled_from([1, 2, 8]),
    stages=st.integers(1, 8),
    experts=st.sampled_from([1, 8, 64]),
)
def test_a_device_s_work_is_linear_in_layers_and_never_negative(
    shape: ModelShape, load: Load, tensor: int, stages: int, experts: int
) -> None:
    split = replace(load, tensor_parallel=tensor, pipeline_parallel=stages, expert_parallel=experts)
    mixed = shape.experts and replace(shape.experts, layers=2 * shape.experts.layers)
    double = replace(shape, layers=2 * shape.layers, experts=mixed)
    one, two = step_operations(shape, split), step_operations(double, split)
    assert all(min(op.flops, op.weight_bytes, op.kv_bytes, op.activation_bytes) >= 0 for op in one)
    for half, whole in zip(total(one, head=False), total(two, head=False), strict=True):
        assert whole == pytest.approx(2 * half, rel=1e-2)


def test_more_stages_than_layers_are_refused() -> None:
    with pytest.raises(UnusableModel, match="32 layers cannot be split into 33 stages"):
        step_operations(LLAMA_8B, Load(pipeline_parallel=33))


@pytest.mark.parametrize("wrong", [{"pipeline_parallel": 0}, {"expert_parallel": 0}, {"tensor_parallel": 0}])
def test_splits_over_no_devices_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UnusableModel, match="must be positive"):
        Load(**wrong)  # type: ignore[arg-type]


# --- parts with bits or a cache of their own


def test_experts_of_their_own_bits_move_their_own_bytes() -> None:
    assert MIXTRAL.experts is not None
    narrow = replace(MIXTRAL, experts=replace(MIXTRAL.experts, weight_bits=4.0))
    one, other = by_name(MIXTRAL, Load(batch=4)), by_name(narrow, Load(batch=4))
    for name, op in one.items():
        assert other[name].weight_bytes == pytest.approx(op.weight_bytes / (4 if "routed" in name else 1))
        assert other[name].flops == op.flops


@pytest.mark.parametrize("shape", [LLAMA_8B, DEEPSEEK])
@pytest.mark.parametrize("phase", list(Phase))
def test_layers_with_a_state_cache_and_attend_to_nothing(shape: ModelShape, phase: Phase) -> None:
    load = Load(phase=phase, batch=4, context_tokens=1000)
    hybrid = replace(shape, uncached_layers=shape.layers - 1)
    whole, one = by_name(shape, load)["attention"], by_name(hybrid, load)["attention"]
    assert one.kv_bytes * shape.layers == pytest.approx(whole.kv_bytes)
    assert one.flops * shape.layers == pytest.approx(whole.flops)
    assert hybrid.kv_bytes_per_token() * shape.layers == pytest.approx(shape.kv_bytes_per_token())
    assert weight_bytes(hybrid, load) == weight_bytes(shape, load)


@pytest.mark.parametrize("wrong", [{"uncached_layers": 32}, {"uncached_layers": -1}, {"sliding_layers": 33}])
def test_more_special_layers_than_layers_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UnusableModel):
        replace(LLAMA_8B, **wrong)  # type: ignore[arg-type]
