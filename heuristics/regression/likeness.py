"""Like against like: which traits two sessions must share before their speeds may be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from heuristics.regression.session import Session

TRAITS: Mapping[str, str] = {
    "workload": "workload",
    "load": "load",
    "gpu": "device",
    "devices": "devices",
    "engine": "engine",
    "engine_version": "engine version",
    "model": "model",
    "dtype": "dtype",
    "parallelism": "parallelism",
    "measured_by": "way of measuring",
    "driver": "driver",
    "host": "host",
}
"""What makes two runs alike, with the words for it. ``workload``: what the user calls it; ``load``: what it states."""

LENIENT = frozenset({"load", "devices", "engine_version", "driver", "host"})
"""Where one of the two does not state these, they are taken to be alike. The others must be known on both sides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A trait in which two sessions differ; None where one does not state it."""

    trait: str
    baseline: str | None
    current: str | None


def differences(baseline: Session, current: Session, across: frozenset[str] = frozenset()) -> list[Difference]:
    """The traits in which two sessions are not alike, without those that may differ.

    Another part is told once: that the list of devices then differs too says no more.
    """
    found: list[Difference] = []
    for trait in TRAITS:
        before, now = baseline.identity.get(trait), current.identity.get(trait)
        if trait == "load" and named_after_it(baseline, current):
            continue
        unknown = trait in LENIENT and (before is None or now is None)
        implied = trait == "devices" and ("gpu" in across or any(d.trait == "gpu" for d in found))
        if trait not in across and before != now and not unknown and not implied:
            found.append(Difference(trait=trait, baseline=before, current=now))
    return found


def named_after_it(*sessions: Session) -> bool:
    """Whether the loads are the workloads' names as well, for want of others: then they need not be told twice."""
    return all(s.identity.get("load") == s.identity.get("workload") for s in sessions)
