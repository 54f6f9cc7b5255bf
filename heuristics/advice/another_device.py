"""Another device

What it changes: both roofs, and the memory. The parts of the peaks that the job reaches, and its latency, stay;
prompts told apart from decode follow the arithmetic.

When it is offered: a memory- or compute-bound job on a part of the table, whose operations are known. One line: of the
same maker's well-known parts the first, by bandwidth or arithmetic, that is predicted to gain a fifth. Prices are not
known here; ask `diagnose roofline` with several --gpu and --price.

Assumptions: the same software reaches the same parts of its peaks. Where the cache is full, the larger memory is
filled with sequences.

Example: decode bound by an H100's 3.35 TB/s runs 1.43 times as fast at an H200's 4.8 TB/s.
"""

from __future__ import annotations

from dataclasses import replace

from heuristics.advice.advice import Action, Advice, Withheld
from heuristics.advice.job import Job
from heuristics.advice.larger_batch import at_batch
from heuristics.gpus import EVERYDAY_NAMES, GpuPart, parts
from heuristics.roofs import datasheet_roofs
from heuristics.step import fitting
from heuristics.vocabulary import Regime, Share
from heuristics.whatif import Outcome, Prediction, Step

NAME = "another_device"

LEAST_GAIN = 1.2


def advise(job: Job) -> Advice | Withheld:
    """The next part of the same maker that is worth it."""
    part, roofs = job.case.part, job.case.roofs
    if not job.explained:
        return Withheld(action=Action.ANOTHER_DEVICE, reason=job.lacking)
    if part is None or roofs is None or not roofs.bandwidth_bytes_per_s or not roofs.flops_per_s:
        return Withheld(action=Action.ANOTHER_DEVICE, reason="the device is not in the table of parts")
    if job.verdict.regime not in (Regime.MEMORY, Regime.COMPUTE):
        return Withheld(action=Action.ANOTHER_DEVICE, reason="latency would be the same on another device")
    memory = job.share(Share.MEMORY) >= job.share(Share.COMPUTE)
    known = [p for p in parts() if p.name in EVERYDAY_NAMES.values() and p.vendor == part.vendor and p != part]
    for other in sorted(known, key=lambda p: _rate(p, job, memory)):
        if _rate(other, job, memory) <= _rate(part, job, memory) or other.memory_bytes < part.memory_bytes:
            continue
        prediction = predicted(job, other)
        if prediction.speedup >= LEAST_GAIN:
            return job.advised(
                Action.ANOTHER_DEVICE,
                prediction,
                f"a device with more {'bandwidth' if memory else 'arithmetic'}, such as {other.name}",
                "{bandwidth:bytes_per_s} and {arithmetic:flops_per_s} in place of {present_bandwidth:bytes_per_s} and "
                "{present_arithmetic:flops_per_s}",
                figures={
                    "bandwidth": other.bandwidth_bytes_per_s,
                    "arithmetic": datasheet_roofs(other, roofs.dtype).flops_per_s or 0.0,
                    "present_bandwidth": roofs.bandwidth_bytes_per_s,
                    "present_arithmetic": roofs.flops_per_s,
                },
                rest_speedup=rest_speedup(job, other),
                assumptions=("the software reaches as much of its peaks", "its price is not weighed"),
            )
    return Withheld(action=Action.ANOTHER_DEVICE, reason="no well-known part of the same maker gains a fifth")


def _rate(part: GpuPart, job: Job, memory: bool) -> float:
    dtype = job.case.roofs.dtype if job.case.roofs is not None else None
    return part.bandwidth_bytes_per_s if memory else datasheet_roofs(part, dtype).flops_per_s or 0.0


def predicted(job: Job, other: GpuPart) -> Prediction:
    """The speed-up on another part, by its datasheet."""
    present = job.measured.step
    grown = _growth(job, other, present) if job.wants_room and job.decodes else 1.0
    return job.measured.predict(lambda step: _moved(step, other, grown))


def rest_speedup(job: Job, other: GpuPart) -> float:
    """That of prompts told apart from decode: they follow the arithmetic."""
    roofs = job.measured.step.roofs
    return (datasheet_roofs(other, roofs.dtype).flops_per_s or 1.0) / (roofs.flops_per_s or 1.0)


def _moved(step: Step, other: GpuPart, grown: float) -> Outcome:
    there = replace(step, roofs=datasheet_roofs(other, step.roofs.dtype))
    return at_batch(there, step.load.batch * grown) if grown > 1.0 else there.outcome()


def _growth(job: Job, other: GpuPart, step: Step) -> float:
    """How many times the present sequences the other memory holds."""
    now, then = (fitting(step.work, step.load, memory).batch for memory in (job.memory_bytes, other.memory_bytes))
    return then / now if now and then else 1.0
