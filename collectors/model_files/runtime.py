"""From the shape a configuration describes to the one that runs: bits as they are stored, and as flags change them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from collectors.model_files.quantities import DTYPE_BITS, METHOD_BITS, is_stated, kv_bits
from collectors.model_files.safetensors import Amount, Part, Stored
from heuristics.errors import UnusableModel
from heuristics.model_shape import ModelShape
from heuristics.operations import Load, step_operations

UNLIKE = 0.1
"""The files' parameters and the configuration's may differ by this fraction: biases, norms, small side matrices."""

_EVERY_EXPERT = Load(batch=1e9)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedModel:
    """A model as an engine's flags or environment state it.

    ``dtype``, ``quantization`` and the cache's types are what the flag says, "auto" where the engine's default is
    that, None where it is not known. ``value_cache_dtype`` is for engines that cache values in a type of their own.
    """

    name_or_path: str
    revision: str | None = None
    dtype: str | None = None
    quantization: str | None = None
    kv_cache_dtype: str | None = None
    value_cache_dtype: str | None = None
    download_dir: str | None = None


def as_stored(shape: ModelShape, found: Stored, warnings: list[str]) -> ModelShape:
    """The shape with bits measured from the files."""
    width = packed_width(shape)
    routed = found.of(Part.ROUTED) if shape.experts is not None else Amount()
    rest = found.of(*({Part.LAYERS, Part.SHARED, Part.ROUTED} - ({Part.ROUTED} if shape.experts else set())))
    expected = layer_parameters(shape)
    stated = rest.count(width), routed.count(width)
    if stated[0] is None or stated[1] is None:
        both = 8.0 * (rest.bytes + routed.bytes) / expected
        return replace(_with_bits(shape, both, both), head_weight_bits=_head_bits(found))
    counted = stated[0] + stated[1]
    if counted and abs(counted / expected - 1.0) > UNLIKE:
        warnings.append(
            f"the files hold {counted:.3g} parameters in layers where the configuration describes {expected:.3g}"
        )
    dense_bits = rest.bits(width) or shape.weight_bits
    shape = _with_bits(shape, dense_bits, routed.bits(width) or dense_bits)
    return replace(shape, head_weight_bits=_head_bits(found))


def packed_width(shape: ModelShape) -> float | None:
    """Bits of a number where several are packed into one, as the configuration states them; None if it does not."""
    return float(int(shape.weight_bits)) if 1.0 <= shape.weight_bits < 16.0 else None


def _head_bits(found: Stored) -> float | None:
    """Bits of the head, or of the embedding that it shares."""
    return found.of(Part.HEAD).bits(None) or found.of(Part.EMBEDDING).bits(None)


def layer_parameters(shape: ModelShape) -> float:
    """Parameters in all layers, every expert counted."""
    bytewise = _with_bits(replace(shape, head_weight_bits=8.0), 8.0, 8.0)
    return sum(op.weight_bytes for op in step_operations(bytewise, _EVERY_EXPERT) if op.name != "head")


def _with_bits(shape: ModelShape, bits: float, routed_bits: float) -> ModelShape:
    """The shape with other bits in its layers; the experts' own where they differ."""
    experts = shape.experts
    if experts is not None:
        own = routed_bits if abs(routed_bits / bits - 1.0) > 1e-3 else None
        experts = replace(experts, weight_bits=own)
    return replace(shape, weight_bits=bits, experts=experts)


def as_run(shape: ModelShape, stated: StatedModel, *, quantised: bool, warnings: list[str]) -> ModelShape:
    """The shape as flags make it run: a type for all numbers, narrower weights, another cache.

    Weights of a quantised checkpoint stay as they are stored. An engine told "auto" runs 32-bit checkpoints in 16.
    """
    plain = _plain_bits(shape, stated, warnings)
    if not quantised:
        if abs(plain - shape.weight_bits) > 1.0:
            warnings.append(f"weights are stored in {shape.weight_bits:g} bits and run in {plain:g}")
        shape = replace(_with_bits(shape, plain, plain), head_weight_bits=None)
        shape = _quantised_on_loading(shape, stated.quantization, plain, warnings)
    elif is_stated(stated.dtype) and (shape.head_weight_bits or plain) >= 16.0:
        shape = replace(shape, head_weight_bits=plain)
    narrow_cache = shape.kv_bits if shape.kv_bits < shape.activation_bits else plain
    shape = replace(shape, activation_bits=plain)
    return with_cache(shape, stated, otherwise=narrow_cache, warnings=warnings)


def _plain_bits(shape: ModelShape, stated: StatedModel, warnings: list[str]) -> float:
    """Bits of whatever is not quantised."""
    if is_stated(stated.dtype):
        found = DTYPE_BITS.get(str(stated.dtype).strip().lower().removeprefix("torch."))
        if found is not None:
            return found
        warnings.append("the type that the engine was told to run in is not known")
    if stated.dtype is not None and shape.activation_bits > 16.0:
        return 16.0
    return shape.activation_bits


def _quantised_on_loading(shape: ModelShape, method: str | None, plain: float, warnings: list[str]) -> ModelShape:
    """Weights narrowed by the engine as it loads a plain checkpoint; the head is left alone."""
    if not is_stated(method):
        return shape
    kind = str(method).strip().lower()
    bits = METHOD_BITS.get(kind)
    if bits is None:
        warnings.append("the engine was told to quantise in a way that is not known: weights count as stored")
        return shape
    return replace(_with_bits(shape, plain if kind == "experts_int8" else bits, bits), head_weight_bits=plain)


def with_cache(shape: ModelShape, stated: StatedModel, *, otherwise: float, warnings: list[str]) -> ModelShape:
    """The shape with the cache's bits: as flags state them, the mean of keys and values, or otherwise."""
    keys, values = stated.kv_cache_dtype, stated.value_cache_dtype
    for flag in (keys, values):
        if is_stated(flag) and kv_bits(flag) is None:
            warnings.append("the cache's type that the engine was told is not known: counted as the model's")
    key_bits = kv_bits(keys) or otherwise
    return replace(shape, kv_bits=(key_bits + (kv_bits(values) or (otherwise if values else key_bits))) / 2.0)


def checked(shape: ModelShape) -> ModelShape:
    """The shape, if one step of it can be counted at all.

    Raises:
        UnusableModel: dimensions that describe no model.
    """
    if not 0.0 < layer_parameters(shape) < 1e15:
        raise UnusableModel("the model's dimensions describe no model")
    return shape
