"""Figures of short times within one look, by the name that they have over all of it: what two runs are compared by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from heuristics.assemble import Given, device_cases
from heuristics.case import Case
from heuristics.diagnosis import means
from heuristics.measures import measured
from heuristics.observations import Observation, Timeline
from heuristics.verdict import Judgement
from heuristics.vocabulary import Regime

Samples = Mapping[str, tuple[float, ...]]

SAMPLED = (
    "time_per_output_token_s",
    "time_to_first_token_s",
    "tokens_per_s",
    "prompt_tokens_per_s",
    "step_s",
    "batch",
    "context_tokens",
    "bandwidth_fraction",
    "compute_fraction",
)
"""Figures of performance, and of the load they were reached under, that a short time tells."""

FRACTIONS = ("bandwidth_fraction", "compute_fraction")

MOST_STEPS = 200
"""Steps of a trace told, evenly spread over it."""


def samples_of(windows: Sequence[Sequence[Observation]], given: Given, devices: Sequence[Judgement]) -> Samples:
    """One value for each window that tells it, in their order; ``devices`` are judged over the whole time.

    A figure that a window tells otherwise than the whole does, from another source, is left out: the two do not
    compare. So is what is zero throughout: prompts where there were none.
    """
    idle = {d.device.index for d in devices if _idle(d) and d.device is not None}
    whole = next((d.case for d in devices if not _idle(d) and d.case is not None), None)
    if whole is None:
        return {}
    found: dict[str, list[float]] = {}
    for window in windows:
        cases = device_cases(window, given)
        worked = [c for c in cases if c.device is None or c.device.index not in idle] or cases
        figures = means([_figures(case, whole) for case in worked])
        for name in SAMPLED:
            if name in figures:
                found.setdefault(name, []).append(figures[name])
    return {name: tuple(found[name]) for name in SAMPLED if any(found.get(name, ()))}


def samples_of_steps(timeline: Timeline | None) -> Samples:
    """The times of a trace's marked steps, thinned out evenly where they are many; nothing without marks."""
    if timeline is None or not timeline.step_s:
        return {}
    steps = timeline.step_s
    count = min(len(steps), MOST_STEPS)
    return {"step_s": tuple(steps[n * len(steps) // count] for n in range(count))}


def _idle(device: Judgement) -> bool:
    return device.verdict is None or device.verdict.regime is Regime.IDLE


def _figures(case: Case, whole: Case) -> dict[str, float]:
    found = measured(case)
    left_out: set[str] = set()
    if whole.activity is not None and case.activity is None:
        left_out |= set(FRACTIONS)
    if whole.serving is not None and case.serving is not None:
        stated = whole.serving.time_per_output_token_s is not None
        if stated and case.serving.time_per_output_token_s is None:
            left_out.add("time_per_output_token_s")
    return {name: value for name, value in found.items() if name not in left_out}
