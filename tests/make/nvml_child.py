"""Run in a process of its own: what NVML's real binding makes of the library that the loader finds, as JSON lines."""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

ASKED = ("stub_sets", "stub_gpm_samples", "stub_opened", "stub_pcie_calls")


def lasting(values: list[Any]) -> Iterator[Any]:
    """One after another, the last for good."""
    return chain(values, repeat(values[-1]))


def watch(order: dict[str, Any]) -> list[dict[str, Any]]:
    """Records of a source over as many readings as asked for, on a clock that goes with them."""
    from collectors.nvml.source import NvmlSource

    now = [100.0]
    jobs = lasting(order["jobs"])
    injected: dict[str, Any] = {}
    if order["known"] is not None:
        known = lasting([dict(pairs) for pairs in order["known"]])
        injected["host_pids"] = lambda asked: next(known)
    source = NvmlSource(
        lambda: next(jobs),
        visible=order["visible"],
        holds_device=order["holds_device"],
        clock=lambda: now[0],
        **injected,
    )
    records = source.start()
    for turn in range(order["turns"]):
        now[0] += order["period_s"]
        records += source.sample((turn + 1) * order["period_s"])
    source.close()
    source.close()
    return records


def counts() -> dict[str, int]:
    """What the stub counted; nothing where another library, or none, was loaded."""
    try:
        stub = ctypes.CDLL("libnvidia-ml.so.1")
        return {name: int(getattr(stub, name)()) for name in ASKED}
    except (OSError, AttributeError):
        return {}


def main() -> None:
    """Do what each line orders, and answer it with a line of JSON."""
    for line in sys.stdin:
        order = json.loads(line)
        os.environ["NVML_STUB"] = order["scenario"]
        if order["survey"] is not None:
            from collectors.nvml.survey import survey

            records = survey(order["survey"])
        else:
            records = watch(order)
        loaded = sorted({name.partition(".")[0] for name in sys.modules} & {"numpy", "pandas", "rich", "torch"})
        print(json.dumps({"records": records, "counts": counts(), "loaded": loaded}, allow_nan=False), flush=True)


if __name__ == "__main__":
    main()
