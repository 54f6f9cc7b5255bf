"""A continued watch: a live picture on a terminal, a line a window otherwise."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from heuristics.errors import DiagnoseError

if TYPE_CHECKING:
    from diagnose.result import Result


def show(results: Iterable[Result], *, format_: str, output: str | None, no_color: bool) -> None:
    """Show each verdict as it comes: a picture that is rewritten on a terminal, one after another elsewhere."""
    if format_ == "text" and output is None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        _picture(results, colour=not no_color and not os.environ.get("NO_COLOR"))
        return
    with _opened(output) as stream:
        for result in results:
            try:
                stream.write(_line(result) if format_ == "json" else _short(result, format_))
                stream.flush()
            except BrokenPipeError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
                return


def _line(result: Result) -> str:
    return json.dumps(result.to_dict(), ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"


def _short(result: Result, format_: str) -> str:
    if format_ == "markdown":
        from reports.as_markdown import render as render_markdown

        return render_markdown(result.diagnosis) + "\n"
    from reports.as_text import brief

    return brief(result.diagnosis) + "\n"


def _picture(results: Iterable[Result], *, colour: bool) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from reports.as_text import render

    console = Console(color_system="standard" if colour else None, highlight=False)
    with Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:
        for result in results:
            width = shutil.get_terminal_size((80, 24)).columns
            live.update(Text.from_ansi(render(result.diagnosis, width=width, colour=colour)), refresh=True)


@contextmanager
def _opened(output: str | None) -> Iterator[IO[str]]:
    if output is None:
        yield sys.stdout
        return
    try:
        stream = open(output, "w", encoding="utf-8")
    except OSError as error:
        raise DiagnoseError(
            f"{output}: cannot be written: {error.strerror or error}", hint="-o FILE, in a folder that can be written"
        ) from error
    with stream:
        yield stream
