"""Reader of Prometheus text snapshots. prometheus-client parses; a cheap filter hands it the wanted lines only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from collectors.dump import Contents, Dump
from collectors.units import counted
from heuristics.errors import UnreadableDump

KIND = "Prometheus snapshot"

WANTED = (
    "vllm:",
    "ray_vllm_",
    "sglang:",
    "tgi_",
    "llamacpp:",
    "lmdeploy:",
    "lightllm_",
    "trtllm_",
    "nv_",
    "dynamo_",
    "diagnose_demo:",
    "llamacpp_slots:",
    "DCGM_FI_",
    "process_start_time_seconds",
)
"""Beginnings of the names that some reader asks for."""

LARGEST = 1e27
"""More FLOPs than any counter reaches in years; also above it are NaN and infinities, which state nothing."""

MOST_SAMPLES = 100_000
"""In one scrape, of the wanted names, without buckets: servers have hundreds."""

_NUMBER = r"(?:[-+]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][-+]?\d++)?|NaN|[-+]?Inf)"
_SAMPLE = re.compile(rf"([A-Za-z_:][\w:]*+(?:\{{.*\}})?)[ \t]++{_NUMBER}(?:[ \t]++-?\d++)?\s*+")
_FAMILY = re.compile(r"#\s*(TYPE|HELP)\s+(\S+)")
_CAPTURED = re.compile(r"#\s*captured_at:?\s+(\S+)", re.IGNORECASE)
_RAY = ("ray_vllm_", "vllm:")
"""Ray spells vLLM's names its own way."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample: full name, labels, value (what is no plain number was left out before)."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All wanted samples of one scrape. Times are Unix seconds; None where the text does not say."""

    source: str
    samples: tuple[Sample, ...]
    taken_at_s: float | None = None
    saved_at_s: float | None = None
    """When the file was last written: the time of the scrape, if nobody copied it since."""
    process_start_s: float | None = None
    took_s: float = 0.0
    """From asking to the answer, where we asked: the counters are of ``taken_at_s``, give or take half of it."""

    def values(self, *names: str) -> list[Sample]:
        """Samples of the first of the names that is there at all."""
        for name in names:
            found = [s for s in self.samples if s.name == name]
            if found:
                return found
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrapes(Contents):
    """Snapshots wait for others of the same target before they become observations."""

    snapshots: tuple[Snapshot, ...] = ()


def recognises(dump: Dump) -> bool:
    """HELP and TYPE comments, or lines that parse as samples: several, or one with a name that some reader wants."""
    lines = dump.head_text.splitlines()[:4000]
    if any(_FAMILY.match(line) for line in lines):
        return True
    stated = [line for line in lines[:200] if line.strip()]
    samples = [line for line in stated if _SAMPLE.fullmatch(line)]
    enough = len(samples) >= 3 or any(line.startswith(WANTED) for line in samples)
    return enough and len(samples) >= 0.8 * len(stated)


def read(dump: Dump) -> Scrapes:
    """The snapshots in a file; a scrape appended to another is told apart by what begins anew.

    Raises:
        UnreadableDump: no metric that any reader knows.
    """
    scrapes = _Splitter(dump.path)
    for line in dump.lines():
        scrapes.take(line)
    scrapes.close()
    if not scrapes.found:
        what = "has samples, but none of a serving engine or of dcgm-exporter" if scrapes.sampled else "holds no sample"
        raise UnreadableDump(
            dump.path, f"the Prometheus text {what}", hint="curl -s HOST:PORT/metrics > a.prom, of the engine itself"
        )
    warnings = [dump.cut_short] if dump.cut_short else []
    if scrapes.surplus:
        warnings.append(f"more than {MOST_SAMPLES:,} samples of the wanted names in a scrape: the others were left out")
    if scrapes.ignored:
        warnings.append(
            f"{counted(scrapes.ignored, 'sample without a number was', 'samples without a number were')} left out"
        )
    return Scrapes(kind=KIND, observations=(), warnings=tuple(warnings), snapshots=tuple(scrapes.found))


class _Splitter:
    """Lines into scrapes: one begins with a time stamp, or where a family (without comments, a series) recurs."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.saved = _modified(path)
        self.found: list[Snapshot] = []
        self.lines: list[str] = []
        self.begun: set[str] = set()
        self.captured: float | None = None
        self.commented = False
        self.sampled = False
        self.ignored = 0
        self.surplus = False

    def take(self, line: str) -> None:
        """One line of the file."""
        if line.startswith("#"):
            self._comment(line)
            return
        self.sampled = self.sampled or bool(line.strip())
        if not line.startswith(WANTED) or line.partition("{")[0].endswith("_bucket"):
            return
        sample = _SAMPLE.fullmatch(line)
        if sample is None:
            self.ignored += 1
            return
        if not self.commented:
            self._begin(sample[1])
        if len(self.lines) < MOST_SAMPLES:
            self.lines.append(line)
        else:
            self.surplus = True

    def close(self) -> None:
        """End the scrape."""
        if self.lines:
            self.found.append(_snapshot(self.path, self.lines, self.captured, self.saved))
        self.lines, self.begun, self.captured = [], set(), None

    def _comment(self, line: str) -> None:
        stamp = _CAPTURED.match(line)
        family = _FAMILY.match(line)
        if stamp is not None:
            self.close()
            self.captured = _when(stamp[1])
        elif family is not None:
            self.commented = True
            self._begin(f"{family[1]} {family[2]}")

    def _begin(self, mark: str) -> None:
        if mark in self.begun:
            self.close()
        self.begun.add(mark)


def _snapshot(path: str, lines: list[str], captured: float | None, saved: float | None) -> Snapshot:
    samples: list[Sample] = []
    stamp = captured
    for name, labels, value, timestamp in _parsed(lines):
        if stamp is None and timestamp is not None:
            stamp = timestamp
        if abs(value) < LARGEST:
            plain = _RAY[1] + name.removeprefix(_RAY[0]) if name.startswith(_RAY[0]) else name
            samples.append(Sample(plain, labels, value))
    start = next((s.value for s in samples if s.name == "process_start_time_seconds"), None)
    return Snapshot(source=path, samples=tuple(samples), taken_at_s=stamp, saved_at_s=saved, process_start_s=start)


def _parsed(lines: list[str]) -> Iterable[tuple[str, Mapping[str, str], float, float | None]]:
    """Samples by prometheus-client; lines that it refuses are passed over one by one."""
    from prometheus_client.parser import text_string_to_metric_families

    def samples(text: str) -> list[tuple[str, Mapping[str, str], float, float | None]]:
        return [
            (s.name, s.labels, float(s.value), float(s.timestamp) if s.timestamp is not None else None)
            for family in text_string_to_metric_families(text)
            for s in family.samples
        ]

    try:
        return samples("\n".join(lines) + "\n")
    except (ValueError, KeyError, IndexError):
        pass
    found = []
    for line in lines:
        try:
            found += samples(line + "\n")
        except (ValueError, KeyError, IndexError):
            continue
    return found


def _when(text: str) -> float | None:
    """Unix seconds of an ISO 8601 time or of a number."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def _modified(path: str) -> float | None:
    try:
        return os.stat(path).st_mtime if path != "-" else None
    except OSError:
        return None
