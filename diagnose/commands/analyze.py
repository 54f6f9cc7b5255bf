"""``diagnose analyze``: the verdict from dumps."""

from __future__ import annotations

import click

from diagnose.commands.interrupt import first_judges
from diagnose.commands.options import roof_options
from diagnose.commands.output import emit, output_options


@click.command(
    name="analyze",
    epilog="Example: diagnose analyze a.prom b.prom --model config.json --gpu H100",
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--model", metavar="PATH_OR_ID", help="The model's config.json, folder, GGUF, or cached id.")
@roof_options
@click.option("--interval", metavar="SECONDS", help="Time between the first and the last Prometheus snapshot.")
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
    Nsight Systems SQLite exports, nvidia-smi dmon, pmon and query logs, Prometheus text of serving engines and
    dcgm-exporter, and recordings of `diagnose record`. Each is recognised by its content; several files about
    one job are weighed together.
    """
    from diagnose.api import analyze
    from diagnose.commands.progress import ProgressLine

    with first_judges() as interrupt, ProgressLine() as progress:
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
    emit(result, format_=format_, output=output, no_color=no_color)
