"""``diagnose record``: raw observations of a live job into a file."""

from __future__ import annotations

import click

from diagnose.commands.interrupt import first_judges
from diagnose.commands.options import live_options


@click.command(name="record", epilog="Example: diagnose record 4711 --for 60 -o run.rec.gz")
@click.argument("pid")
@click.option("-o", "--output", required=True, metavar="FILE", help="The recording, gzip-compressed JSON lines.")
@live_options
def command(
    pid: str,
    output: str,
    for_: str | None,
    interval: str | None,
    url: str | None,
    api_key_env: str | None,
    model: str | None,
) -> None:
    """Watch a live job without judging it; `diagnose analyze FILE` gives the verdict that attach would have given.

    Without --for it goes on until Ctrl-C or the end of the job. What may be secret is never written.
    """
    from diagnose.api import record

    with first_judges() as interrupt:
        count = record(
            pid,
            output,
            for_=for_,
            interval=interval,
            url=url,
            api_key_env=api_key_env,
            model=model,
            interrupt=interrupt,
        )
    click.echo(f"{output}: {count:,} observations. Next: diagnose analyze {output}", err=True)
