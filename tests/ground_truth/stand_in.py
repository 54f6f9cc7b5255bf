"""A job that needs no torch and no GPU: it answers as ``job`` does, and its step streams an array over and over.

With it the capture is run dry on any machine: a process of its own, watched by its pid.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ELEMENTS = 1 << 22


class StandIn:
    """One array, its sum, and the sum of half of it."""

    def __init__(self) -> None:
        self.array = np.ones(ELEMENTS)

    def step(self, elements: int = ELEMENTS) -> float:
        """Read it once."""
        return float(self.array[:elements].sum())

    def timed(self, seconds: float, elements: int = ELEMENTS) -> float:
        """Mean seconds a step."""
        begun, count = time.perf_counter(), 0
        while time.perf_counter() - begun < seconds:
            self.step(elements)
            count += 1
        return (time.perf_counter() - begun) / count

    def build(self, name: str) -> dict[str, Any]:
        """What a step needs."""
        return {"flops": float(ELEMENTS), "bytes": 8.0 * ELEMENTS, "dtype": "fp32", "weight_bits": 64.0}

    def time(self, seconds: float) -> dict[str, Any]:
        """A step."""
        step_s = self.timed(seconds)
        return {"step_s": step_s, "low_s": step_s, "high_s": step_s}

    def run(self, seconds: float) -> dict[str, Any]:
        """Steps for a while; says when it begins."""
        print(json.dumps({"began": time.monotonic()}), flush=True)
        return {"step_s": self.timed(seconds)}

    def trace(self, path: str) -> dict[str, Any]:
        """A trace in which nothing happened."""
        Path(path).write_text('{"traceEvents": [], "traceName": "/somewhere/trace.json"}')
        return {"steps": 2}

    def variants(self, seconds: float) -> dict[str, Any]:
        """Half the bytes."""
        half = {"step_s": self.timed(seconds, ELEMENTS // 2), "beside_s": self.timed(seconds)}
        return {"variants": [{"share": "memory", "what": "half the array", "factor": 0.5, **half}]}

    def ceilings(self) -> dict[str, Any]:
        """What is taken for this machine's rates."""
        return {"bandwidth_bytes_per_s": 8.0 * ELEMENTS / self.timed(0.05), "flops_per_s": 1e11}

    def facts(self) -> dict[str, Any]:
        """What it runs on."""
        return {"threads": 1}


def main() -> None:
    """Answer commands until there are none."""
    job = StandIn()
    for line in sys.stdin:
        command = json.loads(line)
        print(json.dumps({"ok": True, **getattr(job, command.pop("do"))(**command)}), flush=True)


if __name__ == "__main__":
    main()
