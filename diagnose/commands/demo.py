"""``diagnose demo``: all three regimes live on this machine, with or without a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from diagnose.demo.launch import Running
    from diagnose.result import Result
    from heuristics.vocabulary import Share

WATCH_S = 10.0
"""Seconds that each job is watched for: the three and their starts take under a minute."""
VERDICT_LINES = 4
WIDTH = 78
"""Columns of the verdict's lines, which stand two further in."""
BUSY = (
    "other work keeps this machine busy: its roofs may be measured too low, and a job built for memory or arithmetic "
    "may well be found waiting for a processor; try again when it is idle"
)


@click.command(name="demo", epilog="Example: diagnose demo")
@click.option("--for", "for_", type=click.FloatRange(min=1.0), default=WATCH_S, show_default=True, metavar="SECONDS")
@click.option("--cpu", is_flag=True, help="On the processors, even where there is a GPU.")
def command(for_: float, cpu: bool) -> None:
    """Start three small inference jobs one after another, watch each, and say what it is bound by.

    The jobs are real decoders with random weights: one made to wait for memory, one for arithmetic, one for its host.
    """
    from diagnose.api import attach
    from diagnose.demo.launch import REGIMES, chosen_device, running

    calibrated()
    device = "cpu" if cpu else chosen_device()
    click.echo(f"Three inference jobs, one after another, each watched for {for_:.0f} s.")
    for lines in told(
        REGIMES, start=lambda regime: running(regime, device=device), watch=lambda pid: attach(pid, for_=for_)
    ):
        click.echo("\n".join(["", *lines]))


def calibrated() -> None:
    """Measure this machine quickly unless its roofs are stored already, from a time when it was idle."""
    from collectors.calibration.machine import this_machine
    from collectors.calibration.measure import QUICK_S, measure
    from collectors.calibration.store import NoCalibration, load, save

    stored = load(this_machine())
    if not isinstance(stored, NoCalibration) and not stored.under_load:
        return
    click.echo("Measuring this machine's roofs first, briefly: `diagnose calibrate` takes its time.", err=True)
    found = measure(seconds=QUICK_S, with_torch=False)
    if found.under_load:
        click.echo(f"Warning: {BUSY}", err=True)
    reason = save(found)
    if reason is not None:
        click.echo(f"Warning: not saved: {reason}", err=True)


def told(
    regimes: tuple[Share, ...],
    *,
    start: Callable[[Share], AbstractContextManager[Running]],
    watch: Callable[[int], Result],
    report: Callable[[Result], str] | None = None,
) -> Iterator[list[str]]:
    """For each job: what was built, the first lines of its report, and whether they agree."""
    report = report or _narrow
    for regime in regimes:
        with start(regime) as job:
            result = watch(job.pid)
        verdict = result.diagnosis.whole.verdict
        found = verdict.regime.value if verdict is not None else "nothing measured"
        agrees = "as built" if found == regime.value else f"built to be {regime.value}-bound, found {found}"
        yield [
            f"Built to be {regime.value}-bound: {job.workload.about}",
            *(f"  {line}" for line in report(result).splitlines()[:VERDICT_LINES]),
            f"  -> {agrees}",
        ]


def _narrow(result: Result) -> str:
    from reports.as_text import render

    return render(result.diagnosis, width=WIDTH)
