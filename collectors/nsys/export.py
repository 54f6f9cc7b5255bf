"""Reader of Nsight Systems SQLite exports: kernels, copies, launches, NVTX ranges and GPU metrics.

Exports create tables lazily and older ones lack columns, so everything is asked for by name and may be absent.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from collectors.dump import Contents, Dump
from collectors.marks import PHASE_LETTERS, Mark, by_phase
from heuristics.arrays import Index, Ns
from heuristics.errors import UnreadableDump
from heuristics.intervals import Spans, union
from heuristics.observations import Activity, Observation
from heuristics.roofs import Device
from heuristics.timeline import NOT_LAUNCHED, DeviceEvents, Recording, summarise

KIND = "Nsight Systems export"

MAGIC = b"SQLite format 3\x00"

HOST_GRAIN_NS = 1_000_000

_COPY_KINDS = {1: "HtoD", 2: "DtoH", 3: "HtoA", 4: "AtoH", 6: "AtoD", 7: "DtoA", 8: "DtoD", 9: "HtoH", 10: "PtoP"}

ROWS_AT_A_TIME = 50_000
MOST_MARKS = 200_000

_METRICS = (
    ("sm_active", ("SMs Active", "SM Active")),
    ("tensor_active", ("Tensor Active",)),
    ("dram_read", ("DRAM Read",)),
    ("dram_write", ("DRAM Write",)),
    ("dram_active", ("DRAM Bandwidth", "DRAM Active")),
    ("engine_active", ("GR Active", "GPC Active")),
)
"""Beginnings of the GPU metrics' names, e.g. "DRAM Read Bandwidth [Throughput %]"."""


def recognises(dump: Dump) -> bool:
    """An SQLite database."""
    return dump.head.startswith(MAGIC)


def read(dump: Dump) -> Contents:
    """A timeline a device and a phase, and hardware activity where GPU metrics were sampled.

    Raises:
        UnreadableDump: not a database of Nsight Systems, or a damaged one.
    """
    if not Path(dump.path).is_file():
        raise UnreadableDump(dump.path, "a database cannot be read from a pipe", hint="save it to a file first")
    address = f"{Path(dump.path).resolve().as_uri()}?mode=ro&immutable=1"
    try:
        connection = sqlite3.connect(address, uri=True)
    except sqlite3.Error as error:
        raise UnreadableDump(dump.path, f"cannot be opened as a database: {error}") from error
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        return _read(dump, _Export(connection))
    except (sqlite3.Error, OverflowError) as error:
        raise UnreadableDump(dump.path, f"the database is damaged: {error}", hint="export it again") from error
    finally:
        connection.close()


def _read(dump: Dump, export: _Export) -> Contents:
    if not export.has("META_DATA_EXPORT") and not any(t.startswith("CUPTI_ACTIVITY") for t in export.tables):
        raise UnreadableDump(
            dump.path,
            "an SQLite database, but not one of Nsight Systems",
            hint="nsys export --type sqlite -o run.sqlite run.nsys-rep",
        )
    observations: list[Observation] = []
    warnings: list[str] = []
    columns = _Columns(export)
    if len(columns.start):
        observations += _timelines(dump.path, export, columns)
    else:
        warnings.append("no GPU activity recorded: profile with nsys profile -t cuda,nvtx")
    observations += [
        Observation(source=dump.path, payload=activity, device=export.device(index))
        for index, activity in export.activities()
    ]
    return Contents(kind=KIND, observations=tuple(observations), warnings=tuple(warnings))


