"""``diagnose calibrate``: measure this machine's own roofs, once, while it is idle."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from diagnose.commands.output import write
from heuristics.errors import DiagnoseError

if TYPE_CHECKING:
    from collectors.calibration.figures import Calibration, Gpu, Level

_UNITS = {"int8": "OP/s"}
"""Rates of integer types are not floating-point operations."""


@click.command(name="calibrate", epilog="Example: diagnose calibrate --format json -o roofs.json")
@click.option("--show", is_flag=True, help="Print the stored roofs, measure nothing.")
@click.option("--no-torch", is_flag=True, help="Leave out what needs torch: GPUs, BF16 and INT8.")
@click.option("--format", "format_", type=click.Choice(("text", "json")), default="text", show_default=True)
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write the result to a file.")
def command(show: bool, no_torch: bool, format_: str, output: str | None) -> None:
    """Measure what this machine reaches: bandwidth and arithmetic, for each number of threads.

    It takes some seconds and should be done while nothing else runs. The figures are stored for this user and stand
    for this machine's roofs from then on. Where torch is installed, GPUs and other arithmetic types are measured too.
    """
    from collectors.calibration.store import default_path

    if show:
        calibration, remark = _stored(), f"Stored in {default_path()}"
        unsaved = None
    else:
        calibration, unsaved = _measured(with_torch=not no_torch)
        remark = f"Saved to {default_path()}" if unsaved is None else f"Not saved: {unsaved}"
    said = warnings(calibration)
    if format_ == "json":
        saved = None if unsaved is not None else str(default_path())
        text = json.dumps({**to_dict(calibration), "saved_to": saved, "warnings": said}, indent=1) + "\n"
    else:
        text = "\n".join([*table(calibration), "", remark]) + "\n"
    write(text, output)
    for warning in said:
        click.echo(f"Warning: {warning}", err=True)
    if unsaved is not None and format_ == "json":
        click.echo(f"Warning: not saved: {unsaved}", err=True)


def _stored() -> Calibration:
    from collectors.calibration.machine import this_machine
    from collectors.calibration.store import NoCalibration, load

    found = load(this_machine())
    if isinstance(found, NoCalibration):
        raise DiagnoseError(found.reason, hint="diagnose calibrate")
    return found


def _measured(*, with_torch: bool) -> tuple[Calibration, str | None]:
    """The calibration, and why it could not be stored."""
    from collectors.calibration.measure import measure
    from collectors.calibration.store import save

    shown = sys.stderr.isatty()
    calibration = measure(with_torch=with_torch, told=_progress if shown else lambda _: None)
    if shown:
        click.echo("\r\033[K", nl=False, err=True)
    return calibration, save(calibration)


def _progress(what: str) -> None:
    click.echo(f"\r\033[Kmeasuring {what} ...", nl=False, err=True)


def to_dict(calibration: Calibration) -> dict[str, Any]:
    """Plain values under their schema, rounded to what such a measurement is worth."""
    from collectors.calibration.store import SCHEMA, VERSION

    rounded: dict[str, Any] = json.loads(
        json.dumps(calibration.to_dict()), parse_float=lambda digits: float(f"{float(digits):.4g}")
    )
    return {"schema": f"{SCHEMA}/{VERSION}", **rounded}


def warnings(calibration: Calibration) -> list[str]:
    """What to mind about the figures."""
    if not calibration.under_load:
        return []
    return ["measured under load: may be up to three times too low; run again when idle"]


def table(calibration: Calibration) -> Iterator[str]:
    """The figures for a terminal, 80 columns at most."""
    from reports.words import percent, scaled

    machine = calibration.machine
    size = [f"{machine.cpus} CPU{'s' if machine.cpus > 1 else ''}"]
    if machine.memory_bytes is not None:
        size.append(f"{scaled(machine.memory_bytes, 'iB', 1024.0).replace(' k', ' K')} of memory")
    if machine.last_level_cache_bytes is not None:
        size.append(f"{scaled(machine.last_level_cache_bytes, 'iB', 1024.0).replace(' k', ' K')} of last-level cache")
    yield machine.cpu[:80]
    yield ", ".join(size)
    yield ""
    yield f"{'threads':>7}  {'bandwidth':>10}  {'fp32':>13}  {'ridge':>15}  {'spread':>15}"
    for level in calibration.levels:
        yield _row(level)
    yield from _other_types(calibration.levels[-1])
    for gpu in calibration.gpus:
        yield from _gpu(gpu)
    yield ""
    taken = calibration.taken_at.replace("T", " ").removesuffix("Z")[:16]
    yield f"Taken on {taken} UTC; others took {percent(calibration.others_fraction)} of the processors' time."


def _row(level: Level) -> str:
    from reports.words import percent, scaled

    flops = level.flops_per_s["fp32"]
    ridge = f"{flops / level.bandwidth_bytes_per_s:.1f} FLOP/byte"
    spreads = [percent(s) for s in (level.bandwidth_spread, level.arithmetic_spread) if s is not None]
    return (
        f"{level.threads:>7}  {scaled(level.bandwidth_bytes_per_s, 'B/s'):>10}  {scaled(flops, 'FLOP/s'):>13}  "
        f"{ridge:>15}  {', '.join(spreads):>15}"
    )


def _other_types(level: Level) -> Iterator[str]:
    from reports.words import scaled

    others = {name: rate for name, rate in level.flops_per_s.items() if name != "fp32"}
    if others:
        said = ", ".join(f"{name} {scaled(rate, _UNITS.get(name, 'FLOP/s'))}" for name, rate in others.items())
        yield ""
        yield f"Other arithmetic with {level.threads} threads: {said}"


def _gpu(gpu: Gpu) -> Iterator[str]:
    from reports.words import scaled

    rates = ", ".join(f"{name} {scaled(rate, 'FLOP/s')}" for name, rate in gpu.flops_per_s.items())
    yield ""
    yield f"GPU {gpu.index}, {gpu.name}"[:80]
    yield f"  {scaled(gpu.bandwidth_bytes_per_s, 'B/s')}; {rates}"
