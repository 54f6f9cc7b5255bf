"""Steps of all batches in turns, so that what drifts meanwhile drifts for all of them.

Every batch is warmed up first, until its steps no longer become faster. Then come rounds: in each every batch is
measured once, in an order of its own, over a group of steps between two synchronisations. A round in which a thread of
this process waited for a CPU was disturbed by others: the calm ones count, or the calmest where those are too few even
after more rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import median, quantiles

from collectors.probe.backend import Backend, Run, Usage
from collectors.probe.ranges import range_name, warm_up_name
from heuristics.operations import Phase

FEWEST_WARM_UPS, MOST_WARM_UPS = 3, 50
STEADY = 0.05
"""Two steps in a row that are no faster than the fastest before by more than this: it has settled."""
LONGEST_WARM_UP_S = 5.0
MOST_STEPS = 10_000
UNDISTURBED = 0.02
"""Part of a group's time, over the threads, for which they may wait for a CPU."""
FEWEST_CALM = 3
MOST_PATIENCE = 3
"""So many times the rounds are taken at most, until every batch has calm ones."""
AHEAD = 1.5
"""The device is held back for so many times what queueing a step takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to measure. ``seconds`` go to each batch, in ``rounds`` groups; ``warm_up`` is a number of steps, or None.

    ``device_time``: take the device's own time too, which adds a kernel of its own outside the named ranges.
    """

    phase: Phase = Phase.DECODE
    rounds: int = 9
    seconds: float = 0.5
    warm_up: int | None = None
    graph: bool = False
    device_time: bool = True
    seed: int = 0
    threads: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Some steps of one batch between two synchronisations: seconds a step, and what the process took meanwhile."""

    step_s: float
    wall_s: float
    on_cpu_s: float
    waited_s: float | None = None
    device_s: float | None = None
    graph_s: float | None = None


@dataclass(slots=True, kw_only=True)
class Timing:
    """All of one batch. ``replay`` is its graph, ``refusal`` the reason why it has none."""

    batch: int
    run: Run
    steps: int = 1
    warm_ups: int = 0
    steady: bool = True
    queueing_s: float = 0.0
    replay: Run | None = None
    refusal: str | None = None
    threads: int = 1
    groups: list[Group] = field(default_factory=list)

    @property
    def calm(self) -> list[Group]:
        """Groups that nobody disturbed; the calmest where those are too few."""
        undisturbed = [g for g in self.groups if _waiting(g, self.threads) <= UNDISTURBED]
        if len(undisturbed) >= FEWEST_CALM:
            return undisturbed
        return sorted(self.groups, key=lambda g: _waiting(g, self.threads))[:FEWEST_CALM]

    @property
    def disturbed(self) -> bool:
        """So few groups were left alone that disturbed ones count."""
        return any(_waiting(g, self.threads) > UNDISTURBED for g in self.calm)

    def times(self, name: str) -> list[float]:
        """One of the times of every calm group that has it."""
        return [value for g in self.calm if (value := getattr(g, name)) is not None]

    def median_s(self, name: str) -> float | None:
        """The median over groups of one of their times; None where it was not taken."""
        found = self.times(name)
        return median(found) if found else None

    def spread(self, name: str) -> float:
        """The distance of the quartiles over the median."""
        found = self.times(name)
        if len(found) < 2:
            return 0.0
        low, middle, high = quantiles(found, n=4, method="inclusive")
        return (high - low) / middle


def _waiting(group: Group, threads: int) -> float:
    return (group.waited_s or 0.0) / (group.wall_s * threads)


def measure(
    runs: Mapping[int, Run], backend: Backend, plan: Plan, between: Callable[[], object] = lambda: None
) -> list[Timing]:
    """Times of every batch, in ascending order of batches. ``between`` is called before every round.

    Graphs are captured largest first, to share memory.
    """
    timings = {b: _warmed(b, run, backend, plan) for b, run in sorted(runs.items(), reverse=True)}
    if plan.graph:
        for timing in timings.values():
            captured = backend.captured(timing.run)
            if isinstance(captured, str):
                timing.refusal = captured
            else:
                timing.replay = captured
    order = Random(plan.seed)
    for turn in range(MOST_PATIENCE * plan.rounds):
        batches = [b for b, timing in timings.items() if turn < plan.rounds or timing.disturbed]
        if not batches:
            break
        between()
        order.shuffle(batches)
        for batch in batches:
            timings[batch].groups.append(_group(timings[batch], backend, plan))
    return [timings[b] for b in sorted(timings)]


def _warmed(batch: int, run: Run, backend: Backend, plan: Plan) -> Timing:
    """Steps until they no longer become faster, and how many make a group."""
    taken: list[float] = []
    queueing: list[float] = []
    with backend.named(warm_up_name(batch)):
        backend.synchronize()
        while not _enough(taken, plan):
            begun = backend.now()
            run()
            queueing.append(backend.now() - begun)
            backend.synchronize()
            taken.append(backend.now() - begun)
    step_s = max(min(taken), 1e-7)
    return Timing(
        batch=batch,
        run=run,
        steps=min(MOST_STEPS, max(1, round(plan.seconds / plan.rounds / step_s))),
        warm_ups=len(taken),
        steady=plan.warm_up is not None or _settled(taken),
        queueing_s=min(queueing),
        threads=plan.threads,
    )


def _enough(taken: Sequence[float], plan: Plan) -> bool:
    if plan.warm_up is not None:
        return len(taken) >= max(1, plan.warm_up)
    if len(taken) < FEWEST_WARM_UPS:
        return False
    return _settled(taken) or len(taken) >= MOST_WARM_UPS or sum(taken) >= LONGEST_WARM_UP_S


def _settled(taken: Sequence[float]) -> bool:
    """The last two steps gained nothing on those before."""
    return len(taken) >= FEWEST_WARM_UPS and min(taken[-2:]) >= (1.0 - STEADY) * min(taken[:-2])


def _group(timing: Timing, backend: Backend, plan: Plan) -> Group:
    name = range_name(plan.phase, timing.batch)
    with backend.named(name):
        wall_s, before, after = _timed(timing.run, timing.steps, backend)
    device_s = backend.device_s(timing.run, AHEAD * timing.queueing_s) if plan.device_time else None
    graph_s = None
    if timing.replay is not None:
        with backend.named(name):
            graph_s = _timed(timing.replay, timing.steps, backend)[0] / timing.steps
    waited = None
    if before.waited_s is not None and after.waited_s is not None:
        waited = max(0.0, after.waited_s - before.waited_s)
    return Group(
        step_s=wall_s / timing.steps,
        wall_s=wall_s,
        on_cpu_s=after.on_cpu_s - before.on_cpu_s,
        waited_s=waited,
        device_s=device_s,
        graph_s=graph_s,
    )


def _timed(run: Run, steps: int, backend: Backend) -> tuple[float, Usage, Usage]:
    backend.synchronize()
    before, begun = backend.usage(), backend.now()
    for _ in range(steps):
        run()
    backend.synchronize()
    wall_s = backend.now() - begun
    return max(wall_s, 1e-9), before, backend.usage()
