"""Idle, compute and other time of real traces, as HolisticTraceAnalysis gives them and as we do.

Run by hand, from the root of the repository; HTA may live in an interpreter of its own:

    python -m tests.compare_with_hta --hta PYTHON_WITH_HTA [TRACE...]

For each trace: HTA's own figures, ours where its rules are followed, ours by default, and how far that is from
HTA's. Exit status 1 where the first two differ in a microsecond: then an event was lost, doubled or moved.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from collectors.dump import Dump
from collectors.kineto import trace
from collectors.kineto.columns import Columns
from collectors.kineto.events import CATEGORIES, Decoding, Kind
from collectors.kineto.scanner import EventScanner
from collectors.kineto.times import all_nanoseconds
from heuristics.arrays import Array, Flags, Ns
from heuristics.observations import Timeline

HTA = """
import json, logging, sys
from importlib.metadata import version
from hta.trace_analysis import TraceAnalysis
logging.disable(logging.CRITICAL)
print(json.dumps(version("HolisticTraceAnalysis")))
for path in sys.argv[1:]:
    try:
        found = TraceAnalysis(trace_files=[path]).get_temporal_breakdown(visualize=False).to_dict("records")
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    print(json.dumps(found, default=float))
"""

NOT_COMPUTE = re.compile(r"(^nccl.*Kernel)|(.*(Memcpy)|(Memset))|(.*Sync)|(^dma)")
"""Names that HTA does not count as computation, as its kernel types have it."""

HALF_US = 0.5
"""Figures of whole microseconds are the same if they differ by less."""


@dataclass(frozen=True)
class Breakdown:
    """Microseconds: first to last event, and its three parts."""

    window: float
    idle: float
    compute: float
    other: float

    def line(self, label: str, *, sign: str = "") -> str:
        parts = [f"{value / 1000:{sign}14.3f}" for value in astuple(self)]
        share = "" if sign or not self.window else f"{100 * self.idle / self.window:9.2f}"
        return f"  {label:<26}{''.join(parts)}{share}"


class _Args(msgspec.Struct):
    stream: Any = None
    correlation: Any = None


class _Event(msgspec.Struct):
    name: str = ""
    cat: str = ""
    ts: Any = None
    dur: Any = 0
    args: _Args = msgspec.field(default_factory=_Args)


_ANY = msgspec.json.Decoder(list[_Event], strict=False, float_hook=str)


@dataclass
class Read:
    """A trace as our reader takes it, and the events beside that HTA takes for device work or for a step."""

    columns: Columns
    more_work: list[_Event]
    steps: list[_Event]
    float_times: bool


def read(path: Path) -> Read | None:
    """None for a trace without events."""
    scanner = EventScanner(Dump(path=str(path)).chunks())
    found: Read | None = None
    for pieces in scanner.blocks():
        if found is None:
            columns = Columns(scanner.layout)
            found = Read(columns, [], [], any(re.search(rb'"ts":\s*\d+\.', piece) for piece in pieces))
        found.columns.add(pieces)
        others = [piece for piece in pieces if b'"stream"' in piece or b"ProfilerStep" in piece]
        for event in Decoding(scanner.layout).events(_ANY, others):
            if "ProfilerStep" in event.name:
                found.steps.append(event)
            elif event.args.stream not in (None, -1) and CATEGORIES.get(event.cat.encode()) is not Kind.DEVICE:
                found.more_work.append(event)
    if found is not None:
        found.columns.flush()
    return found


def by_their_rules(found: Read) -> Breakdown | None:
    """What HTA should say: whole microseconds, without the last profiler step, whatever has a stream is work."""
    columns, more = found.columns, found.more_work
    names = np.array([*columns.names, *(event.name for event in more)])
    name = np.append(np.array(columns.name_index, np.int64), len(columns.names) + np.arange(len(more)))
    more_start = all_nanoseconds([e.ts for e in more]) if more else np.empty(0, np.int64)
    more_end = more_start + (all_nanoseconds([e.dur for e in more]) if more else 0)
    start = np.append(np.array(columns.start, np.int64), more_start)
    end = np.append(np.array(columns.end, np.int64), more_end)
    correlation = np.append(np.array(columns.correlation, np.int64), [_id(e) for e in more]).astype(np.int64)
    begin, finish = _whole(start, end) if found.float_times else (_us(start), _us(end))
    if len({step.name for step in found.steps}) > 1:
        kept = _before_last_step(found, correlation)
        begin, finish, name = begin[kept], finish[kept], name[kept]
    if begin.size == 0:
        return None
    compute = np.array([NOT_COMPUTE.match(n) is None for n in names], bool)[name]
    window, busy = _merged(begin, finish)
    _, computing = _merged(begin[compute], finish[compute])
    return Breakdown(window, window - busy, computing, busy - computing)


def _id(event: _Event) -> int:
    return event.args.correlation if isinstance(event.args.correlation, int) else -1


def _before_last_step(found: Read, correlation: Ns) -> Flags:
    """Work whose call began before the last step; a step's annotation on the device counts as well."""
    calls = np.array(found.columns.call_start, np.int64)
    steps = all_nanoseconds([step.ts for step in found.steps])
    if found.float_times:
        calls, steps = np.ceil(_us(calls)), np.ceil(_us(steps))
    early = np.array(found.columns.call_correlation, np.int64)[calls < steps.max()]
    return (correlation >= 0) & np.isin(correlation, early)


