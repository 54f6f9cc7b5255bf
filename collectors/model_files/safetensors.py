"""Stored bytes and parameters of a checkpoint by what its tensors are for, from the headers of its files alone."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from collectors.model_files.view import CannotRead, NotThere, ProcessView

LONGEST_HEADER_BYTES = 25_000_000
"""What the hub accepts; a shard of the largest mixtures takes a tenth of it."""

LONGEST_INDEX_BYTES = 1 << 26
MOST_FILES = 2000

INDEX = "model.safetensors.index.json"


class Part(StrEnum):
    """What a tensor is for, as far as it matters when and how often it is read."""

    EMBEDDING = "embedding"
    HEAD = "head"
    ROUTED = "routed experts"
    SHARED = "shared experts"
    LAYERS = "layers"
    VISION = "vision"
    DRAFT = "draft layers"


@dataclass(slots=True)
class Amount:
    """Bytes, and parameters as the model counts them: scales and zero points are bytes without parameters.

    ``packed_bits`` is the number of bits stored in numbers of another type, whose parameters only the
    quantisation's width can tell.
    """

    bytes: int = 0
    parameters: float = 0.0
    packed_bits: int = 0

    def bits(self, packed_width: float | None) -> float | None:
        """Mean bits of a parameter, with what belongs to it; None where that cannot be told."""
        count = self.count(packed_width)
        return 8.0 * self.bytes / count if count else None

    def count(self, packed_width: float | None) -> float | None:
        """Parameters; None where some are packed and nothing says how."""
        if not self.packed_bits:
            return self.parameters
        return None if not packed_width else self.parameters + self.packed_bits / packed_width


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A checkpoint's amounts by part, and the number of files whose headers they are from."""

    parts: Mapping[Part, Amount] = field(default_factory=dict)
    files: int = 0

    @property
    def bytes(self) -> int:
        """All tensors' bytes."""
        return sum(amount.bytes for amount in self.parts.values())

    def of(self, *parts: Part) -> Amount:
        """Several parts as one."""
        found = [self.parts[p] for p in parts if p in self.parts]
        return Amount(
            bytes=sum(a.bytes for a in found),
            parameters=sum(a.parameters for a in found),
            packed_bits=sum(a.packed_bits for a in found),
        )


def stored(folder: str, view: ProcessView, *, layers: int | None = None) -> Stored:
    """The amounts in a folder's safetensors files; layers from ``layers`` on are draft layers that decode skips.

    Raises:
        NotThere: no such files in the folder.
        CannotRead: one is absent, damaged, or closed to this user.
    """
    names = _files(folder, view)
    if not names:
        raise NotThere("no safetensors files in the model's folder")
    parts: dict[Part, Amount] = defaultdict(Amount)
    seen: set[str] = set()
    for name in names:
        for tensor, dtype, shape in _header(view.file(f"{folder}/{name}"), name):
            if tensor not in seen:
                seen.add(tensor)
                _add(parts[part_of(tensor, layers)], tensor, dtype, shape)
    return Stored(parts=parts, files=len(names))


def _files(folder: str, view: ProcessView) -> list[str]:
    """The index's files, else the whole model's, else every one but adapters and a second copy in another layout."""
    present = view.names(folder)
    if INDEX in present:
        return _indexed(view.content(f"{folder}/{INDEX}", LONGEST_INDEX_BYTES))
    if "model.safetensors" in present:
        return ["model.safetensors"]
    found = [n for n in present if n.endswith(".safetensors") and not n.startswith(("adapter", "optimizer"))]
    usual = [n for n in found if not n.startswith("consolidated")]
    if len(found) > MOST_FILES:
        raise CannotRead(f"{len(found)} safetensors files in the model's folder")
    return usual or found


def _indexed(content: bytes) -> list[str]:
    try:
        files = set(json.loads(content)["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CannotRead(f"{INDEX}: not an index of weights") from error
    if not all(isinstance(name, str) and name.endswith(".safetensors") for name in files) or len(files) > MOST_FILES:
        raise CannotRead(f"{INDEX}: it names what are no safetensors files")
    return sorted(files)


def _header(file: Path, name: str) -> Iterable[tuple[str, str, list[int]]]:
    """Name, type and dimensions of every tensor in one file."""
    from safetensors import SafetensorError, safe_open

    try:
        with open(file, "rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
        if length > LONGEST_HEADER_BYTES:
            raise CannotRead(f"{name}: its header claims {length} bytes; not a safetensors file, or damaged")
        with safe_open(str(file), framework="np") as opened:
            tensors = opened.keys()
            for tensor in tensors:
                view = opened.get_slice(tensor)
                yield tensor, view.get_dtype(), view.get_shape()
    except (SafetensorError, OSError, ValueError) as error:
        raise CannotRead(f"{name}: truncated or not a safetensors file") from error


_ROLES = (
    (Part.VISION, re.compile(r"(^|\.)(visual|vision|vision_\w+|audio\w*|image_\w+|mm_\w+|multi_modal_projector)\.")),
    (Part.DRAFT, re.compile(r"(^|\.)(mtp|nextn)\w*\.")),
    (Part.SHARED, re.compile(r"shared_?(expert|mlp)|_shexp\b")),
    (Part.ROUTED, re.compile(r"\.experts[._]|ffn_(gate|up|down|gate_up)_exps\b")),
    (Part.HEAD, re.compile(r"(^|\.)(lm_head|embed_out)\b|^output\.")),
    (Part.EMBEDDING, re.compile(r"\b(embed_tokens|wte|token_embd|tok_embeddings|word_embeddings|embed_in)\b")),
)
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|blk|block)\.(\d{1,5})\.")


_NUMBER = re.compile(r"\d+")


@lru_cache(maxsize=4096)
def _role(numberless: str) -> Part:
    """The part by a name, which differs only by numbers between a hundred thousand tensors of a mixture."""
    return next((part for part, name in _ROLES if name.search(numberless)), Part.LAYERS)


def part_of(tensor: str, layers: int | None = None) -> Part:
    """What the tensor is for, by its name; what no name tells belongs to the layers."""
    role = _role(_NUMBER.sub("0", tensor))
    layer = _LAYER.search(tensor) if layers is not None else None
    if role is not Part.VISION and layers is not None and layer is not None and int(layer[1]) >= layers:
        return Part.DRAFT
    return role


_BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "I16": 16,
    "U16": 16,
    "I32": 32,
    "U32": 32,
    "I64": 64,
    "U64": 64,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "F16": 16,
    "BF16": 16,
    "F32": 32,
    "F64": 64,
    "C64": 64,
}
"""Bits of an element; the types of eight-bit floats all begin with F8."""

_PACKED = ("I32", "U32", "U8", "I64")
"""Types that no weight has: several narrower ones are packed into each number."""

_BESIDE = re.compile(
    r"(qzeros|g_idx|scales?|scale_inv|scale_2|_scales|weight_shape|zero_point|perm|absmax|quant_map|quant_state\.\w+"
    r"|inv_freq|SCB)$"
)
"""What a quantised weight brings with it: bytes that are read, and no parameters."""


def _add(amount: Amount, tensor: str, dtype: str, shape: list[int]) -> None:
    elements = math.prod(shape)
    bits = elements * _BITS.get(dtype, 8)
    amount.bytes += -(-bits // 8)
    if _BESIDE.search(tensor):
        return
    if dtype in _PACKED:
        amount.packed_bits += bits
    else:
        amount.parameters += elements
