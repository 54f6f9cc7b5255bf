"""The registry of readers: a dump's kind is told from its content, never from its name."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import NamedTuple

from collectors.dump import Contents, Dump


class Reader(NamedTuple):
    """A module with ``KIND``, ``recognises`` and ``read``, imported only where the head holds one of these words."""

    module: str
    words: tuple[str, ...] = ("",)


READERS: tuple[Reader, ...] = (
    Reader("collectors.recording", ('"diagnose.recording/',)),
    Reader("collectors.nsys.export", ("SQLite format 3",)),
    Reader("collectors.ncu.report"),
    Reader("collectors.kineto.trace", ('"traceEvents"', '"ph"', '"schemaVersion"')),
    Reader("collectors.ncu.export", ("Kernel Name", "==PROF==", "==ERROR==", "==WARNING==")),
    Reader("collectors.kineto.table", ("Self CPU %",)),
    Reader("collectors.nsys.kernel_sums", ("Instances",)),
    Reader("collectors.smi.log"),
    Reader("collectors.prometheus.exposition"),
)
"""The surest first."""


def reader_of(dump: Dump) -> ModuleType | None:
    """The first reader that recognises a dump."""
    for reader in READERS:
        if any(word in dump.head_text for word in reader.words):
            module = import_module(reader.module)
            if module.recognises(dump):
                return module
    return None


def read(dump: Dump) -> Contents:
    """What is in a dump.

    Raises:
        UnreadableDump: no reader takes it, or the one that does finds nothing usable in it.
    """
    module = reader_of(dump)
    if module is None:
        from collectors.refusals import refusal

        raise refusal(dump)
    contents: Contents = module.read(dump)
    return contents
