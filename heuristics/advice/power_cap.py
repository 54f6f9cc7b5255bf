"""Power cap lifted

What it changes: the clocks, held down by a power limit or by heat. Arithmetic runs with them; bandwidth hardly does.

When it is offered: the driver names power or heat as what holds the clocks down. A prediction only where the clock and
what it could be are known.

Assumptions: without the cap the clock reaches the rated one. Only the compute share is counted; in the range also that
everything follows the clock.

Example: 1,400 MHz under a 350 W limit where 1,830 are rated: a job that computes half the time gains 1.13 times.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from heuristics.advice.advice import Action, Advice, Withheld
from heuristics.advice.job import LEAST_GAIN, Job
from heuristics.vocabulary import Limit
from heuristics.whatif import Outcome, Step

NAME = "power_cap"


def advise(job: Job) -> Advice | Withheld:
    """Clocks as they are rated."""
    held = job.limits & {Limit.POWER_CAP, Limit.THERMAL}
    if not held:
        return Withheld(action=Action.LIFT_POWER_CAP, reason="nothing holds the clocks down")
    sentence = "better cooling" if held == {Limit.THERMAL} else "a higher power limit"
    clock, rated = _clock_hz(job), _rated_hz(job)
    if clock is None or rated is None or rated <= clock:
        return Advice(
            action=Action.LIFT_POWER_CAP,
            sentence=sentence,
            why="it holds the clocks down; by how much is not known",
            figures={},
        )
    ratio = rated / clock
    prediction = job.measured.predict(lambda step: _faster(step, ratio))
    bounded = replace(prediction, low=min(prediction.low, prediction.speedup), high=max(prediction.high, ratio))
    if bounded.speedup < LEAST_GAIN:
        return Withheld(action=Action.LIFT_POWER_CAP, reason="the clocks are held down, and the job hardly computes")
    return job.advised(
        Action.LIFT_POWER_CAP,
        bounded,
        sentence,
        "it holds the SM clock down to {clock_part:percent} of the rated one",
        figures={"clock_part": clock / rated},
        assumptions=("only arithmetic follows the clock (or all of it)",),
    )


def _faster(step: Step, ratio: float) -> Outcome:
    """Arithmetic with the clock, as seconds: the roof itself may be that of the lower clock."""
    now = step.outcome()
    return Outcome(memory_s=now.memory_s, compute_s=now.compute_s / ratio, latency_s=now.latency_s, tokens=now.tokens)


def _clock_hz(job: Job) -> float | None:
    """The mean SM clock while a kernel ran."""
    samples = job.whole.samples
    if samples is None:
        return None
    active = samples.sm_clock_hz[(np.nan_to_num(samples.sm) > 0) & ~np.isnan(samples.sm_clock_hz)]
    return float(active.mean()) if active.size else None


def _rated_hz(job: Job) -> float | None:
    part = job.case.part
    rated = part.rated_sm_clock_hz or part.boost_sm_clock_hz if part is not None else None
    return rated or (job.case.device.max_sm_clock_hz if job.case.device is not None else None)
