"""The command line: commands are imported when they run, so that ``--help`` is quick."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

from diagnose import __version__

COMMANDS: dict[str, tuple[str, str]] = {
    "analyze": ("diagnose.commands.analyze", "The verdict from dumps: profiles, traces, logs, metrics."),
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


def main() -> None:
    """Entry point: errors meant for the user become two lines and exit code 2, never a traceback."""
    try:
        group.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        from heuristics.errors import DiagnoseError

        if not isinstance(error, DiagnoseError):
            raise
        click.echo(f"Error: {error}", err=True)
        if error.hint:
            click.echo(f"Hint: {error.hint}", err=True)
        sys.exit(2)
