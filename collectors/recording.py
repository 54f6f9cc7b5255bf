"""A recording: gzip-compressed JSON lines, a header and then a record a line. Written while it lasts, read post hoc."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from math import isfinite
from typing import Any

from collectors.dump import Dump
from collectors.fold import Fold
from collectors.record import KIND, SCHEMA, Record
from collectors.record_fields import checked
from collectors.units import counted
from collectors.watched import Watched
from heuristics.errors import DiagnoseError, UnreadableDump

_NAME, _, _VERSION = SCHEMA.partition("/")
_BEGINS = f'{{"schema": "{_NAME}/'

FLUSH_S = 1.0
"""What a crash may lose."""


class Writer:
    """Appends records to a file of its own; readable up to the last flush whatever happens.

    Raises:
        DiagnoseError: the file cannot be written.
    """

    def __init__(self, path: str, header: Mapping[str, Any]) -> None:
        self.path = path
        try:
            self._file = open(path, "wb")
        except OSError as error:
            raise self._unwritable(error) from error
        self._stream = gzip.GzipFile(filename="", fileobj=self._file, mode="wb", mtime=0)
        try:
            self.write({"schema": SCHEMA, **header})
            self.flush()
        except DiagnoseError:
            with suppress(DiagnoseError):
                self.close()
            raise

    def write(self, found: Mapping[str, Any]) -> None:
        """One line."""
        line = json.dumps(found, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace") + b"\n"
        try:
            self._stream.write(line)
        except OSError as error:
            raise self._unwritable(error) from error

    def flush(self) -> None:
        """To the disk's cache, as a whole block that can be decompressed."""
        try:
            self._stream.flush()
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        """Finish the file; what cannot be written any more is lost without harm to what was."""
        try:
            with self._file:
                self._stream.close()
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> DiagnoseError:
        folder = os.path.dirname(self.path) or "."
        return DiagnoseError(f"{self.path}: cannot be written: {error.strerror or error}", hint=f"ls -ld {folder}")


def recognises(dump: Dump) -> bool:
    """The header of a recording, of any version."""
    return dump.head_text.startswith(_BEGINS)


def read(dump: Dump) -> Watched:
    """Everything that a recording says.

    Raises:
        UnreadableDump: written by a newer version, or nothing but its header.
    """
    folding = Fold()
    damaged = records = 0
    lines = dump.lines()
    version = next(lines, "").removeprefix(_BEGINS).split('"', 1)[0]
    if version != _VERSION:
        raise UnreadableDump(
            dump.path,
            f"a {KIND} of version {version[:10]}, and {_VERSION} is known here",
            hint="pip install -U diagnose-inference",
        )
    for line in lines:
        try:
            folding.take(_record(line))
            records += 1
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError):
            damaged += 1
    if not records:
        raise UnreadableDump(dump.path, "the recording holds nothing", hint="diagnose record PID -o FILE")
    try:
        found = folding.close()
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise UnreadableDump(dump.path, "the recording is damaged", hint="diagnose record PID -o FILE") from error
    remarks = [dump.cut_short] if dump.cut_short else []
    if damaged:
        remarks.append(f"{counted(damaged, 'line that is no record was', 'lines that are no records were')} left out")
    return replace(found, warnings=(*found.warnings, *remarks))


def _record(line: str) -> Record:
    found = json.loads(line, parse_constant=_refused, parse_float=_finite)
    if not isinstance(found, dict) or not isinstance(found.get("what"), str):
        raise ValueError("no record")
    return checked(found)


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text} is no number")
    return value


def _refused(word: str) -> float:
    raise ValueError(f"{word} is no number")
