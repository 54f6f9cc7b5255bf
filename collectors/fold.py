"""From the records of a live look, or of a recording, to observations: the same for both."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from collectors.calibration.figures import at_threads, roofs_of
from collectors.engines import windows
from collectors.engines.shapes import TORCH
from collectors.engines.slots import COUNTER, SlotCounter
from collectors.engines.spans import spans
from collectors.host.machine import machine_of
from collectors.model_files.record import shape_from_record
from collectors.nvml import fold as nvml
from collectors.prometheus import dcgm
from collectors.prometheus.exposition import Sample, Snapshot
from collectors.record import KIND, Record
from collectors.smi import live as smi
from collectors.watched import Watched, Window
from collectors.windowed import windowed
from heuristics.errors import UnusableModel
from heuristics.model_shape import ModelShape
from heuristics.observations import Activity, Host, Observation, Serving
from heuristics.roofs import Device
from heuristics.subject import Missing, Subject
from heuristics.vocabulary import Dtype

LONGEST_SECOND = 5.0
"""Seconds by which a record of the host may be late on a machine that is short of CPUs."""

BUSY_CORES = 0.5
"""Cores' worth of work by which a job on the CPU is computing, not idling."""

MOST_SCRAPES = 7200
"""Beyond these every second one is dropped: counters lose nothing by it."""

DEVICE_KINDS = frozenset({"device", "nvml", "gpm"})

NEEDED: Mapping[str, tuple[str, ...]] = {
    "host": ("window_s", "threads", "run_s", "asleep_s", "working_run_s", "working_wait_s"),
    "calibration": ("bandwidth_bytes_per_s",),
    "overhead": ("cpu_s", "wall_s"),
}
"""Fields that must be numbers in records of a kind."""

SAID_PARALLEL = {
    "tp": "tensor_parallel",
    "pp": "pipeline_parallel",
    "dp": "data_parallel",
    "ep": "expert_parallel",
}
"""Fields of the ``about`` record."""

ENGINE, HOST, DCGM = "engine metrics", "host", "dcgm-exporter"

Fields = Mapping[str, Any]


