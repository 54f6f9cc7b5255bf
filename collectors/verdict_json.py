"""Verdicts that were written as JSON, read back as the sessions that are compared."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from typing import Any, TypeVar

from heuristics.errors import UnreadableDump
from heuristics.regression.loose import Json, items, mapping, number, numbers, text, whole, words
from heuristics.regression.session import HELD, Health, Session, figures_of
from heuristics.vocabulary import Cause, Regime, Share

FAMILY = "diagnose.verdict/"
SCHEMA = re.compile(rf"{re.escape(FAMILY)}(\d{{1,9}})")
NUMBER = 1
"""The newest schema that is understood."""

ENVELOPE = "baseline"
"""The field of a kept verdict that says how it came to be kept."""

RECORDING = "diagnose recording"

_Word = TypeVar("_Word", Regime, Cause)


class NewerVerdict(UnreadableDump):
    """A verdict of a schema that this version does not know."""


def session_of(verdict: Any, name: str, *, workload: str | None = None) -> Session:
    """A verdict's JSON as a session. ``name`` is what it is called in reports, ``workload`` what the user calls it.

    Where the user has no name for it, its workload is what the verdict states; that is its load in any case.

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
    subject, environment = mapping(verdict, "subject"), mapping(verdict, "environment")
    answer = mapping(verdict, "verdict")
    shares = mapping(answer, "shares")
    return Session(
        name=name,
        created_at=text(verdict.get("created_at")),
        data=data_of(verdict),
        identity=_identity(verdict, subject, environment) | ({} if workload is None else {"workload": alike(workload)}),
        figures=figures_of(numbers(mapping(verdict, "measured")), _samples(mapping(verdict, "samples"))),
        regime=_one_of(Regime, answer.get("regime")),
        cause=_one_of(Cause, answer.get("cause")),
        confidence=number(answer.get("confidence")) or 0.0,
        shares={s: value for s in Share if (value := number(shares.get(s.value))) is not None} or None,
        health=_health(answer, environment, mapping(verdict, "measured")),
        verdict=verdict,
    )


def data_of(verdict: Json) -> str:
    """What was measured, as a short hash: the dumps' content where it is known, else everything the verdict says.

    What the user calls it is no part of it.
    """
    prints = [f.get("fingerprint") for f in items(mapping(verdict, "subject"), "files")]
    kept: Any = {name: value for name, value in verdict.items() if name != ENVELOPE}
    kept["subject"] = {name: value for name, value in mapping(verdict, "subject").items() if name != "workload"}
    if prints and all(prints):
        kept = sorted(map(str, prints))
    told = json.dumps(kept, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:16]


def alike(name: str) -> str:
    """A name in the one form that is compared and kept: composed characters, and whole ones.

    A byte of the command line that is no UTF-8 stands as its number, so that two such names stay two.
    """
    return unicodedata.normalize("NFC", name).encode("utf-8", "backslashreplace").decode("utf-8")


def load_of(verdict: Json) -> str | None:
    """What a verdict states of the load itself, such as a sweep's levels: beside it where it was kept under a name."""
    kept = verdict.get(ENVELOPE)
    stated = text(kept.get("load")) if isinstance(kept, dict) else text(mapping(verdict, "subject").get("workload"))
    return None if stated is None else alike(stated)


def _identity(verdict: Json, subject: Json, environment: Json) -> dict[str, str | None]:
    devices = items(subject, "devices")
    names = sorted(" ".join(filter(None, (text(d.get("name")), text(d.get("mig_profile"))))) for d in devices)
    host = mapping(environment, "host")
    parallelism = mapping(subject, "parallelism")
    host_told = [text(host.get("processor")), f"{host['cores']:g} cores" if number(host.get("cores")) else None]
    named = text(subject.get("workload"))
    return {
        "workload": None if named is None else alike(named),
        "load": load_of(verdict),
        "gpu": text(environment.get("gpu")) or next((n for n in names if n), None),
        "devices": ", ".join(f"{names.count(n)} x {n}" for n in dict.fromkeys(names) if n) or None,
        "engine": text(subject.get("engine")),
        "engine_version": text(environment.get("engine_version")),
        "model": text(subject.get("model")),
        "dtype": text(environment.get("dtype")),
        "parallelism": ", ".join(f"{k} {v}" for k, v in sorted(parallelism.items())) or None,
        "measured_by": _measured_by(verdict, subject),
        "driver": text(environment.get("driver")),
        "host": ", ".join(t for t in host_told if t) or None,
    }


def _measured_by(verdict: Json, subject: Json) -> str:
    """The instrument: a profiler slows what it looks at, so that its times are compared with its own only."""
    for name in ("probe", "sweep"):
        if isinstance(verdict.get(name), dict):
            return name
    kinds = sorted({str(f["kind"]) for f in items(subject, "files") if f.get("kind")} - {RECORDING})
    return ", ".join(kinds) or {"numbers": "numbers"}.get(str(subject.get("kind")), "watching")


def _health(answer: Json, environment: Json, measured: Json) -> Health:
    held = {limit for limit in words(answer, "limits") if limit in HELD}
    throttled = environment.get("throttled")
    if isinstance(throttled, list):
        held |= {str(limit) for limit in throttled}
    elif throttled:
        held.add(throttled if isinstance(throttled, str) else "throttled")
    clocks = environment.get("clocks")
    others = environment.get("other_processes")
    return Health(
        throttled=frozenset(held),
        clocks=numbers(clocks) if isinstance(clocks, dict) else numbers({"clock": clocks}),
        power_limit_w=number(environment.get("power_limit_w")),
        other_processes=len(others) if isinstance(others, list) else whole(others),
        other_busy_cores=number(mapping(environment, "host").get("other_busy_cores")),
        cores=number(mapping(environment, "host").get("cores")),
        wait_fraction=number(measured.get("host_wait_fraction")),
    )


def _samples(samples: Json) -> dict[str, tuple[float, ...]]:
    found = {}
    for name, values in samples.items():
        if isinstance(values, list):
            found[name] = tuple(known for value in values if (known := number(value)) is not None)
    return {name: values for name, values in found.items() if values}


def _one_of(kind: type[_Word], value: Any) -> _Word | None:
    try:
        return kind(value)
    except ValueError:
        return None
