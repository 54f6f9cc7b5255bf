"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

_Function = TypeVar("_Function", bound=Callable[..., object])


def roof_options(function: _Function) -> _Function:
    """What the device can do, where that cannot be found out."""
    return _all(
        function,
        click.option("--gpu", metavar="NAME", help="The part, where it is not stated: H100, 'A100 80GB PCIe', L40S."),
        click.option("--dtype", metavar="TYPE", help="Arithmetic type to compare with: bf16, fp16, fp8, int8, fp32."),
        click.option("--bandwidth-gb-s", metavar="X", help="Peak bandwidth in GB/s, in place of what is known."),
        click.option("--tflops", metavar="X", help="Peak arithmetic in TFLOP/s, dense, likewise."),
        click.option("--tensor-parallel", metavar="N", help="Devices that the model is split over."),
    )


def baseline_option(function: _Function) -> _Function:
    """The folder of a baseline, where there must be one."""
    return click.option(
        "--baseline",
        metavar="DIR",
        envvar="DIAGNOSE_BASELINE",
        required=True,
        help="The folder of sessions, or DIAGNOSE_BASELINE.",
    )(function)


def live_options(function: _Function) -> _Function:
    """How to watch a live job."""
    return _all(
        function,
        click.option("--for", "for_", metavar="SECONDS", help="How long to watch; attach does for 10."),
        click.option("--interval", metavar="SECONDS", help="Between reads of the threads' clocks.  [default: 0.05]"),
        click.option("--url", metavar="URL", help="The engine's metrics, where they are not found."),
        click.option("--api-key-env", metavar="NAME", help="Variable that holds the engine's key; sent to it alone."),
        click.option("--model", metavar="PATH_OR_ID", help="The model's config.json, folder, GGUF, or cached id."),
    )


def shape_options(function: _Function) -> _Function:
    """What a step does, where no model's file says so."""
    return _all(
        function,
        click.option("--params", metavar="N", help="Parameters streamed a step: 6.74e9, or 8B."),
        click.option("--active-params", metavar="N", help="Of these, what one token passes."),
        click.option(
            "--weight-bits", metavar="BITS", help="Bits of a stored weight.  [default: the arithmetic type's]"
        ),
        click.option(
            "--head-bits", metavar="BITS", help="Bits of a weight of the output head.  [default: 16, or the model's]"
        ),
        click.option("--kv-bits", metavar="BITS", help="Bits of a cached key or value.  [default: 16]"),
        *(
            click.option(f"--{name}", metavar="N", help=text)
            for name, text in (
                ("layers", "Layers of the model."),
                ("heads", "Attention heads."),
                ("kv-heads", "Heads of keys and values.  [default: as many]"),
                ("head-dim", "Width of a head."),
                ("hidden-size", "Width of the model."),
                ("intermediate-size", "Inner width of the feed-forward block, or of one expert."),
                ("vocab-size", "Tokens of the vocabulary."),
                ("experts", "Experts a layer."),
                ("experts-per-token", "Experts that one token passes."),
            )
        ),
        click.option("--linear", metavar="MxK", help="One linear layer of M outputs and K inputs."),
        click.option("--flops", metavar="N", help="FLOPs of any kernel, with --bytes."),
        click.option("--bytes", metavar="N", help="Bytes that it moves."),
    )


def _all(function: _Function, *options: Callable[[_Function], _Function]) -> _Function:
    for option in reversed(options):
        function = option(function)
    return function