def _us(ns: Ns) -> Array:
    """Microseconds as a float reads them from text: since the epoch to a quarter of one."""
    return ns // 1000 + (ns % 1000) / 1000


def _whole(start: Ns, end: Ns) -> tuple[Array, Array]:
    """Rounded inward."""
    begin = _us(start)
    return np.ceil(begin), np.floor(begin + _us(end - start))


def _merged(begin: Array, finish: Array) -> tuple[float, float]:
    """(first to last, summed) of merged intervals. What rounding has turned around counts as negative."""
    if begin.size == 0:
        return 0.0, 0.0
    order = np.argsort(begin, kind="stable")
    begin, finish = begin[order], finish[order]
    reach = np.maximum.accumulate(finish)
    first = np.flatnonzero(np.append(True, begin[1:] > reach[:-1]))
    last = np.maximum.reduceat(finish, first)
    return float(last[-1] - begin[0]), float((last - begin[first]).sum())


def by_default(path: Path) -> Iterator[tuple[str, Breakdown]]:
    """(device, breakdown) of the whole recording."""
    for observation in trace.read(Dump(path=str(path))).observations:
        timeline = observation.payload
        if isinstance(timeline, Timeline) and observation.phase is None:
            idle = timeline.window_s - timeline.busy_s
            other = timeline.communication_s + timeline.transfer_s
            shares = (timeline.window_s, idle, timeline.roof_busy_s, other)
            index = observation.device.index if observation.device is not None else 0
            yield f"diagnose, device {index}", Breakdown(*(1e6 * s for s in shares))


def compared(path: Path, theirs: Any) -> tuple[list[str], bool]:
    """(lines to print, whether the emulation agrees)."""
    reading = read(path)
    emulated = None if reading is None else by_their_rules(reading)
    keys = ("kernel_time(us)", "idle_time(us)", "compute_time(us)", "non_compute_time(us)")
    row = theirs[0] if isinstance(theirs, list) else {}
    hta = Breakdown(*(row[key] for key in keys)) if row else None
    lines = [f"{path.name}, rank {row.get('rank', '?')}"]
    lines.append(f"  HTA fails: {theirs[:90]}" if hta is None else hta.line("HTA"))
    if emulated is not None:
        lines.append(emulated.line("diagnose by HTA's rules"))
    for label, ours in by_default(path):
        lines.append(ours.line(label))
        if hta is not None:
            lines.append(_apart(ours, hta).line("  less HTA's", sign="+"))
    if hta is None or emulated is None:
        agree = hta is emulated is None
    else:
        agree = max(map(abs, astuple(_apart(emulated, hta)))) < HALF_US
    return lines if agree else [*lines, "  HTA's rules give other figures here"], agree


def _apart(a: Breakdown, b: Breakdown) -> Breakdown:
    return Breakdown(*(x - y for x, y in zip(astuple(a), astuple(b), strict=True)))


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare breakdowns of traces with HolisticTraceAnalysis.")
    parser.add_argument("--hta", default=sys.executable, help="an interpreter that has HolisticTraceAnalysis")
    parser.add_argument("traces", nargs="*", type=Path, help="default: all Kineto traces of the corpus")
    options = parser.parse_args()
    paths = options.traces or _corpus()
    done = subprocess.run([options.hta, "-c", HTA, *map(str, paths)], stdout=subprocess.PIPE, check=True, text=True)
    version, *answers = map(json.loads, done.stdout.splitlines())
    print(f"HolisticTraceAnalysis {version}; milliseconds")
    print(f"  {'':<26}{'first to last':>14}{'idle':>14}{'compute':>14}{'other':>14}{'idle %':>9}")
    agreed = []
    for path, theirs in zip(paths, answers, strict=True):
        lines, agree = compared(path, theirs)
        print("\n".join(lines))
        agreed.append(agree)
    print(f"{sum(agreed)} of {len(agreed)} traces agree where HTA's rules are followed")
    return 0 if all(agreed) else 1


def _corpus() -> list[Path]:
    folder = Path(os.environ.get("DIAGNOSE_CORPUS") or Path(__file__).parents[2] / "shared" / "corpus") / "kineto"
    found = sorted(path for path in folder.glob("*.json*"))
    return found or sys.exit("no traces given, and no corpus (DIAGNOSE_CORPUS)")


if __name__ == "__main__":
    sys.exit(main())
