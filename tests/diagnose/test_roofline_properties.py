"""What must hold of ``roofline`` for any shape and load, through the public function and the operations."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnose import Measurements, Result, roofline
from heuristics.model_shape import Experts, LatentAttention, ModelShape
from heuristics.operations import Load, Phase, step_operations

GPUS = ["A100 80GB SXM", "H100 SXM5", "MI300X", "T4"]
STRESS = max(1, settings().max_examples // 60)
"""More of everything under the profile ``stress``."""
FEW = settings(max_examples=6 * STRESS)
QUICK = settings(max_examples=20 * STRESS)
MANY = settings(max_examples=80 * STRESS)

batches = st.integers(1, 2048)
contexts = st.integers(0, 65_536)


@st.composite
def dense_options(draw: st.DrawFn) -> dict[str, Any]:
    groups, kv_heads = draw(st.sampled_from([1, 2, 4, 8])), draw(st.sampled_from([1, 2, 8, 16]))
    options: dict[str, Any] = {
        "layers": draw(st.integers(1, 96)),
        "heads": groups * kv_heads,
        "kv_heads": kv_heads,
        "head_dim": draw(st.sampled_from([64, 96, 128])),
        "hidden_size": draw(st.sampled_from([512, 2048, 4096, 8192])),
        "intermediate_size": draw(st.sampled_from([1024, 5632, 14336])),
        "vocab_size": draw(st.sampled_from([32_000, 128_256])),
        "weight_bits": draw(st.sampled_from([4, 4.5, 8, 16])),
    }
    if draw(st.booleans()):
        options["experts"] = draw(st.sampled_from([4, 8, 64]))
        options["experts_per_token"] = draw(st.integers(1, 4))
    return options


@st.composite
def shapes(draw: st.DrawFn) -> ModelShape:
    """Every family: grouped or latent attention, windows, mixtures, tied embeddings; heads that eight devices split."""
    layers = draw(st.integers(2, 64))
    kv_heads = draw(st.sampled_from([1, 2, 4, 8]))
    latent = draw(st.booleans())
    sliding = 0 if latent else draw(st.integers(0, layers))
    count = draw(st.sampled_from([0, 8, 64]))
    return ModelShape(
        layers=layers,
        hidden_size=draw(st.sampled_from([1024, 4096])),
        heads=8 * draw(st.sampled_from([1, 2, 4])),
        kv_heads=kv_heads,
        head_dim=128,
        intermediate_size=draw(st.sampled_from([4096, 14336])),
        vocab_size=draw(st.sampled_from([32_000, 151_936])),
        tied_embedding=draw(st.booleans()),
        latent_attention=LatentAttention(
            kv_lora_rank=512,
            qk_rope_head_dim=64,
            qk_nope_head_dim=128,
            v_head_dim=128,
            q_lora_rank=draw(st.sampled_from([None, 1536])),
        )
        if latent
        else None,
        sliding_window=4096 if sliding else None,
        sliding_layers=sliding,
        experts=Experts(count=count, per_token=draw(st.integers(1, 8)), intermediate_size=2048, layers=layers - 1)
        if count
        else None,
        weight_bits=draw(st.sampled_from([4.5, 8.0, 16.0])),
    )


def asked(**options: Any) -> dict[str, Any]:
    found = roofline(**options)
    assert isinstance(found, Result)
    return found.to_dict()


def floor(**options: Any) -> float:
    return float(asked(**options)["roofline"]["at_roof"]["step_s"])


def near(value: float) -> Any:
    return pytest.approx(value, rel=1e-4)


def totals(shape: ModelShape, load: Load) -> tuple[float, float]:
    found = step_operations(shape, load)
    return sum(op.bytes for op in found), sum(op.flops for op in found)


@QUICK
@given(moved=st.floats(1e3, 1e14), bandwidth=st.floats(10, 1e5))
def test_twice_the_bytes_are_half_the_bandwidth(moved: float, bandwidth: float) -> None:
    once = floor(flops=1.0, bytes=moved, bandwidth_gb_s=bandwidth, tflops=1e6)
    assert floor(flops=1.0, bytes=2 * moved, bandwidth_gb_s=bandwidth, tflops=1e6) == near(2 * once)
    assert floor(flops=1.0, bytes=moved, bandwidth_gb_s=bandwidth / 2, tflops=1e6) == near(2 * once)


@FEW
@given(names=st.permutations(GPUS), options=dense_options(), batch=batches, context=contexts)
def test_the_order_of_devices_changes_nothing(
    names: list[str], options: dict[str, Any], batch: int, context: int
) -> None:
    here, there = (asked(gpu=order, batch=batch, context=context, **options) for order in (names, GPUS))
    assert {**here, "created_at": ""} == {**there, "created_at": ""}


@QUICK
@given(options=dense_options(), batch=batches, context=contexts, more=st.integers(0, 4096))
def test_floors_grow_with_batch_and_context(options: dict[str, Any], batch: int, context: int, more: int) -> None:
    here = floor(gpu="H100", batch=batch, context=context, **options)
    assert floor(gpu="H100", batch=batch + more, context=context, **options) >= here
    assert floor(gpu="H100", batch=batch, context=context + more, **options) >= here


@QUICK
@given(options=dense_options(), batch=batches, context=contexts, factor=st.floats(1, 10))
def test_faster_roofs_are_never_slower(options: dict[str, Any], batch: int, context: int, factor: float) -> None:
    load = {"batch": batch, "context": context, **options}
    here = floor(bandwidth_gb_s=2000, tflops=300, **load)
    assert floor(bandwidth_gb_s=2000 * factor, tflops=300, **load) <= here
    assert floor(bandwidth_gb_s=2000, tflops=300 * factor, **load) <= here


@QUICK
@given(options=dense_options(), context=contexts, ridge=st.floats(5, 500))
def test_the_step_crosses_its_ridge_at_the_crossover(options: dict[str, Any], context: int, ridge: float) -> None:
    roofs = {"bandwidth_gb_s": 1000, "tflops": ridge, "context": context, **options}
    crossing = asked(**roofs)["roofline"]["crossover"]["step"]["batch"]
    if crossing is None:
        assert asked(batch=1e9, **roofs)["roofline"]["intensity_flops_per_byte"] <= ridge * 1.001
        return
    below, above = (asked(batch=crossing * by, **roofs)["roofline"]["intensity_flops_per_byte"] for by in (0.99, 1.01))
    assert below < ridge < above


@QUICK
@given(options=dense_options(), batch=batches, context=contexts)
def test_operations_sum_to_the_totals(options: dict[str, Any], batch: int, context: int) -> None:
    found = asked(gpu="H100", batch=batch, context=context, **options)
    bound = sum(max(op["bytes"] / 3350e9, op["flops"] / 989.4e12) for op in found["operations"])
    assert found["roofline"]["at_roof"]["step_s"] == near(bound)


@FEW
@given(rows=st.permutations(range(6)))
def test_rows_of_a_table_are_judged_alone(rows: list[int], tmp_path: Path) -> None:
    cells = [f"{n},H100,7B,{4**n},{150 * 3**n}" for n in range(6)]
    path = tmp_path / "m.csv"
    path.write_text("\n".join(["label,gpu,params,batch,tokens_per_s", *(cells[n] for n in rows)]), encoding="utf-8")
    found = roofline(csv=path)
    assert isinstance(found, Measurements)
    alone = {n: asked(gpu="H100", params="7B", batch=4**n, tokens_per_s=150 * 3**n)["verdict"] for n in range(6)}
    assert [verdict["verdict"] for verdict in found.to_dict()["verdicts"]] == [alone[n] for n in rows]


@MANY
@given(shape=shapes(), batch=batches, context=contexts, prompts=st.booleans())
def test_more_devices_never_have_more_to_do_each(shape: ModelShape, batch: int, context: int, prompts: bool) -> None:
    load = Load(phase=Phase.PREFILL if prompts and context else Phase.DECODE, batch=batch, context_tokens=context)
    each = [totals(shape, replace(load, tensor_parallel=split)) for split in (1, 2, 4, 8)]
    for fewer, more in pairwise(each):
        assert more[0] <= fewer[0] * (1 + 1e-12)
        assert more[1] <= fewer[1] * (1 + 1e-12)


@MANY
@given(shape=shapes(), batch=batches, context=contexts, more=st.integers(0, 4096))
def test_bytes_and_flops_grow_with_the_load(shape: ModelShape, batch: int, context: int, more: int) -> None:
    here = totals(shape, Load(batch=batch, context_tokens=context))
    for load in (Load(batch=batch + more, context_tokens=context), Load(batch=batch, context_tokens=context + more)):
        there = totals(shape, load)
        assert there[0] >= here[0] * (1 - 1e-12)
        assert there[1] >= here[1] * (1 - 1e-12)


@MANY
@given(shape=shapes(), tokens=batches)
def test_linear_layers_cannot_tell_a_prompt_from_a_batch(shape: ModelShape, tokens: int) -> None:
    prompt = step_operations(shape, Load(phase=Phase.PREFILL, batch=1, context_tokens=tokens))
    batch = step_operations(shape, Load(batch=tokens, context_tokens=tokens))
    flops = [{op.name: op.flops for op in ops if op.weight_bytes and op.name != "head"} for ops in (prompt, batch)]
    assert flops[0] == pytest.approx(flops[1])


@MANY
@given(shape=shapes(), batch=batches, context=contexts)
def test_narrower_weights_and_caches_never_move_more(shape: ModelShape, batch: int, context: int) -> None:
    load = Load(batch=batch, context_tokens=context)
    here = totals(shape, load)
    for narrow in (replace(shape, weight_bits=4.0), replace(shape, kv_bits=8.0)):
        assert totals(narrow, load)[0] <= here[0]
        assert totals(narrow, load)[1] == here[1]


@MANY
@given(shape=shapes(), batch=batches)
def test_a_mixture_streams_no_more_than_all_its_experts(shape: ModelShape, batch: int) -> None:
    def streamed(tokens: float) -> float:
        return sum(op.weight_bytes for op in step_operations(shape, Load(batch=tokens)))

    assert streamed(1) <= streamed(batch) * (1 + 1e-12) <= streamed(1e9) * (1 + 1e-9)
