"""Nsight Compute CSV with kernels of our own invention, in the shape of every page and era.

``details``, ``metrics_only``, ``raw`` and ``summary`` print kernels; the rest puts around and between their
lines what real files have there. Values are printed the way ncu prints them: two decimals, thousands
separators, and a unit that fits the value.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from math import isnan

from collectors.dump import Contents, Dump
from collectors.ncu import export
from heuristics.observations import KernelProfile

SPEED_OF_LIGHT = "GPU Speed Of Light Throughput"
OLD_SPEED_OF_LIGHT = "GPU Speed Of Light"
MEMORY_WORKLOAD = "Memory Workload Analysis"
LAUNCH = "Launch Statistics"
COMMAND_LINE = "Command line profiler metrics"

PROSE = {
    "High Throughput": "Ours is utilizing greater than 80.0% of one of the two; give work to the other, idler unit.",
    "Small Grid": "The grid is too small for this part: there are only {waves} full waves of blocks. Launch more.",
    "Latency Issue": "Neither is busy. Values below 60.0% typically indicate latency issues, so see the stalls.",
    "High Memory Throughput": "Memory is more heavily utilized than Compute: move less, or fuse, in our own words.",
    "High Compute Throughput": "Compute is more heavily utilized than Memory: see which pipe, in our own words.",
    "Balanced Throughput": "Compute and Memory are well-balanced: both have to be relieved, in our own words.",
}
"""Prose of the rule SOLBottleneck for every label, holding the phrases by which the label is known."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One metric of a long page, as text."""

    section: str
    name: str
    unit: str
    value: str
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule's row: the section by its identifier, not by its display name."""

    section: str
    name: str
    prose: str


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """A kernel in SI units and fractions 0..1. What is None is not in the file."""

    name: str = "void gemv_kernel<float, 4>(const float *, float *)"
    duration_s: float | None = 12.5e-6
    memory: float | None = 0.62
    compute: float | None = 0.21
    dram: float | None = 0.55
    l2: float | None = 0.31
    l1: float | None = 0.4
    waves: float | None = 2.5
    dram_rate: float | None = 1.1e12
    sms: int | None = 108
    read_bytes: float | None = None
    write_bytes: float | None = None
    cycles: float | None = None
    cycle_rate: float | None = None
    label: str | None = None
    device: int = 0
    nvtx: str = ""
    extra: tuple[Row, ...] = ()
    rules: tuple[Rule, ...] = ()


UNSTATED = Kernel(
    duration_s=None,
    memory=None,
    compute=None,
    dram=None,
    l2=None,
    l1=None,
    waves=None,
    dram_rate=None,
    sms=None,
)
"""A kernel of which only the name is in the file."""


@dataclass(frozen=True, kw_only=True)
class Era:
    """Columns of the details page, and what the time called things."""

    columns: tuple[str, ...]
    old_names: bool = False
    base_units: bool = False

    @property
    def has_rules(self) -> bool:
        return "Rule Name" in self.columns


_KERNEL = ("ID", "Process ID", "Process Name", "Host Name", "Kernel Name")
_STREAM = ("Context", "Stream")
_DEVICE = ("Block Size", "Grid Size", "Device", "CC")
_METRIC = ("Section Name", "Metric Name", "Metric Unit", "Metric Value")
_LABELLED = ("Section Name", "Body Item Label", "Metric Name", "Metric Unit", "Metric Value")
_RULE = ("Rule Name", "Rule Type", "Rule Description")
_SPEEDUP = ("Estimated Speedup Type", "Estimated Speedup")
_NVTX = ("thread Domain:Push/Pop_Range:PL_Type:PL_Value:CLR_Type:Color:Msg_Type:Msg", "Id:Domain:Start/Stop_Range:PL")

YEAR_2019 = Era(columns=(*_KERNEL, "Kernel Time", *_STREAM, *_METRIC), old_names=True, base_units=True)
YEAR_2021 = Era(columns=(*_KERNEL, "Kernel Time", *_STREAM, *_METRIC, *_RULE), old_names=True, base_units=True)
YEAR_2022 = Era(columns=(*_KERNEL, *_STREAM, *_DEVICE, *_METRIC, *_RULE))
CURRENT = Era(columns=(*_KERNEL, *_STREAM, *_DEVICE, *_METRIC, *_RULE, *_SPEEDUP))
NO_RULES = Era(columns=(*_KERNEL, *_STREAM, *_DEVICE, *_METRIC))
LABELLED = Era(columns=(*_KERNEL, *_STREAM, *_DEVICE, *_LABELLED, *_RULE, *_SPEEDUP))
WITH_NVTX = Era(columns=(*_KERNEL[:4], *_NVTX, _KERNEL[4], *_STREAM, *_DEVICE, *_METRIC))
ERAS = {
    "2019, 12 columns": YEAR_2019,
    "2021, 15 columns": YEAR_2021,
    "2022, 18 columns": YEAR_2022,
    "20 columns": CURRENT,
    "no rules, 15 columns": NO_RULES,
    "21 columns": LABELLED,
    "NVTX columns": WITH_NVTX,
}

