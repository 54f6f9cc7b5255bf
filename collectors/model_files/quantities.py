"""What an engine's flags and types mean in bits."""

from __future__ import annotations

DTYPE_BITS = {
    "float64": 64.0,
    "float32": 32.0,
    "float": 32.0,
    "fp32": 32.0,
    "f32": 32.0,
    "half": 16.0,
    "float16": 16.0,
    "fp16": 16.0,
    "f16": 16.0,
    "bfloat16": 16.0,
    "bf16": 16.0,
}
"""Bits of the types that a ``--dtype`` flag states."""

KV_BITS = DTYPE_BITS | {
    "int8": 8.0,
    "q8_0": 8.0 * 34 / 32,
    "q5_1": 8.0 * 24 / 32,
    "q5_0": 8.0 * 22 / 32,
    "q4_1": 8.0 * 20 / 32,
    "q4_0": 8.0 * 18 / 32,
    "iq4_nl": 8.0 * 18 / 32,
    "nvfp4": 4.5,
    "fp4_e2m1": 4.25,
}
"""Bits of a cached number, with the scale of its block; every ``fp8*`` has eight."""

METHOD_BITS = {
    "fp8": 8.0,
    "int8": 8.0,
    "w8a8_int8": 8.0,
    "w8a8_fp8": 8.0,
    "fbgemm_fp8": 8.0,
    "ptpc_fp8": 8.0,
    "fp8_w8a16": 8.0,
    "experts_int8": 8.0,
    "eetq": 8.0,
    "modelopt": 8.0,
    "modelopt_fp8": 8.0,
    "bitsandbytes": 4.5,
    "bitsandbytes-nf4": 4.5,
    "bitsandbytes-fp4": 4.5,
    "awq": 4.25,
    "gptq": 4.25,
    "mxfp4": 4.25,
    "mxfp8": 8.25,
    "modelopt_fp4": 4.5,
    "nvfp4": 4.5,
    "petit_nvfp4": 4.5,
}
"""Bits of a weight that an engine quantises as it loads: a scale for 32, 64 or 128 weights is counted."""


def kv_bits(flag: str | None) -> float | None:
    """Bits of a cached number by a flag; None where the flag leaves it to the model, or is not known."""
    if flag is None:
        return None
    kind = flag.strip().lower()
    return 8.0 if kind.startswith("fp8") else KV_BITS.get(kind)


def is_stated(flag: str | None) -> bool:
    """The flag says something else than to let the model decide."""
    return flag is not None and flag.strip().lower() not in ("", "auto", "none", "model")
