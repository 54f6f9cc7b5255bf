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
    (KernelClass.ELEMENTWISE, r"^triton_(?:poi|for)_"),
    (KernelClass.NORM, r"^triton_(?:red|per)_\w*norm"),
    (KernelClass.REDUCTION, r"^triton_(?:red|per)_"),
    (
        KernelClass.COMMUNICATION,
        r"nccl|rccl|ncclkernel|all_?reduce|all_?gather|reduce_?scatter|all_?to_?all|cross_device_reduce"
        r"|nvshmem|one_?shot|two_?shot|multimem|broadcastkernel|mscclpp?|deep_ep::|userbuffers|memcpy (?:ptop|peer)",
    ),
    (
        KernelClass.COPY_HOST,
        r"memcpy (?:htod|dtoh|htoh|unified)|memcpyhtod|memcpydtoh|host-?to-?(?:device|host)|device-?to-?host",
    ),
    (KernelClass.COPY_DEVICE, r"memcpy dtod|memcpydtod|device-?to-?device|memset|^memcpy\b|copybuffer"),
    (
        KernelClass.INDEXING,
        r"reshape_and_cache|concat_and_cache|append_?paged|moe_align|sort_expert|moe_(?:un)?permute|attn_mask",
    ),
    (
        KernelClass.ATTENTION,
        r"flash|fmha|paged_attention|attention(?!_mask)|attn|\bsdpa|mla_|decode_att|prefill_att|_mha|mha_|xqa|softmax_warp"
        r"|(?:paged|ragged|with)_?kv_?cache|^_fwd_(?:grouped_)?kernel",
    ),
    (KernelClass.REDUCTION, r"moe_sum"),
    (KernelClass.EXPERTS, r"moe|expert|grouped_?gemm|group_gemm|groupproblemshape|matmul_ogs"),
    (KernelClass.CONVOLUTION, r"conv(?!er)|winograd|implicit_gemm|wgrad|dgrad|fprop|[shi\d]cudnn_|im2col"),
    (KernelClass.GEMV, r"gemv|dot_kernel|splitkreduce|mul_mat_vec|mmvq|wvsplitk|llgemm1|llmm1"),
    (
        KernelClass.GEMM,
        r"(?<!fb)gemm(?!a_|arms)|cutlass|xmma|wgmma|hmma|imma|tensorop|nvjet|matmul|mul_mat|mmq|cijk_|marlin|machete|exllama"
        r"|triton_tem_|_mm(?:_|$)|^bmm_|addmm|\bmm\b|cublas",
    ),
    (KernelClass.SAMPLING, r"topk|top_k|sort|multinomial|argmax|sampling|radix|penalt"),
    (KernelClass.NORM, r"norm|rms_|bn_fw|bn_bw|rowwisemoments|gammabeta"),
    (KernelClass.QUANTIZATION, r"quant|cvt_\w+_to_fp[48]"),
    (KernelClass.REDUCTION, r"soft_?max|reduce|cumsum|scan|pool|cub::"),
    (
        KernelClass.INDEXING,
        r"index|gather|scatter|embedding|catarray|rotary|rope(?!rt)|cache_kernel|transpose|permute|roll_cuda|get_rows"
        r"|nchwtonhwc|nhwctonchw",
    ),
    (
        KernelClass.ELEMENTWISE,
        r"elementwise|pointwise|vectorized|activation|silu|gelu|relu|dropout|(?<!pre)fill|copy_|^cpy_|add_|mul_"
        r"|functor|distribution_|axpy|unrolled|bin_bcast",
    ),
)

UNNAMED = "unnamed"
"""What a kernel without a name is called."""

LETTERS = 4096
"""What a name says, it says near its beginning; templates of templates run to ten thousands of letters."""

_COMPILED = tuple((kind, re.compile(pattern)) for kind, pattern in _PATTERNS)


@lru_cache(maxsize=65_536)
def kernel_class(name: str) -> KernelClass:
    """The class of a kernel or copy by name; OTHER when nothing matches.

    The function's own name comes first: namespaces, template arguments and parameters name other kernels' words.
    """
    name = name[:LETTERS]
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
    return _TENSOR.search(name[:LETTERS].lower()) is not None


_NAMESPACES = re.compile(r"(?<!\w)(?:[A-Za-z_]\w*+::)+(?=[A-Za-z_~])")
_DECORATION = re.compile(
    r"^(?:void|static|__global__)\s+|\((?:anonymous namespace|int|bool|unsigned long)\)|<unnamed>::"
)

_FUNCTOR = re.compile(
    r"\b(?:CUDAFunctor[A-Za-z]*+_(\w+)|(?!(?:[AB]Unary|Binary)Functor)(\w+?)(?:_kernel_cuda|Functor\b))"
)
"""The operation that an elementwise kernel of PyTorch applies; some functors only hold another."""


def short_name(name: str) -> str:
    """A kernel's name without return type, template arguments, parameters and namespaces.

    An elementwise kernel of PyTorch keeps the functor that tells it from the others.
    """
    name = name[:LETTERS]
    functor = _FUNCTOR.search(name)
    found = _function(name) or name[:60]
    if "elementwise_kernel" in found and functor is not None:
        return f"{found} [{functor[1] or functor[2]}]"
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
