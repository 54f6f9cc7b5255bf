"""Arithmetic on half-open time intervals, in exact integer nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heuristics.arrays import Flags, Ns


@dataclass(frozen=True, slots=True)
class Spans:
    """Disjoint, sorted intervals: ``start`` and ``end`` of shape (spans,), nanoseconds."""

    start: Ns
    end: Ns

    @property
    def total_ns(self) -> int:
        """Summed length."""
        return int((self.end - self.start).sum())

    def __len__(self) -> int:
        return int(self.start.size)


EMPTY = Spans(np.empty(0, np.int64), np.empty(0, np.int64))


def union(start: Ns, end: Ns) -> Spans:
    """The union of intervals in any order, touching ones joined. Empty and inverted ones vanish."""
    real = end > start
    if not real.all():
        start, end = start[real], end[real]
    if start.size == 0:
        return EMPTY
    order = np.argsort(start, kind="stable")
    start, end = start[order], end[order]
    reach = np.maximum.accumulate(end)
    opens = np.empty(start.size, bool)
    opens[0] = True
    np.greater(start[1:], reach[:-1], out=opens[1:])
    first = np.flatnonzero(opens)
    last = np.append(first[1:] - 1, start.size - 1)
    return Spans(start[first], reach[last])


def gaps(spans: Spans) -> Spans:
    """The holes between spans."""
    if len(spans) < 2:
        return EMPTY
    return Spans(spans.end[:-1], spans.start[1:])


def merged(a: Spans, b: Spans) -> Spans:
    """The union of two sets of spans."""
    return union(np.concatenate([a.start, b.start]), np.concatenate([a.end, b.end]))


def intersection(a: Spans, b: Spans) -> Spans:
    """What lies in both."""
    return _combined(a, b, inside_b=True)


def difference(a: Spans, b: Spans) -> Spans:
    """What lies in ``a`` and not in ``b``."""
    return _combined(a, b, inside_b=False)


def _combined(a: Spans, b: Spans, *, inside_b: bool) -> Spans:
    if len(a) == 0 or (len(b) == 0 and inside_b):
        return EMPTY
    cuts = np.sort(np.concatenate([a.start, a.end, b.start, b.end]))
    low, high = cuts[:-1], cuts[1:]
    kept = _contains(a, low) & (_contains(b, low) == inside_b)
    return union(low[kept], high[kept])


def _contains(spans: Spans, moments: Ns) -> Flags:
    if len(spans) == 0:
        return np.zeros(moments.size, bool)
    index = np.searchsorted(spans.start, moments, side="right") - 1
    found: Flags = (index >= 0) & (moments < spans.end[np.maximum(index, 0)])
    return found
