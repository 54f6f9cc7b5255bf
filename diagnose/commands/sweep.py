"""``diagnose sweep``: an active, bounded load, level by level."""

from __future__ import annotations

import shutil
from typing import Any

import click

from diagnose.commands.interrupt import first_judges
from diagnose.commands.options import roof_options
from diagnose.commands.output import emit, output_options, write


@click.command(name="sweep", epilog="Example: diagnose sweep http://127.0.0.1:8000 --batches 1,2,4,8,16,32")
@click.argument("target", metavar="URL_OR_PID")
@click.option("--batches", metavar="N,N,...", help="Requests at once.  [default: 1,2,4,8,16,32,64]")
@click.option("--prompt-tokens", metavar="N", help="About how long prompts are.  [default: 64]")
@click.option("--output-tokens", metavar="N", help="How long answers are.  [default: 128]")
@click.option("--level-seconds", metavar="S", help="Measured at each level.  [default: 8]")
@click.option("--max-requests", metavar="N", help="No more than so many in all.  [default: 2000]")
@click.option("--max-tokens", metavar="N", help="No more, prompts and answers together.  [default: 400000]")
@click.option("--max-seconds", metavar="S", help="No longer than this in all.  [default: 300]")
@click.option("--timeout", metavar="S", help="Without a token until a request is given up.  [default: 60]")
@click.option("--served-model", metavar="NAME", help="The model to ask for.  [default: the first of /v1/models]")
@click.option("--metrics-url", metavar="URL", help="The engine's metrics, where they are not found.")
@click.option("--api-key-env", metavar="NAME", help="Variable that holds the server's key; sent to it alone.")
@click.option("--model", metavar="PATH_OR_ID", help="The model's config.json, folder, GGUF, or cached id.")
@click.option("--yes", is_flag=True, help="Load the server although it is not on this machine.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@roof_options
@output_options
def command(target: str, dry_run: bool, format_: str, output: str | None, no_color: bool, **options: Any) -> None:
    """Load an OpenAI-compatible server with 1, 2, 4 ... requests at once, and say which regime each batch is in.

    URL_OR_PID is the server's address, or any process of it. What will be sent at most is said beforehand. The engine's
    own counters, the devices and the host are watched meanwhile, as attach does, wherever the process can be seen.
    Ctrl-C ends the load at once and judges what was seen.
    """
    from diagnose import api

    if dry_run:
        from diagnose.live import credential_of
        from diagnose.sweep_plan import plan_of
        from diagnose.sweeping import stated

        lines = stated(target, plan_of(options), credential=credential_of(options["api_key_env"]) is not None)
        write("\n".join([*lines, "Nothing was sent."]) + "\n", output)
        return
    with first_judges() as interrupt:
        result = api.sweep(target, interrupt=interrupt, tell=_say, **options)
    emit(result, format_=format_, output=output, no_color=no_color)


def _say(line: str) -> None:
    """Talk, wrapped as the terminal needs it."""
    columns = shutil.get_terminal_size().columns - 1
    click.echo(click.wrap_text(line, width=columns, subsequent_indent="  "), err=True)
