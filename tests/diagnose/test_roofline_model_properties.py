"""What must hold of ``roofline(model=...)`` for any config.json: latent attention, windows, tied heads, mixtures."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnose import Result, roofline

STRESS = max(1, settings().max_examples // 60)
"""More of everything under the profile ``stress``."""
SOME = settings(max_examples=15 * STRESS)
FEW = settings(max_examples=5 * STRESS)
GPUS = ["H100 SXM5", "L4", "MI300X"]

LATENT = {"kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128}
batches = st.integers(1, 1024)
contexts = st.integers(1, 65_536)


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    """A decoder's config.json, of every family, whose heads eight devices split."""
    layers = draw(st.integers(2, 48))
    config: dict[str, Any] = {
        "num_hidden_layers": layers,
        "hidden_size": draw(st.sampled_from([1024, 4096])),
        "num_attention_heads": 8 * draw(st.sampled_from([1, 2, 4])),
        "num_key_value_heads": draw(st.sampled_from([1, 2, 8])),
        "head_dim": 128,
        "intermediate_size": draw(st.sampled_from([4096, 14336])),
        "vocab_size": draw(st.sampled_from([32_000, 151_936])),
        "tie_word_embeddings": draw(st.booleans()),
        "torch_dtype": "bfloat16",
    }
    family = draw(st.sampled_from(["grouped", "windows", "latent"]))
    if family == "windows":
        config |= {"sliding_window": draw(st.sampled_from([512, 4096])), "model_type": "gemma2"}
    if family == "latent":
        config |= {**LATENT, "q_lora_rank": draw(st.sampled_from([None, 1536]))}
    if draw(st.booleans()):
        config |= {"num_experts": draw(st.sampled_from([8, 64])), "num_experts_per_tok": draw(st.integers(1, 8))}
    if draw(st.booleans()):
        config["quantization_config"] = {"quant_method": draw(st.sampled_from(["awq", "fp8"]))}
    return config


def written(config: dict[str, Any], folder: Path) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def asked(**options: Any) -> dict[str, Any]:
    found = roofline(**options)
    assert isinstance(found, Result)
    return found.to_dict()


def floor(**options: Any) -> float:
    return float(asked(**options)["roofline"]["at_roof"]["step_s"])


def near(value: float) -> Any:
    """Within what is left of two numbers that were rounded to six digits."""
    return pytest.approx(value, rel=1e-4)


def totals(**options: Any) -> tuple[float, float]:
    operations = asked(**options)["operations"]
    return sum(op["bytes"] for op in operations), sum(op["flops"] for op in operations)


@SOME
@given(config=configurations(), batch=batches, context=contexts, bandwidth=st.floats(100, 10_000))
def test_half_the_bandwidth_is_twice_the_time_of_what_it_binds(
    config: dict[str, Any], batch: int, context: int, bandwidth: float, tmp_path: Path
) -> None:
    load = {"model": written(config, tmp_path), "batch": batch, "context": context, "tflops": 1e12}
    once = floor(**load, bandwidth_gb_s=bandwidth)
    assert floor(**load, bandwidth_gb_s=bandwidth / 2) == near(2 * once)
    assert once == near(totals(**load, bandwidth_gb_s=bandwidth)[0] / (bandwidth * 1e9))


@SOME
@given(config=configurations(), batch=batches, context=contexts)
def test_the_step_is_the_sum_of_its_operations(
    config: dict[str, Any], batch: int, context: int, tmp_path: Path
) -> None:
    load = {"model": written(config, tmp_path), "batch": batch, "context": context, "gpu": "H100"}
    found = asked(**load)
    step, roofs = found["roofline"], found["roofs"]
    bandwidth, peak = roofs["bandwidth_bytes_per_s"], roofs["flops_per_s"]
    moved, flops = (sum(op[name] for op in found["operations"]) for name in ("bytes", "flops"))
    step_s = step["at_roof"]["step_s"]
    assert step_s == near(sum(max(op["bytes"] / bandwidth, op["flops"] / peak) for op in found["operations"]))
    assert step["intensity_flops_per_byte"] == near(flops / moved)
    assert step["bandwidth_fraction"] == near(moved / step_s / bandwidth)
    assert step["compute_fraction"] == near(flops / step_s / peak)
    # With a measured time the verdict counts the same bytes and FLOPs.
    measured = asked(**load, step_ms=2e3 * step_s)["measured"]
    assert measured["bytes_per_step"] == near(moved)
    assert measured["flops_per_step"] == near(flops)


