"""Verdicts that were written as JSON, read back as the sessions that are compared."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from heuristics.errors import UnreadableDump
from heuristics.regression.session import Health, Session, figures_of
from heuristics.vocabulary import Cause, Limit, Regime, Share

SCHEMA = re.compile(r"diagnose\.verdict/(\d+)")
NUMBER = 1
"""The newest schema that is understood."""

HELD = frozenset({Limit.POWER_CAP.value, Limit.THERMAL.value})
RECORDING = "diagnose recording"

Json = Mapping[str, Any]
_Word = TypeVar("_Word", Regime, Cause)


class NewerVerdict(UnreadableDump):
    """A verdict of a schema that this version does not know."""


def session_of(verdict: Any, name: str, *, workload: str | None = None) -> Session:
    """A verdict's JSON as a session. ``name`` is what it is called in reports, ``workload`` what the user calls it.

    What it lacks stays None; what has no sense (a text for a number) counts as lacking.

    Raises:
        NewerVerdict: its schema number is higher than ours.
        UnreadableDump: it is no verdict.
    """
    if not isinstance(verdict, dict):
        raise UnreadableDump(name, "this is no verdict", hint="diagnose analyze FILE... --format json -o verdict.json")
    schema = SCHEMA.fullmatch(str(verdict.get("schema")))
    if schema is None:
        raise UnreadableDump(
            name, "this JSON is no verdict of diagnose", hint="diagnose analyze FILE... --format json -o verdict.json"
        )
    if int(schema[1]) > NUMBER:
        raise NewerVerdict(name, f"it was written by a newer diagnose ({schema[0]})", hint="update diagnose")
    subject, environment = _map(verdict, "subject"), _map(verdict, "environment")
    answer = _map(verdict, "verdict")
    shares = _map(answer, "shares")
    return Session(
        name=name,
        created_at=_text(verdict.get("created_at")),
        data=data_of(verdict),
        identity=_identity(verdict, subject, environment) | ({"workload": workload} if workload is not None else {}),
        figures=figures_of(_numbers(_map(verdict, "measured")), _samples(_map(verdict, "samples"))),
        regime=_one_of(Regime, answer.get("regime")),
        cause=_one_of(Cause, answer.get("cause")),
        confidence=_number(answer.get("confidence")) or 0.0,
        shares={s: value for s in Share if (value := _number(shares.get(s.value))) is not None} or None,
        health=_health(answer, environment, _map(verdict, "measured")),
        verdict=verdict,
    )


def data_of(verdict: Json) -> str:
    """What was measured, as a short hash: the dumps' content where it is known, else everything the verdict says."""
    files = _map(verdict, "subject").get("files")
    prints = [f.get("fingerprint") for f in files if isinstance(f, dict)] if isinstance(files, list) else []
    kept: Any = {name: value for name, value in verdict.items() if name != "baseline"}
    if prints and all(prints):
        kept = sorted(map(str, prints))
    told = json.dumps(kept, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:16]


def _identity(verdict: Json, subject: Json, environment: Json) -> dict[str, str | None]:
    devices = [d for d in subject.get("devices") or () if isinstance(d, dict)]
    names = sorted(" ".join(filter(None, (_text(d.get("name")), _text(d.get("mig_profile"))))) for d in devices)
    host = _map(environment, "host")
    parallelism = _map(subject, "parallelism")
    host_told = [_text(host.get("processor")), f"{host['cores']:g} cores" if _number(host.get("cores")) else None]
    return {
        "workload": _text(subject.get("workload")),
        "gpu": _text(environment.get("gpu")) or next((n for n in names if n), None),
        "devices": ", ".join(f"{names.count(n)} x {n}" for n in dict.fromkeys(names) if n) or None,
        "engine": _text(subject.get("engine")),
        "engine_version": _text(environment.get("engine_version")),
        "model": _text(subject.get("model")),
        "dtype": _text(environment.get("dtype")),
        "parallelism": ", ".join(f"{k} {v}" for k, v in sorted(parallelism.items())) or None,
        "measured_by": _measured_by(verdict, subject),
        "driver": _text(environment.get("driver")),
        "host": ", ".join(t for t in host_told if t) or None,
    }


def _measured_by(verdict: Json, subject: Json) -> str:
    """The instrument: a profiler slows what it looks at, so that its times are compared with its own only."""
    for name in ("probe", "sweep"):
        if isinstance(verdict.get(name), dict):
            return name
    files = [f for f in subject.get("files") or () if isinstance(f, dict)]
    kinds = sorted({str(f.get("kind")) for f in files if f.get("kind")} - {RECORDING})
    return ", ".join(kinds) or {"numbers": "numbers"}.get(str(subject.get("kind")), "watching")


def _health(answer: Json, environment: Json, measured: Json) -> Health:
    limits = answer.get("limits")
    held = {str(x) for x in limits if x in HELD} if isinstance(limits, list) else set()
    throttled = environment.get("throttled")
    if isinstance(throttled, list):
        held |= {str(limit) for limit in throttled}
    elif throttled:
        held.add(throttled if isinstance(throttled, str) else "throttled")
    clocks = environment.get("clocks")
    others = environment.get("other_processes")
    return Health(
        throttled=frozenset(held),
        clocks=_numbers(clocks) if isinstance(clocks, dict) else _numbers({"clock": clocks}),
        power_limit_w=_number(environment.get("power_limit_w")),
        other_processes=len(others) if isinstance(others, list) else _whole(others),
        other_busy_cores=_number(_map(environment, "host").get("other_busy_cores")),
        wait_fraction=_number(measured.get("host_wait_fraction")),
    )


def _samples(samples: Json) -> dict[str, tuple[float, ...]]:
    found = {}
    for name, values in samples.items():
        if isinstance(values, list):
            found[name] = tuple(number for value in values if (number := _number(value)) is not None)
    return {name: values for name, values in found.items() if values}


def _map(of: Json, name: str) -> Json:
    found = of.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> float | None:
    """A finite number; a truth value is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _numbers(of: Json) -> dict[str, float]:
    return {name: number for name, value in of.items() if (number := _number(value)) is not None}


def _one_of(kind: type[_Word], value: Any) -> _Word | None:
    try:
        return kind(value)
    except ValueError:
        return None
