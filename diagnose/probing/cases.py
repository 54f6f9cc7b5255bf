"""From what was measured of each batch to its verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from collectors.probe.census import Counted
from collectors.probe.rounds import Timing
from collectors.probe.window import Window
from heuristics.assemble import Given, device_cases
from heuristics.counted_work import CountedWork
from heuristics.judge import judge
from heuristics.observations import Host, LoadCurve, Observation, Serving, StepTimes
from heuristics.operations import Phase
from heuristics.probed import ProbedBatch
from heuristics.roofs import Device
from heuristics.samples import Samples, samples_of
from heuristics.subject import Machine
from heuristics.verdict import Judgement

SOURCE = "the probe"
ENGINE = "diagnose.probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All that was measured; ``timings`` in ascending order of batches, ``counts`` by batch."""

    phase: Phase
    device: Device
    batch: int
    on_gpu: bool
    timings: tuple[Timing, ...]
    counts: Mapping[int, Counted]
    window: Window | None = None
    threads: int | None = None
    context_tokens: float | None = None
    machine: Machine | None = None
    clocks: Mapping[str, float] = field(default_factory=dict)


def samples_by_round(measured: Measured, given: Given, whole: Judgement) -> Samples:
    """The figures of the batch in question over each calm round."""
    timing = next(t for t in measured.timings if t.batch == measured.batch)
    phase = Phase.PREFILL if measured.phase is Phase.PREFILL else None
    rounds = [
        [Observation(source=SOURCE, payload=_serving(timing, s, measured), device=measured.device, phase=phase)]
        for s in timing.times(judged_time(timing))
    ]
    return samples_of(rounds, _given(timing.batch, measured, given), [whole])


def workload_of(measured: Measured) -> str:
    """What was run, by which two probes are alike."""
    batches = ",".join(str(t.batch) for t in measured.timings)
    timing = next(t for t in measured.timings if t.batch == measured.batch)
    more = [
        f"at {measured.batch}" if measured.batch != measured.timings[-1].batch else None,
        f"of {measured.context_tokens:.0f} tokens" if measured.context_tokens else None,
        "by graph" if timing.replay is not None else None,
    ]
    return " ".join([f"probe {measured.phase.value} {batches}", *(text for text in more if text is not None)])


def judged(measured: Measured, given: Given) -> tuple[ProbedBatch, ...]:
    """A row a batch."""
    return tuple(_row(timing, measured, given) for timing in measured.timings)


def curve_of(timings: Sequence[Timing], name: str | None, context_tokens: float | None) -> LoadCurve:
    """Every calm group of steps as a window of its own, by the time of that name, or the one that is judged."""
    context = np.nan if context_tokens is None else context_tokens
    points = [(float(t.batch), seconds) for t in timings for seconds in t.times(name or judged_time(t))]
    return LoadCurve(
        batch=np.array([batch for batch, _ in points]),
        step_s=np.array([seconds for _, seconds in points]),
        context_tokens=np.full(len(points), context),
    )


def judged_time(timing: Timing) -> str:
    """Which of a group's times is judged: the replay of the graph where there is one, else the step as it is."""
    return "step_s" if timing.replay is None else "graph_s"


def step_s(timing: Timing) -> float:
    """The time that is judged."""
    found = timing.median_s(judged_time(timing))
    assert found is not None
    return found


def _row(timing: Timing, measured: Measured, given: Given) -> ProbedBatch:
    eager_s, graph_s = timing.median_s("step_s"), timing.median_s("graph_s")
    assert eager_s is not None
    device_s = timing.median_s("device_s")
    name = judged_time(timing)
    judgement = _judgement(timing, graph_s or eager_s, timing.spread(name), device_s, None, measured, given)
    eager = None
    if graph_s is not None:
        alone = replace(measured, window=None)
        eager = _judgement(timing, eager_s, timing.spread("step_s"), device_s, graph_s, alone, given)
    return ProbedBatch(
        batch=timing.batch,
        step_s=eager_s,
        spread=timing.spread(name),
        rounds=len(timing.calm),
        rounds_taken=len(timing.groups),
        steps=timing.steps,
        warm_ups=timing.warm_ups,
        tokens_per_s=_tokens(timing.batch, measured) / (graph_s or eager_s),
        judgement=judgement,
        device_s=device_s,
        graph_s=graph_s,
        eager=eager,
    )


