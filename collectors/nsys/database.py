"""A database of Nsight Systems: tables are created lazily and older ones lack columns, so everything may be absent."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from collectors.dump import Interrupt
from collectors.marks import PHASE_LETTERS, Mark
from heuristics.roofs import Device

ROWS_AT_A_TIME = 50_000
MOST_MARKS = 200_000
LARGEST = 1e18
"""More bytes, bytes a second or hertz than any device has."""


class Database:
    """Its tables, columns and strings."""

    def __init__(self, connection: sqlite3.Connection, interrupt: Interrupt) -> None:
        self.connection = connection
        self.interrupt = interrupt
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        self.tables = {name for (name,) in rows if isinstance(name, str)}
        self._physical = self._physical_gpus()

    def has(self, table: str) -> bool:
        """Whether a table exists; views do not count."""
        return table in self.tables

    def columns(self, table: str) -> set[str]:
        """Column names of a table."""
        return {row[1] for row in self.connection.execute(f'PRAGMA table_info("{table}")')}

    def rows(self, table: str, wanted: tuple[str, ...], where: str = "") -> Iterator[tuple[Any, ...]]:
        """Rows of the wanted columns, None for those that this export lacks; none at all without the table."""
        if not self.has(table):
            return
        present = self.columns(table)
        chosen = ", ".join(f'"{c}"' if c in present else "NULL" for c in wanted)
        cursor = self.connection.execute(f'SELECT {chosen} FROM "{table}" {where}')
        while not self.interrupt.requested and (batch := cursor.fetchmany(ROWS_AT_A_TIME)):
            yield from batch

    def string(self, identifier: object) -> str | None:
        """The text of a string id; a text itself stays as it is."""
        if not isinstance(identifier, int):
            return identifier if isinstance(identifier, str) else None
        if not self.has("StringIds"):
            return None
        row = self.connection.execute("SELECT value FROM StringIds WHERE id = ?", (identifier,)).fetchone()
        return str(row[0]) if row else None

    def gpu(self, process: object, cuda: object) -> int:
        """The GPU that a process calls CUDA device ``cuda``: with CUDA_VISIBLE_DEVICES every process counts from 0."""
        device = cuda if isinstance(cuda, int) and 0 <= cuda < 1 << 16 else 0
        return self._physical.get((process_id(process), device), device)

    def device(self, index: int) -> Device:
        """What the export states about a GPU; the bandwidth is the device's own figure."""
        wanted = ("id", "cuDevice", "name", "totalMemory", "memoryBandwidth", "smCount", "clockRate", "l2CacheSize",
                  "uuid")  # fmt: skip
        for identifier, cuda, name, memory, bandwidth, sms, clock, cache, uuid in self.rows("TARGET_INFO_GPU", wanted):
            if index == (cuda if isinstance(cuda, int) and not self._physical else identifier):
                sm_count = _positive(sms)
                return Device(
                    index=index,
                    uuid=uuid if isinstance(uuid, str) else None,
                    name=name if isinstance(name, str) and name else None,
                    vendor="NVIDIA",
                    memory_bytes=_positive(memory),
                    bandwidth_bytes_per_s=_positive(bandwidth),
                    bandwidth_source="stated by Nsight Systems",
                    sm_count=int(sm_count) if sm_count else None,
                    max_sm_clock_hz=_positive(clock),
                    last_level_cache_bytes=_positive(cache),
                )
        return Device(index=index, vendor="NVIDIA")

    def marks(self) -> list[Mark]:
        """NVTX ranges whose names may say a phase."""
        if not self.has("NVTX_EVENTS"):
            return []
        present = self.columns("NVTX_EVENTS")
        likes = [f"text LIKE '%{word}%'" for word in PHASE_LETTERS] if "text" in present else []
        if "textId" in present and self.has("StringIds"):
            words = " OR ".join(f"value LIKE '%{word}%'" for word in PHASE_LETTERS)
            likes.append(f"textId IN (SELECT id FROM StringIds WHERE {words})")
        if not likes:
            return []
        where = f'WHERE "end" IS NOT NULL AND ({" OR ".join(likes)}) LIMIT {MOST_MARKS}'
        return [
            Mark(name, start, end)
            for text, identifier, start, end in self.rows("NVTX_EVENTS", ("text", "textId", "start", "end"), where)
            if (name := self.string(text or identifier)) and is_span(start, end)
        ]

    def _physical_gpus(self) -> dict[tuple[int, int], int]:
        rows = self.rows("TARGET_INFO_CUDA_DEVICE", ("pid", "cudaId", "gpuId"))
        return {
            (pid, cuda): gpu
            for pid, cuda, gpu in rows
            if isinstance(pid, int) and isinstance(cuda, int) and isinstance(gpu, int) and 0 <= gpu < 1 << 16
        }


def process_id(identifier: object) -> int:
    """The process of a serialised global id, or of a thread of it; 0 where none is stated."""
    return identifier >> 24 & 0xFFFFFF if isinstance(identifier, int) else 0


def is_span(start: object, end: object) -> bool:
    """Whether two cells are times in order, far enough from the ends of 64 bits to be subtracted."""
    return isinstance(start, int) and isinstance(end, int) and -(1 << 61) < start <= end < 1 << 61


def _positive(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 < value < LARGEST else None
