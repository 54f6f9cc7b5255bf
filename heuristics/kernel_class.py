"""What a GPU kernel does, told from its name: enough to know which roof it could possibly reach."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache

from heuristics.vocabulary import Cause


class KernelClass(StrEnum):
    """Kinds of device work. Only some can be bound by arithmetic at all."""

    GEMM = "gemm"
    GEMV = "gemv"
    CONVOLUTION = "convolution"
    ATTENTION = "attention"
    EXPERTS = "experts"
    QUANTIZATION = "quantization"
    NORM = "norm"
    REDUCTION = "reduction"
    ELEMENTWISE = "elementwise"
    INDEXING = "indexing"
    SAMPLING = "sampling"
    COMMUNICATION = "communication"
    COPY_HOST = "copy_host"
    COPY_DEVICE = "copy_device"
    OTHER = "other"

    @property
    def may_reach_arithmetic_roof(self) -> bool:
        """Products, convolutions, attention, and whatever is not recognised."""
        return self in _ARITHMETIC

    @property
    def moves_no_device_memory(self) -> bool:
        """Waiting for another GPU or for the host's bus: no roof of this device."""
        return self in (KernelClass.COMMUNICATION, KernelClass.COPY_HOST)

    @property
    def memory_cause(self) -> Cause:
        """What its bytes are when memory holds it."""
        if self in (KernelClass.GEMM, KernelClass.GEMV, KernelClass.EXPERTS, KernelClass.QUANTIZATION):
            return Cause.WEIGHTS
        return Cause.KV_CACHE if self is KernelClass.ATTENTION else Cause.ACTIVATIONS


_ARITHMETIC = frozenset(
    {KernelClass.GEMM, KernelClass.CONVOLUTION, KernelClass.ATTENTION, KernelClass.EXPERTS, KernelClass.OTHER}
)

_PATTERNS: tuple[tuple[KernelClass, str], ...] = (
    (KernelClass.ELEMENTWISE, r"^triton_poi_"),
    (KernelClass.NORM, r"^triton_(?:red|per)_\w*norm"),
    (KernelClass.REDUCTION, r"^triton_(?:red|per)_"),
    (
        KernelClass.COMMUNICATION,
        r"nccl|rccl|ncclkernel|all_?reduce|all_?gather|reduce_?scatter|all_?to_?all|cross_device_reduce"
        r"|nvshmem|one_?shot|two_?shot|multimem|broadcastkernel|mscclpp?|memcpy (ptop|peer)",
    ),
    (KernelClass.COPY_HOST, r"memcpy (htod|dtoh|htoh|unified)|memcpyhtod|memcpydtoh|hosttodevice|devicetohost"),
    (KernelClass.COPY_DEVICE, r"memcpy dtod|memcpydtod|devicetodevice|memset|^memcpy\b|copybuffer"),
    (KernelClass.INDEXING, r"reshape_and_cache|concat_and_cache|append_?paged"),
    (
        KernelClass.ATTENTION,
        r"flash|fmha|paged_attention|attention(?!_mask)|attn|\bsdpa|mla_|decode_att|prefill_att|_mha|mha_|xqa|softmax_warp",
    ),
    (KernelClass.EXPERTS, r"moe|expert|grouped_?gemm|group_gemm"),
    (KernelClass.CONVOLUTION, r"conv(?!er)|winograd|implicit_gemm|wgrad|dgrad|fprop|[shi\d]cudnn_|im2col"),
    (KernelClass.GEMV, r"gemv|gemvx|dot_kernel|splitkreduce|mul_mat_vec|mmvq"),
    (
        KernelClass.GEMM,
        r"(?<!fb)gemm|cutlass|xmma|wgmma|hmma|imma|tensorop|nvjet|matmul|mul_mat|mmq|cijk_|marlin|machete|exllama"
        r"|triton_tem_|deep_gemm|_mm_|addmm|\bmm\b|cublas",
    ),
    (KernelClass.SAMPLING, r"topk|top_k|sort|multinomial|argmax|sampling|radix|penalt"),
    (KernelClass.QUANTIZATION, r"quant"),
    (KernelClass.NORM, r"norm|rms_|bn_fw|bn_bw|rowwisemoments|gammabeta"),
    (KernelClass.REDUCTION, r"softmax|reduce|cumsum|scan|pool|cub::"),
    (
        KernelClass.INDEXING,
        r"index|gather|scatter|embedding|catarray|rotary|rope|reshape_and_cache|cache_kernel|transpose|permute|roll_cuda"
        r"|nchwtonhwc|nhwctonchw",
    ),
    (
        KernelClass.ELEMENTWISE,
        r"elementwise|triton_poi_|pointwise|vectorized|activation|silu|gelu|relu|dropout|fill|copy_|add_|mul_"
        r"|functor|distribution_|saxpy|axpy|unrolled",
    ),
)

_COMPILED = tuple((kind, re.compile(pattern)) for kind, pattern in _PATTERNS)


@lru_cache(maxsize=65_536)
def kernel_class(name: str) -> KernelClass:
    """The class of a kernel or copy by name; OTHER when nothing matches.

    The function's own name comes first: namespaces, template arguments and parameters name other kernels' words.
    """
    for text in (_function(name).lower(), name.lower()):
        for kind, pattern in _COMPILED:
            if pattern.search(text):
                return kind
    return KernelClass.OTHER


_TENSOR = re.compile(
    r"tensorop|[hiq]mma|wgmma|_mma|nvjet|xmma|s1[68]8\d*gemm|s16816|s1688|884gemm|gmma|flash|fmha|marlin|fp8|tcgen05"
)


def uses_tensor_pipe(name: str) -> bool:
    """Whether a kernel's name says that it multiplies on tensor cores."""
    return _TENSOR.search(name.lower()) is not None


_NAMESPACES = re.compile(r"(?:[A-Za-z_]\w*::)+(?=[A-Za-z_~])")
_DECORATION = re.compile(
    r"^(?:void|static|__global__)\s+|\((?:anonymous namespace|int|bool|unsigned long)\)|<unnamed>::"
)


def short_name(name: str) -> str:
    """A kernel's name without return type, template arguments, parameters and namespaces.

    An elementwise kernel of PyTorch keeps the functor that tells it from the others.
    """
    functor = re.search(r"(\w+)(?:_kernel_cuda|Functor(?:_\w+)?)", name)
    found = _function(name) or name[:60]
    if "elementwise_kernel" in found and functor is not None:
        return f"{found} [{functor.group(1)}]"
    return found


def _function(name: str) -> str:
    """A name without decoration, brackets and namespaces."""
    plain = _DECORATION.sub("", name.replace("(anonymous namespace)::", "").replace("->", ""))
    return _NAMESPACES.sub("", _without_brackets(plain).strip()).strip()


def _without_brackets(text: str) -> str:
    """Text outside <> and (); an unclosed bracket cuts the rest."""
    depth = 0
    kept = []
    for letter in text:
        if letter in "<(":
            depth += 1
        elif letter in ">)" and depth:
            depth -= 1
        elif depth == 0:
            kept.append(letter)
    return "".join(kept)
