"""nvidia-smi logs of boards of our own invention, in the layouts of dmon, pmon and --query-gpu.

``dmon`` takes the letters of ``-s`` in any order, the generation of the driver, ``-o DT`` and GPM columns;
``dmon_as_csv`` is what people make of it. Times count from 13:00:00 on the fourth of May 2027.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from collectors.dump import Contents
from collectors.readers import read
from heuristics.observations import Activity, Observation, Samples
from tests.make.dumps import dump

BEGIN = datetime(2027, 5, 4, 13, 0, 0, tzinfo=UTC)

GROUPS: Mapping[str, tuple[str, ...]] = {
    "p": ("pwr", "gtemp", "mtemp"),
    "u": ("sm", "mem", "enc", "dec", "jpg", "ofa"),
    "c": ("mclk", "pclk"),
    "v": ("pviol", "tviol"),
    "m": ("fb", "bar1", "ccpm"),
    "e": ("sbecc", "dbecc", "pci"),
    "t": ("rxpci", "txpci"),
}
YOUNGER = frozenset({"jpg", "ofa", "ccpm"})
"""Columns that drivers of 2021 do not print."""

UNITS = {
    "time": "s",
    "gpu": "Idx",
    "pwr": "W",
    "gtemp": "C",
    "mtemp": "C",
    "mclk": "MHz",
    "pclk": "MHz",
    "pviol": "%",
    "tviol": "bool",
    "fb": "MB",
    "bar1": "MB",
    "ccpm": "MB",
    "sbecc": "errs",
    "dbecc": "errs",
    "pci": "errs",
    "rxpci": "MB/s",
    "txpci": "MB/s",
}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One board at one moment, in SI; None is not available. ``gpm`` holds percentages by column."""

    gpu: int = 0
    time_s: float = 0.0
    sm: float | None = 0.93
    memory: float | None = 0.41
    encoder: float | None = 0.0
    decoder: float | None = 0.0
    power_w: float | None = 512.0
    memory_clock_hz: float | None = 2619e6
    sm_clock_hz: float | None = 1755e6
    memory_celsius: float | None = 71.0
    power_violation: float | None = 0.0
    thermal_violation: float | None = 0.0
    power_capped: bool | None = False
    uuid: str | None = None
    gpm: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def moment(self) -> datetime:
        """When it was taken."""
        return BEGIN + timedelta(seconds=self.time_s)

    @property
    def identity(self) -> str | None:
        """The board's UUID."""
        return f"GPU-0f0f0f0f-5a5a-4b4b-8c8c-{self.gpu:012x}" if self.uuid is None else self.uuid

    @property
    def bus(self) -> str:
        """Where the board sits."""
        return f"00000000:{0x1A + self.gpu:02X}:00.0"


MIG = Reading(sm=None, memory=None, encoder=None, decoder=None, power_w=366.0)
"""A board cut into instances: no utilisation at all, whatever runs."""


def _cell(reading: Reading, name: str) -> str:
    """A cell of dmon."""
    scaled = {
        "gpu": (reading.gpu, 1.0),
        "time": (reading.time_s, 1.0),
        "pwr": (reading.power_w, 1.0),
        "gtemp": (58.0, 1.0),
        "mtemp": (reading.memory_celsius, 1.0),
        "sm": (reading.sm, 100.0),
        "mem": (reading.memory, 100.0),
        "enc": (reading.encoder, 100.0),
        "dec": (reading.decoder, 100.0),
        "jpg": (None if reading.sm is None else 0.0, 1.0),
        "ofa": (None if reading.sm is None else 0.0, 1.0),
        "mclk": (reading.memory_clock_hz, 1e-6),
        "pclk": (reading.sm_clock_hz, 1e-6),
        "pviol": (reading.power_violation, 100.0),
        "tviol": (reading.thermal_violation, 1.0),
        "fb": (40960.0, 1.0),
        "rxpci": (117.0, 1.0),
        "txpci": (23.0, 1.0),
    }
    value, factor = scaled.get(name, (0.0, 1.0))
    return "-" if value is None else f"{value * factor:g}" if name == "time" else f"{value * factor:.0f}"


