"""``diagnose.probe``: measure a step function over batches, and judge it at each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from diagnose.given import Spelling, given_by
from diagnose.probing.arguments import (
    EXAMPLE,
    Amount,
    Model,
    amount_at,
    batches_of,
    context_of,
    cuda_index,
    model_of,
    phase_of,
    plan_of,
    torch_itself,
)
from diagnose.probing.cases import Measured, judged, step_s
from diagnose.probing.roofs import CudaDevice, Processors
from diagnose.probing.whole import diagnosis_of
from diagnose.result import Result
from heuristics.errors import DiagnoseError
from heuristics.probed import ProbedBatch

if TYPE_CHECKING:
    import pandas

    from collectors.probe.backend import Backend, Run
    from collectors.probe.census import Counted
    from collectors.probe.window import Window

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True, slots=True)
class ProbeResult(Result):
    """The diagnosis of a probe. ``to_frame()`` has a row a batch."""

    @property
    def batches(self) -> tuple[ProbedBatch, ...]:
        """Every batch with its times and its judgement, in ascending order."""
        assert self.diagnosis.probe is not None
        return self.diagnosis.probe.batches

    def to_frame(self) -> pandas.DataFrame:
        """A row a batch; columns as in the JSON's ``probe.batches``, its verdict's fields among them."""
        import pandas as pd

        from reports.probe_json import flat

        return pd.DataFrame([flat(row) for row in self.batches])


def probe(
    step: Callable[[Any], object],
    *,
    batches: Iterable[int] = BATCHES,
    batch: int | None = None,
    make_inputs: Callable[[int], Any] | None = None,
    device: Any = None,
    model: Any = None,
    flops: Amount = None,
    bytes: Amount = None,
    context_tokens: float | None = None,
    phase: str = "decode",
    warmup: int | None = None,
    seconds: float = 0.5,
    repeats: int = 9,
    graph: bool = False,
    trace: bool = True,
    nvtx: bool = True,
    calibrate: bool | None = None,
    gpu: str | None = None,
    dtype: str | None = None,
    bandwidth_gb_s: float | None = None,
    tflops: float | None = None,
) -> ProbeResult:
    """Measure ``step`` at each batch and judge it, in this very process. Nothing is sent or stored.

    Args:
        step: runs one step, given the batch, or what ``make_inputs(batch)`` returned for it: the same step every time,
            some hundred times. Gradients are off.
        batches: sequences in a step, at which to measure; in turns, so the inputs of all are kept meanwhile.
        batch: the one that the result as a whole is about, the largest unless stated.
        device: "cpu", "cuda" or "cuda:1"; where the model's parameters, the inputs or the step's result are.
        model: the torch module, if ``step`` is not it, whose parameters are then known as weights; or a config.json,
            its folder, a GGUF, a cached id or a ``ModelShape``, from which FLOPs and bytes follow instead of being
            counted.
        flops, bytes: of one step, where they are not to be counted; a number, a mapping or a function of the batch.
        context_tokens: tokens each sequence has cached, or brings in prefill.
        phase: "decode" or "prefill": also what the NVTX ranges are called.
        warmup: steps of warming up; until they become no faster unless stated.
        seconds: spent on each batch, in ``repeats`` rounds of at least one step.
        graph: capture each step as a CUDA graph too, and judge the replay; the step as it is stands beside it.
        trace: look at the batch in question through torch.profiler for a few steps.
        nvtx: name ranges, so that ncu and nsys of the same script tell phases and batches apart.
        calibrate: measure the device's own roofs in the same run. Unless stated, only those of a CPU of which
            ``diagnose calibrate`` has stored none; False never does.
        gpu, dtype, bandwidth_gb_s, tflops: as for ``analyze``.

    Raises:
        DiagnoseError: torch is not installed, or an argument makes no sense.
        UnknownGpu, UnusableModel: as for ``analyze``.
        Whatever ``step`` and ``make_inputs`` raise.
    """
    torch = torch_itself()
    if not callable(step) or not (make_inputs is None or callable(make_inputs)):
        raise DiagnoseError("step and make_inputs must be functions", hint=EXAMPLE)
    listed, chosen = batches_of(batches, batch)
    plan = plan_of(phase_of(phase), warmup, seconds, repeats, graph)
    context = context_of(context_tokens)
    known = model_of(step if model is None and hasattr(step, "parameters") else model)
    given = given_by(gpu, dtype, bandwidth_gb_s, tflops, None, known.shape, spelling=Spelling.KEYWORD)
    with ExitStack() as scope:
        scope.enter_context(torch.no_grad())
        inputs = {b: b if make_inputs is None else make_inputs(b) for b in listed}
        runs: dict[int, Run] = {b: partial(step, inputs[b]) for b in listed}
        index = cuda_index(torch, device, known.module, inputs[listed[0]], runs[listed[0]])
        if index is not None:
            scope.enter_context(torch.cuda.device(index))
        elif gpu is not None:
            raise DiagnoseError(
                f"the step runs on the processors, and gpu={gpu!r} names another device",
                hint="leave gpu out, or move the model and its inputs: model.to('cuda')",
            )
        counts = {b: _counted(torch, runs[b], known, flops, bytes, b) for b in listed}
        arithmetic = given.dtype or next((c.dtype for c in counts.values() if c.dtype is not None), None)
        surroundings = (
            Processors(torch, arithmetic, calibrate=calibrate, given=given)
            if index is None
            else CudaDevice(torch, index, arithmetic, calibrate=calibrate)
        )
        scope.callback(surroundings.clocks)
        from collectors.host.busy import BusyClock
        from collectors.host.machine import this_one
        from collectors.probe.rounds import measure
        from collectors.probe.watchers import watched_by

        backend = _backend(torch, index, nvtx=nvtx)
        watched = watched_by() is not None
        plan = replace(plan, threads=surroundings.threads or 1, device_time=not watched)
        clock = BusyClock()
        timings = measure(runs, backend, plan, surroundings.glance)
        machine = this_one(clock.told(0.0, last=True))
        measured = Measured(
            phase=plan.phase,
            device=surroundings.device,
            threads=surroundings.threads,
            timings=tuple(timings),
            counts=counts,
            context_tokens=context,
            batch=chosen,
            on_gpu=index is not None,
            machine=machine,
            clocks=surroundings.clocks(),
        )
        if trace and not watched:
            measured = replace(measured, window=_window(torch, measured, backend))
        roofs = surroundings.roofs()
    given = replace(given, dtype=arithmetic, roofs=roofs)
    rows = judged(measured, given)
    return ProbeResult(diagnosis_of(measured, rows, known, given))


def _backend(torch: Any, index: int | None, *, nvtx: bool) -> Backend:
    from collectors.probe import through_torch

    if index is None:
        return through_torch.Processors(torch, nvtx=nvtx)
    return through_torch.CudaDevice(torch, index, nvtx=nvtx)


def _counted(torch: Any, run: Run, known: Model, flops: Amount, moved: Amount, batch: int) -> Counted:
    """FLOPs and bytes of a step: as stated, else by the model's shape, else counted."""
    from collectors.probe.census import Counted, count, stated

    told = amount_at(flops, batch, "flops"), amount_at(moved, batch, "bytes")
    if known.shape is not None and told == (None, None):
        return Counted()
    found = Counted() if None not in told else count(torch, run, known.module)
    return stated(found, *told)


def _window(torch: Any, measured: Measured, backend: Backend) -> Window:
    from collectors.probe.window import traced

    timing = next(t for t in measured.timings if t.batch == measured.batch)
    return traced(torch, timing.replay or timing.run, backend, step_s(timing))
