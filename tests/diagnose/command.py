"""The command as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

DIAGNOSE = [sys.executable, "-m", "diagnose"]


def run(*arguments: object, stdin: bytes | None = None, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run ``diagnose`` and wait for it, a minute at most."""
    return subprocess.run(
        [*DIAGNOSE, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
        env=os.environ | {"COLUMNS": "80"} | environment,
    )


@contextmanager
def started(*arguments: object, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """``diagnose`` as a process that does not outlive the block."""
    with subprocess.Popen([*DIAGNOSE, *map(str, arguments)], **options) as process:
        try:
            yield process
        finally:
            process.kill()
