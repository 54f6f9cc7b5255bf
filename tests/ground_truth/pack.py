"""From raw captures to the committed form: ``python -m tests.ground_truth.pack OUT RAW [RAW...]``.

Of several captures of one workload the last that has no failure counts. Nsight Compute's page of all workloads is cut
by workload; names of machines, paths and identifiers of cards are taken out; columns that nobody reads are left out.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NO_UUID = "GPU-00000000-0000-0000-0000-000000000000"
_UUID = re.compile(r"GPU-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TRACE_NAME = re.compile(r'"traceName": "[^"]*"')
_BEGINS = re.compile(r"==WORKLOAD== (\S+)")
_KERNEL = re.compile(r'==PROF== Profiling ".*" - (\d+):')

KEPT = frozenset(
    {
        "device__attribute_display_name",
        "device__attribute_multiprocessor_count",
        "device__attribute_memory_clock_rate",
        "device__attribute_global_memory_bus_width",
        "device__attribute_l2_cache_size",
        "device__attribute_clock_rate",
        "launch__waves_per_multiprocessor",
        "launch__grid_size",
        "launch__block_size",
    }
)
LEFT_OUT = ("device__attribute_", "launch__", "profiler__", "smsp__", "breakdown", "gpc__", "idc__", "l1tex__", "lts__")
LEFT_ENDS = (".min", ".max", ".min.per_second", ".max.per_second", ".avg.per_second")


def usable(capture: dict[str, Any]) -> bool:
    """It was built and timed, and none of its variants failed."""
    variants = capture.get("varied", {}).get("variants", ())
    return bool(capture.get("alone", {}).get("ok")) and not any("failed" in v for v in variants)


def scrubbed(text: str) -> str:
    """Without what identifies a card or a machine."""
    return _TRACE_NAME.sub('"traceName": "trace.json"', _UUID.sub(NO_UUID, text))


def copy(source: Path, target: Path) -> None:
    """One workload's files."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        if path.suffix == ".gz":
            with gzip.open(path, "rt") as packed, gzip.GzipFile(target / path.name, "wb", mtime=0) as out:
                out.write(scrubbed(packed.read()).encode())
        else:
            (target / path.name).write_text(scrubbed(path.read_text()))


def pages(raw: Path) -> dict[str, str]:
    """Nsight Compute's raw page by workload, as its log says which kernels were whose."""
    page, log = raw / "raw.csv", raw / "ncu.log"
    if not (page.exists() and log.exists()):
        return {}
    owner, current = {}, ""
    for line in log.read_text().splitlines():
        if begins := _BEGINS.match(line):
            current = begins[1]
        elif kernel := _KERNEL.search(line):
            owner[kernel[1]] = current
    text = page.read_text()
    rows = list(csv.reader(io.StringIO(text[text.index('"ID","Process ID"') :])))
    columns = [i for i, name in enumerate(rows[0]) if name in KEPT or not _left_out(name)]
    host = rows[0].index("Host Name")
    found: dict[str, list[list[str]]] = {}
    for row in rows[2:]:
        row[host] = "host"
        found.setdefault(owner.get(row[0], ""), []).append([row[i] for i in columns])
    heads = [[row[i] for i in columns] for row in rows[:2]]
    return {name: _written([*heads, *mine]) for name, mine in found.items() if name}


def _left_out(name: str) -> bool:
    return name.startswith(LEFT_OUT) or name.endswith(LEFT_ENDS) or ".min.pct" in name or ".max.pct" in name


def _written(rows: list[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows(rows)
    return out.getvalue()


def packed(out: Path, raws: Sequence[Path]) -> None:
    """The committed form of some captures, in place of what is there."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    runs, workloads = [], {}
    for place, raw in enumerate(raws):
        manifest = json.loads((raw / "capture.json").read_text())
        manifest["machine"].pop("kernel", None)
        runs.append({name: manifest.get(name) for name in ("machine", "ceilings", "ceilings_after")})
        for name, capture in manifest["workloads"].items():
            if usable(capture):
                workloads[name] = {**capture, "run": place}
                shutil.rmtree(out / name, ignore_errors=True)
                copy(raw / name, out / name)
        for name, page in pages(raw).items():
            if (out / name).exists():
                (out / name / "ncu.csv").write_text(page)
    whole = {"machine": runs[0]["machine"], "ceilings": runs[0]["ceilings"], "runs": runs, "workloads": workloads}
    (out / "capture.json").write_text(json.dumps(whole, indent=1) + "\n")


def main() -> None:
    """Pack."""
    packed(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])


if __name__ == "__main__":
    main()
