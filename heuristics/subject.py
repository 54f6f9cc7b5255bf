"""What a live look says of the job beside its observations: who it is, what was seen of it, what was not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A source that did not speak, why, and what would make it."""

    source: str
    reason: str
    unlock: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine that a job ran on. ``cores``: CPUs that it may use, by affinity and quota.

    ``mark`` is the same on the same machine and says nothing else of it. ``other_busy_cores``: cores' worth of work
    that was neither the job's nor ours while it was watched, stolen time included.
    """

    processor: str | None = None
    cores: float | None = None
    mark: str | None = None
    other_busy_cores: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A process tree that was watched.

    ``cpu_fraction`` of one core and ``rss_bytes`` are what watching it took, ``start_cpu_s`` what it took to begin.

    ``parallelism`` has tp, pp, dp and ep where they exceed one. ``sources`` are those that spoke, best known first.
    """

    pid: int | None = None
    engine: str | None = None
    engine_version: str | None = None
    recognised_by: str | None = None
    model: str | None = None
    model_source: str | None = None
    stored_bytes: float | None = None
    parameters: float | None = None
    parallelism: Mapping[str, int] = field(default_factory=dict)
    driver: str | None = None
    window_s: float | None = None
    sources: tuple[str, ...] = ()
    missing: tuple[Missing, ...] = ()
    events: tuple[str, ...] = ()
    ended: bool = False
    cpu_fraction: float | None = None
    start_cpu_s: float | None = None
    rss_bytes: float | None = None
