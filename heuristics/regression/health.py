"""Whether a host was well while a session ran: a sick one can tell nothing of the job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from heuristics.regression.outcome import Guard
from heuristics.regression.session import Health, Session

SLOWER_CLOCKS = 0.03
"""Clocks this much below the lowest of the sessions before: speed follows the clock where arithmetic binds."""

LOWER_CAP = 0.01

OTHERS_CORES, OTHERS_PART = 0.5, 0.1
"""Cores' worth of work of others beyond the most that was seen before; and on large hosts this part of their cores."""

WAITING = 0.10
"""Waiting for a CPU, as a part of the time in which one was wanted, beyond the most that was seen before."""


def usual_throttling(sessions: Sequence[Session]) -> frozenset[str]:
    """Limits that held most of the sessions: an H100 under matrix products always runs at its power cap."""
    counts = Counter(limit for s in sessions for limit in s.health.throttled)
    return frozenset(limit for limit, count in counts.items() if 2 * count > len(sessions))


def unwell(session: Session, sessions: Sequence[Session]) -> bool:
    """A session of the baseline that was throttled or shared a device, where most of the others were not."""
    shared = [bool(s.health.other_processes) for s in sessions]
    alone = 2 * sum(shared) <= len(shared)
    return bool(session.health.throttled - usual_throttling(sessions)) or (
        alone and bool(session.health.other_processes)
    )


def guards(current: Session, sessions: Sequence[Session]) -> list[Guard]:
    """What speaks against the current host, beside how the sessions before were."""
    now = current.health
    found = []
    if unusual := now.throttled - usual_throttling(sessions):
        found.append(Guard(name="throttled", current=", ".join(sorted(unusual))))
    for name, clock in sorted(now.clocks.items()):
        lowest = min((s.health.clocks[name] for s in sessions if name in s.health.clocks), default=None)
        if lowest is not None and clock < (1.0 - SLOWER_CLOCKS) * lowest:
            found.append(Guard(name=f"clocks.{name}", current=clock, baseline=lowest))
    cap = _least(sessions, lambda h: h.power_limit_w)
    if now.power_limit_w is not None and cap is not None and now.power_limit_w < (1.0 - LOWER_CAP) * cap:
        found.append(Guard(name="power_limit_w", current=now.power_limit_w, baseline=cap))
    most = _most(sessions, lambda h: h.other_processes)
    if now.other_processes and now.other_processes > (most or 0):
        found.append(Guard(name="other_processes", current=float(now.other_processes), baseline=most or 0.0))
    cores = _most(sessions, lambda h: h.other_busy_cores)
    if now.other_busy_cores is not None and cores is not None:
        if now.other_busy_cores > cores + max(OTHERS_CORES, OTHERS_PART * (now.cores or 0.0)):
            found.append(Guard(name="other_busy_cores", current=now.other_busy_cores, baseline=cores))
        return found
    waited = _most(sessions, lambda h: h.wait_fraction)
    if now.wait_fraction is not None and waited is not None and now.wait_fraction > waited + WAITING:
        found.append(Guard(name="wait_fraction", current=now.wait_fraction, baseline=waited))
    return found


def _known(sessions: Sequence[Session], of: Callable[[Health], float | None]) -> list[float]:
    return [value for s in sessions if (value := of(s.health)) is not None]


def _least(sessions: Sequence[Session], of: Callable[[Health], float | None]) -> float | None:
    return min(_known(sessions, of), default=None)


def _most(sessions: Sequence[Session], of: Callable[[Health], float | None]) -> float | None:
    return max(_known(sessions, of), default=None)
