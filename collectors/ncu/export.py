"""Reader of Nsight Compute CSV: details, raw and summary pages, any era, between whatever the application printed."""

from __future__ import annotations

import re

import numpy as np

from collectors.dump import Contents, Dump
from collectors.ncu.header import Header, headers_in, is_header
from collectors.ncu.lines import Lines
from collectors.ncu.long_page import LongPage
from collectors.ncu.rewritten_page import RewrittenPage
from collectors.ncu.table import KernelTable
from collectors.ncu.wide_page import WidePage
from collectors.units import counted
from heuristics.errors import UnreadableDump
from heuristics.observations import KernelProfile, Observation

Page = LongPage | RewrittenPage | WidePage

KIND = "Nsight Compute CSV"

MOST_REMARKS = 100
REMARK_CHARACTERS = 500

_MARK = re.compile(r"^==(?:PROF|ERROR|WARNING)==", re.MULTILINE)

_REMARK = re.compile(rb"^.*(?:==ERROR==|ERR_NVGPUCTRPERM|No kernels were profiled).*$", re.MULTILINE)

_ERRORS = (
    (
        re.compile(r"ERR_NVGPUCTRPERM"),
        "ncu was not permitted to read the counters",
        "run ncu as root, or load the driver with NVreg_RestrictProfilingToAdminUsers=0",
    ),
    (
        re.compile(r"No kernels were profiled"),
        "ncu profiled no kernel",
        "check --kernel-name, --launch-skip, --nvtx-include",
    ),
    (re.compile(r"==ERROR==[ \t]*(\S.*)"), "ncu reports: {0}", "run the application without ncu first"),
)


def recognises(dump: Dump) -> bool:
    """A header line of ncu's, or the marks it prints around one."""
    text = dump.head_text
    return _MARK.search(text) is not None or any(is_header(line) for line in text.encode().splitlines())


def read(dump: Dump) -> Contents:
    """One kernel profile a device.

    Raises:
        UnreadableDump: no kernel in the file; the message repeats ncu's own error where it printed one.
    """
    table = KernelTable()
    remarks: list[str] = []
    page: Page | None = None
    damaged = 0
    for block in dump.utf8_blocks():
        lines, begin = Lines.of(block), 0
        for at, header in headers_in(lines, of_a_page=page is not None):
            damaged += _take(page, lines.part(begin, at), remarks)
            damaged += page.close() if page is not None else 0
            page = _page(header, table)
            begin = at + 1
        damaged += _take(page, lines.part(begin), remarks)
    damaged += page.close() if page is not None else 0
    if len(table) == 0:
        raise _without_kernels(dump, remarks, page is not None, damaged)
    warnings = [dump.cut_short] if dump.cut_short else []
    if damaged:
        which = counted(damaged, "line of the table is damaged and was", "lines of the table are damaged and were")
        warnings.append(f"{which} left out")
    profiles = table.by_device()
    if not any(_usable(profile) for _, profile in profiles):
        raise _without_metrics(dump.path, [profile for _, profile in profiles])
    observations = [Observation(source=dump.path, payload=profile, device=device) for device, profile in profiles]
    return Contents(kind=KIND, observations=tuple(observations), warnings=tuple(warnings))


def _page(header: Header, table: KernelTable) -> Page:
    if not header.long:
        return WidePage(header, table)
    return LongPage(header, table) if header.as_written else RewrittenPage(header, table)


def _take(page: Page | None, lines: Lines, remarks: list[str]) -> int:
    """Rows to the page; before the first header, what ncu says of errors."""
    if page is not None:
        return page.take(lines) if len(lines) else 0
    for found in _REMARK.finditer(lines.text):
        if len(remarks) >= MOST_REMARKS:
            break
        remarks.append(found[0][:REMARK_CHARACTERS].decode("utf-8", "replace"))
    return 0


def _usable(profile: KernelProfile) -> bool:
    """Whether anything in it bears on the roofs: a throughput, or bytes or FLOPs with the time they took."""
    throughputs = (profile.memory_throughput, profile.compute_throughput, profile.dram_throughput)
    amounts = (profile.dram_bytes, profile.flops)
    if not all(np.isnan(t).all() for t in throughputs):
        return True
    timed = ~np.isnan(profile.duration_s)
    return bool(any((timed & (np.nan_to_num(amount) > 0)).any() for amount in amounts))


def _without_metrics(path: str, profiles: list[KernelProfile]) -> UnreadableDump:
    kernels = sum(p.duration_s.size for p in profiles)
    timed = any(not np.isnan(p.duration_s).all() for p in profiles)
    lacking = "no memory or SM throughput and no DRAM bytes" + ("" if timed else ", nor the kernels' times")
    return UnreadableDump(
        path,
        f"{kernels} kernel{'' if kernels == 1 else 's'}, but {lacking} are in the file",
        hint="record with --section SpeedOfLight --section MemoryWorkloadAnalysis, or --set full",
    )


def _without_kernels(dump: Dump, remarks: list[str], had_header: bool, damaged: int) -> UnreadableDump:
    path, text = dump.path, "\n".join(remarks)
    for pattern, message, hint in _ERRORS:
        found = pattern.search(text)
        if found:
            return UnreadableDump(path, message.format(*(found.groups() or ("",))), hint=hint)
    if had_header and (damaged or dump.cut_short):
        return UnreadableDump(path, "the table of ncu breaks off before its first kernel", hint="write it again")
    if had_header:
        return UnreadableDump(path, "the table of ncu has a header and no kernel", hint="profile at least one kernel")
    return UnreadableDump(
        path,
        "ncu ran but wrote no table: only its messages are in the file",
        hint="redirect the CSV too: ncu --csv --page raw ... > FILE, or --log-file FILE",
    )
