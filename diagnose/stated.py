"""From options of ``roofline`` to the work and the load that they state."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace

from diagnose.given import Path, Spelling, dtype_named, model_named, option, scaled, whole
from heuristics.crossover import ARITHMETIC_BITS
from heuristics.errors import DiagnoseError
from heuristics.model_shape import Experts, ModelShape
from heuristics.operations import Load, Phase
from heuristics.vocabulary import Dtype
from heuristics.work import KernelWork, LayerWork, ModelWork, StreamedWork, Work

Number = float | int | str | None

_SUFFIXES = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
_SHAPE = ("layers", "heads", "hidden_size", "intermediate_size", "vocab_size")
"""What a whole decoder is counted from, operation by operation."""
_OF_ATTENTION = ("layers", "heads", "kv_heads", "head_dim")
WIDEST_BITS = 64.0
EXAMPLE = "diagnose roofline --gpu H100 --params 8B --batch 32, or --model config.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of one question as they were typed; None where one was not."""

    model: Path | None = None
    params: Number = None
    active_params: Number = None
    weight_bits: Number = None
    head_bits: Number = None
    dtype: str | None = None
    layers: Number = None
    heads: Number = None
    kv_heads: Number = None
    head_dim: Number = None
    hidden_size: Number = None
    intermediate_size: Number = None
    vocab_size: Number = None
    experts: Number = None
    experts_per_token: Number = None
    kv_bits: Number = None
    tensor_parallel: Number = None
    linear: str | None = None
    flops: Number = None
    bytes: Number = None
    batch: Number = None
    context: Number = None
    phase: str | None = None
    tokens_per_s: Number = None
    step_ms: Number = None
    bandwidth_gb_s: Number = None
    tflops: Number = None

    def given(self, *names: str) -> list[str]:
        """Those of the names that were typed."""
        return [name for name in names if getattr(self, name) is not None]


NAMES = tuple(field.name for field in fields(Options))


def load_of(options: Options) -> Load:
    """The load of a step.

    Raises:
        DiagnoseError: a number makes no sense, or a prompt has no tokens.
    """
    phase = (options.phase or Phase.DECODE.value).lower()
    if phase not in set(Phase):
        raise DiagnoseError(f"no phase named {options.phase!r}", hint="--phase decode, or --phase prefill")
    context = 0.0 if _is_zero(options.context) else scaled("context", options.context, 1.0) or 0.0
    if phase == Phase.PREFILL.value and not context:
        raise DiagnoseError("a prefill step needs the prompt's length", hint="--phase prefill --context 2048")
    return Load(
        phase=Phase(phase),
        batch=scaled("batch", options.batch, 1.0) or 1.0,
        context_tokens=context,
        tensor_parallel=whole("tensor_parallel", options.tensor_parallel),
    )


def work_of(options: Options) -> Work:
    """What a step does.

    Raises:
        DiagnoseError: it is stated twice, or not at all, or a number makes no sense.
        UnusableModel: the model cannot be read, or its shape contradicts itself.
    """
    kinds = [
        *options.given("model", "linear"),
        *(["flops"] if options.given("flops", "bytes") else []),
        *(["params"] if options.given("params", "active_params") else []),
    ]
    if options.head_bits is not None and kinds not in ([], ["model"]):
        raise DiagnoseError(
            "only a whole model has a head of its own width", hint="give --head-bits with --model, or its shape"
        )
    if len(kinds) > 1:
        both = " and ".join(f"--{option(k)}" for k in kinds)
        raise DiagnoseError(f"{both} state the work twice", hint="give one of --model, --params, --linear, --flops")
    if options.given("flops", "bytes"):
        return _kernel(options)
    if options.linear is not None:
        return _layer(options)
    if options.model is not None:
        return _model(options)
    if kinds:
        return _streamed(options)
    lacking = [name for name in _SHAPE if getattr(options, name) is None]
    if len(lacking) == len(_SHAPE):
        raise DiagnoseError("nothing says what a step does", hint=EXAMPLE)
    if lacking:
        listed = ", ".join(f"--{option(name)}" for name in lacking)
        raise DiagnoseError(f"the model's shape lacks {listed}", hint="add them, or give --params instead")
    return ModelWork(shape=_shape(options))


def parameters(name: str, value: Number) -> float | None:
    """A number of parameters: 6.74e9, or 8B, 350M."""
    factor = 1.0
    if isinstance(value, str):
        found = re.fullmatch(r"\s*([\d.]+)\s*([kmbgt])\s*", value, flags=re.IGNORECASE)
        if found:
            value, factor = found[1], _SUFFIXES[found[2].lower()]
    return scaled(name, value, factor, example="8B")


def _is_zero(value: Number) -> bool:
    try:
        return value is not None and float(value) == 0.0
    except (TypeError, ValueError, OverflowError):
        return False


def _size(options: Options, name: str) -> int | None:
    value = getattr(options, name)
    return None if value is None else whole(name, value)


def _bits(options: Options, name: str) -> float | None:
    """A width; DiagnoseError where no number is stored so wide."""
    found = scaled(name, getattr(options, name), 1.0, example="8")
    if found is not None and found > WIDEST_BITS:
        raise DiagnoseError(
            f"{option(name)} must be {WIDEST_BITS:.0f} at most, not {getattr(options, name)}",
            hint=Spelling.OPTION.example(name, "8"),
        )
    return found


