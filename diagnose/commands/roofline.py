"""``diagnose roofline``: what the roofs say about numbers."""

from __future__ import annotations

from typing import Any

import click

from diagnose.commands.options import shape_options
from diagnose.commands.output import emit, output_options, write


@click.command(
    name="roofline",
    epilog="Example: diagnose roofline --gpu H100 --params 7e9 --tokens-per-s 200",
)
@click.option(
    "--gpu", multiple=True, metavar="NAME", help="The part; several are ranked. H100, 'A100 80GB PCIe', L40S."
)
@click.option("--model", metavar="PATH_OR_ID", help="The model's config.json, folder, GGUF, or cached id.")
@shape_options
@click.option("--batch", metavar="N", help="Sequences in the step.  [default: 1]")
@click.option("--context", metavar="N", help="Tokens each has cached; in prefill, brings.")
@click.option("--phase", metavar="PHASE", help="decode or prefill.  [default: decode]")
@click.option("--tokens-per-s", metavar="X", help="Measured, all sequences together: asks for the verdict.")
@click.option("--step-ms", metavar="X", help="The measured time of a step instead.")
@click.option("--dtype", metavar="TYPE", help="Arithmetic type: bf16, fp16, fp8, int8, fp4, fp32.  [default: bf16]")
@click.option("--bandwidth-gb-s", metavar="X", help="Peak bandwidth in GB/s, in place of the datasheet's.")
@click.option("--tflops", metavar="X", help="Peak arithmetic in TFLOP/s, dense, likewise.")
@click.option("--tensor-parallel", metavar="N", help="Devices that the model is split over.")
@click.option("--price", multiple=True, metavar="NAME=USD", help="US dollars an hour and device: ranks by cost too.")
@click.option("--csv", metavar="FILE", help="A table of measurements, columns named like these options.")
@output_options
def command(format_: str, output: str | None, no_color: bool, **options: Any) -> None:
    """Roofs, crossovers and an operation table for numbers: what a step comes to at most, and what would bind it.

    The work is a model (--model, or its shape), so many parameters (--params), one layer (--linear) or any kernel
    (--flops and --bytes). With a measured speed (--tokens-per-s or --step-ms) the verdict is added, as far as
    arithmetic alone can tell. No device is needed: --gpu means the datasheet.
    """
    from diagnose.api import roofline
    from diagnose.result import Result
    from reports.words import printable

    found = roofline(**options)
    if isinstance(found, Result):
        emit(found, format_=format_, output=output, no_color=no_color)
        return
    for line in found.lines:
        if line.skipped is not None:
            click.echo(printable(f"Warning: {found.path}, line {line.number}: {line.skipped}; skipped"), err=True)
    for warning in found.warnings:
        click.echo(printable(f"Warning: {warning}"), err=True)
    if format_ == "json":
        import json

        text = "".join(
            json.dumps({"line": x.number, "label": x.label, **x.result.to_dict()}, ensure_ascii=False) + "\n"
            for x in found.lines
            if x.result is not None
        )
        if found.curves:
            text += json.dumps({"curves": found.curves_to_dicts()}, ensure_ascii=False) + "\n"
        write(text, output)
        return
    write(found.to_markdown() if format_ == "markdown" else str(found), output)
