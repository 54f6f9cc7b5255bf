"""The stored calibration: one small JSON file a user, an entry for each machine that shares it.

A file that cannot be used (damaged, another program's, a newer version's) is as good as none, and the reason is
told. Only a newer version's file is never replaced.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from collectors.calibration.figures import Calibration
from collectors.calibration.machine import Machine

if TYPE_CHECKING:
    import msgspec

SCHEMA = "diagnose.roofs"
VERSION = 1
LARGEST_FILE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    schema: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoCalibration:
    """Why there is no calibration to use; ``newer`` where a later version of this program wrote the file."""

    reason: str
    newer: bool = False


def default_path() -> Path:
    """``roofs.json`` in the user's cache folder."""
    stated = os.environ.get("XDG_CACHE_HOME", "")
    folder = Path(stated) if os.path.isabs(stated) else Path("~/.cache").expanduser()
    return folder / "diagnose" / "roofs.json"


def load(machine: Machine, path: Path | None = None) -> Calibration | NoCalibration:
    """The stored calibration of this machine, or why there is none."""
    import msgspec

    file = path or default_path()
    entries = _entries(file)
    if isinstance(entries, NoCalibration):
        return entries
    entry = entries.get(machine.key)
    if entry is None:
        return NoCalibration(reason=f"{file.name} holds no calibration of this machine")
    try:
        return msgspec.json.decode(entry, type=Calibration)
    except msgspec.MsgspecError as error:
        return NoCalibration(reason=f"{file.name} is damaged: {error}")


def save(calibration: Calibration, path: Path | None = None) -> str | None:
    """Store it beside other machines' entries, all or nothing; the reason why not, or None once it is stored."""
    import msgspec

    file = path or default_path()
    entries = _entries(file)
    if isinstance(entries, NoCalibration):
        if entries.newer:
            return entries.reason
        entries = {}
    entries[calibration.machine.key] = msgspec.Raw(msgspec.json.encode(calibration))
    content = msgspec.json.encode({"schema": f"{SCHEMA}/{VERSION}", "machines": entries})
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _replace(file, msgspec.json.format(content, indent=1) + b"\n")
    except OSError as error:
        return f"{file} cannot be written: {error.strerror or error}"
    return None


def _replace(file: Path, content: bytes) -> None:
    """Write beside the file and rename: a reader sees the old content or the new."""
    handle, beside = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.replace(beside, file)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def _entries(file: Path) -> dict[str, msgspec.Raw] | NoCalibration:
    """The machines' entries, still encoded."""
    import msgspec

    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST_FILE_BYTES + 1)
    except FileNotFoundError:
        return NoCalibration(reason="this machine has not been calibrated")
    except OSError as error:
        return NoCalibration(reason=f"{file.name} cannot be read: {error.strerror or error}")
    if len(content) > LARGEST_FILE_BYTES:
        return NoCalibration(reason=f"{file.name} is damaged: longer than any calibration")
    try:
        schema = msgspec.json.decode(content, type=_Header).schema
        name, _, version = schema.partition("/")
        if name != SCHEMA or not version.isdecimal():
            return NoCalibration(reason=f"{file.name} is another program's file")
        if int(version) > VERSION:
            return NoCalibration(reason=f"{file.name} was written by a newer version of diagnose", newer=True)
        machines = msgspec.json.decode(content, type=dict[str, msgspec.Raw]).get("machines", msgspec.Raw(b"{}"))
        return msgspec.json.decode(machines, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return NoCalibration(reason=f"{file.name} is damaged: {error}")
