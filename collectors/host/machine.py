"""The machine that a job runs on: its processor, and a mark that tells it from others and does not name it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from collectors.calibration.machine import PROC, cpu_name, usable_cpus
from collectors.host.busy import other_cores
from collectors.record import Record, record
from heuristics.subject import Machine

ROOT = Path("/")
PLACES = ("etc/machine-id", "var/lib/dbus/machine-id")
SALT = b"the machine of a diagnose verdict\0"
MARK_DIGITS = 12


def mark(root: Path = ROOT) -> str | None:
    """The same for every look on this machine, and no way back to its id; None where it has none.

    machine-id(5) asks that the id be kept and only a keyed hash of it be shown. A container that was made from an
    image may have the id of the image.
    """
    for place in PLACES:
        try:
            text = (root / place).read_text(encoding="ascii", errors="replace").strip().lower()
        except OSError:
            continue
        if re.fullmatch(r"[0-9a-f]{32}", text):
            return hashlib.sha256(SALT + text.encode()).hexdigest()[:MARK_DIGITS]
    return None


def machine_record(cores: float | None, *, root: Path = ROOT, proc: Path = PROC) -> Record:
    """The ``machine`` record. ``cores``: CPUs that the job may use; where that is not known those that we may."""
    return record("machine", processor=cpu_name(proc), cores=cores or float(len(usable_cpus())), mark=mark(root))


def machine_of(found: Record, told: Collection[Mapping[str, Any]]) -> Machine | None:
    """The machine of a record, and what others did on it by what was ``told`` of its clock; None without either."""
    others = other_cores(told)
    if not found and others is None:
        return None
    stated = {name: found.get(name) for name in ("processor", "cores", "mark")}
    return Machine(**stated, other_busy_cores=others)


def this_one(told: Mapping[str, Any]) -> Machine | None:
    """The machine under this process."""
    return machine_of(machine_record(None), [told])
