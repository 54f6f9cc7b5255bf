"""Tensor parallelism, up or down

What it changes: the devices that one model is split over. Twice as many halve each one's bytes and arithmetic and add
two all-reduces a layer; half as many take that communication away, and a second copy serves half of the requests.

When it is offered: up where memory or compute is the largest share on a GPU, and where the heads can be split; down
where latency is and communication is its cause, and one copy fits on half the devices.

Assumptions: an all-reduce of decode takes 10 µs (none to 20), which is what a kernel between linked GPUs of one
machine takes; over PCIe it is several times that. The latency stays. Up costs twice the devices, and the tokens a
second are those of all of them together. Down serves the same requests: half the batch on each copy.

Example: Llama-2-7B on A100s at batch 1 was measured at 105, 169, 254 and 328 tokens/s on 1, 2, 4 and 8 of them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from heuristics.advice.advice import Action, Advice, Withheld
from heuristics.advice.job import Job
from heuristics.advice.larger_batch import at_batch
from heuristics.errors import UnusableModel
from heuristics.step import fitting
from heuristics.vocabulary import Cause, Share
from heuristics.whatif import Outcome, Step
from heuristics.work import ModelWork, StreamedWork

NAME = "tensor_parallel"

ALL_REDUCE_S = 10e-6
SLOW_ALL_REDUCE_S = 20e-6
REDUCES_A_LAYER = 2
MOST = 8
"""Devices that one machine links closely; beyond them the all-reduces take far longer."""
NOTABLE = 0.10


def advise(job: Job) -> Advice | Withheld:
    """Twice or half as many devices."""
    step = job.measured.step
    if not job.decodes or not job.on_gpu:
        reason = job.lacking if not job.decodes else "no GPU runs it, as far as is known"
        return Withheld(action=Action.MORE_TENSOR_PARALLELISM, reason=reason)
    devices, communication = step.load.tensor_parallel, job.cause(Cause.COMMUNICATION)
    latency = job.share(Share.LATENCY)
    if devices > 1 and latency >= max(job.share(Share.MEMORY), job.share(Share.COMPUTE)):
        return _down(job, communication)
    if latency >= max(job.share(Share.MEMORY), job.share(Share.COMPUTE)):
        return Withheld(
            action=Action.MORE_TENSOR_PARALLELISM,
            reason="latency is the largest share, and more devices do not shorten it",
        )
    if 2 * devices > MOST:
        return Withheld(
            action=Action.MORE_TENSOR_PARALLELISM, reason=f"{devices} devices are as many as are linked closely"
        )
    if not _splits(step, 2 * devices) or layers_of(step) is None:
        return Withheld(
            action=Action.MORE_TENSOR_PARALLELISM, reason=f"the model is not known to split over {2 * devices} devices"
        )
    return _up(job, devices)


def _up(job: Job, devices: int) -> Advice | Withheld:
    room = _growth(job, 2 * devices) if job.wants_room else 1.0
    likely, slow, free = (
        job.measured.predict(partial(_split, devices=2 * devices, all_reduce_s=seconds, room=room))
        for seconds in (ALL_REDUCE_S, SLOW_ALL_REDUCE_S, 0.0)
    )
    prediction = likely.widened([slow, free])
    return job.advised(
        Action.MORE_TENSOR_PARALLELISM,
        prediction,
        "tensor parallelism {to_devices:count}, now {devices:count}: twice the devices",
        "each device moves about half the bytes, and makes {a_device:percent} of the tokens it makes now"
        + ("; with room for {room:number} times the sequences" if room > 1.0 else ""),
        figures={
            "devices": float(devices),
            "to_devices": 2.0 * devices,
            "a_device": prediction.speedup / 2.0,
            "room": room,
        },
        assumptions=("an all-reduce takes 10 µs (none to 20): NVLink, not PCIe",),
        devices_factor=2.0,
    )


def _down(job: Job, communication: float) -> Advice | Withheld:
    step = job.measured.step
    devices = step.load.tensor_parallel
    if communication < NOTABLE or devices % 2:
        return Withheld(
            action=Action.LESS_TENSOR_PARALLELISM, reason="nothing shows that the devices wait for each other"
        )
    half = replace(step.load, tensor_parallel=devices // 2, batch=max(1.0, step.load.batch / 2.0))
    fit = fitting(step.work, half, job.memory_bytes)
    if fit.batch is None and job.memory_bytes is None:
        return Withheld(
            action=Action.LESS_TENSOR_PARALLELISM, reason="whether the model fits on fewer devices is not known"
        )
    if fit.batch is not None and fit.batch < half.batch:
        return Withheld(
            action=Action.LESS_TENSOR_PARALLELISM, reason="the model and its cache do not fit on fewer devices"
        )
    # One device has nothing to wait for; of fewer, the waits of small messages are hardly shorter.
    kept = 0.0 if devices == 2 else 1.0

    def at(step: Step) -> Outcome:
        whole_s = step.outcome().step_s
        waited_s = min(step.latency_s, communication * whole_s)
        fewer = replace(
            step,
            load=replace(step.load, tensor_parallel=devices // 2),
            latency_s=step.latency_s - (1.0 - kept) * waited_s,
        )
        return replace(at_batch(fewer, half.batch), tokens=step.load.batch)

    return job.advised(
        Action.LESS_TENSOR_PARALLELISM,
        job.measured.predict(at),
        "tensor parallelism {to_devices:count}, now {devices:count}, and two copies that share the requests",
        "the devices wait for each other {communication:percent} of the time",
        figures={"devices": float(devices), "to_devices": devices / 2.0, "communication": communication},
        assumptions=("two copies on the same devices, half the requests each",),
    )


def _split(step: Step, devices: int, all_reduce_s: float, room: float) -> Outcome:
    """The step on more devices. All-reduces that were there already are part of its latency."""
    before = step.load.tensor_parallel
    added_s = 0.0 if before > 1 else REDUCES_A_LAYER * (layers_of(step) or 0) * all_reduce_s
    wider = replace(step, load=replace(step.load, tensor_parallel=devices), latency_s=step.latency_s + added_s)
    return at_batch(wider, step.load.batch * room)


def layers_of(step: Step) -> int | None:
    """Layers of the model, where its shape is known."""
    if isinstance(step.work, ModelWork):
        return step.work.shape.layers
    if isinstance(step.work, StreamedWork) and step.work.attention is not None:
        return step.work.attention.layers
    return None


def _splits(step: Step, devices: int) -> bool:
    try:
        return bool(step.work.operations(replace(step.load, tensor_parallel=devices)))
    except UnusableModel:
        return False


def _growth(job: Job, devices: int) -> float:
    """How many times the sequences fit on so many devices, of those that fit now."""
    step = job.measured.step
    now, then = (
        fitting(step.work, replace(step.load, tensor_parallel=n), job.memory_bytes).batch
        for n in (step.load.tensor_parallel, devices)
    )
    return then / now if now and then else 1.0
