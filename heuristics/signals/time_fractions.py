"""sm and mem of nvidia-smi

What it looks at: the `sm` and `mem` columns of dmon and pmon, `utilization.gpu` and `utilization.memory` of
query logs and NVML, or DCGM's engine activity: the share of *time* in which some kernel ran, and in which
device memory was accessed at all.

What it bounds and why: no kernel, no work at a roof, so latency + idle ≥ 1 − sm. Time without any access
cannot be memory-bound, so memory ≤ mem; the counter refreshes slowly and its meaning drifts between
drivers, hence a width of 0.3 unless mem is under 15 %.

Blind spots: high values bound nothing: one warp on one SM counts as 100 %, and `mem` stays high from batch
1 to a full batch. (On an H100 with driver 580 it was 1.25 times the DRAM activity, which no documentation says, and on
which nothing is built.) The columns cover the whole time: without word that requests were running, low sm may
be mere idleness. `-` and `[N/A]` are unknown, never 0; on MIG everything is unknown.

Samples without any kernel are left out of a log: it often begins before the load, even where the engine's counters
say that requests ran. Where both were watched at the same time they count. Gaps between kernels of a job that is
watched have the host for their author.

Example: gpu-burn reads sm 100, mem 8: memory-bound is excluded, nothing else is shown.
"""

from __future__ import annotations

import numpy as np

from heuristics.arrays import Flags, median
from heuristics.case import Case
from heuristics.claims import Claim, WallBound
from heuristics.evidence import Abstention, Evidence, Finding
from heuristics.observations import Activity, Samples
from heuristics.vocabulary import Cause, Limit, Quantity, Share

NAME = "time_fractions"

SM_WIDTH = 0.05
"""No capture strains it: ``tests/ground_truth/widths.py`` finds no likeliest value."""
MEMORY_WIDTH = 0.30
"""What the counter means drifts between drivers. No capture of the one that was seen strains it, and
``tests/ground_truth/widths.py`` finds no likeliest value; nothing is built on one driver's habit."""
LOW_MEMORY = 0.15
LOW_MEMORY_WIDTH = 0.15
"""A kernel held by a cache counts as memory and touches no DRAM: rare, but not excluded by this counter. Six captures,
none strains it (``tests/ground_truth/widths.py``)."""

FLAT_POWER = 0.10
"""An idle device's power varies by no more than this part of its median; short bursts lift it while sm reads 0."""

IDLE_CERTAINTY = 0.90
"""No kernel in any sample: nearly surely no work, though a job that hangs on its host reads the same."""

VIDEO_BUSY = 0.20


def weigh(case: Case) -> Finding:
    """Bound latency by the time without a kernel and memory by the time with memory accesses."""
    if case.samples is None:
        return _engine_active(case)
    samples = case.samples
    if np.isnan(samples.sm).all() and case.activity is not None and case.activity.engine_active is not None:
        return _engine_active(case)
    if np.isnan(samples.sm).all():
        return Abstention(
            signal=NAME,
            missing=False,
            reason="utilisation is '-' or [N/A] in every sample (so it is on MIG): unknown, not 0",
        )
    active = np.nan_to_num(samples.sm) > 0
    at_work = case.watched and case.serving is not None and case.serving.busy and not _of_idle_replica(case, active)
    if at_work:
        active = ~np.isnan(samples.sm)
    elif not active.any():
        return _silent(case, samples)
    sm = float(np.nanmean(samples.sm[active]))
    claims: list[Claim] = [WallBound(share=Share.LATENCY, fraction=sm, width=SM_WIDTH)]
    idle = float((samples.sm <= 0).sum())
    measured = {"sm_time_fraction": sm, "idle_samples": idle, "samples": float(active.size)}
    sentence = "a kernel ran in {sm_time_fraction:percent} of the time"
    if not at_work and not active.all():
        sentence += f", in the {int(active.sum()):,} of {active.size:,} samples in which one ran at all"
    memory = samples.memory[active]
    if not np.isnan(memory).all():
        fraction = float(np.nanmean(memory))
        width = LOW_MEMORY_WIDTH if fraction < LOW_MEMORY else MEMORY_WIDTH
        claims.append(WallBound(share=Share.MEMORY, fraction=fraction, width=width))
        measured["memory_time_fraction"] = fraction
        sentence += ", memory was accessed in {memory_time_fraction:percent}; both are time fractions, not utilisations"
    return Evidence(
        signal=NAME,
        source=case.source(Samples),
        quantity=Quantity.TIME_FRACTION,
        claims=tuple(claims),
        sentence=sentence,
        measured=measured,
        activity=sm,
        causes={Cause.HOST: 1.0 - sm} if case.watched else {},
        limits=frozenset({Limit.VIDEO}) if _video(samples, active) else frozenset(),
    )


def _of_idle_replica(case: Case, active: Flags) -> bool:
    """Several replicas, and this device ran nothing: requests went to the others."""
    return case.replicated and not active.any()


def _engine_active(case: Case) -> Finding:
    engine = case.activity.engine_active if case.activity is not None else None
    if engine is None:
        return Abstention(signal=NAME, reason="no nvidia-smi or NVML utilisation in the input")
    quiet = engine < 0.01 and (case.activity is None or (case.activity.dram_active or 0.0) < 0.01)
    return Evidence(
        signal=NAME,
        source=case.source(Activity),
        quantity=Quantity.TIME_FRACTION,
        claims=(WallBound(share=Share.LATENCY, fraction=engine, width=SM_WIDTH),),
        sentence="the compute engine was active in {engine_active:percent} of the time",
        measured={"engine_active": engine},
        activity=engine,
        no_work=IDLE_CERTAINTY if quiet else None,
    )


def _silent(case: Case, samples: Samples) -> Finding:
    """Every stated sm is 0: idle, unless the power says that bursts fell between the readings."""
    power = samples.power_w[~np.isnan(samples.power_w)]
    typical = median(power)
    if typical is not None and float(power.max() - power.min()) > FLAT_POWER * typical:
        return Abstention(
            signal=NAME,
            missing=False,
            reason=f"sm reads 0 in every sample while the power swings from {power.min():.0f} to {power.max():.0f} W: "
            "bursts shorter than the counter's period",
        )
    return Evidence(
        signal=NAME,
        source=case.source(Samples),
        quantity=Quantity.TIME_FRACTION,
        claims=(),
        sentence="no kernel ran in any of {samples:count} samples",
        measured={"sm_time_fraction": 0.0, "samples": float(samples.sm.size)},
        no_work=IDLE_CERTAINTY if power.size > 1 else IDLE_CERTAINTY - 0.2,
    )


def _video(samples: Samples, active: Flags) -> bool:
    video = samples.video[active]
    return bool(video.size) and not bool(np.isnan(video).all()) and float(np.nanmean(video)) > VIDEO_BUSY
