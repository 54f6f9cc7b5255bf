"""``diagnose doctor``: what can be seen from here, what is missing, what would unlock it."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from diagnose.checkup import Finding

_MARKS = {"ok": "ok  ", "limited": "part", "missing": "no  "}
NARROWEST, WIDEST = 50, 100


@click.command(name="doctor", epilog="Example: diagnose doctor, or for one job: diagnose doctor 4711")
@click.argument("pid", required=False)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Form of the result.",
)
def command(pid: str | None, format_: str) -> None:
    """Say what can be seen from here, what is missing, and the command that would unlock it.

    With PID, for that job; without, for every serving engine that runs here. Changes nothing.
    """
    from diagnose.api import process_number
    from diagnose.checkup import checkup, system

    findings = checkup(None if pid is None else process_number(pid, "doctor"))
    if format_ == "json":
        plain = [{k: v for k, v in asdict(f).items() if v is not None} for f in findings]
        click.echo(json.dumps({"system": system(), "findings": plain}, indent=2, ensure_ascii=False))
        return
    columns = max(NARROWEST, min(shutil.get_terminal_size((80, 24)).columns, WIDEST))
    width = min(24, max(len(f.name) for f in findings))
    for finding in findings:
        sys.stdout.write(_told(finding, width, columns))


def _told(finding: Finding, width: int, columns: int) -> str:
    front = f"{_MARKS[finding.state]} {finding.name:<{width}}  "
    rest = " " * len(f"{_MARKS['ok']} {'':<{width}}  ")
    lines = textwrap.wrap(finding.text, columns, initial_indent=front, subsequent_indent=rest, break_on_hyphens=False)
    if finding.unlock:
        lines += textwrap.wrap(
            f"→ {finding.unlock}", columns, initial_indent=rest, subsequent_indent=rest + "  ", break_on_hyphens=False
        )
    return "\n".join(lines) + "\n"
