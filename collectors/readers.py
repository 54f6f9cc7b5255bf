"""The registry of readers: a dump's kind is told from its content, never from its name."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from collectors.dump import Contents, Dump
from collectors.refusals import refusal

READERS: tuple[str, ...] = (
    "collectors.nsys.export",
    "collectors.ncu.report",
    "collectors.kineto.trace",
    "collectors.ncu.export",
    "collectors.kineto.table",
    "collectors.nsys.kernel_sums",
    "collectors.smi.log",
    "collectors.prometheus.exposition",
)
"""Modules with ``KIND``, ``recognises`` and ``read``, the surest first. Imported when a file gets that far."""


def reader_of(dump: Dump) -> ModuleType | None:
    """The first reader that recognises a dump."""
    for name in READERS:
        module = import_module(name)
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
        raise refusal(dump)
    contents: Contents = module.read(dump)
    return contents