_ARRAYS = [f.name for f in fields(KernelProfile) if f.name not in ("names", "name_index", "ncu_label", "phase")]

SUMMARY_OLD = ("Process ID", "Kernel Name", "Invocations")
SUMMARY = ("Process ID", "Process Name", "Host Name", "Kernel Name", *_DEVICE, "Invocations")
_STATISTICS = ("Section Name", "Metric Name", "Metric Unit", "Minimum", "Maximum", "Average")

_PCT = ".avg.pct_of_peak_sustained_elapsed"

_NAMES: dict[str, tuple[str, str, str, str]] = {
    "dram": (SPEED_OF_LIGHT, "DRAM Throughput", "SOL FB", f"gpu__dram_throughput{_PCT}"),
    "cycle_rate": (SPEED_OF_LIGHT, "SM Frequency", "SM Frequency", "sm__cycles_elapsed.avg.per_second"),
    "cycles": (SPEED_OF_LIGHT, "Elapsed Cycles", "Elapsed Cycles", "sm__cycles_elapsed.avg"),
    "memory": (SPEED_OF_LIGHT, "Memory Throughput", "Memory [%]", f"gpu__compute_memory_throughput{_PCT}"),
    "duration_s": (SPEED_OF_LIGHT, "Duration", "Duration", "gpu__time_duration.sum"),
    "l1": (SPEED_OF_LIGHT, "L1/TEX Cache Throughput", "SOL TEX", f"l1tex__throughput{_PCT}"),
    "l2": (SPEED_OF_LIGHT, "L2 Cache Throughput", "SOL L2", f"lts__throughput{_PCT}"),
    "compute": (SPEED_OF_LIGHT, "Compute (SM) Throughput", "SM [%]", f"sm__throughput{_PCT}"),
    "dram_rate": (MEMORY_WORKLOAD, "Memory Throughput", "Memory Throughput", "dram__bytes.sum.per_second"),
    "read_bytes": (COMMAND_LINE, "dram__bytes_read.sum", "dram__bytes_read.sum", "dram__bytes_read.sum"),
    "write_bytes": (COMMAND_LINE, "dram__bytes_write.sum", "dram__bytes_write.sum", "dram__bytes_write.sum"),
    "sms": (LAUNCH, "# SMs", "# SMs", "device__attribute_multiprocessor_count"),
    "waves": (LAUNCH, "Waves Per SM", "Waves Per SM", "launch__waves_per_multiprocessor"),
}
"""Quantity: section, label of today, label of old, metric. In the order in which a details page has them."""

_DIMENSION = {
    "duration_s": ((1e-9, "ns"), (1e-6, "us"), (1e-3, "ms"), (1.0, "s")),
    "cycle_rate": ((1.0, "hz"), (1e6, "Mhz"), (1e9, "Ghz")),
    "read_bytes": ((1.0, "byte"), (1e3, "Kbyte"), (1e6, "Mbyte"), (1e9, "Gbyte")),
    "write_bytes": ((1.0, "byte"), (1e3, "Kbyte"), (1e6, "Mbyte"), (1e9, "Gbyte")),
    "dram_rate": ((1.0, "byte/s"), (1e3, "Kbyte/s"), (1e6, "Mbyte/s"), (1e9, "Gbyte/s"), (1e12, "Tbyte/s")),
}
_BASE = {"duration_s": (1e-9, "nsecond"), "cycle_rate": (1.0, "cycle/second"), "dram_rate": (1e9, "Gbyte/second")}
_PLAIN = {"cycles": "cycle", "sms": "SM", "waves": ""}
_WHOLE = ("cycle", "SM", "byte", "nsecond", "cycle/second")


def printed(quantity: str, value: float, *, base_units: bool = False) -> tuple[str, str]:
    """(unit, text) of a value in SI."""
    factor, unit = _scale(quantity, value)
    if base_units:
        factor, unit = _BASE.get(quantity, (factor, unit))
    return unit, figure(value / factor, unit)


def _scale(quantity: str, value: float) -> tuple[float, str]:
    """(factor, unit) that fits a value."""
    if quantity not in _DIMENSION:
        return (1.0, _PLAIN[quantity]) if quantity in _PLAIN else (0.01, "%")
    scales = _DIMENSION[quantity]
    return next((s for s in reversed(scales) if abs(value) >= s[0]), scales[0])


