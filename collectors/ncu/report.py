"""Reader of .ncu-rep reports, through ``ncu --import`` where the tool is on the PATH; it needs no GPU for that."""

from __future__ import annotations

import os

from collectors.dump import Contents, Dump
from heuristics.errors import UnreadableDump

KIND = "Nsight Compute report"

MAGIC = b"NVR\x00"


def recognises(dump: Dump) -> bool:
    """The report's first bytes, or its suffix on a binary file."""
    return dump.head.startswith(MAGIC) or (dump.path.endswith(".ncu-rep") and b"\0" in dump.head[:4096])


def read(dump: Dump) -> Contents:
    """The report's raw page, printed by ncu and read like any export.

    Raises:
        UnreadableDump: no ncu on the PATH, or it cannot open the report.
    """
    import shutil
    import subprocess

    from collectors.ncu import export

    tool = shutil.which("ncu")
    by_hand = f"ncu --import {dump.path} --csv --page raw > kernels.csv, and give kernels.csv"
    if tool is None:
        raise UnreadableDump(
            dump.path, "a binary report needs ncu to be read, and ncu is not on the PATH", hint=by_hand
        )
    if dump.path == "-":
        raise UnreadableDump(dump.path, "ncu cannot read a binary report from a pipe", hint="give the report's path")
    command = [tool, "--import", os.path.abspath(dump.path), "--csv", "--page", "raw"]
    try:
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise UnreadableDump(dump.path, f"{tool} does not run: {error.strerror or error}", hint=by_hand) from error
    with run:
        assert run.stdout is not None
        try:
            printed = Dump(path=dump.path, stream=run.stdout, interrupt=dump.interrupt)
            if not printed.head:
                raise UnreadableDump(dump.path, f"{tool} printed nothing for this report", hint=by_hand)
            return export.read(printed)
        finally:
            run.kill()
