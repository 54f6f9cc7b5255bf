"""What surrounds a job and may move it: the load, its set-up, the device and the host, before and after."""

from __future__ import annotations

from collections.abc import Mapping

from heuristics.regression.health import OTHERS_CORES, SLOWER_CLOCKS, WAITING
from heuristics.regression.likeness import TRAITS, Difference, named_after_it
from heuristics.regression.loose import Json, mapping, number, numbers, text, words
from heuristics.regression.moved import Circumstance, Group, Kind
from heuristics.regression.parts import answer_of
from heuristics.regression.session import HELD, Session

ANOTHER_JOB = ("workload", "load", "gpu", "devices", "engine", "model")
"""Traits that are the job's own: with another of these, two verdicts are of two jobs."""

SETUP = ("engine_version", "dtype", "parallelism", "driver", "host")

LOAD_NOISE = 0.05
"""Relative: what users send differs by as much from one minute to the next."""

WORK_NOISE = 0.02

LOAD: Mapping[str, tuple[str, str, float]] = {
    "batch": ("batch", "number", LOAD_NOISE),
    "context_tokens": ("context", "number", LOAD_NOISE),
    "prompt_tokens_per_s": ("prompt tokens/s", "number", LOAD_NOISE),
    "requests_running": ("requests running", "number", LOAD_NOISE),
    "requests_waiting": ("requests waiting", "number", LOAD_NOISE),
    "preemptions": ("preemptions", "number", LOAD_NOISE),
    "accepted_per_draft": ("tokens accepted a draft", "number", LOAD_NOISE),
    "weight_bytes_per_step": ("weights read a step", "bytes", WORK_NOISE),
    "kv_bytes_per_step": ("KV cache read a step", "bytes", LOAD_NOISE),
    "flops_per_step": ("arithmetic a step", "flops", WORK_NOISE),
}
"""Fields of ``measured`` with label, unit and noise."""

WORK = {
    "weight_bytes_per_step": Kind.WEIGHTS,
    "kv_bytes_per_step": Kind.KV_CACHE,
    "flops_per_step": Kind.FLOPS,
}
"""Those that are a reason where they fit a share, and are not told twice."""

_UNITS = (
    ("_bytes", "bytes"),
    ("_bytes_per_s", "bytes_per_s"),
    ("_hz", "hertz"),
    ("_w", "watts"),
    ("_fraction", "percent"),
    ("_s", "seconds"),
)
_NOISE = {"other_busy_cores": OTHERS_CORES, "power_w": 20.0}
_SAID_ELSEWHERE = frozenset({"gpu", "dtype", "engine_version", "driver", "host.processor", "host.cores"})
_UNSAID: Mapping[str, float | str] = {"throttled": "none", "other_processes": 0.0}
"""What is stated only where there is any."""
MOST = 40
"""Fields of ``environment`` that are looked at: it is open to what later versions add."""


def apart(before: Session, after: Session) -> tuple[Difference, ...]:
    """What makes two verdicts those of two jobs, where both sides state it."""
    found = [d for name in ANOTHER_JOB if (d := _difference(name, before, after)) is not None]
    told_twice = {"devices"} if any(d.trait == "gpu" for d in found) else set()
    if named_after_it(before, after):
        told_twice.add("load")
    return tuple(d for d in found if d.trait not in told_twice)


def measured_apart(before: Session, after: Session) -> Difference | None:
    """Two ways of measuring: a profiler slows what it looks at."""
    return _difference("measured_by", before, after)


def circumstances(before: Session, after: Session) -> tuple[Circumstance, ...]:
    """All that is known on both sides and not the same, by group."""
    one, other = before.verdict, after.verdict
    found = [*_load(one, other)]
    for name in SETUP:
        if (difference := _difference(name, before, after)) is not None:
            found.append(_told(name, TRAITS[name], Group.SETUP, difference.baseline, difference.current))
    found += _texts(one, other)
    found += [*_roofs(one, other), *_environment(one, other), *_host(one, other)]
    return tuple(found)


def _difference(trait: str, before: Session, after: Session) -> Difference | None:
    one, other = before.identity.get(trait), after.identity.get(trait)
    if one is None or other is None or one == other:
        return None
    return Difference(trait=trait, baseline=one, current=other)


def _load(before: Json, after: Json) -> list[Circumstance]:
    sides = numbers(mapping(before, "measured")), numbers(mapping(after, "measured"))
    return [
        Circumstance(name=name, label=label, group=Group.LOAD, before=one, after=other, unit=unit)
        for name, (label, unit, noise) in LOAD.items()
        if (one := sides[0].get(name)) is not None
        and (other := sides[1].get(name)) is not None
        and _apart(one, other, noise)
    ]


