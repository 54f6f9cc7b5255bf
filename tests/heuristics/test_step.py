"""Forecasts and crossovers: exact against brute force, and how they must move with the load."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from heuristics.candidates import by_cost, ranked
from heuristics.crossover import operation_crossovers, step_crossover
from heuristics.errors import UnusableModel
from heuristics.gpus import part_named
from heuristics.model_shape import Experts
from heuristics.operations import Load, Phase
from heuristics.roofs import Roofs, datasheet_roofs
from heuristics.step import Forecast, forecast, point
from heuristics.work import KernelWork, LayerWork, ModelWork, StreamedWork, Work
from tests.heuristics.cases import H100, LLAMA_8B

MODEL = ModelWork(shape=LLAMA_8B)
EIGHT = StreamedWork(parameters=8e9, active_parameters=8e9, weight_bits=16.0, attention=LLAMA_8B)
MIXTURE = StreamedWork(parameters=47e9, active_parameters=13e9, weight_bits=16.0, experts=(8, 2))

BATCHES = st.floats(0.5, 4096.0)
CONTEXTS = st.floats(0.0, 200_000.0)
WORKS = st.sampled_from([MODEL, EIGHT, MIXTURE, LayerWork(rows=4096, columns=11008, weight_bits=8.0)])


def of(name: str, work: Work, **load: float) -> Forecast:
    part = part_named(name)
    return forecast(
        work,
        Load(**load),
        datasheet_roofs(part),
        gpu=part.name,
        memory_bytes=part.memory_bytes,  # type: ignore[arg-type]
    )


def halved(roofs: Roofs) -> Roofs:
    assert roofs.bandwidth_bytes_per_s is not None
    return replace(roofs, bandwidth_bytes_per_s=roofs.bandwidth_bytes_per_s / 2)


@given(WORKS, BATCHES, CONTEXTS)
def test_twice_the_bytes_is_half_the_bandwidth(work: Work, batch: float, context: float) -> None:
    load = Load(batch=batch, context_tokens=context)
    moved = sum(op.bytes for op in work.operations(load))
    flops = sum(op.flops for op in work.operations(load))
    twice = point(KernelWork(flops=flops, bytes=2.0 * moved), load, H100)
    slow = point(KernelWork(flops=flops, bytes=moved), load, halved(H100))
    assert twice.at_roof == slow.at_roof
    assert twice.achievable == slow.achievable


@given(WORKS, BATCHES, CONTEXTS, st.floats(1.0, 8.0))
def test_floors_never_fall_with_batch_or_context(work: Work, batch: float, context: float, more: float) -> None:
    load = Load(batch=batch, context_tokens=context)
    here = point(work, load, H100).at_roof.step_s
    for larger in (replace(load, batch=more * batch), replace(load, context_tokens=more * context)):
        assert point(work, larger, H100).at_roof.step_s >= here * (1 - 1e-12)


@given(st.sampled_from([MODEL, EIGHT, MIXTURE]), BATCHES, CONTEXTS, st.sampled_from([1, 2, 4, 8, 16]))
def test_more_devices_never_have_more_bytes_each(work: Work, batch: float, context: float, split: int) -> None:
    def moved(devices: int) -> float:
        load = Load(batch=batch, context_tokens=context, tensor_parallel=devices)
        return sum(op.bytes for op in work.operations(load))

    assert moved(2 * split) <= moved(split) * (1 + 1e-12)


@given(st.integers(256, 20_000), st.integers(256, 20_000), st.sampled_from([16.0, 8.0, 4.0]))
def test_the_crossover_of_a_linear_layer_is_where_brute_force_finds_it(rows: int, columns: int, bits: float) -> None:
    layer = LayerWork(rows=rows, columns=columns, weight_bits=bits)
    ridge = H100.ridge_flops_per_byte or 0.0
    found = step_crossover(layer, Load(), ridge).batch

    def intensity(batch: float) -> float:
        (op,) = layer.operations(Load(batch=batch))
        return op.intensity_flops_per_byte

    if found is None:
        assert intensity(1e15) <= ridge * (1 + 1e-9)
        return
    assume(found < 1e9)
    assert intensity(found) == pytest.approx(ridge, rel=1e-9)
    assert intensity(found * 0.999) < ridge < intensity(found * 1.001)


@given(st.integers(2, 256), st.integers(1, 8), st.floats(1e9, 4e11))
def test_the_crossover_of_a_mixture_is_on_the_ridge(count: int, chosen: int, routed: float) -> None:
    assume(chosen < count)
    active = 1e9 + routed * chosen / count
    work = StreamedWork(parameters=1e9 + routed, active_parameters=active, weight_bits=16.0, experts=(count, chosen))
    ridge = H100.ridge_flops_per_byte or 0.0
    found = step_crossover(work, Load(), ridge).batch
    assert found is not None
    (op,) = work.operations(Load(batch=found))
    assert op.intensity_flops_per_byte == pytest.approx(ridge, rel=1e-6)


def test_every_operation_of_a_model_meets_the_ridge_at_its_crossover() -> None:
    ridge = H100.ridge_flops_per_byte or 0.0
    shape = replace(LLAMA_8B, experts=Experts(count=8, per_token=2, intermediate_size=14336, layers=32))
    crossing = 0
    for work in (MODEL, ModelWork(shape=shape)):
        for name, found in operation_crossovers(work, Load(context_tokens=4096), ridge):
            if found.batch is None:
                assert found.reason is not None
                assert found.reason.startswith("never")
                continue
            load = Load(batch=found.batch, context_tokens=4096)
            op = next(op for op in work.operations(load) if op.name == name)
            assert op.intensity_flops_per_byte == pytest.approx(ridge, rel=1e-6)
            crossing += 1
    assert crossing >= 10


def test_the_cache_keeps_a_step_from_crossing() -> None:
    assert step_crossover(EIGHT, Load(), 295.3).batch == pytest.approx(295.3, rel=0.02)
    found = step_crossover(EIGHT, Load(context_tokens=4096), 295.3)
    assert found.batch is None
    assert "KV cache" in (found.reason or "")
    assert "33.8 FLOP/byte" in (found.reason or "")


def test_the_work_that_has_no_weights_crosses_nowhere_or_everywhere() -> None:
    latent = operation_crossovers(MODEL, Load(context_tokens=100), 1.0)
    assert "any batch" in (dict(latent)["attention"].reason or "")


def test_a_kernel_has_no_batch() -> None:
    found = forecast(KernelWork(flops=1e12, bytes=1e9), Load(), H100)
    assert (found.step_crossover.batch, found.by_batch, found.cache, found.other_phase) == (None, (), None, None)
    assert found.here.at_roof.tokens_per_s is None


def test_what_fits_the_memory() -> None:
    assert of("H100", MODEL, batch=1, context_tokens=4096).fit.batch == 119
    assert of("H100", MIXTURE, batch=1).fit.batch == 0
    assert "weights alone" in (of("H100", MIXTURE, batch=1).fit.reason or "")
    assert of("H100", MODEL).fit.batch is None
    assert forecast(MODEL, Load(context_tokens=1), H100).fit.reason == "the device's memory is not known"


def test_a_window_may_keep_the_cache_smaller_than_the_weights() -> None:
    windowed = ModelWork(shape=replace(LLAMA_8B, sliding_window=1024, sliding_layers=32))
    cache = forecast(windowed, Load(context_tokens=4096), H100).cache
    assert cache is not None
    assert cache.equal_context_tokens is None
    half = ModelWork(shape=replace(LLAMA_8B, sliding_window=1024, sliding_layers=16))
    cache, whole = (forecast(w, Load(context_tokens=4096), H100).cache for w in (half, MODEL))
    assert cache is not None
    assert whole is not None
    assert whole.equal_context_tokens is not None
    assert cache.equal_context_tokens == pytest.approx(2 * whole.equal_context_tokens - 1024, rel=1e-6)


def test_prefill_stands_beside_decode_and_decode_beside_prefill() -> None:
    decode = forecast(MODEL, Load(batch=8, context_tokens=4096), H100).other_phase
    prefill = forecast(MODEL, Load(phase=Phase.PREFILL, context_tokens=4096), H100).other_phase
    assert decode is not None
    assert prefill is not None
    assert (decode.load.phase, decode.load.batch, decode.bound.value) == (Phase.PREFILL, 1.0, "compute")
    assert (prefill.load.phase, prefill.bound.value) == (Phase.DECODE, "memory")


def test_devices_are_ranked_whatever_their_order() -> None:
    found = [of(name, EIGHT, batch=1, context_tokens=512) for name in ("A100", "H200", "H100", "T4")]
    prices = {"H200 SXM": 3.5, "H100 SXM5": 2.5, "T4": 0.1}
    order = ranked(found, prices)
    assert order == ranked(found[::-1], prices)
    assert [c.gpu for c in order] == ["H200 SXM", "H100 SXM5", "A100 80GB SXM", "T4"]
    assert [c.fits for c in order] == [True, True, True, False]
    assert [c.gpu for c in by_cost(order)] == ["H200 SXM", "H100 SXM5", "T4"]


def test_experts_that_do_not_add_up_are_refused() -> None:
    odd = StreamedWork(parameters=47e9, active_parameters=1e9, weight_bits=16.0, experts=(8, 2))
    with pytest.raises(UnusableModel, match="2 of 8 experts"):
        odd.operations(Load())
    with pytest.raises(UnusableModel, match="more parameters"):
        StreamedWork(parameters=1e9, active_parameters=2e9, weight_bits=16.0)