def _unit(name: str) -> str:
    return UNITS.get(name, "%")


def columns(select: str, *, young: bool = True) -> tuple[str, ...]:
    """dmon's columns for the letters of ``-s``, in their order."""
    return tuple(name for letter in select for name in GROUPS[letter] if young or name not in YOUNGER)


def dmon(
    readings: Iterable[Reading],
    names: Sequence[str] = columns("puc"),
    *,
    gpm: Sequence[str] = (),
    dated: bool = False,
    header_every: int | None = None,
    blank_lines: bool = False,
    width: int = 6,
    comma: str = "",
) -> str:
    """What ``nvidia-smi dmon`` prints."""
    wide = [*names, *gpm]
    units = [*(_unit(name) for name in names), *("GPM:%" for _ in gpm)]

    def line(head: str, cells: Iterable[str]) -> str:
        return comma.join([head, *(f" {cell:>{width}}" for cell in cells)]) + " "

    if dated:
        header = [line("#Date       Time        gpu", wide), line("#YYYYMMDD   HH:MM:SS    Idx", units)]
    else:
        header = [line("# gpu", wide), line("# Idx", units)]
    lines = list(header)
    for place, reading in enumerate(readings):
        if header_every and place and place % header_every == 0:
            lines += header
        if blank_lines and place % 3 == 2:
            lines.append("")
        moment = f" {reading.moment:%Y%m%d   %H:%M:%S} " if dated else ""
        extra = (reading.gpm.get(name) for name in gpm)
        cells = [*(_cell(reading, name) for name in names), *("-" if v is None else f"{v:.0f}" for v in extra)]
        lines.append(line(f"{moment}{reading.gpu:>5}", cells))
    return "\n".join(lines) + "\n"


def dmon_as_csv(readings: Iterable[Reading], names: Sequence[str] = columns("pucvt")) -> str:
    """dmon turned into CSV by a recorder: times in seconds, and a row of units below the names."""
    wide = ("time", "gpu", *names)
    rows = [wide, [_unit(name) for name in wide], *([_cell(r, name) for name in wide] for r in readings)]
    return "\n".join(",".join(row) for row in rows) + "\n"


@dataclass(frozen=True, kw_only=True)
class Process:
    """A row of pmon; without ``pid`` it stands for a board without a process."""

    gpu: int = 0
    pid: int | None = 4242
    sm: float | None = 0.4
    memory: float | None = 0.2
    encoder: float | None = None
    command: str = "python"


def pmon(passes: Iterable[Iterable[Process]], *, dated: bool = False) -> str:
    """What ``nvidia-smi pmon`` prints: one pass after another over the processes of every board."""
    date, unit = ("Date       Time        ", "YYYYMMDD   HH:MM:SS    ") if dated else (" ", " ")
    lines = [
        f"#{date}gpu         pid   type     sm    mem    enc    dec    jpg    ofa    command ",
        f"#{unit}Idx           #    C/G      %      %      %      %      %      %    name ",
    ]
    for place, processes in enumerate(passes):
        moment = f" {BEGIN + timedelta(seconds=place):%Y%m%d   %H:%M:%S} " if dated else ""
        for process in processes:
            cells = [process.sm, process.memory, process.encoder, None, None, None]
            shown = ["-" if cell is None or process.pid is None else f"{100 * cell:.0f}" for cell in cells]
            pid, kind, command = ("-", "-", "-") if process.pid is None else (str(process.pid), "C", process.command)
            numbers = "".join(f" {cell:>6}" for cell in shown)
            lines.append(f"{moment}{process.gpu:>5} {pid:>10} {kind:>5}{numbers}    {command:<15}")
    return "\n".join(lines) + "\n"


def _percent(of: Callable[[Reading], float | None]) -> Callable[[Reading], str | None]:
    return lambda r: None if (value := of(r)) is None else f"{100 * value:.0f}"


