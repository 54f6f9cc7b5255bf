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


def _all(function: _Function, *options: Callable[[_Function], _Function]) -> _Function:
    for option in reversed(options):
        function = option(function)
    return function
