"""``diagnose diff``: what moved between two verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from diagnose.commands.interrupt import first_judges
from diagnose.commands.options import roof_options
from diagnose.commands.output import columns, output_options, to_terminal, write

if TYPE_CHECKING:
    from diagnose.diffing import DiffResult


@click.command(name="diff", epilog="Example: diagnose diff monday.json tuesday.json")
@click.argument("before", metavar="A")
@click.argument("now", metavar="B")
@click.option("--model", metavar="PATH_OR_ID", help="For dumps: the model's config.json, folder, GGUF, or cached id.")
@roof_options
@output_options
def command(before: str, now: str, format_: str, output: str | None, no_color: bool, **options: Any) -> None:
    """Say what moved from A to B, two verdicts of the same job: how much time, and where it went.

    A and B are verdicts (--format json of any command), or dumps and recordings, which are judged first with the
    options below. A side of several dumps is analyzed beforehand, with --format json -o monday.json.
    """
    from diagnose.commands.progress import ProgressLine
    from diagnose.diffing import diff

    with first_judges() as interrupt, ProgressLine() as progress:
        found = diff(before, now, progress=progress, interrupt=interrupt, **options)
    write(_rendered(found, format_, colour=to_terminal(output, no_color)), output)


def _rendered(found: DiffResult, format_: str, *, colour: bool) -> str:
    from diagnose import __version__

    if format_ == "json":
        from reports.diff_json import render as render_json

        return render_json(found.moved, __version__)
    if format_ == "markdown":
        from reports.diff_markdown import render as render_markdown

        return render_markdown(found.moved, __version__)
    from reports.diff_text import render as render_text

    return render_text(found.moved, width=columns(), colour=colour)