def _tokens(batch: int, measured: Measured) -> float:
    each = measured.context_tokens if measured.phase is Phase.PREFILL and measured.context_tokens else 1.0
    return batch * each


def _judgement(
    timing: Timing,
    seconds: float,
    spread: float,
    device_s: float | None,
    graph_s: float | None,
    measured: Measured,
    given: Given,
) -> Judgement:
    payloads: list[Any] = [_serving(timing, seconds, measured)]
    if measured.on_gpu:
        payloads.append(StepTimes(step_s=seconds, device_s=device_s, graph_s=graph_s, spread=spread))
    else:
        payloads.append(_host(timing, measured.threads or 1))
    if measured.window is not None and measured.window.timeline is not None and timing.batch == measured.batch:
        payloads.append(measured.window.timeline)
    if measured.phase is Phase.DECODE and len(measured.timings) > 1:
        payloads.append(curve_of(measured.timings, "step_s" if graph_s is not None else None, measured.context_tokens))
    phase = Phase.PREFILL if measured.phase is Phase.PREFILL else None
    observations = [Observation(source=SOURCE, payload=p, device=measured.device, phase=phase) for p in payloads]
    return judge(device_cases(observations, _given(timing.batch, measured, given))[0])


def _given(batch: int, measured: Measured, given: Given) -> Given:
    counted = measured.counts[batch]
    if given.model is not None or not counted.flops or not counted.bytes:
        return given
    work = CountedWork(counted=counted.operations, batch=float(batch), weight_bits=counted.weight_bits)
    return replace(given, work=work)


def _serving(timing: Timing, seconds: float, measured: Measured) -> Serving:
    """The step as a serving engine would have stated it."""
    tokens = _tokens(timing.batch, measured)
    decode = measured.phase is Phase.DECODE
    steps = timing.steps * len(timing.calm)
    counted = measured.counts[timing.batch]
    return Serving(
        engine=ENGINE,
        busy=True,
        window_s=seconds * steps,
        steps=float(steps),
        steps_per_s=1.0 / seconds,
        step_s=seconds,
        batch=float(timing.batch),
        tokens_per_step=None if decode else tokens,
        tokens_per_s=tokens / seconds if decode else None,
        prompt_tokens_per_s=None if decode else tokens / seconds,
        time_per_output_token_s=seconds if decode else None,
        context_tokens=measured.context_tokens,
        read_bytes=counted.bytes * steps if counted.bytes and not counted.flops else None,
        flops=counted.flops * steps if counted.flops and not counted.bytes else None,
    )


def _host(timing: Timing, threads: int) -> Host:
    """What kept this process from computing; of several threads, by their sum."""
    wall_s = sum(g.wall_s for g in timing.calm)
    on_cpu_s = sum(g.on_cpu_s for g in timing.calm)
    waits = [g.waited_s for g in timing.calm if g.waited_s is not None]
    waited_s = sum(waits) if waits else None
    wanted_s = on_cpu_s + (waited_s or 0.0)
    return Host(
        window_s=wall_s,
        threads=threads,
        asleep_fraction=max(0.0, 1.0 - on_cpu_s / wall_s),
        busiest_thread_fraction=min(1.0, on_cpu_s / wall_s),
        wait_fraction=None if waited_s is None or wanted_s <= 0.0 else waited_s / wanted_s,
        busy_cores=on_cpu_s / wall_s,
        cores=None,
        computes=True,
    )