@dataclass(slots=True)
class Fold:
    """Takes records one by one, in the order of their writing."""

    job: Record = field(default_factory=dict)
    model: Record = field(default_factory=dict)
    about: Record = field(default_factory=dict)
    calibration: Record | None = None
    overhead: Record = field(default_factory=dict)
    machine: Record = field(default_factory=dict)
    scrapes: list[Snapshot] = field(default_factory=list)
    dcgm_scrapes: list[Snapshot] = field(default_factory=list)
    hosts: list[Record] = field(default_factory=list)
    devices: list[Record] = field(default_factory=list)
    dmon: list[Record] = field(default_factory=list)
    missing: dict[tuple[str, str], Missing] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    ended: bool = False
    last_s: float = 0.0
    _slots: SlotCounter = field(default_factory=SlotCounter)
    _pending: Snapshot | None = None

    def take(self, found: Record) -> None:
        """One record; what is not known is passed over, so that newer recordings can be read as far as they go.

        Raises:
            ValueError, TypeError, KeyError: it is not what it says it is.
        """
        what = found.get("what")
        for name in NEEDED.get(str(what), ()):
            float(found[name])
        self.last_s = max(self.last_s, float(found.get("t_s", 0.0)))
        if what == "scrape":
            self._scrape(found)
        elif what == "slots":
            self._slots_read(found)
        elif what == "host" and not self.ended:
            self.hosts.append({**found, "busiest": [_thread(t) for t in found.get("busiest", [])]})
        elif what in DEVICE_KINDS:
            self.devices.append(found)
        elif what == "dmon":
            self.dmon.append(found)
        elif what == "dcgm":
            self.dcgm_scrapes.append(snapshot(found, DCGM))
        elif what == "missing":
            gone = Missing(source=found["source"], reason=found["reason"], unlock=found.get("unlock"))
            self.missing.setdefault((gone.source, gone.reason), gone)
        elif what == "found":
            self.missing = {key: gone for key, gone in self.missing.items() if gone.source != found.get("source")}
        elif what == "event":
            self.events.append(found["text"])
            self.ended = self.ended or bool(found.get("ended"))
        elif what in ("job", "model", "about", "overhead", "machine"):
            getattr(self, str(what)).update(found)
        elif what == "calibration" and "index" not in found:
            self.calibration = found

    def close(self) -> Watched:
        """Everything together."""
        self._flush()
        every, warnings, short = self._observations()
        if self.calibration is not None:
            self.calibration = at_threads(self.calibration, self._threads())
        shape, why = self._shape()
        if why:
            warnings.append(why)
        warnings += self.model.get("warnings", [])
        inferred = self._parallelism()[1]
        if inferred:
            warnings.append(inferred)
        if self._lossy:
            warnings.append(
                "llama.cpp without --metrics: requests ended between two looks, so its rates are not known; "
                "start it with --metrics"
            )
        return Watched(
            kind=KIND,
            observations=tuple(every),
            warnings=tuple(warnings),
            subject=self._subject(every),
            model=shape,
            dtype=self._dtype(shape),
            roofs=roofs_of(self.calibration, self._dtype(shape)) if self.calibration and self._computes else None,
            machine=machine_of(self.machine, self.hosts),
            windows=short,
        )

    def _threads(self) -> int:
        """Threads that computed: those of the model's process that wanted a CPU, most of the time."""
        counts = sorted(int(r["model_threads"]) for r in self.hosts if r.get("model_threads"))
        stated = int((self.calibration or {}).get("threads", 1))
        return min(counts[len(counts) // 2], stated) if counts else stated

    @property
    def _computes(self) -> bool:
        """The model runs on the host's CPUs: no device of a driver is the job's, as far as could be seen."""
        return (
            self.job.get("holds_device") is False
            and not any(r["what"] == "device" and r.get("of_job", True) for r in self.devices)
            and not self.dmon
        )

    def _scrape(self, found: Record) -> None:
        """Kept back until the slots of the same look are there."""
        self._flush()
        self._pending = snapshot(found, ENGINE)

    def _slots_read(self, found: Record) -> None:
        scrape, self._pending = self._pending, None
        ended = next((s.value for s in scrape.values(COUNTER)), None) if scrape is not None else None
        made = tuple(Sample(*sample) for sample in self._slots.series(found["slots"], ended))
        before = scrape or Snapshot(source="slots", samples=(), taken_at_s=float(found["t_s"]))
        self._keep(
            Snapshot(
                source=ENGINE,
                samples=before.samples + made,
                taken_at_s=before.taken_at_s,
                process_start_s=before.process_start_s,
                took_s=before.took_s,
            )
        )

    def _flush(self) -> None:
        if self._pending is not None:
            self._keep(self._pending)
            self._pending = None

    def _keep(self, shot: Snapshot) -> None:
        self.scrapes.append(shot)
        if len(self.scrapes) > MOST_SCRAPES:
            del self.scrapes[1:-1:2]

    def _observations(self) -> tuple[list[Observation], list[str], tuple[Window, ...]]:
        served = windows.targets(self.scrapes, computing=self._computing if self._computes else None)
        every, warnings = windows.described(served)
        short = spans(served)
        if self._lossy:
            every = [_without_rates(o) for o in every if o.phase is None and isinstance(o.payload, Serving)]
            short = []
        boards = nvml.observations(self.devices)
        if self.dmon:
            boards += smi.observations(self.dmon)
        every += boards
        fresh = self._fresh_dcgm()
        every += _beside(boards, dcgm.observations(fresh)) if fresh else []
        if self.hosts:
            every.append(Observation(source=HOST, payload=self._host(), device=self._processor()))
        return every, warnings, windowed(short, every, self.devices)

    @property
    def _lossy(self) -> bool:
        """Tokens were generated that nothing counted."""
        return self._slots.lossy and not any(s.values(COUNTER) for s in self.scrapes)

    def _fresh_dcgm(self) -> list[Snapshot]:
        """Scrapes from the first change on: an exporter's values may be half a minute old, from before the window."""
        texts = [
            {(s.name, tuple(sorted(s.labels.items()))): s.value for s in shot.samples} for shot in self.dcgm_scrapes
        ]
        for place in range(1, len(texts)):
            if texts[place] != texts[place - 1]:
                return self.dcgm_scrapes[place:]
        if self.dcgm_scrapes:
            stale = Missing(
                source=DCGM, reason="its values did not change meanwhile and may be older", unlock="--for 60"
            )
            self.missing.setdefault((stale.source, stale.reason), stale)
        return []

    def _computing(self, begin_s: float, end_s: float) -> bool:
        """Whether the job's threads were mostly busy between two times, by the seconds that were told."""
        first = bisect_right(self.hosts, begin_s, key=_told_at)
        last = bisect_right(self.hosts, end_s + LONGEST_SECOND, key=_told_at)
        within = [r for r in self.hosts[first:last] if r["t_s"] - r["window_s"] < end_s]
        window_s = sum(r["window_s"] for r in within)
        return bool(window_s > 0.0 and sum(r["run_s"] for r in within) > BUSY_CORES * window_s)

    def _host(self) -> Host:
        return _host(self.hosts, self._computes, self_driven=self.job.get("engine") == TORCH.engine)

    def _processor(self) -> Device | None:
        if not self._computes:
            return None
        return Device(
            name=(self.calibration or self.job).get("device"),
            last_level_cache_bytes=(self.calibration or {}).get("last_level_cache_bytes"),
        )

    def _shape(self) -> tuple[ModelShape | None, str | None]:
        if "shape" not in self.model:
            return None, None
        try:
            return shape_from_record(self.model), None
        except UnusableModel as error:
            return None, f"the model's shape cannot be used: {error}"

    def _parallelism(self) -> tuple[dict[str, int], str | None]:
        """What the command line states, else the engine itself; and what follows where more devices are held."""
        stated = {k: int(v) for k, v in self.job.get("parallelism", {}).items()}
        said = {k: int(self.about.get(name, 1)) for k, name in SAID_PARALLEL.items()}
        found = {**{k: v for k, v in said.items() if v > 1}, **stated}
        held = len({r["index"] for r in self.devices if r["what"] == "device" and r.get("of_job", True)})
        product = found.get("tp", 1) * found.get("pp", 1) * found.get("dp", 1)
        if held <= product or held % product or self.job.get("engine") is None:
            return found, None
        kind = "pp" if "llama.cpp" in self.job["engine"] else "tp"
        found[kind] = found.get(kind, 1) * (held // product)
        return found, (
            f"{held} devices are held and the command line states {product}: "
            f"the model is taken to be split over them ({kind} {found[kind]})"
        )

    def _dtype(self, shape: ModelShape | None) -> Dtype | None:
        """On a CPU, FP32 is known where nothing narrower takes part; other arithmetic is not measured there."""
        plain = shape is not None and shape.activation_bits == 32.0 and shape.weight_bits == 32.0
        return Dtype.FP32 if plain and self._computes else None

    def _subject(self, every: list[Observation]) -> Subject:
        wall_s = self.overhead.get("wall_s")
        return Subject(
            pid=self.job.get("pid"),
            engine=self.job.get("engine"),
            engine_version=self.about.get("version"),
            recognised_by=self.job.get("recognised_by"),
            model=self.about.get("served_name") or self.model.get("name"),
            model_source=self.model.get("source"),
            stored_bytes=self.model.get("stored_bytes") or self.about.get("stored_bytes"),
            parameters=self.model.get("parameters") or self.about.get("parameters"),
            parallelism=self._parallelism()[0],
            driver=next((r["driver"] for r in self.devices if "driver" in r), None),
            window_s=self.last_s or None,
            sources=tuple(dict.fromkeys(o.source for o in every)),
            missing=tuple(self.missing.values()),
            events=tuple(self.events),
            ended=self.ended,
            cpu_fraction=self.overhead["cpu_s"] / wall_s if wall_s else None,
            start_cpu_s=self.overhead.get("start_cpu_s"),
            rss_bytes=self.overhead.get("rss_bytes"),
        )


def _without_rates(observation: Observation) -> Observation:
    """A window whose tokens were not all counted: that there was work is known, not how much."""
    assert isinstance(observation.payload, Serving)
    unknown = replace(
        observation.payload,
        batch=None,
        steps=None,
        steps_per_s=None,
        step_s=None,
        generation_tokens=None,
        tokens_per_s=None,
    )
    return replace(observation, payload=unknown)


def _beside(boards: list[Observation], exported: list[Observation]) -> list[Observation]:
    """Of what dcgm-exporter says of the node: activity of the job's devices that nothing else told."""
    known = {o.device.uuid: o.device for o in boards if o.device is not None and o.device.uuid is not None}
    told = {o.device.uuid for o in boards if o.device is not None and isinstance(o.payload, Activity)}
    found = []
    for o in exported:
        uuid = o.device.uuid if o.device is not None else None
        if isinstance(o.payload, Activity) and uuid in known and uuid not in told:
            found.append(replace(o, device=known[uuid]))
    return found


def fold(records: Iterable[Record]) -> Watched:
    """All records together."""
    folding = Fold()
    for found in records:
        folding.take(found)
    return folding.close()


def snapshot(found: Record, source: str) -> Snapshot:
    """A record of a scrape as the snapshot that it was."""
    samples = tuple(Sample(str(name), labels, float(value)) for name, labels, value in found["samples"])
    start = next((s.value for s in samples if s.name == "process_start_time_seconds"), None)
    return Snapshot(
        source=source,
        samples=samples,
        taken_at_s=float(found["t_s"]),
        process_start_s=start,
        took_s=float(found.get("took_s", 0.0)),
    )


def _told_at(found: Record) -> float:
    return float(found["t_s"])


def _thread(found: Record) -> Record:
    times = {name: float(found[name]) for name in ("run_s", "wait_s")}
    return {"pid": int(found["pid"]), "name": str(found["name"]), **times}


def _host(found: list[Record], computes: bool, self_driven: bool) -> Host:
    """Sums over the seconds told, as fractions of the time they cover."""
    window_s = sum(r["window_s"] for r in found)

    def part(name: str) -> float | None:
        stated = [r for r in found if name in r]
        covered = sum(r["window_s"] for r in stated)
        return sum(r[name] for r in stated) / covered if covered > 0 else None

    threads: dict[tuple[int, str], float] = {}
    for record in found:
        for thread in record["busiest"]:
            key = (thread["pid"], thread["name"])
            threads[key] = max(threads.get(key, 0.0), thread["run_s"] / record["window_s"])
    busiest = max(threads, key=lambda key: (threads[key], key), default=None)
    first = [r["busiest"][0] for r in found if r["busiest"]]
    wanted = sum(t["run_s"] + t["wait_s"] for t in first)
    cores = [r["cores"] for r in found if "cores" in r]
    return Host(
        window_s=window_s,
        threads=max(r["threads"] for r in found),
        asleep_fraction=part("asleep_s"),
        busiest_thread_fraction=min(1.0, threads[busiest]) if busiest is not None else None,
        busiest_thread=busiest[1] if busiest is not None else None,
        wait_fraction=sum(t["wait_s"] for t in first) / wanted if wanted > 0 else None,
        busy_cores=part("run_s"),
        cores=min(cores, default=None),
        throttled_fraction=part("throttled_s"),
        cpu_pressure=part("cpu_pressure_s"),
        memory_pressure=part("memory_pressure_s"),
        io_pressure=part("io_pressure_s"),
        read_bytes_per_s=part("read_bytes"),
        computes=computes,
        self_driven=self_driven,
    )
