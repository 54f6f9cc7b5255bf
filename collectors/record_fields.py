"""What fields a record has, so that a line of a recording that was bent is left out instead of believed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from collectors.record import Record

LARGEST = 1e30
SMALLEST = 1e-9
"""Durations and rates below it were not measured."""
LARGEST_COUNT = 1 << 31
LONGEST_TEXT = 1 << 16
LONGEST_LOOK_S = 1e9

Check = Callable[[Any], bool]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value < LARGEST


def _value(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST < value < LARGEST


def _positive(value: Any) -> bool:
    return _number(value) and value > SMALLEST


def _moment(value: Any) -> bool:
    return _number(value) and value < LONGEST_LOOK_S


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST_COUNT


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_TEXT and all(c.isprintable() or c in "\n\t" for c in value)


def _lines(value: Any) -> bool:
    return isinstance(value, str)


def _truth(value: Any) -> bool:
    return isinstance(value, bool)


def _mark(value: Any) -> bool:
    return value is None or _value(value) or _text(value)


def _anything(value: Any) -> bool:
    return True


def _each(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _named(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def _sample(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 3:
        return False
    name, labels, number = value
    return _text(name) and _named(_lines)(labels) and _value(number)


def _fields(**checks: Check) -> Check:
    def check(value: Any) -> bool:
        return isinstance(value, dict) and all(name in value and known(value[name]) for name, known in checks.items())

    return check


def _slot(value: Any) -> bool:
    known: dict[str, Check] = {"id": _count, "decoded": _number, "context": _number, "running": _truth, "task": _mark}
    return isinstance(value, dict) and all(known.get(name, _anything)(stated) for name, stated in value.items())


_THREAD = _fields(pid=_count, name=_text, run_s=_number, wait_s=_number)

_LEVEL = _fields(
    threads=_count,
    bandwidth_bytes_per_s=_positive,
    flops_per_s=_named(_positive),
    bandwidth_spread=_number,
    arithmetic_spread=_number,
)

BY_UNIT = re.compile(r".*_(?:s|bytes|hz|w|j|bits|active|occupancy|fraction)")
"""Names that end in a unit stand for numbers."""

FIELDS: Mapping[str, Mapping[str, Check]] = {
    "job": {
        "pid": _count,
        "engine": _text,
        "recognised_by": _text,
        "parallelism": _named(_positive),
        "holds_device": _truth,
    },
    "about": {"version": _text, "served_name": _text, "parameters": _number, "most_context": _number},
    "model": {"name": _text, "source": _text, "warnings": _each(_text), "parameters": _number},
    "calibration": {
        "bandwidth_bytes_per_s": _positive,
        "flops_per_s": _named(_positive),
        "device": _text,
        "threads": _count,
        "taken_at": _text,
        "under_load": _truth,
        "levels": _each(_LEVEL),
        "bandwidth_spread": _number,
        "arithmetic_spread": _number,
    },
    "overhead": {"wall_s": _positive},
    "missing": {"source": _text, "reason": _text, "unlock": _text},
    "event": {"text": _text, "ended": _truth},
    "found": {"source": _text},
    "scrape": {"samples": _each(_sample)},
    "dcgm": {"samples": _each(_sample)},
    "slots": {"slots": _each(_slot)},
    "machine": {"processor": _text, "cores": _positive, "mark": _text},
    "host": {
        "window_s": _positive,
        "threads": _count,
        "working": _count,
        "model_threads": _count,
        "cores": _positive,
        "busiest": _each(_THREAD),
    },
    "device": {
        "index": _count,
        "uuid": _text,
        "name": _text,
        "vendor": _text,
        "mig_profile": _text,
        "driver": _text,
        "sm_count": _count,
        "other_processes": _count,
        "of_job": _truth,
    },
    "nvml": {
        "device": _count,
        "sm": _each(_number),
        "memory": _each(_number),
        "clock_reasons": _count,
        "video": _number,
        "ecc_errors": _number,
    },
    "gpm": {"device": _count, "window_s": _positive},
    "dmon": {"text": _lines},
}
"""Checks of fields by kind of record, where their names do not say it."""

NEEDED: Mapping[str, tuple[str, ...]] = {
    "calibration": ("bandwidth_bytes_per_s",),
    "overhead": ("cpu_s", "wall_s"),
    "missing": ("source", "reason"),
    "event": ("text",),
    "found": ("source",),
    "scrape": ("t_s", "samples"),
    "dcgm": ("t_s", "samples"),
    "slots": ("t_s", "slots"),
    "host": ("t_s", "window_s", "threads", "run_s", "asleep_s", "working_run_s", "working_wait_s", "busiest"),
    "device": ("index",),
    "nvml": ("t_s", "device"),
    "gpm": ("t_s", "device", "window_s"),
    "dmon": ("text",),
}
"""Fields without which a record says nothing."""


def checked(found: Record) -> Record:
    """The record, if what is known of its kind is as it should be.

    Raises:
        ValueError: a field is missing, or is not what its name says.
    """
    what = found["what"]
    if not _moment(found.get("t_s", 0.0)):
        raise ValueError("a record without its time")
    if what not in FIELDS:
        return found
    for name in NEEDED.get(what, ()):
        if name not in found:
            raise ValueError(f"a record of {what} without {name}")
    for name, value in found.items():
        check = FIELDS[what].get(name) or (_number if BY_UNIT.fullmatch(name) else _anything)
        if not check(value):
            raise ValueError(f"a record of {what} with no usable {name}")
    return found
