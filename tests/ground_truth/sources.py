"""The observations that each source gives of a captured workload, and the verdict on any set of sources."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from collectors.dump import Contents, Dump
from collectors.model_config import shape_of
from collectors.readers import read
from heuristics.assemble import Given, device_cases
from heuristics.case import Case
from heuristics.diagnosis import judge_devices, whole_of
from heuristics.gpus import part_named
from heuristics.judge import judge
from heuristics.observations import Observation, Serving
from heuristics.roofs import measured_roofs
from heuristics.simplex import STATED_CEILINGS, Ceilings
from heuristics.verdict import Judgement
from heuristics.vocabulary import Dtype
from heuristics.work import KernelWork

FILES = {
    "dmon": "dmon.log",
    "query": "query.csv",
    "gpm": "recording.jsonl.gz",
    "trace": "trace.json.gz",
    "ncu": "ncu.csv",
}

SUBSETS: Mapping[str, tuple[str, ...]] = {
    "dmon": ("dmon",),
    "query": ("query",),
    "nvml": ("nvml",),
    "gpm": ("gpm",),
    "ncu": ("ncu",),
    "trace": ("trace",),
    "numbers": ("numbers",),
    "gpm + trace": ("gpm", "trace"),
    "gpm + numbers": ("gpm", "numbers"),
    "all": ("gpm", "trace", "ncu", "numbers"),
}
"""Sets of sources by what they are called in the tables. ``nvml`` is a recording without GPM, as before Hopper."""

ON_CPU: Mapping[str, tuple[str, ...]] = {"host": ("gpm",), "numbers": ("numbers",), "all": ("gpm", "numbers")}


def judged(
    folder: Path,
    capture: Mapping[str, Any],
    sources: Sequence[str],
    machine: Mapping[str, Any],
    ceilings: Ceilings | None = None,
) -> Judgement | None:
    """The verdict from these sources alone; None where none of them was captured.

    ``ceilings`` replace the usual ones of peaks that are stated; those of measured peaks stay.
    """
    observations = _observed(folder, capture, sources)
    if not observations:
        return None
    given = _given(capture, sources, machine, observations)
    if ceilings is None:
        return whole_of(judge_devices(observations, given))
    return whole_of([judge(_under(case, ceilings)) for case in device_cases(observations, given)])


def _under(case: Case, ceilings: Ceilings) -> Case:
    if case.roofs is None or case.roofs.ceilings != STATED_CEILINGS:
        return case
    return replace(case, roofs=replace(case.roofs, ceilings=ceilings))


def cases(folder: Path, capture: Mapping[str, Any], sources: Sequence[str], machine: Mapping[str, Any]) -> list[Case]:
    """The cases that would be judged; none where no source was captured."""
    observations = _observed(folder, capture, sources)
    return device_cases(observations, _given(capture, sources, machine, observations)) if observations else []


def _observed(folder: Path, capture: Mapping[str, Any], sources: Sequence[str]) -> list[Observation]:
    found: list[Observation] = []
    for source in sources:
        if source == "numbers":
            found += _numbers(capture)
        elif source == "nvml":
            found += _without_gpm(folder / FILES["gpm"])
        elif (path := folder / FILES[source]).exists():
            found += _read(path)
    return found


def _given(
    capture: Mapping[str, Any],
    sources: Sequence[str],
    machine: Mapping[str, Any],
    observations: Sequence[Observation],
) -> Given:
    """What a user would state beside these sources: the device where they do not, and the work with numbers."""
    built = capture["built"]
    if machine["machine"].get("threads"):
        figures = machine["ceilings"]
        given = Given(
            roofs=measured_roofs(
                bandwidth_bytes_per_s=figures["bandwidth_bytes_per_s"],
                flops_per_s={Dtype.FP32: figures["flops_per_s"]},
                dtype=Dtype.FP32,
                source="measured in the same run",
                last_level_cache_bytes=machine["machine"].get("last_level_cache_bytes"),
            )
        )
    else:
        named = any(o.device is not None and o.device.name for o in observations)
        given = Given(
            part=None if named else part_named("H100 SXM"),
            dtype=Dtype(built.get("dtype", "bf16")) if "numbers" in sources else None,
        )
    return _with_work(given, built) if "numbers" in sources else given


def contents(path: Path) -> Contents:
    """What one file holds."""
    dump = Dump(path=str(path))
    try:
        return read(dump)
    finally:
        dump.close()


def _read(path: Path) -> list[Observation]:
    return list(contents(path).observations)


def _without_gpm(path: Path) -> list[Observation]:
    if not path.exists():
        return []
    with TemporaryDirectory() as folder:
        kept = Path(folder) / "recording.jsonl.gz"
        with gzip.open(path, "rt") as lines, gzip.open(kept, "wt") as out:
            out.writelines(line for line in lines if json.loads(line).get("what") != "gpm")
        return _read(kept)


def _numbers(capture: Mapping[str, Any]) -> list[Observation]:
    """The step's time with what it needs by construction, as the user of ``roofline`` would state it."""
    built, step_s = capture["built"], capture["alone"]["step_s"]
    if not built.get("flops"):
        return []
    load = built.get("load") or {}
    prefill = load.get("phase") == "prefill"
    batch = float(load.get("batch", 1.0))
    context = float(load.get("context", 0.0))
    return [
        Observation(
            source="numbers",
            payload=Serving(
                engine="the speed given",
                busy=True,
                step_s=step_s,
                steps_per_s=1.0 / step_s,
                batch=batch if load else None,
                tokens_per_step=batch * context if prefill else None,
                context_tokens=context or None,
            ),
        )
    ]


def _with_work(given: Given, built: Mapping[str, Any]) -> Given:
    load = built.get("load") or {}
    if not built.get("flops"):
        return given
    if built.get("config") and load.get("phase") != "prefill":
        return replace(given, model=shape_of(built["config"], "captured"))
    bits = float(built.get("weight_bits") or 16.0)
    return replace(given, work=KernelWork(flops=built["flops"], bytes=built["bytes"], weight_bits=bits))
