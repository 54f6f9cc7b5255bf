"""``diagnose check``: the gate of a build."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from diagnose.commands.interrupt import first_judges
from diagnose.commands.options import roof_options
from diagnose.commands.output import columns, output_options, to_terminal, write
from heuristics.errors import DiagnoseError

if TYPE_CHECKING:
    from diagnose.check_result import CheckResult


@click.command(name="check", epilog="Example: diagnose check verdict.json --baseline nights --workload decode")
@click.argument("current", required=False, metavar="[CURRENT]")
@click.option("--baseline", metavar="DIR", envvar="DIAGNOSE_BASELINE", help="The sessions to compare with.")
@click.option("--workload", metavar="NAME", help="Which of them.  [default: what CURRENT says, or the only one]")
@click.option("--run", metavar="CMD", help="In place of CURRENT: a command that prints a verdict as JSON.")
@click.option("--paired", nargs=2, metavar="CMD_A CMD_B", help="Run two versions here, in turns, and compare them.")
@click.option("--confirm", is_flag=True, help="Measure once more before failing; with --run or --paired.")
@click.option(
    "--add", is_flag=True, help="Add the session to the baseline, unless it is a regression, unwell, or there already."
)
@click.option("--metric", metavar="NAME", help="What gates.  [default: time_per_output_token_s, or the next best]")
@click.option("--min-effect", metavar="PERCENT", help="Smaller changes never fail.  [default: 3]")
@click.option("--confidence", metavar="PERCENT", help="Of the interval to be left.  [default: 99]")
@click.option("--resolution", metavar="PERCENT", help="Cannot tell where so much could hide.  [default: 20; paired: 5]")
@click.option("--sessions", metavar="N", help="Like sessions that are needed, 8 at least.  [default: 8]")
@click.option("--latest", metavar="N", help="Of like sessions, so many count.  [default: 30]")
@click.option(
    "--across", multiple=True, metavar="TRAIT", help="May differ: it is under test. engine_version, driver ..."
)
@click.option(
    "--allow-noisy/--no-allow-noisy",
    default=None,
    help="Check although the host was throttled or shared.  [default: no]",
)
@click.option("--flips/--no-flips", default=None, help="Whether another regime or cause fails.  [default: it does]")
@click.option("--roof/--no-roof", default=None, help="Whether moving away from the roof fails.  [default: it does]")
@click.option("--pairs", metavar="N", help="Of --paired.  [default: 10]")
@click.option("--warm-up", metavar="N", help="Runs of each command before the pairs.  [default: 1]")
@click.option("--timeout", metavar="SECONDS", help="That a command may take.  [default: 1800]")
@click.option("--model", metavar="PATH_OR_ID", help="Of a dump: the model's config.json, folder, GGUF, or cached id.")
@roof_options
@click.option("--junit", type=click.Path(dir_okay=False), help="Write JUnit XML to a file.")
@click.option("--github", is_flag=True, help="Annotations, and the step's summary where GitHub runs it.")
@output_options
@click.pass_context
def command(
    context: click.Context,
    /,
    current: str | None,
    junit: str | None,
    github: bool,
    format_: str,
    output: str | None,
    no_color: bool,
    **options: Any,
) -> None:
    """Fail when a job got slower, changed its regime, or moved away from its roof; not on noise.

    CURRENT is a verdict (--format json), a recording or a dump. It is held against like sessions only: same device,
    engine, model, dtype and workload. Exit code 0: no regression. 1: a regression. 3: cannot tell, and why. 2: an
    input or option that cannot be used.
    """
    from diagnose.checking import check
    from diagnose.ci import publish

    loose = {
        name: options.pop(name) for name in ("gpu", "model", "dtype", "bandwidth_gb_s", "tflops", "tensor_parallel")
    }
    if options["paired"] is not None and context.get_parameter_source("baseline") is ParameterSource.ENVIRONMENT:
        options["baseline"] = None
    with first_judges() as interrupt:
        result = check(
            current,
            interrupt=interrupt,
            tell=_say,
            **{name: value for name, value in options.items() if value is not None},
            **{name: value for name, value in loose.items() if value is not None},
        )
    for warning in result.warnings:
        _say(warning)
    if result.added is not None:
        _say(f"added to {result.added}")
    failed: DiagnoseError | None = None
    try:
        publish(
            result.check,
            junit=junit,
            summary=github,
            annotations=github,
            environ=os.environ,
            text=result.to_text(),
            markdown=result.to_markdown(),
            **({} if result.baseline is None else {"baseline": result.baseline}),
        )
    except DiagnoseError as error:
        failed = error
    try:
        write(_rendered(result, format_, colour=to_terminal(output, no_color)), output)
    except DiagnoseError:
        if failed is not None:
            _say(str(failed))
        raise
    if failed is not None:
        raise failed
    context.exit(result.exit_code)


def _rendered(result: CheckResult, format_: str, *, colour: bool) -> str:
    if format_ == "json":
        from reports.check_json import written

        return written(result.to_dict())
    if format_ == "markdown":
        return result.to_markdown()
    return result.to_text(width=columns(), colour=colour)


def _say(line: str) -> None:
    from reports.words import printable

    click.echo(click.wrap_text(printable(line), width=columns() - 1, subsequent_indent="  "), err=True)
