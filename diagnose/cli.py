"""The command line: commands are imported when they run, so that ``--help`` is quick."""

from __future__ import annotations

import gc
import os
import sys
import traceback
from importlib import import_module
from typing import NoReturn

import click

from diagnose import __version__

COMMANDS: dict[str, tuple[str, str]] = {
    "attach": ("diagnose.commands.attach", "The verdict on a live job, from any pid of it."),
    "analyze": ("diagnose.commands.analyze", "The verdict from dumps: profiles, traces, logs, metrics, recordings."),
    "roofline": ("diagnose.commands.roofline", "Roofs and crossovers from numbers; a verdict with a measured speed."),
    "sweep": ("diagnose.commands.sweep", "Load a server level by level: which batch turns which regime."),
    "check": ("diagnose.commands.check", "The nightly gate: slower, another regime, or farther from the roof?"),
    "baseline": ("diagnose.commands.baseline", "Keep sessions for check, and see how they went over time."),
    "diff": ("diagnose.commands.diff", "What moved between two verdicts: how much time, and where it went."),
    "doctor": ("diagnose.commands.doctor", "What can be seen from here, and what would unlock the rest."),
    "record": ("diagnose.commands.record", "Watch a live job without judging it."),
    "demo": ("diagnose.commands.demo", "All three regimes, live on this machine."),
    "calibrate": ("diagnose.commands.calibrate", "Measure this machine's own roofs, once, while it is idle."),
}
"""Command names with the module of each and its line in the overview."""


class _Lazy(click.Group):
    """Lists commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: diagnose analyze trace.json.gz --format json | jq .verdict",
)
@click.version_option(__version__, prog_name="diagnose")
def group() -> None:
    """Is an inference job memory-, compute- or latency-bound, how far from the roof, and how sure is that?"""


GARBAGE = 100_000
"""Objects made before the collector looks for cycles: modules make many that stay, and a command ends soon."""

THREAD_POOLS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What numpy's linear algebra reads when it is loaded. Products here are tiny, and its threads would only spin."""


def main() -> None:
    """Entry point: errors meant for the user become two lines and exit code 2, never a traceback."""
    for name in THREAD_POOLS:
        os.environ.setdefault(name, "1")
    gc.set_threshold(GARBAGE)
    try:
        code = group.main(standalone_mode=False)
        if isinstance(code, int) and code:
            sys.exit(code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx is not None else "diagnose"
        _fail(error.format_message(), f"{path} --help")
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except Exception as error:
        from heuristics.errors import DiagnoseError

        if isinstance(error, DiagnoseError):
            _fail(str(error), error.hint)
        if os.environ.get("DIAGNOSE_TRACEBACK"):
            raise
        _fail(f"a fault in diagnose itself: {_fault(error)}", "please report it; DIAGNOSE_TRACEBACK=1 shows more")


def _fault(error: Exception) -> str:
    """The exception and the line of ours that raised it, in one line."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = "/".join(place.filename.split(os.sep)[-2:])
    return f"{type(error).__name__}: {error} ({where}, line {place.lineno})"


def _fail(message: str, hint: str | None) -> NoReturn:
    """What is wrong and what to type next, and exit code 2."""
    from reports.words import printable

    click.echo(printable(f"Error: {message}"), err=True)
    if hint:
        click.echo(printable(f"Hint: {hint}"), err=True)
    sys.exit(2)
