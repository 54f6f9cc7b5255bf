"""Reader of Nsight Systems SQLite exports: a timeline a device and a phase, and sampled GPU metrics."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import numpy as np

from collectors.dump import Contents, Dump
from collectors.marks import by_phase
from collectors.nsys.database import Database
from collectors.nsys.events import Events
from collectors.nsys.gpu_metrics import activities
from heuristics.arrays import Index
from heuristics.errors import UnreadableDump
from heuristics.kernel_class import UNNAMED
from heuristics.observations import Observation
from heuristics.timeline import DeviceEvents, Recording, summarise

KIND = "Nsight Systems export"

MAGIC = b"SQLite format 3\x00"


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
    with open(dump.path, "rb") as stream:
        if not stream.read(len(MAGIC)).startswith(MAGIC):
            raise UnreadableDump(dump.path, "a database cannot be read compressed", hint="decompress it first")
    address = f"{Path(dump.path).resolve().as_uri()}?mode=ro&immutable=1"
    try:
        connection = sqlite3.connect(address, uri=True)
    except sqlite3.Error as error:
        raise UnreadableDump(
            dump.path, f"cannot be opened as a database: {error}", hint="copy it to a local disk"
        ) from error
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        return _read(dump, Database(connection, dump.interrupt))
    except (sqlite3.Error, OverflowError, UnicodeDecodeError) as error:  # SQLite may quote damaged text in its message
        raise UnreadableDump(dump.path, f"the database is damaged: {error}", hint="export it again") from error
    finally:
        connection.close()


def _read(dump: Dump, database: Database) -> Contents:
    if not database.has("META_DATA_EXPORT") and not any(t.startswith("CUPTI_ACTIVITY") for t in database.tables):
        raise UnreadableDump(
            dump.path,
            "an SQLite database, but not one of Nsight Systems",
            hint="nsys export --type sqlite -o run.sqlite run.nsys-rep",
        )
    observations: list[Observation] = []
    warnings: list[str] = []
    events = Events(database)
    if len(events.start):
        observations += _timelines(dump.path, database, events)
    else:
        warnings.append("no GPU activity recorded: profile with nsys profile -t cuda,nvtx")
    observations += [
        Observation(source=dump.path, payload=activity, device=database.device(index))
        for index, activity in activities(database)
    ]
    if _is_truncated(dump.path, dump.head):
        warnings.append("a part of the database is missing: the file is truncated")
    if dump.interrupt.requested:
        warnings.append("interrupted: judged by what was read so far")
    return Contents(kind=KIND, observations=tuple(observations), warnings=tuple(warnings))


def _is_truncated(path: str, head: bytes) -> bool:
    """Whether the file is shorter than its header says, where a page of 64 KiB is written as 1."""
    page, pages = int.from_bytes(head[16:18]), int.from_bytes(head[28:32])
    return os.stat(path).st_size < (65536 if page == 1 else page) * pages


def _timelines(path: str, database: Database, events: Events) -> list[Observation]:
    device_of: Index = np.array(events.device, np.int32)
    launch_start, launch_end, host = events.launches()
    names = [database.string(name) or (str(name) if name else UNNAMED) for name in events.names]
    blocks = np.array(events.blocks, np.float32)
    marks = database.marks()
    recording = Recording(host=host)
    found = []
    for index in np.flatnonzero(np.bincount(device_of)).tolist():
        device = database.device(index)
        sms = np.float32(device.sm_count) if device.sm_count else np.float32("nan")
        mine = DeviceEvents(
            names=names,
            name_index=np.array(events.name_index, np.int32),
            start=np.array(events.start, np.int64),
            end=np.array(events.end, np.int64),
            launch_start=launch_start,
            launch_end=launch_end,
            from_graph=np.array(events.in_graph, bool) | events.shared_launch(launch_start),
            blocks_per_sm=blocks / sms,
        ).chosen(device_of == index)
        found.append(Observation(source=path, payload=summarise(mine, recording), device=device))
        found += [
            Observation(source=path, payload=summarise(part, recording, window), device=device, phase=phase)
            for phase, part, window in by_phase(marks, mine)
        ]
    return found
