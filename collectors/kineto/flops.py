"""FLOPs and bytes of traced operations from their recorded input shapes.

Only operations that launch kernels themselves are counted, so that aten::linear is not added to the
aten::addmm inside it; a kernel names the innermost operation, which for attention is the one ending in
_forward. Products cost 2·m·n·k; attention 4·b·h·q·k·d, as PyTorch's own FLOP counter has it.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from heuristics.observations import OperationTotal
from heuristics.vocabulary import Dtype

Shape = Sequence[int]
Work = tuple[float, float]
"""(FLOPs, elements moved)."""


def _product(a: Shape, b: Shape) -> Work:
    """[m, k] · [k, n]."""
    (m, k), (k2, n) = a, b
    if k != k2:
        raise ValueError("inner dimensions differ")
    return 2.0 * m * k * n, float(m * k + k * n + m * n)


def _batched(a: Shape, b: Shape) -> Work:
    (batch, *left), (_, *right) = a, b
    flops, elements = _product(left, right)
    return batch * flops, batch * elements


def _attention(q: Shape, k: Shape, v: Shape) -> Work:
    """[b, h, q, d], [b, h_kv, k, d], [b, h_kv, k, d_v]."""
    b, h, tokens, d = q
    keys, d_v = k[2], v[3]
    flops = 2.0 * b * h * tokens * keys * (d + d_v)
    return flops, float(prod(q) + prod(k) + prod(v) + b * h * tokens * d_v)


def _tokens_first(shape: Shape) -> Shape:
    """[b, tokens, h, d] as [b, h, tokens, d]."""
    b, tokens, h, d = shape
    return b, h, tokens, d


def _inner_attention(shapes: list[Shape]) -> Work:
    """What flash and memory-efficient attention hand to their kernels."""
    if any(len(shape) == 1 for shape in shapes[3:6]):
        raise ValueError("packed sequences: their lengths are not in the shapes")
    q, k, v = (_tokens_first(shape) for shape in shapes[:3])
    return _attention(q, k, v)


_RULES: dict[str, Callable[[list[Shape]], Work]] = {
    "aten::mm": lambda s: _product(s[0], s[1]),
    "aten::addmm": lambda s: _product(s[1], s[2]),
    "aten::_addmm_activation": lambda s: _product(s[1], s[2]),
    "aten::bmm": lambda s: _batched(s[0], s[1]),
    "aten::baddbmm": lambda s: _batched(s[1], s[2]),
    "aten::_scaled_mm": lambda s: _product(s[0], s[1]),
    "aten::_int_mm": lambda s: _product(s[0], s[1]),
    "aten::_scaled_dot_product_flash_attention": lambda s: _attention(s[0], s[1], s[2]),
    "aten::_scaled_dot_product_efficient_attention": lambda s: _attention(s[0], s[1], s[2]),
    "aten::_scaled_dot_product_cudnn_attention": lambda s: _attention(s[0], s[1], s[2]),
    "aten::_flash_attention_forward": _inner_attention,
    "aten::_efficient_attention_forward": _inner_attention,
    "aten::_cudnn_attention_forward": lambda s: _attention(s[0], s[1], s[2]),
}

OPERATION_NAMES = tuple(_RULES)

MOST_FLOPS = 1e24
"""No single operation does more."""

_ELEMENT_BYTES = {
    "float": 4,
    "double": 8,
    "c10::half": 2,
    "c10::bfloat16": 2,
    "int": 4,
    "signed char": 1,
    "unsigned char": 1,
}
_DTYPES = {
    "float": Dtype.FP32,
    "c10::half": Dtype.FP16,
    "c10::bfloat16": Dtype.BF16,
    "signed char": Dtype.INT8,
}


def element_type(type_name: str) -> tuple[int, Dtype | None]:
    """(bytes an element, arithmetic type) of a C++ type name; two bytes where it is unknown."""
    lowered = type_name.lower()
    if "float8" in lowered:
        return 1, Dtype.FP8
    return _ELEMENT_BYTES.get(lowered, 2), _DTYPES.get(lowered)


class OperationLog:
    """Operations with shapes, by external id; equal signatures are kept once."""

    def __init__(self) -> None:
        self._signatures: dict[tuple[str, float, float, Dtype | None], int] = {}
        self._external = array("q")
        self._signature = array("i")

    def __len__(self) -> int:
        return len(self._external)

    def add(self, external: int, name: str, dims: Any, types: Any) -> None:
        """Record one operation; shapes that do not fit its rule are passed over."""
        rule = _RULES.get(name)
        if rule is None or not isinstance(dims, list):
            return
        try:
            flops, elements = rule([[int(n) for n in shape] if isinstance(shape, list) else [] for shape in dims])
        except (ValueError, IndexError, TypeError, OverflowError):
            return
        if not (0.0 < flops < MOST_FLOPS and 0.0 < elements < MOST_FLOPS):
            return
        first = next((t for t in types if isinstance(t, str) and t), "") if isinstance(types, list) else ""
        size, dtype = element_type(first)
        key = (name, flops, elements * size, dtype)
        self._external.append(external)
        self._signature.append(self._signatures.setdefault(key, len(self._signatures)))

    def totals(self, external: np.ndarray, length_ns: np.ndarray) -> tuple[OperationTotal, ...]:
        """Operations whose kernels are among the device events given by external id and length."""
        if not self._signatures or external.size == 0:
            return ()
        known = np.array(self._external, np.int64)
        signature = np.array(self._signature, np.int64)
        order = np.argsort(known, kind="stable")
        known, signature = known[order], signature[order]
        place = np.minimum(np.searchsorted(known, external), known.size - 1)
        match = (known[place] == external) & (external >= 0)
        rows = len(self._signatures)
        kernel_ns = np.bincount(signature[place[match]], weights=length_ns[match], minlength=rows)
        calls = np.bincount(signature[np.unique(place[match])], minlength=rows)
        found = [
            OperationTotal(
                name=name,
                flops=flops * int(calls[i]),
                bytes=moved * int(calls[i]),
                device_s=float(kernel_ns[i]) / 1e9,
                launches=int(calls[i]),
                dtype=dtype,
            )
            for (name, flops, moved, dtype), i in self._signatures.items()
            if calls[i]
        ]
        return tuple(sorted(found, key=lambda op: (-op.device_s, op.name, -op.flops, -op.bytes)))
