"""``diagnose baseline``: the sessions that later ones are compared with."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from diagnose.commands.options import baseline_option, roof_options
from diagnose.commands.output import columns, output_options_of, to_terminal, write

if TYPE_CHECKING:
    from diagnose.baseline_results import Added, History, Listing, Pruned

FORMATS = ("text", "json", "markdown", "csv")


@click.group(
    name="baseline",
    epilog="Example: diagnose baseline add verdict.json --baseline nights",
)
def command() -> None:
    """Keep verdicts as sessions in a folder, and see how they went over time.

    The folder holds one verdict a line in *.jsonl files. Commit it, or keep it in CI's cache; `diagnose check` compares
    with it. DIAGNOSE_BASELINE may name it in place of --baseline.
    """


@command.command(
    name="add",
    epilog="Example: diagnose baseline add verdict.json --baseline nights",
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@baseline_option
@click.option("--workload", metavar="NAME", help="What was run; only sessions of the same name are compared.")
@click.option("--model", metavar="PATH_OR_ID", help="For dumps: the model's config.json, folder, GGUF, or cached id.")
@roof_options
@output_options_of(FORMATS)
def add(
    files: tuple[str, ...],
    baseline: str,
    workload: str | None,
    format_: str,
    output: str | None,
    no_color: bool,
    **analyze_options: Any,
) -> None:
    """Add verdicts to the baseline.

    FILE is a verdict (--format json of any command), lines of them (attach --watch; the last counts), `-`, or a
    recording or dump, which is judged first as analyze does. Each file is a session of its own. What is there already
    is told and not added again. A verdict is no session, and refused, if nothing was measured, if it is provisional, or
    if the job was idle.
    """
    from diagnose.baselines import Baseline

    found = Baseline(baseline).add(files, workload=workload, **analyze_options)
    _emit(found, "added", format_, output)


@command.command(
    name="list",
    short_help="What is kept, and what the gate lacks.",
    epilog="Example: diagnose baseline list --baseline nights",
)
@baseline_option
@output_options_of(FORMATS)
def list_(baseline: str, format_: str, output: str | None, no_color: bool) -> None:
    """List the groups of alike sessions, and how many the gate still needs.

    "missing" is the number of sessions like the newest one, of its versions too, that `diagnose check` lacks.
    """
    from diagnose.baselines import Baseline

    found = Baseline(baseline).list()
    if format_ == "text":
        from reports.history_text import listed

        write(listed(found.groups, found.files, width=columns(), colour=to_terminal(output, no_color)), output)
        return
    write(_listing(found)[format_](), output)


@command.command(
    name="show",
    short_help="Trends, a plot, and what changed when.",
    epilog="Example: diagnose baseline show --baseline nights --workload chat",
)
@baseline_option
@click.option("--workload", metavar="NAME", help="Only this one.")
@click.option("--metric", metavar="NAME", help="Only this one, and its plot: tokens_per_s, step_s, ...")
@output_options_of(FORMATS)
def show(
    baseline: str, workload: str | None, metric: str | None, format_: str, output: str | None, no_color: bool
) -> None:
    """Show how sessions went over time: trends, a plot, and what changed when.

    Change points are steps and drifts of 1 % or more, also those too small for `diagnose check`. They are a report and
    fail nothing. --format csv gives a row for each session and metric.
    """
    from diagnose.baselines import Baseline

    found = Baseline(baseline).history(workload, metric)
    if format_ == "text":
        from reports.history_text import shown

        write(shown(found.groups, found.files, width=columns(), colour=to_terminal(output, no_color)), output)
        return
    write(_history(found)[format_](), output)


@command.command(name="prune", epilog="Example: diagnose baseline prune --baseline nights --keep 60 --dry-run")
@baseline_option
@click.option("--workload", metavar="NAME", help="Only this one.")
@click.option("--keep", metavar="N", help="So many stay of each group of alike sessions, the newest.")
@click.option("--before", metavar="DATE", help="Only sessions from before this day or time (UTC) go.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@output_options_of(FORMATS)
def prune(
    baseline: str,
    workload: str | None,
    keep: str | None,
    before: str | None,
    dry_run: bool,
    format_: str,
    output: str | None,
    no_color: bool,
) -> None:
    """Remove old sessions. With --keep and --before, those go that both give up.

    Lines that cannot be read stay as they are, byte for byte.
    """
    from diagnose.baselines import Baseline

    found = Baseline(baseline).prune(keep=keep, before=before, workload=workload, dry_run=dry_run)
    _emit(found, "removed", format_, output)


def _emit(found: Added | Pruned, rows: str, format_: str, output: str | None) -> None:
    """What was done: its sentences, or its lines as a table."""
    if format_ == "json":
        write(json.dumps(found.to_dict(), indent=2, ensure_ascii=False) + "\n", output)
    elif format_ == "csv":
        from reports.history_tables import csv_of

        write(csv_of(found.to_dict()[rows]), output)
    else:
        write(str(found), output)


def _listing(found: Listing) -> dict[str, Callable[[], str]]:
    from reports import history_json, history_tables

    return {
        "json": lambda: history_json.render(found.groups, found.files, series=False),
        "markdown": lambda: history_tables.listed(found.groups, found.files),
        "csv": lambda: history_tables.groups_csv(found.groups),
    }


def _history(found: History) -> dict[str, Callable[[], str]]:
    from reports import history_json, history_tables

    return {
        "json": lambda: history_json.render(found.groups, found.files),
        "markdown": lambda: history_tables.shown(found.groups, found.files),
        "csv": lambda: history_tables.sessions_csv(found.groups),
    }
