"""A GGUF's header through the ``gguf`` library, without the vocabulary.

The library's reader makes Python objects of every token and merge: 20 s of CPU and 0.75 GB for a vocabulary of 128k
tokens, where the shape needs none of them. Here numbers of an array are one view and strings are stepped over.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collectors.model_files.view import CannotRead

if TYPE_CHECKING:
    from gguf import GGUFReader

MOST_TENSORS = 1 << 17
MOST_KEYS = 1 << 12
MOST_STRINGS = 1 << 22
"""In one array; the largest vocabularies have a quarter of a million tokens and some more merges."""

LONGEST_ARRAY = 1 << 12
"""Numbers of an array that describes layers, and no tokens."""

LONGEST_VALUE_BYTES = 1 << 25
"""One string, or one array of numbers, of a header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor: its elements along each dimension, the innermost first, and what it takes in the file."""

    name: str
    dimensions: tuple[int, ...]
    elements: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Fields of one file (numbers, texts, a number for each layer), lengths of all its arrays, and its tensors."""

    fields: dict[str, Any]
    lengths: dict[str, int]
    tensors: Sequence[Tensor]


def read_header(file: Path, name: str) -> Header:
    """The header of one GGUF file.

    Raises:
        CannotRead: no GGUF, an unknown version of it, truncated or damaged.
    """
    import numpy as np

    _refuse_counts(file, name)
    try:
        with np.errstate(all="ignore"):
            return _header(_without_vocabulary()(str(file)))
    except CannotRead as error:
        raise CannotRead(f"{name}: {error.reason}") from error
    except (ValueError, KeyError, IndexError, TypeError, OverflowError, struct.error, OSError, MemoryError) as error:
        raise CannotRead(f"{name}: a GGUF that is truncated, damaged or of a newer kind") from error


def _refuse_counts(file: Path, name: str) -> None:
    """Refuse what the library would loop over for ever, before it maps the file."""
    try:
        with open(file, "rb") as stream:
            head = stream.read(24)
    except OSError as error:
        raise CannotRead(f"{name}: {error.strerror}") from error
    if len(head) < 24 or head[:4] != b"GGUF":
        raise CannotRead(f"{name}: not a GGUF file, or truncated")
    version, tensors, keys = struct.unpack("<IQQ", head[4:])
    if version not in (2, 3):
        raise CannotRead(f"{name}: a GGUF of version {version} or of the other byte order; versions 2 and 3 are read")
    if tensors > MOST_TENSORS or keys > MOST_KEYS:
        raise CannotRead(f"{name}: a damaged GGUF ({tensors} tensors, {keys} fields)")


def _without_vocabulary() -> type[GGUFReader]:
    """The library's reader with arrays left undecoded and every length checked before it is followed."""
    import numpy as np
    from gguf import GGUFReader
    from gguf.constants import GGUFValueType

    class HeaderReader(GGUFReader):
        def _get(self, offset: int, dtype: Any, count: int = 1, override_order: Any = None) -> Any:
            in_header = not hasattr(self, "data_offset")
            if in_header and int(count) * np.dtype(dtype).itemsize > LONGEST_VALUE_BYTES:
                raise CannotRead("a damaged GGUF (a value larger than any)")
            return super()._get(offset, dtype, count, override_order)

        def _get_field_parts(self, orig_offs: int, raw_type: int) -> Any:
            if raw_type != GGUFValueType.ARRAY:
                return super()._get_field_parts(orig_offs, raw_type)
            kind, count = self._get(orig_offs, np.uint32), self._get(orig_offs + 4, np.uint64)
            start = orig_offs + 12
            inner = GGUFValueType(int(kind[0]))
            types = [GGUFValueType.ARRAY, inner]
            if inner in self.gguf_scalar_to_np:
                values = self._get(start, self.gguf_scalar_to_np[inner], int(count[0]))
                return 12 + int(values.nbytes), [kind, count, values], [2], types
            if inner != GGUFValueType.STRING:
                raise CannotRead("a GGUF with arrays of arrays")
            return self._after_strings(start, int(count[0])) - orig_offs, [kind, count], [], types

        def _after_strings(self, start: int, count: int) -> int:
            if count > MOST_STRINGS:
                raise CannotRead(f"a damaged GGUF (an array of {count} texts)")
            mapped: Any = self.data
            view, length = memoryview(mapped).cast("B"), struct.Struct("<Q").unpack_from
            for _ in range(count):
                start += 8 + length(view, start)[0]
            return start

    return HeaderReader


def _header(reader: GGUFReader) -> Header:
    fields: dict[str, Any] = {}
    lengths: dict[str, int] = {}
    for name, field in reader.fields.items():
        if field.types[0].name == "ARRAY":
            lengths[name] = int(field.parts[4][0])
        if field.data and lengths.get(name, 0) <= LONGEST_ARRAY and not name.startswith("tokenizer."):
            fields[name] = field.contents()
    tensors = tuple(
        Tensor(
            name=t.name,
            dimensions=tuple(int(d) for d in t.shape),
            elements=int(t.n_elements),
            bytes=int(t.n_bytes),
        )
        for t in reader.tensors
    )
    return Header(fields=fields, lengths=lengths, tensors=tensors)
