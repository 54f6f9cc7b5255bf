"""Many cells' numbers at once, cut out of a text by place."""

from __future__ import annotations

import msgspec
import numpy as np

from collectors.ncu.cells import MOST_DEVICES, figure
from collectors.ncu.header import NINE, ZERO
from collectors.ncu.lines import NEWLINE
from collectors.ncu.metrics import NAN, Target
from heuristics.arrays import Array, Bytes, Flags, Index, Rows

COMMA, POINT = 44, 46
LONGEST = 64

_NUMBERS = msgspec.json.Decoder(list[float])

_MARGIN = np.full(4, NEWLINE, np.uint8)


def figures_at(text: Bytes, begin: Rows, end: Rows) -> Array:
    """The numbers between places of a text, shape (cells,); NaN where there is none.

    Cells that begin with a digit are decoded together, grouping commas taken out; where that fails, and for
    the rest, each is read by itself.
    """
    found = np.full(begin.size, NAN)
    if not begin.size:
        return found
    length = end - begin
    first = text[np.minimum(begin, text.size - 1)]
    alike = (length > 0) & (length <= LONGEST) & _digits(first)
    together = np.flatnonzero(alike)
    values = _decoded(text, begin[together], end[together]) if together.size else None
    if values is not None:
        found[together] = values
        alone = np.flatnonzero(~alike & (length > 0))
    else:
        alone = np.flatnonzero(length > 0)
    for cell in alone.tolist():
        found[cell] = figure(text[begin[cell] : end[cell]].tobytes().decode("utf-8", "replace"))
    return found


def joined(before: Array | None, values: Array, to: Target) -> Array:
    """A quantity's column with one more statement of it: of each kernel the first stands, or all add up."""
    scaled: Array = values * to.factor
    if before is None:
        return scaled
    return np.where(np.isnan(before), scaled, before + np.nan_to_num(scaled) if to.adds else before)


def device_indices(numbers: Array) -> Index:
    """Device numbers, shape (rows,); 0 where there is none."""
    found: Index = np.where((numbers >= 0) & (numbers < MOST_DEVICES), np.nan_to_num(numbers), 0).astype(np.int32)
    return found


def _digits(letters: Bytes) -> Flags:
    """Which letters are digits."""
    found: Flags = (letters >= ZERO) & (letters <= NINE)
    return found


def _decoded(text: Bytes, begin: Rows, end: Rows) -> Array | None:
    """Numbers of cells as a JSON array would have them; None if one of them is written otherwise."""
    size = (end - begin + 1).astype(np.int32)
    behind = np.cumsum(size, dtype=np.int32)
    place = np.repeat(begin.astype(np.int32) - (behind - size), size)
    place += np.arange(behind[-1], dtype=np.int32)
    cells = text[place]
    cells[behind - 1] = NEWLINE
    commas = np.flatnonzero(cells == COMMA)
    if commas.size:
        if not _all_group(cells, commas):
            return None
        cells = np.delete(cells, commas)
    cells[cells == NEWLINE] = COMMA
    try:
        values = _NUMBERS.decode(b"[" + cells[:-1].tobytes() + b"]")
    except msgspec.DecodeError:
        return None
    found = np.array(values)
    return found if found.size == begin.size and bool(np.isfinite(found).all()) else None


def _all_group(cells: Bytes, commas: Rows) -> bool:
    """Whether commas group digits by threes and do nothing else: one to three before, three behind, no point before."""
    letters = np.concatenate([_MARGIN, cells, _MARGIN])
    around = letters[commas[:, None] + _MARGIN.size + np.array([-4, -3, -2, -1, 1, 2, 3, 4])]
    is_digit = _digits(around)
    before = is_digit[:, 3] & ~is_digit[:, :4].all(axis=1) & (around[:, :4] != POINT).all(axis=1)
    after = is_digit[:, 4:7].all(axis=1) & ~is_digit[:, 7]
    return bool((before & after).all())