def figure(value: float, unit: str = "", decimals: int = 2) -> str:
    """A number as ncu prints it: counts whole, the rest with two decimals."""
    return f"{value:,.{0 if unit in _WHOLE else decimals}f}"


def rows_of(kernel: Kernel, era: Era, *, metrics: bool = False) -> list[Row]:
    """The kernel's rows: by label and section, or (``metrics``) by metric as asked for on the command line."""
    found = []
    for quantity, (section, today, old, metric) in _NAMES.items():
        value = getattr(kernel, quantity)
        if value is not None:
            unit, text = printed(quantity, value, base_units=era.base_units)
            if metrics:
                found.append(Row(section=COMMAND_LINE, name=metric, unit=unit, value=text))
                continue
            place = OLD_SPEED_OF_LIGHT if era.old_names and section == SPEED_OF_LIGHT else section
            found.append(Row(section=place, name=old if era.old_names else today, unit=unit, value=text))
    return [*found, *kernel.extra]


def details(kernels: Sequence[Kernel], era: Era = CURRENT) -> str:
    """``--page details``: a row a metric, and rows of rules, which are wider."""
    return _long(kernels, era, [rows_of(k, era) for k in kernels])


def metrics_only(kernels: Sequence[Kernel], era: Era = NO_RULES) -> str:
    """``--metrics ...``: the same columns, every row in the section of the command line."""
    unruled = [replace(k, label=None, rules=()) for k in kernels]
    return _long(unruled, era, [rows_of(k, era, metrics=True) for k in kernels])


def _long(kernels: Sequence[Kernel], era: Era, rows: Sequence[Sequence[Row]]) -> str:
    lines = [quoted(era.columns)]
    for number, (kernel, stated) in enumerate(zip(kernels, rows, strict=True)):
        opening = _opening(kernel, era.columns, number)
        for row in stated:
            label = (row.label,) if "Body Item Label" in era.columns else ()
            tail = quoted((row.section, *label, row.name, row.unit, row.value))
            lines.append(f"{opening},{tail}{',' if era.has_rules else ''}")
        if era.has_rules:
            lines += [f"{opening},{_rule_tail(rule, era)}" for rule in _rules(kernel)]
    return "".join(f"{line}\n" for line in lines)


def _opening(kernel: Kernel, columns: Sequence[str], number: int) -> str:
    cells = {
        "ID": str(number),
        "Process ID": "4321",
        "Process Name": "python3.11",
        "Host Name": "127.0.0.1",
        "Kernel Name": kernel.name,
        "Kernel Time": "2021-May-04 10:20:30",
        "Context": "1",
        "Stream": "7",
        "Block Size": "(128, 1, 1)",
        "Grid Size": "(512, 2, 1)",
        "Device": str(kernel.device),
        "CC": "8.0",
        _NVTX[0]: kernel.nvtx,
        _NVTX[1]: "",
    }
    return quoted([cells[c] for c in columns if c in cells])


def _rules(kernel: Kernel) -> list[Rule]:
    if kernel.label is None:
        return list(kernel.rules)
    prose = PROSE[kernel.label].replace("{waves}", f"{kernel.waves or 0.7:.1f}")
    return [*kernel.rules, Rule(section="SpeedOfLight", name="SOLBottleneck", prose=prose)]


def _rule_tail(rule: Rule, era: Era) -> str:
    label = ("",) if "Body Item Label" in era.columns else ()
    speedup = ("", "") if "Estimated Speedup" in era.columns else ()
    return quoted((rule.section, *label, "", "", "", rule.name, "OPT", rule.prose, *speedup))


def quoted(cells: Iterable[str]) -> str:
    """One CSV line with every field quoted, without its end."""
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)


@dataclass(frozen=True, kw_only=True)
class Attributes:
    """What the raw page states of the device, in the tool's own units. None: the column is missing."""

    display_name: str | None = "NVIDIA Invented 100"
    multiprocessor_count: int | None = 108
    memory_clock_rate: int | None = 1_500_000
    global_memory_bus_width: int | None = 5120
    clock_rate: int | None = 1_400_000
    l2_cache_size: int | None = 40_000_000

    def columns(self) -> dict[str, str]:
        stated = {f"device__attribute_{k}": getattr(self, k) for k in self.__dataclass_fields__}
        return {name: str(value) for name, value in stated.items() if value is not None}