class _Export:
    """The database's tables, columns and strings."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        self.tables = {name for (name,) in rows}

    def has(self, table: str) -> bool:
        """Whether a table exists; views do not count."""
        return table in self.tables

    def columns(self, table: str) -> set[str]:
        """Column names of a table."""
        return {row[1] for row in self.connection.execute(f'PRAGMA table_info("{table}")')}

    def rows(self, table: str, wanted: tuple[str, ...], where: str = "") -> Iterator[tuple[Any, ...]]:
        """Rows of the wanted columns, None for those that this export lacks."""
        present = self.columns(table)
        chosen = ", ".join(f'"{c}"' if c in present else "NULL" for c in wanted)
        cursor = self.connection.execute(f'SELECT {chosen} FROM "{table}" {where}')
        while batch := cursor.fetchmany(ROWS_AT_A_TIME):
            yield from batch

    def string(self, identifier: object) -> str | None:
        """The text of a string id; a text itself stays as it is."""
        if not isinstance(identifier, int):
            return identifier if isinstance(identifier, str) else None
        if not self.has("StringIds"):
            return None
        row = self.connection.execute("SELECT value FROM StringIds WHERE id = ?", (identifier,)).fetchone()
        return str(row[0]) if row else None

    def device(self, index: int) -> Device:
        """What the export states about a GPU; the bandwidth is the device's own figure."""
        if self.has("TARGET_INFO_GPU"):
            wanted = (
                "id",
                "cuDevice",
                "name",
                "totalMemory",
                "memoryBandwidth",
                "smCount",
                "clockRate",
                "l2CacheSize",
                "uuid",
            )
            for row in self.rows("TARGET_INFO_GPU", wanted):
                identifier, cuda, name, memory, bandwidth, sms, clock, cache, uuid = row
                if index == (cuda if isinstance(cuda, int) else identifier):
                    return Device(
                        index=index,
                        uuid=uuid if isinstance(uuid, str) else None,
                        name=name if isinstance(name, str) and name else None,
                        vendor="NVIDIA",
                        memory_bytes=_positive(memory),
                        bandwidth_bytes_per_s=_positive(bandwidth),
                        bandwidth_source="stated by Nsight Systems",
                        sm_count=int(sms) if _positive(sms) else None,
                        max_sm_clock_hz=_positive(clock),
                        last_level_cache_bytes=_positive(cache),
                    )
        return Device(index=index, vendor="NVIDIA")

    def marks(self) -> list[Mark]:
        """NVTX ranges whose names may say a phase."""
        if not self.has("NVTX_EVENTS"):
            return []
        present = self.columns("NVTX_EVENTS")
        texts = [c for c in ("text",) if c in present]
        likes = [f"{c} LIKE '%{word}%'" for c in texts for word in PHASE_LETTERS]
        if "textId" in present and self.has("StringIds"):
            words = " OR ".join(f"value LIKE '%{word}%'" for word in PHASE_LETTERS)
            likes.append(f"textId IN (SELECT id FROM StringIds WHERE {words})")
        if not likes:
            return []
        where = f'WHERE "end" IS NOT NULL AND ({" OR ".join(likes)}) LIMIT {MOST_MARKS}'
        return [
            Mark(name, start, end)
            for text, identifier, start, end in self.rows("NVTX_EVENTS", ("text", "textId", "start", "end"), where)
            if (name := text or self.string(identifier)) and isinstance(start, int) and isinstance(end, int)
        ]

    def activities(self) -> list[tuple[int, Activity]]:
        """Mean GPU metrics by device: percentages of peak, sampled by the hardware."""
        if not (self.has("GPU_METRICS") and self.has("TARGET_INFO_GPU_METRICS")):
            return []
        names = {
            (kind, metric): str(name)
            for kind, metric, name in self.rows("TARGET_INFO_GPU_METRICS", ("typeId", "metricId", "metricName"))
        }
        query = "SELECT typeId, metricId, avg(value), min(timestamp), max(timestamp) FROM GPU_METRICS GROUP BY 1, 2"
        means: dict[int, dict[str, float]] = {}
        window: dict[int, float] = {}
        for kind, metric, value, first, last in self.connection.execute(query):
            found = next((k for k, starts in _METRICS if names.get((kind, metric), "").startswith(starts)), None)
            if found is not None and isinstance(value, float):
                index = int(kind) & 0xFF
                means.setdefault(index, {})[found] = value / 100.0
                window[index] = (last - first) / 1e9
        return [(index, _activity(values, window[index])) for index, values in sorted(means.items())]


def _activity(values: dict[str, float], window_s: float) -> Activity:
    dram = values.get("dram_active")
    if dram is None and ("dram_read" in values or "dram_write" in values):
        dram = values.get("dram_read", 0.0) + values.get("dram_write", 0.0)
    return Activity(
        window_s=window_s,
        engine_active=values.get("engine_active"),
        sm_active=values.get("sm_active"),
        tensor_active=values.get("tensor_active"),
        dram_active=dram,
    )