def _texts(before: Json, after: Json) -> list[Circumstance]:
    found = []
    limits = [", ".join(x for x in answer_of(side).limits if x not in HELD) or "none" for side in (before, after)]
    if limits[0] != limits[1]:
        found.append(_told("limits", "limits", Group.LOAD, *limits))
    one, other = text(before.get("tool_version")), text(after.get("tool_version"))
    if one and other and one != other:
        found.append(_told("tool_version", "diagnose", Group.SETUP, one, other))
    for name, label in (("stored_bytes", "weights stored"), ("parameters", "parameters")):
        sizes = [number(mapping(side, "subject").get(name)) for side in (before, after)]
        if sizes[0] is not None and sizes[1] is not None and _apart(sizes[0], sizes[1], WORK_NOISE):
            unit = "bytes" if name == "stored_bytes" else "number"
            found.append(
                Circumstance(name=name, label=label, group=Group.SETUP, before=sizes[0], after=sizes[1], unit=unit)
            )
    return found


def _roofs(before: Json, after: Json) -> list[Circumstance]:
    sides = mapping(before, "roofs"), mapping(after, "roofs")
    found = []
    for name, label, unit in (
        ("bandwidth_bytes_per_s", "bandwidth roof", "bytes_per_s"),
        ("flops_per_s", "arithmetic roof", "flops_per_s"),
    ):
        for within in ("", "achievable"):
            told = [number((mapping(s, within) if within else s).get(name)) for s in sides]
            if told[0] is not None and told[1] is not None and _apart(told[0], told[1], 0.01):
                words_ = f"{label}, {within}" if within else label
                found.append(
                    Circumstance(
                        name=f"roofs.{within}.{name}" if within else f"roofs.{name}",
                        label=words_,
                        group=Group.DEVICE,
                        before=told[0],
                        after=told[1],
                        unit=unit,
                    )
                )
    return found


def _environment(before: Json, after: Json) -> list[Circumstance]:
    """Clocks, caps, throttling, other processes and whatever else is stated there."""
    sides = _flat(mapping(before, "environment")), _flat(mapping(after, "environment"))
    found = []
    for name in [n for n in {**sides[0], **sides[1]} if n not in _SAID_ELSEWHERE][:MOST]:
        one, other = (side.get(name) or _UNSAID.get(name) for side in sides)
        group = Group.HOST if name.startswith("host.") else Group.DEVICE
        if one is None or other is None:
            continue
        if isinstance(one, float) and isinstance(other, float):
            absolute = _NOISE.get(name.rpartition(".")[2])
            if _apart(one, other, absolute or SLOWER_CLOCKS, absolute=absolute is not None):
                found.append(
                    Circumstance(name=name, label=_label(name), group=group, before=one, after=other, unit=_unit(name))
                )
        elif one != other:
            found.append(_told(name, _label(name), group, _plain(one), _plain(other)))
    return found


def _host(before: Json, after: Json) -> list[Circumstance]:
    """What the job's own threads had of the CPUs."""
    found = []
    for name, label in (
        ("host_wait_fraction", "waiting for a CPU"),
        ("host_throttled_fraction", "CPU quota used up"),
        ("host_asleep_fraction", "busiest thread asleep"),
    ):
        told = [number(mapping(side, "measured").get(name)) for side in (before, after)]
        if told[0] is not None and told[1] is not None and abs(told[0] - told[1]) > WAITING:
            found.append(
                Circumstance(name=name, label=label, group=Group.HOST, before=told[0], after=told[1], unit="percent")
            )
    return found


def _flat(environment: Json, front: str = "") -> dict[str, float | str]:
    found: dict[str, float | str] = {}
    for name, value in environment.items():
        if isinstance(value, dict) and not front:
            found |= _flat(value, f"{name}.")
        elif isinstance(value, list):
            found[front + name] = ", ".join(sorted(words(environment, name))) or float(len(value))
        elif (known := number(value)) is not None:
            found[front + name] = known
        elif (told := text(value)) is not None:
            found[front + name] = told
    return found


def _told(name: str, label: str, group: Group, before: str | None, after: str | None) -> Circumstance:
    return Circumstance(name=name, label=label, group=group, before=before or "", after=after or "")


def _plain(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _label(name: str) -> str:
    """``clocks.sm_hz`` as ``clocks sm``."""
    plain = name.replace(".", " ")
    for ending, _ in _UNITS:
        plain = plain.removesuffix(ending)
    return plain.replace("_", " ").removeprefix("host ")


def _unit(name: str) -> str:
    return next((unit for ending, unit in reversed(_UNITS) if name.endswith(ending)), "number")


def _apart(one: float, other: float, noise: float, *, absolute: bool = False) -> bool:
    return abs(one - other) > noise * (1.0 if absolute else max(abs(one), abs(other)))
