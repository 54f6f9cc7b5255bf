"""When the host did anything at all: the outline of its operations and calls, not each of them."""

from __future__ import annotations

import numpy as np

from collectors.kineto.events import LONGEST_NS, MOMENTS, Decoding
from heuristics.arrays import Ns
from heuristics.intervals import EMPTY, Spans, merged, union

PAUSE_NS = 2_000_000
"""Only the outline of host activity is needed: each operation counts for this long after its end."""

STRIDE = 8
"""Of so many host operations in a row one is decoded, and the others only where time leaps between two such."""
FEW = 256
SHUFFLED = 0.25
"""Where time leaps back this often the file is in no order of time, and every operation is decoded."""


class HostOutline:
    """Grows as pieces arrive."""

    def __init__(self, decoding: Decoding) -> None:
        self._decoding = decoding
        self.spans: Spans = EMPTY

    def add(self, pieces: list[bytes], *, again: bool = False) -> None:
        """Join the outline of host activity.

        Host events of one thread follow each other in time, so where two of them, a few apart in the file,
        lie within a pause of each other, those between add nothing and are not decoded.
        """
        stride = STRIDE if len(pieces) > FEW else 1
        ends = list(range(0, len(pieces), stride))
        if pieces and ends[-1] != len(pieces) - 1:
            ends.append(len(pieces) - 1)
        start, end = self._moments([pieces[i] for i in ends], again)
        jump = np.diff(start)
        if stride == 1:
            between, bridges = [], EMPTY
        elif start.size == len(ends) and np.count_nonzero(jump < 0) < SHUFFLED * jump.size:
            near = (jump >= 0) & (jump <= PAUSE_NS)
            between = [p for i in np.flatnonzero(~near) for p in pieces[ends[i] + 1 : ends[i + 1]]]
            bridges = union(start[:-1][near], start[1:][near])
        else:
            between, bridges = pieces, EMPTY
        more_start, more_end = self._moments(between, again=True)
        spans = union(np.concatenate([start, more_start, bridges.start]), np.concatenate([end, more_end, bridges.end]))
        self.spans = merged(self.spans, spans)

    def _moments(self, pieces: list[bytes], again: bool) -> tuple[Ns, Ns]:
        """(start, end) of host events, the end carried on over a short pause; damaged ones left out."""
        decoded = self._decoding.events(MOMENTS, pieces, again=again)
        start = np.array([m.ts for m in decoded])
        length = np.array([m.dur for m in decoded])
        sound = (length >= 0) & (length < LONGEST_NS / 1000) & (np.abs(start) < 9e15)
        begin = (start[sound] * 1000.0).astype(np.int64)
        return begin, begin + (length[sound] * 1000.0).astype(np.int64) + PAUSE_NS
