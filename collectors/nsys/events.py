"""Device events of a database of Nsight Systems as columns, joined with the calls that launched them."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Any

import numpy as np

from collectors.nsys.database import Database, is_span, process_id
from heuristics.arrays import Flags, Ns
from heuristics.intervals import Spans, union
from heuristics.timeline import NOT_LAUNCHED

HOST_GRAIN_NS = 1_000_000

_COPY_KINDS = {1: "HtoD", 2: "DtoH", 3: "HtoA", 4: "AtoH", 6: "AtoD", 7: "DtoA", 8: "DtoD", 9: "HtoH", 10: "PtoP"}
_WHERE = ("start", "end", "deviceId", "correlationId", "globalPid", "graphNodeId")


class Events:
    """Kernels, copies, memsets and graphs; names by string id."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.names: dict[object, int] = {}
        self.name_index = array("i")
        self.start = array("q")
        self.end = array("q")
        self.device = array("i")
        self.call = array("q")
        self.blocks = array("f")
        self.in_graph = array("b")
        self._processes: dict[int, int] = {}
        self._kernels()
        for *place, kind in self._rows("MEMCPY", "copyKind"):
            self._add(place, f"Memcpy {_COPY_KINDS.get(kind, 'unknown')}")
        for place in self._rows("MEMSET"):
            self._add(place, "Memset (Device)")
        self._graphs()

    def _rows(self, kind: str, *more: str) -> Iterable[list[Any]]:
        return map(list, self.database.rows(f"CUPTI_ACTIVITY_KIND_{kind}", (*_WHERE, *more)))

    def _kernels(self) -> None:
        more = ("demangledName", "shortName", "gridX", "gridY", "gridZ", "graphId")
        for *place, long, short, x, y, z, graph in self._rows("KERNEL", *more):
            self._add(place, short if long is None else long, _blocks(x, y, z), bool(graph))

    def _graphs(self) -> None:
        """Whole graphs, which is how they are traced unless their nodes are asked for."""
        for *place, graph in self._rows("GRAPH_TRACE", "graphId"):
            if place[1] != 0:  # a graph whose times could not be collected has none
                self._add(place, f"CUDA graph {graph}", in_graph=True)

    def _add(self, place: list[Any], name: object, blocks: float = np.nan, in_graph: bool = False) -> None:
        start, end, device, correlation, process, node = place
        if not is_span(start, end):
            return
        self.name_index.append(self.names.setdefault(name, len(self.names)))
        self.start.append(start)
        self.end.append(end)
        self.device.append(self.database.gpu(process, device))
        self.call.append(self._call(process_id(process), correlation))
        self.blocks.append(blocks)
        self.in_graph.append(in_graph or bool(node))

    def _call(self, process: int, correlation: object) -> int:
        """A number for the launching call: correlation ids are unique within a process only."""
        if not isinstance(correlation, int) or not 0 <= correlation < 1 << 40:
            return -1
        return self._processes.setdefault(process, len(self._processes)) << 40 | correlation

    def launches(self) -> tuple[Ns, Ns, Spans | None]:
        """(start, end) of each event's launching call, and the outline of the host's calls; None without any."""
        wanted = np.array(self.call, np.int64)
        start, end = np.full(wanted.size, NOT_LAUNCHED), np.full(wanted.size, NOT_LAUNCHED)
        anonymous = set(self._processes) <= {0}
        callers: set[int] = set()
        calls, begins, finishes = array("q"), array("q"), array("q")
        columns = ("start", "end", "correlationId", "globalTid")
        for begin, finish, correlation, thread in self.database.rows("CUPTI_ACTIVITY_KIND_RUNTIME", columns):
            if is_span(begin, finish):
                callers.add(process_id(thread))
                calls.append(self._call(0 if anonymous else process_id(thread), correlation))
                begins.append(begin)
                finishes.append(finish)
        known, begun, ended = (np.array(c, np.int64) for c in (calls, begins, finishes))
        if known.size == 0:
            return start, end, None
        host = union(begun, ended + HOST_GRAIN_NS)
        if anonymous and len(callers) > 1:  # whose call it was cannot be told
            return start, end, host
        order = np.argsort(known, kind="stable")
        place = np.minimum(np.searchsorted(known[order], wanted), known.size - 1)
        match = (known[order][place] == wanted) & (wanted >= 0)
        start[match], end[match] = begun[order[place[match]]], ended[order[place[match]]]
        return start, end, host

    def shared_launch(self, launch_start: Ns) -> Flags:
        """Whether a call launched many events at once, as a graph's does even where no graph id is exported."""
        calls = np.array(self.call, np.int64)
        if calls.size == 0:
            return np.zeros(0, bool)
        _, inverse, count = np.unique(calls, return_inverse=True, return_counts=True)
        many: Flags = (count[inverse] > 2) & (calls >= 0) & (launch_start != NOT_LAUNCHED)
        return many


def _blocks(x: object, y: object, z: object) -> float:
    """Blocks of a grid; NaN where it is not stated."""
    sides = [side for side in (x, y, z) if isinstance(side, int) and 0 < side < 1 << 32]
    return float(sides[0] * sides[1] * sides[2]) if len(sides) == 3 else np.nan