def _arithmetic_bits(options: Options) -> float:
    return ARITHMETIC_BITS[dtype_named(options.dtype) or Dtype.BF16]


def _wide(options: Options) -> float:
    """Bits of activations and cache: 16 unless the arithmetic is wider."""
    return max(16.0, _arithmetic_bits(options))


def _kernel(options: Options) -> KernelWork:
    flops, moved = scaled("flops", options.flops, 1.0), scaled("bytes", options.bytes, 1.0)
    if flops is None or moved is None:
        raise DiagnoseError("a kernel needs both --flops and --bytes", hint="--flops 2.1e12 --bytes 8e9 --step-ms 4")
    return KernelWork(flops=flops, bytes=moved)


def _layer(options: Options) -> LayerWork:
    found = re.fullmatch(r"\s*(\d{1,9})\s*[xX×]\s*(\d{1,9})\s*", str(options.linear))
    if found is None or not int(found[1]) or not int(found[2]):
        raise DiagnoseError(f"{options.linear!r} is no layer's size", hint="--linear 4096x4096: outputs x inputs")
    return LayerWork(
        rows=int(found[1]),
        columns=int(found[2]),
        weight_bits=_bits(options, "weight_bits") or _arithmetic_bits(options),
        activation_bits=_wide(options),
    )


def _model(options: Options) -> ModelWork:
    stated = options.given(*_SHAPE, "kv_heads", "head_dim", "experts", "experts_per_token")
    if stated:
        raise DiagnoseError(f"--model states the shape already, so --{option(stated[0])} cannot", hint="give either")
    shape = model_named(options.model)
    assert shape is not None
    bits, head_bits, kv_bits = (_bits(options, name) for name in ("weight_bits", "head_bits", "kv_bits"))
    work = ModelWork(shape=shape)
    if bits is not None:
        work = work.with_weight_bits(bits)
    shape = work.shape
    return ModelWork(
        shape=replace(shape, head_weight_bits=head_bits or shape.head_weight_bits, kv_bits=kv_bits or shape.kv_bits)
    )


def _shape(options: Options) -> ModelShape:
    layers, heads, hidden, inner, vocabulary = (whole(name, getattr(options, name)) for name in _SHAPE)
    count, chosen = _experts(options) or (0, 0)
    wide = _wide(options)
    bits = _bits(options, "weight_bits") or _arithmetic_bits(options)
    return ModelShape(
        layers=layers,
        heads=heads,
        hidden_size=hidden,
        intermediate_size=inner,
        vocab_size=vocabulary,
        kv_heads=_size(options, "kv_heads") or heads,
        head_dim=_size(options, "head_dim") or max(1, hidden // heads),
        experts=Experts(count=count, per_token=chosen, intermediate_size=inner, layers=layers) if count else None,
        weight_bits=bits,
        head_weight_bits=_bits(options, "head_bits") or max(bits, wide),
        activation_bits=wide,
        kv_bits=_bits(options, "kv_bits") or wide,
        name=f"a model of {layers} layers",
    )


def _experts(options: Options) -> tuple[int, int] | None:
    count, chosen = _size(options, "experts"), _size(options, "experts_per_token")
    if count is None and chosen is None:
        return None
    if count is None or chosen is None or chosen > count:
        raise DiagnoseError(
            "a mixture needs --experts and, no larger, --experts-per-token", hint="--experts 8 --experts-per-token 2"
        )
    return count, chosen


def _streamed(options: Options) -> StreamedWork:
    active = parameters("active_params", options.active_params)
    every = parameters("params", options.params) or active or 0.0
    experts = _experts(options)
    if experts is not None and active is None:
        raise DiagnoseError("experts beside --params need --active-params", hint="--params 47B --active-params 13B")
    return StreamedWork(
        parameters=every,
        active_parameters=active or every,
        weight_bits=_bits(options, "weight_bits") or _arithmetic_bits(options),
        attention=_attention(options),
        experts=experts,
        name=f"{every / 1e9:.3g}B parameters",
    )


def _attention(options: Options) -> ModelShape | None:
    """The shape of attention alone; None where not enough of it is stated."""
    layers, heads = _size(options, "layers"), _size(options, "heads") or _size(options, "kv_heads")
    hidden, head_dim = _size(options, "hidden_size"), _size(options, "head_dim")
    if head_dim is None and hidden is not None and heads is not None:
        head_dim = max(1, hidden // heads)
    if layers is None or heads is None or head_dim is None:
        if options.given(*_OF_ATTENTION):
            raise DiagnoseError(
                "the KV cache needs --layers, --kv-heads and --head-dim",
                hint="--layers 32 --heads 32 --kv-heads 8 --head-dim 128",
            )
        return None
    return ModelShape(
        layers=layers,
        hidden_size=hidden or heads * head_dim,
        heads=heads,
        kv_heads=_size(options, "kv_heads") or heads,
        head_dim=head_dim,
        intermediate_size=1,
        vocab_size=1,
        activation_bits=_wide(options),
        kv_bits=_bits(options, "kv_bits") or _wide(options),
    )