def _number(
    of: Callable[[Reading], float | None], form: str = ".0f", factor: float = 1.0
) -> Callable[[Reading], str | None]:
    return lambda r: None if (value := of(r)) is None else format(value * factor, form)


def _flag(of: Callable[[Reading], bool | None]) -> Callable[[Reading], str | None]:
    return lambda r: None if (value := of(r)) is None else "Active" if value else "Not Active"


FIELDS: Mapping[str, tuple[str, Callable[[Reading], str | None]]] = {
    "timestamp": ("", lambda r: f"{r.moment:%Y/%m/%d %H:%M:%S}.{r.moment.microsecond // 1000:03d}"),
    "index": ("", lambda r: str(r.gpu)),
    "uuid": ("", lambda r: r.identity),
    "name": ("", lambda r: "NVIDIA H100 80GB HBM3"),
    "pci.bus_id": ("", lambda r: r.bus),
    "serial": ("", lambda r: None),
    "pstate": ("", lambda r: "P0"),
    "utilization.gpu": ("%", _percent(lambda r: r.sm)),
    "utilization.memory": ("%", _percent(lambda r: r.memory)),
    "utilization.encoder": ("%", _percent(lambda r: r.encoder)),
    "power.draw": ("W", _number(lambda r: r.power_w, ".2f")),
    "power.draw.instant": ("W", _number(lambda r: None if r.power_w is None else r.power_w + 40.0, ".2f")),
    "enforced.power.limit": ("W", lambda r: "650.00"),
    "power.limit": ("W", lambda r: "700.00"),
    "clocks.current.sm": ("MHz", _number(lambda r: r.sm_clock_hz, factor=1e-6)),
    "clocks.current.memory": ("MHz", _number(lambda r: r.memory_clock_hz, factor=1e-6)),
    "clocks.max.sm": ("MHz", lambda r: "1980"),
    "clocks.max.memory": ("MHz", lambda r: "2619"),
    "memory.total": ("MiB", lambda r: "81559"),
    "memory.used": ("MiB", lambda r: "40960"),
    "temperature.gpu": ("", lambda r: "58"),
    "clocks_event_reasons.sw_power_cap": ("", _flag(lambda r: r.power_capped)),
    "clocks_event_reasons.hw_power_brake_slowdown": ("", _flag(lambda r: False)),
    "clocks_event_reasons.sw_thermal_slowdown": ("", _flag(lambda r: bool(r.thermal_violation))),
}
"""Fields of --query-gpu: the unit beside name and value, and the value; None is not available."""


def query(
    readings: Iterable[Reading], names: Sequence[str], *, units: bool = True, header: bool = True, absent: str = "[N/A]"
) -> str:
    """What ``nvidia-smi --query-gpu=... --format=csv`` prints, with ``nounits`` and ``noheader``."""

    def shown(name: str, reading: Reading) -> str:
        unit, of = FIELDS[name]
        value = of(reading)
        return absent if value is None else f"{value} {unit}" if unit and units else value

    lines = [", ".join(f"{name} [{FIELDS[name][0]}]" if FIELDS[name][0] else name for name in names)] if header else []
    return "\n".join([*lines, *(", ".join(shown(name, r) for name in names) for r in readings)]) + "\n"


def contents(text: str | bytes) -> Contents:
    """What reading a log gives, through the registry of readers."""
    return read(dump(text, "nvidia-smi.log"))


def samples(text: str | bytes) -> dict[int, Samples]:
    """The readings in a log, by GPU."""
    return {index: payload for index, payload in _payloads(contents(text).observations) if isinstance(payload, Samples)}


def activities(text: str | bytes) -> dict[int, Activity]:
    """The hardware activity in a log, by GPU."""
    return {index: p for index, p in _payloads(contents(text).observations) if isinstance(p, Activity)}


def _payloads(observations: Iterable[Observation]) -> Iterable[tuple[int, object]]:
    return ((o.device.index, o.payload) for o in observations if o.device is not None and o.device.index is not None)
