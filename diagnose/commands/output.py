"""What every command that prints a verdict shares: formats, the output file, colour."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from heuristics.errors import DiagnoseError

if TYPE_CHECKING:
    from diagnose.result import Result

_Function = TypeVar("_Function", bound=Callable[..., object])

FORMATS = ("text", "json", "markdown")


def output_options(function: _Function) -> _Function:
    """Add ``--format``, ``-o`` and ``--no-color`` to a command."""
    return output_options_of(FORMATS)(function)


def output_options_of(formats: Sequence[str]) -> Callable[[_Function], _Function]:
    """The same with other formats; the first is what is written unless another is asked for."""

    def decorated(function: _Function) -> _Function:
        for option in (
            click.option("--no-color", is_flag=True, help="No colour, as with NO_COLOR set."),
            click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write the result to a file."),
            click.option(
                "--format",
                "format_",
                type=click.Choice(formats),
                default=formats[0],
                show_default=True,
                help="Form of the result.",
            ),
        ):
            function = option(function)
        return function

    return decorated


def emit(result: Result, *, format_: str, output: str | None, no_color: bool) -> None:
    """Write a result to standard output or a file; talk and progress go elsewhere."""
    write(_rendered(result, format_, colour=to_terminal(output, no_color)), output)


def to_terminal(output: str | None, no_color: bool) -> bool:
    """Whether what is written may have colours."""
    return output is None and not no_color and _coloured()


def columns() -> int:
    """Of the terminal, 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns


def write(text: str, output: str | None) -> None:
    """To standard output, or to a file.

    Raises:
        DiagnoseError: the file cannot be written.
    """
    if output is None:
        _print(text)
        return
    try:
        Path(output).write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise DiagnoseError(
            f"{output}: cannot be written: {error.strerror or error}", hint="-o FILE, in a folder that can be written"
        ) from error


def _print(text: str) -> None:
    """To standard output, whatever its encoding; a reader that has gone away, such as ``head``, is no error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _nowhere()
    except OSError as error:
        _nowhere()
        raise DiagnoseError(
            f"standard output cannot be written: {error.strerror or error}", hint="-o FILE, where there is room"
        ) from error


def _nowhere() -> None:
    """What is still buffered goes nowhere, so that the interpreter does not fail on it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _rendered(result: Result, format_: str, *, colour: bool) -> str:
    if format_ == "json":
        from reports.as_json import render as render_json

        return render_json(result.diagnosis)
    if format_ == "markdown":
        from reports.as_markdown import render as render_markdown

        return render_markdown(result.diagnosis)
    from reports.as_text import render as render_text

    return render_text(result.diagnosis, width=columns(), colour=colour)


def _coloured() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