def _positive(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value > 0 else None


class _Columns:
    """Kernels, copies and memsets as columns; names by string id."""

    def __init__(self, export: _Export) -> None:
        self.names: dict[object, int] = {}
        self.name_index = array("i")
        self.start = array("q")
        self.end = array("q")
        self.device = array("i")
        self.call = array("q")
        self.blocks = array("f")
        self.in_graph = array("b")
        self.processes: dict[int, int] = {}
        kernel = ("start", "end", "deviceId", "correlationId", "globalPid", "demangledName", "shortName",
                  "gridX", "gridY", "gridZ", "graphNodeId", "graphId")  # fmt: skip
        for row in self._of(export, "KERNEL", kernel):
            start, end, device, correlation, process, long, short, x, y, z, node, graph = row
            blocks = float(x * y * z) if isinstance(x, int) and isinstance(y, int) and isinstance(z, int) else None
            name = long if long is not None else short
            self._add(start, end, device, self._call(process, correlation), name, blocks, bool(node or graph))
        for row in self._of(export, "MEMCPY", ("start", "end", "deviceId", "correlationId", "globalPid", "copyKind")):
            start, end, device, correlation, process, kind = row
            name = f"Memcpy {_COPY_KINDS.get(kind, 'unknown')}"
            self._add(start, end, device, self._call(process, correlation), name, None, False)
        for row in self._of(export, "MEMSET", ("start", "end", "deviceId", "correlationId", "globalPid")):
            start, end, device, correlation, process = row
            self._add(start, end, device, self._call(process, correlation), "Memset (Device)", None, False)

    def _of(self, export: _Export, kind: str, wanted: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
        table = f"CUPTI_ACTIVITY_KIND_{kind}"
        return export.rows(table, wanted) if export.has(table) else iter(())

    def _call(self, process: object, correlation: object) -> int:
        """A number for the launching call: correlation ids are unique within a process only."""
        if not isinstance(correlation, int) or not 0 <= correlation < 1 << 40:
            return -1
        identity = process >> 24 & 0xFFFFFF if isinstance(process, int) else 0
        return self.processes.setdefault(identity, len(self.processes)) << 40 | correlation

    def _add(
        self, start: object, end: object, device: object, call: int, name: object, blocks: float | None, graph: bool
    ) -> None:
        if not isinstance(start, int) or not isinstance(end, int) or end < start:
            return
        self.name_index.append(self.names.setdefault(name, len(self.names)))
        self.start.append(start)
        self.end.append(end)
        self.device.append(device if isinstance(device, int) and 0 <= device < 1 << 16 else 0)
        self.call.append(call)
        self.blocks.append(float("nan") if blocks is None else blocks)
        self.in_graph.append(graph)

    def launches(self, export: _Export) -> tuple[Ns, Ns, Spans | None]:
        """(start, end) of each event's launching call, and the outline of the host's calls; None without any."""
        wanted = np.array(self.call, np.int64)
        start, end = np.full(wanted.size, NOT_LAUNCHED), np.full(wanted.size, NOT_LAUNCHED)
        if not export.has("CUPTI_ACTIVITY_KIND_RUNTIME"):
            return start, end, None
        calls, begins, finishes = array("q"), array("q"), array("q")
        rows = export.rows("CUPTI_ACTIVITY_KIND_RUNTIME", ("start", "end", "correlationId", "globalTid"))
        for begin, finish, correlation, thread in rows:
            if isinstance(begin, int) and isinstance(finish, int):
                calls.append(self._call(thread, correlation))
                begins.append(begin)
                finishes.append(finish)
        known, begun, ended = (np.array(c, np.int64) for c in (calls, begins, finishes))
        if known.size == 0:
            return start, end, None
        order = np.argsort(known, kind="stable")
        place = np.minimum(np.searchsorted(known[order], wanted), known.size - 1)
        match = (known[order][place] == wanted) & (wanted >= 0)
        start[match], end[match] = begun[order[place[match]]], ended[order[place[match]]]
        return start, end, union(begun, ended + HOST_GRAIN_NS)

    def shared_launch(self, launch_start: Ns) -> np.ndarray:
        """Whether a call launched many events at once, as a graph's does even where no graph id is exported."""
        calls = np.array(self.call, np.int64)
        if calls.size == 0:
            return np.zeros(0, bool)
        _, inverse, count = np.unique(calls, return_inverse=True, return_counts=True)
        many: np.ndarray = (count[inverse] > 2) & (calls >= 0) & (launch_start != NOT_LAUNCHED)
        return many


def _timelines(path: str, export: _Export, columns: _Columns) -> list[Observation]:
    device_of: Index = np.array(columns.device, np.int32)
    launch_start, launch_end, host = columns.launches(export)
    names = [export.string(name) or str(name) for name in columns.names]
    blocks = np.array(columns.blocks, np.float32)
    marks = export.marks()
    found = []
    for index in np.flatnonzero(np.bincount(device_of)).tolist():
        device = export.device(index)
        sms = np.float32(device.sm_count) if device.sm_count else np.float32("nan")
        events = DeviceEvents(
            names=names,
            name_index=np.array(columns.name_index, np.int32),
            start=np.array(columns.start, np.int64),
            end=np.array(columns.end, np.int64),
            launch_start=launch_start,
            launch_end=launch_end,
            from_graph=np.array(columns.in_graph, bool) | columns.shared_launch(launch_start),
            blocks_per_sm=blocks / sms,
        ).chosen(device_of == index)
        recording = Recording(host=host)
        found.append(Observation(source=path, payload=summarise(events, recording), device=device))
        found += [
            Observation(source=path, payload=summarise(part, recording, window), device=device, phase=phase)
            for phase, part, window in by_phase(marks, events)
        ]
    return found
