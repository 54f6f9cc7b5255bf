"""``diagnose analyze``: the verdict from dumps."""

from __future__ import annotations

import signal
from types import FrameType

import click

from diagnose.commands.output import emit, output_options


@click.command(
    name="analyze",
    epilog="Example: diagnose analyze a.prom b.prom --model config.json --gpu H100",
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--gpu", metavar="NAME", help="The part, where the dumps do not state it: H100, 'A100 80GB PCIe', L40S.")
@click.option("--model", metavar="PATH", help="The model's config.json or its folder: bytes and FLOPs of a step.")
@click.option("--dtype", metavar="TYPE", help="Arithmetic type to compare with: bf16, fp16, fp8, int8, fp32.")
@click.option("--bandwidth-gb-s", metavar="X", help="Peak bandwidth in GB/s, in place of what is known.")
@click.option("--tflops", metavar="X", help="Peak arithmetic in TFLOP/s, dense, likewise.")
@click.option("--interval", metavar="SECONDS", help="Time between the first and the last Prometheus snapshot.")
@click.option("--tensor-parallel", metavar="N", help="Devices that the model is split over.")
@output_options
def command(
    files: tuple[str, ...],
    gpu: str | None,
    model: str | None,
    dtype: str | None,
    bandwidth_gb_s: str | None,
    tflops: str | None,
    interval: str | None,
    tensor_parallel: str | None,
    format_: str,
    output: str | None,
    no_color: bool,
) -> None:
    """Say whether a job is memory-, compute- or latency-bound from its dumps.

    Dumps are Nsight Compute CSV or .ncu-rep, torch.profiler traces (.json, .json.gz) and printed tables,
    Nsight Systems SQLite exports, nvidia-smi dmon, pmon and query logs, and Prometheus text of serving engines
    and dcgm-exporter. Each is recognised by its content; several files about one job are weighed together.
    """
    from collectors.dump import Interrupt
    from diagnose.api import analyze
    from diagnose.commands.progress import ProgressLine

    interrupt = Interrupt()

    def stop(number: int, frame: FrameType | None) -> None:
        """The first Ctrl-C judges what was read so far, the second one quits."""
        if interrupt.requested:
            raise KeyboardInterrupt
        interrupt.requested = True

    before = signal.signal(signal.SIGINT, stop)
    try:
        with ProgressLine() as progress:
            result = analyze(
                files,
                gpu=gpu,
                model=model,
                dtype=dtype,
                bandwidth_gb_s=bandwidth_gb_s,
                tflops=tflops,
                interval=interval,
                tensor_parallel=tensor_parallel,
                progress=progress,
                interrupt=interrupt,
            )
    finally:
        signal.signal(signal.SIGINT, before)
    emit(result, format_=format_, output=output, no_color=no_color)