@FEW
@given(config=configurations(), batch=batches, context=contexts, names=st.permutations(GPUS))
def test_the_order_of_devices_changes_nothing(
    config: dict[str, Any], batch: int, context: int, names: list[str], tmp_path: Path
) -> None:
    load = {"model": written(config, tmp_path), "batch": batch, "context": context}
    here, there = (asked(gpu=order, **load) for order in (names, GPUS))
    assert {**here, "created_at": ""} == {**there, "created_at": ""}


@SOME
@given(config=configurations(), batch=batches, context=contexts, phase=st.sampled_from(["decode", "prefill"]))
def test_more_devices_never_have_more_to_do_each(
    config: dict[str, Any], batch: int, context: int, phase: str, tmp_path: Path
) -> None:
    load = {"model": written(config, tmp_path), "batch": batch, "context": context, "phase": phase, "gpu": "H100"}
    each = [totals(**load, tensor_parallel=split) for split in (1, 2, 4, 8)]
    for fewer, more in pairwise(each):
        assert more[0] <= fewer[0] * (1 + 1e-5)
        assert more[1] <= fewer[1] * (1 + 1e-5)


@SOME
@given(config=configurations(), batch=batches, context=contexts, more=st.integers(1, 4096))
def test_floors_grow_with_batch_and_context(
    config: dict[str, Any], batch: int, context: int, more: int, tmp_path: Path
) -> None:
    load = {"model": written(config, tmp_path), "gpu": "H100"}
    here = floor(**load, batch=batch, context=context)
    assert floor(**load, batch=batch + more, context=context) >= here
    assert floor(**load, batch=batch, context=context + more) >= here


@SOME
@given(config=configurations(), context=contexts)
def test_a_tied_embedding_is_streamed_once_like_an_untied_head_and_leaves_more_memory(
    config: dict[str, Any], context: int, tmp_path: Path
) -> None:
    tied, own = (
        asked(model=written({**config, "tie_word_embeddings": tie}, tmp_path), context=context, gpu="MI300X")
        for tie in (True, False)
    )
    assert tied["operations"] == own["operations"]
    assert tied["roofline"]["fitting_batch"]["batch"] >= own["roofline"]["fitting_batch"]["batch"]


@SOME
@given(context=contexts, window=st.sampled_from([512, 4096]))
def test_layers_with_a_window_read_no_more_than_it(context: int, window: int, tmp_path: Path) -> None:
    config = {
        "num_hidden_layers": 4,
        "hidden_size": 1024,
        "num_attention_heads": 8,
        "vocab_size": 32_000,
        "sliding_window": window,
        "model_type": "gemma2",
    }
    found = asked(model=written(config, tmp_path), context=context, gpu="H100")["roofline"]
    a_layer = found["kv_bytes_per_token"] / 4
    expected = a_layer * (2 * context + 2 * min(context, window) + 4)
    assert found["kv_bytes_per_step"] == near(expected)


@SOME
@given(context=contexts, batch=batches, split=st.sampled_from([1, 2, 8]))
def test_latent_attention_caches_one_vector_a_token_on_every_device(
    context: int, batch: int, split: int, tmp_path: Path
) -> None:
    config = {
        "num_hidden_layers": 61,
        "hidden_size": 7168,
        "num_attention_heads": 128,
        "intermediate_size": 18432,
        "vocab_size": 129_280,
        **LATENT,
    }
    load = {"context": context, "batch": batch, "tensor_parallel": split}
    found = asked(model=written(config, tmp_path), gpu="H200", **load)["roofline"]
    assert found["kv_bytes_per_token"] == 61 * (512 + 64) * 2
    assert found["kv_bytes_per_step"] == near(found["kv_bytes_per_token"] * batch * (context + 1))