def raw(
    kernels: Sequence[Kernel],
    *,
    attributes: Sequence[Attributes] = (),
    nvtx: bool = False,
    columns: dict[str, tuple[str, Sequence[str]]] | None = None,
) -> str:
    """``--page raw``: a column a metric, units in the second line.

    ``attributes`` by device index; ``columns``: more of them by name, (unit, a text for every kernel).
    """
    opening = (WITH_NVTX if nvtx else NO_RULES).columns[: -len(_METRIC)]
    stated = [q for q in _NAMES if q != "sms" and any(getattr(k, q) is not None for k in kernels)]
    units = {q: _scale(q, next(v for k in kernels if (v := getattr(k, q)) is not None)) for q in stated}
    more = columns or {}
    described = list(attributes[0].columns()) if attributes else []
    second = [""] * len(opening) + [units[q][1] for q in stated] + [unit for unit, _ in more.values()]
    lines = [
        quoted([*opening, *(_NAMES[q][3] for q in stated), *more, *described]),
        quoted([*second, *("" for _ in described)]),
    ]
    for place, kernel in enumerate(kernels):
        values = [getattr(kernel, q) for q in stated]
        texts = ["" if v is None else figure(v / units[q][0], "", 6) for q, v in zip(stated, values, strict=True)]
        device = attributes[kernel.device].columns().values() if attributes else ()
        start = _opening(kernel, opening, place)
        lines.append(f"{start},{quoted([*texts, *(column[place] for _, column in more.values()), *device])}")
    return "".join(f"{line}\n" for line in lines)


def summary(groups: Sequence[tuple[Kernel, int]], columns: tuple[str, ...] = SUMMARY) -> str:
    """``--print-summary per-kernel``: least, most and mean of so many invocations."""
    lines = [quoted((*columns, *_STATISTICS))]
    for kernel, invocations in groups:
        opening = f"{_opening(kernel, [c for c in columns if c != 'Invocations'], 0)},{quoted([f'{invocations:,}'])}"
        for row in rows_of(kernel, CURRENT):
            tail = quoted((row.section, row.name, row.unit, "0.01", "99,999.99", row.value))
            lines.append(f"{opening},{tail}")
    return "".join(f"{line}\n" for line in lines)


PREAMBLE = (
    "==PROF== Connected to process 4321 (/opt/app/bin/python3.11)",
    "loading, 3 of 3",
    "==PROF== Disconnected from process 4321",
)


def after(lines: Sequence[str], text: str) -> str:
    """``text`` behind lines of ncu or of the application."""
    return "".join(f"{line}\n" for line in lines) + text


def between(text: str, lines: Sequence[str], every: int) -> str:
    """Lines put in behind every so many lines of ``text``, its header included."""
    found = []
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        found.append(line)
        if number % every == 0:
            found += [f"{added}\n" for added in lines]
    return "".join(found)


def rewritten(text: str, *, quoting: int = csv.QUOTE_MINIMAL, order: Sequence[str] | None = None) -> str:
    """A page as another program saves it: full width, quoted as needed, columns in another order if so wished."""
    table = list(csv.reader(io.StringIO(text)))
    columns = table[0]
    places = [columns.index(name) for name in order] if order else range(len(columns))
    out = io.StringIO()
    writer = csv.writer(out, quoting=quoting, lineterminator="\n")  # type: ignore[arg-type]
    for line in table:
        full = line + [""] * (len(columns) - len(line))
        writer.writerow([full[place] for place in places])
    return out.getvalue()


def windows(text: str) -> bytes:
    """As PowerShell redirects it: a byte order mark and CRLF."""
    return b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()


def dump_of(content: str | bytes, path: str = "kernels.csv") -> Dump:
    """The content as a dump that was opened already."""
    return Dump(path=path, stream=io.BytesIO(content.encode() if isinstance(content, str) else content))


def read(content: str | bytes) -> Contents:
    """What the reader makes of it."""
    return export.read(dump_of(content))


def launches(contents: Contents) -> list[dict[str, object]]:
    """Every kernel that was read as a dictionary of what it states, device by device, in the order of the file."""
    found = []
    for observation in contents.observations:
        profile = observation.payload
        assert isinstance(profile, KernelProfile)
        assert observation.device is not None
        for i, name in enumerate(profile.name_index.tolist()):
            figures = {f: float(getattr(profile, f)[i]) for f in _ARRAYS}
            stated: dict[str, object] = {f: value for f, value in figures.items() if not isnan(value)}
            stated |= {"name": profile.names[name], "device": observation.device.index}
            if profile.ncu_label and profile.ncu_label[i]:
                stated["label"] = profile.ncu_label[i]
            if profile.phase and profile.phase[i]:
                stated["phase"] = profile.phase[i]
            found.append(stated)
    return found
