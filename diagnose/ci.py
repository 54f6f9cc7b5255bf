"""A check shown where continuous integration looks for it: a JUnit file, the summary of a step, annotations."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from heuristics.errors import DiagnoseError

if TYPE_CHECKING:
    from reports.check_words import Answer

BASELINE = "DIR"


def publish(
    check: Answer,
    *,
    junit: str | None = None,
    summary: bool = False,
    annotations: bool = False,
    environ: Mapping[str, str],
    baseline: str = BASELINE,
    text: str | None = None,
    markdown: str | None = None,
) -> None:
    """Write and print what was asked for; away from GitHub its summary and annotations are left out without a word.

    Annotations go to standard error, which GitHub's runner reads as well: standard output stays the report's. They come
    first and the files after, each of them even where another fails.

    Args:
        junit: the file of JUnit XML; its folder is made.
        summary: append Markdown to the file that ``GITHUB_STEP_SUMMARY`` names.
        annotations: print the runner's commands, if ``GITHUB_ACTIONS`` is ``true``.
        environ: the variables of the process.
        baseline: the folder's name, for the commands that say what to run next.
        text, markdown: the reports to be shown, where there is more to say than of the check alone.

    Raises:
        DiagnoseError: a file cannot be written. The check's outcome is then no longer the exit code, which is 2.
    """
    if annotations and environ.get("GITHUB_ACTIONS") == "true":
        from reports.github import commands

        print(*commands(check, baseline=baseline), sep="\n", file=sys.stderr, flush=True)
    failed: list[DiagnoseError] = []
    if junit is not None:
        from reports.junit import render

        failed += _written(
            junit, render(check, baseline=baseline, report=text), "w", "--junit FILE, in a folder that can be written"
        )
    step = environ.get("GITHUB_STEP_SUMMARY")
    if summary and step:
        from reports.github import summary as summed

        failed += _written(
            step, summed(check, baseline=baseline, report=markdown), "a", "without --github no summary is written"
        )
    if failed:
        raise failed[0]


def _written(path: str, text: str, mode: str, hint: str) -> list[DiagnoseError]:
    """The error, where there is one."""
    try:
        if mode == "w":
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        with open(path, mode, encoding="utf-8") as stream:
            stream.write(text)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        return [DiagnoseError(f"{path}: cannot be written: {reason}", hint=hint)]
    return []
