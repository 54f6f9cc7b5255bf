"""Whether a tool is in this process that slows its steps, as Nsight Compute and Nsight Systems are."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

MAPS = Path("/proc/self/maps")

VARIABLES = ("CUDA_INJECTION64_PATH", "NVTX_INJECTION64_PATH", "NSYS_PROFILING_SESSION_ID")
"""By which such tools enter a process."""

_LIBRARY = re.compile(
    r"nsight[-_](?:compute|systems)|libToolsInjection|libcuda-injection|TargetInjection", re.IGNORECASE
)


def watched_by(environment: Mapping[str, str] = os.environ, maps: Path = MAPS) -> str | None:
    """The variable, or the loaded library, that shows such a tool; None where there is none."""
    stated = next((name for name in VARIABLES if environment.get(name)), None)
    if stated is not None:
        return stated
    try:
        lines = maps.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return next((Path(line.split()[-1]).name for line in lines if ".so" in line and _LIBRARY.search(line)), None)
