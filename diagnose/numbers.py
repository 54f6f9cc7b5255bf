"""From numbers to a diagnosis: the roofs' answer to a load, and with a measured speed also the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from shlex import quote

from diagnose import __version__
from diagnose.clock import now_text
from diagnose.given import dtype_named, scaled
from diagnose.stated import EXAMPLE, Options, load_of, work_of
from heuristics.advice.actions import advise
from heuristics.assemble import Given, device_cases
from heuristics.candidates import Candidate, fits, ranked
from heuristics.case import WEIGHT_ONLY_BITS
from heuristics.errors import DiagnoseError
from heuristics.gpus import GpuPart, part_named
from heuristics.judge import judge
from heuristics.observations import Observation, Serving
from heuristics.operations import Load, Phase
from heuristics.ranking import ranking
from heuristics.roofs import Device, table_dtype
from heuristics.step import Forecast, forecast
from heuristics.verdict import Diagnosis, Judgement
from heuristics.vocabulary import Dtype, Share
from heuristics.work import ModelWork, StreamedWork, Work

SOURCE = "as given"
_ROOFS = ("bandwidth_gb_s", "tflops")


def diagnose_numbers(options: Options, gpus: Sequence[str] = (), prices: Sequence[str] = ()) -> Diagnosis:
    """The diagnosis of numbers; of several devices the first of the ranking stands at the top.

    Raises:
        DiagnoseError: options contradict each other, or lack what the arithmetic needs.
        UnknownGpu: no part, or several, have that name.
        UnusableModel: the model cannot be read.
    """
    parts = list({part.name: part for part in map(part_named, gpus)}.values())
    usd_per_hour = _prices(prices, parts)
    work, load = work_of(options), load_of(options)
    step_s = _step_s(options, work, load)
    _check(options, parts, step_s)
    asked: list[GpuPart | None] = [*parts] or [None]
    givens = {part.name if part else "": _given(options, part, work, load) for part in asked}
    found = {name: _forecast(given, work, load) for name, given in givens.items()}
    order = ranked(list(found.values()), usd_per_hour)
    first = order[0].gpu
    given, top = givens[first], found[first]
    judged = _judged(given, top, _observed(options, load, work, step_s))
    advice, withheld = advise(judged)
    device = _device(given.part)
    whole = replace(judged, device=device)
    return Diagnosis(
        kind="numbers",
        whole=whole,
        model=work.name,
        devices=(whole,),
        forecast=top,
        advice=advice,
        withheld=withheld,
        candidates=_shown(order, usd_per_hour),
        ranking=ranking(list(found.values()), usd_per_hour) if len(order) > 1 or usd_per_hour else None,
        warnings=tuple(dict.fromkeys([*whole.warnings, *_warnings(top)])),
        tool_version=__version__,
        created_at=now_text(),
    )


def _check(options: Options, parts: Sequence[GpuPart], step_s: float | None) -> None:
    if not parts and len(options.given(*_ROOFS)) < 2:
        raise DiagnoseError("the device's roofs are not known", hint=EXAMPLE + "; or --bandwidth-gb-s and --tflops")
    if len(parts) > 1 and step_s is not None:
        raise DiagnoseError("a speed was measured on one device, and several are named", hint="give one --gpu with it")
    if len(parts) > 1 and options.given(*_ROOFS):
        raise DiagnoseError("--bandwidth-gb-s and --tflops are one device's, and several are named", hint="one --gpu")


def _prices(prices: Sequence[str], parts: Sequence[GpuPart]) -> dict[str, float]:
    found = {}
    for typed in prices:
        name, _, usd = typed.rpartition("=")
        if not name:
            raise DiagnoseError(f"{typed!r} is no price", hint="--price H100=2.50, in US dollars an hour and device")
        part = part_named(name)
        if part not in parts:
            raise DiagnoseError(f"a price for {part.name}, which is not asked about", hint=f"add --gpu '{part.name}'")
        found[part.name] = scaled("price", usd, 1.0, example=quote(f"{name}=2.50")) or 0.0
    return found


def _given(options: Options, part: GpuPart | None, work: Work, load: Load) -> Given:
    dtype = dtype_named(options.dtype)
    if dtype is None and options.tflops is not None:
        dtype = Dtype.BF16 if part is None else table_dtype(part, None)
    if dtype is None and isinstance(work, ModelWork) and work.shape.activation_bits == 32.0:
        dtype = Dtype.FP32
    return Given(
        part=part,
        model=work.shape if isinstance(work, ModelWork) else None,
        work=work,
        dtype=dtype,
        bandwidth_bytes_per_s=scaled("bandwidth_gb_s", options.bandwidth_gb_s, 1e9),
        flops_per_s=scaled("tflops", options.tflops, 1e12),
        tensor_parallel=load.tensor_parallel,
    )


def _forecast(given: Given, work: Work, load: Load) -> Forecast:
    part, roofs = given.part, device_cases([], given)[0].roofs
    assert roofs is not None
    return forecast(
        work,
        load,
        roofs,
        gpu=part.name if part else None,
        memory_bytes=part.memory_bytes if part else None,
        flops_per_s=part.dense_flops_per_s if part else None,
    )


def _step_s(options: Options, work: Work, load: Load) -> float | None:
    """The measured time of a step."""
    step_ms, tokens = options.step_ms, options.tokens_per_s
    if step_ms is not None and tokens is not None:
        raise DiagnoseError("--tokens-per-s and --step-ms state the speed twice", hint="give one of them")
    if tokens is not None and not work.generates:
        raise DiagnoseError("one layer or kernel makes no tokens", hint="give its time instead: --step-ms 0.5")
    if tokens is not None:
        return load.tokens / (scaled("tokens_per_s", tokens, 1.0) or 1.0)
    return scaled("step_ms", step_ms, 1e-3)


def _observed(options: Options, load: Load, work: Work, step_s: float | None) -> Observation | None:
    """The measurement as a serving engine would have stated it."""
    if step_s is None:
        return None
    batched = work.generates or options.batch is not None
    prefill = load.phase is Phase.PREFILL
    serving = Serving(
        engine="the speed given",
        busy=True,
        step_s=step_s,
        steps_per_s=1.0 / step_s,
        batch=load.batch if batched else None,
        tokens_per_step=load.tokens if prefill else None,
        context_tokens=load.context_tokens or None,
        tokens_per_s=load.batch / step_s if work.generates and not prefill else None,
        prompt_tokens_per_s=load.tokens / step_s if work.generates and prefill else None,
    )
    return Observation(source=SOURCE, payload=serving, phase=Phase.PREFILL if prefill else None)


def _judged(given: Given, found: Forecast, observed: Observation | None) -> Judgement:
    """The engine's verdict where something was measured; otherwise the step's operations and no verdict."""
    if observed is not None:
        return judge(device_cases([observed], given)[0])
    return Judgement(verdict=None, roofs=found.roofs, operations=found.operations, warnings=found.roofs.warnings)


def _device(part: GpuPart | None) -> Device | None:
    if part is None:
        return None
    return Device(name=part.name, vendor=part.vendor, memory_bytes=part.memory_bytes)


def _shown(order: tuple[Candidate, ...], usd_per_hour: Mapping[str, float]) -> tuple[Candidate, ...]:
    return order if len(order) > 1 or usd_per_hour else ()


def _warnings(found: Forecast) -> list[str]:
    said = []
    load = found.here.load
    if fits(found) is False:
        held = found.fit.reason or f"it holds {found.fit.batch} such sequences beside the weights"
        said.append(f"this does not fit the memory of {found.gpu}: {held}")
    if isinstance(found.work, StreamedWork) and found.cache is None:
        said.append("the KV cache is not counted: give --layers, --heads, --kv-heads and --head-dim, or --model")
    elif found.cache is not None and not load.context_tokens:
        said.append("no context: the KV cache is counted as empty; give --context")
    narrow = found.work.weight_bits <= WEIGHT_ONLY_BITS and found.roofs.dtype is not Dtype.FP4
    if narrow and found.here.bound is Share.COMPUTE:
        said.append(
            "weights this narrow are unpacked before the product: the arithmetic reached may be far below the roof"
        )
    return said
