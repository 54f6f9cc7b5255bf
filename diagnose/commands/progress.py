"""Progress on standard error, for dumps that take more than a second and only on a terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE_S = 1.0


class ProgressLine:
    """Call it as files are read; a bar appears once reading has taken ``PATIENCE_S``."""

    def __init__(self) -> None:
        self._begun_s = time.monotonic()
        self._bar: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, path: str, read_bytes: int, size_bytes: int | None) -> None:
        if self._bar is None:
            if not sys.stderr.isatty() or time.monotonic() - self._begun_s < PATIENCE_S:
                return
            self._bar = self._started()
        if path not in self._tasks:
            self._tasks[path] = self._bar.add_task(f"reading {path}", total=size_bytes)
        self._bar.update(self._tasks[path], completed=read_bytes)

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _started(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        bar.start()
        return bar


class Countdown:
    """While a job is watched: how long it takes, on a terminal only."""

    def __init__(self, seconds: str | None) -> None:
        self._seconds = seconds or "10"

    def __enter__(self) -> Countdown:
        if sys.stderr.isatty():
            sys.stderr.write(f"watching for {self._seconds} s; Ctrl-C judges what was seen\r")
            sys.stderr.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if sys.stderr.isatty():
            sys.stderr.write("\033[2K\r")
            sys.stderr.flush()
