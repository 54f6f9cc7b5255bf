"""Whether a host was well while a session ran: a sick one can tell nothing of the job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median

from heuristics.regression.outcome import Guard
from heuristics.regression.session import Health, Session

SLOWER_CLOCKS = 0.05
"""Clocks this much below the median of the sessions before: speed follows the clock where arithmetic binds."""

LOWER_CAP = 0.01

OTHERS_CORES, OTHERS_PART = 0.5, 0.1
"""Cores' worth of work of others beyond the median before; and on large hosts this part of their cores."""

WAITING = 0.10
"""Waiting for a CPU, as a part of the time in which one was wanted, beyond the median before."""

FEWEST = 3
"""Sessions that are needed to know what is usual on a host. A job may be at its power cap from its first night on."""


def usual_throttling(sessions: Sequence[Session]) -> frozenset[str]:
    """Limits that held most of the sessions: an H100 under matrix products always runs at its power cap."""
    counts = Counter(limit for s in sessions for limit in s.health.throttled)
    return frozenset(limit for limit, count in counts.items() if 2 * count > len(sessions))


def unwell(session: Session, sessions: Sequence[Session]) -> bool:
    """A session of the baseline whose host was not as those of most of the others."""
    return bool(guards(session, sessions))


def guards(session: Session, sessions: Sequence[Session]) -> list[Guard]:
    """What speaks against a session's host, beside how the sessions of a baseline usually were.

    Nothing where fewer than three are known: what is usual can then not be told.
    """
    if len(sessions) < FEWEST:
        return []
    return [*_held(session.health, sessions), *_shared(session.health, sessions)]


def _held(now: Health, sessions: Sequence[Session]) -> list[Guard]:
    """Clocks and power."""
    found = []
    if unusual := now.throttled - usual_throttling(sessions):
        found.append(Guard(name="throttled", current=", ".join(sorted(unusual))))
    for name, clock in sorted(now.clocks.items()):
        usual = _usual(sessions, lambda h, name=name: h.clocks.get(name))  # type: ignore[misc]
        if usual is not None and clock < (1.0 - SLOWER_CLOCKS) * usual:
            found.append(Guard(name=f"clocks.{name}", current=clock, baseline=usual))
    cap = _usual(sessions, lambda h: h.power_limit_w)
    if now.power_limit_w is not None and cap is not None and now.power_limit_w < (1.0 - LOWER_CAP) * cap:
        found.append(Guard(name="power_limit_w", current=now.power_limit_w, baseline=cap))
    return found


def _shared(now: Health, sessions: Sequence[Session]) -> list[Guard]:
    """Work of others, on the device and on the host's cores."""
    found = []
    processes = _usual(sessions, lambda h: float(h.other_processes or 0)) or 0.0
    if now.other_processes and now.other_processes > processes:
        found.append(Guard(name="other_processes", current=float(now.other_processes), baseline=processes))
    cores = _usual(sessions, lambda h: h.other_busy_cores)
    if now.other_busy_cores is not None and cores is not None:
        if now.other_busy_cores > cores + max(OTHERS_CORES, OTHERS_PART * (now.cores or 0.0)):
            found.append(Guard(name="other_busy_cores", current=now.other_busy_cores, baseline=cores))
        return found
    waited = _usual(sessions, lambda h: h.wait_fraction)
    if now.wait_fraction is not None and waited is not None and now.wait_fraction > waited + WAITING:
        found.append(Guard(name="wait_fraction", current=now.wait_fraction, baseline=waited))
    return found


def _usual(sessions: Sequence[Session], of: Callable[[Health], float | None]) -> float | None:
    """The median of those that state it: one night may not say what is usual, nor many bad ones creep in."""
    known = [value for s in sessions if (value := of(s.health)) is not None]
    return median(known) if known else None
