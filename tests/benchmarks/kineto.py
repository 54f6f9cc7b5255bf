"""A large Kineto trace against json.loads on the same file.

    python -m tests.benchmarks.kineto TRACE.json.gz

scales a real trace to 200 MB and 1 GB in a temporary folder (2.5 GB of disk) and prints the ratios.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.spent import MB, diagnose, python, row, spent

LOADS = "import json, sys; json.loads(open(sys.argv[1]).read())"
SMALL, LARGE = 200_000_000, 1_000_000_000


def scale(source: Path, target: Path, size: int) -> None:
    """Write the scaled trace, in a process of its own: a child's peak memory counts what its parent had."""
    command = [sys.executable, "-m", "tests.benchmarks.scaled_trace", str(source), str(target), str(size)]
    subprocess.run(command, check=True)


def main(source: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trace, large = Path(folder, "trace.json"), Path(folder, "large.json")
        scale(source, trace, SMALL)
        size = trace.stat().st_size
        print(f"{source.name} scaled to {size / 1e6:.0f} MB")
        with Path(folder, "trace.json.gz").open("wb") as out:
            subprocess.run([shutil.which("gzip") or "gzip", "-c", str(trace)], stdout=out, check=True)
        loads, ours, packed = spent(
            python(LOADS, str(trace)), diagnose("analyze", str(trace)), diagnose("analyze", f"{trace}.gz")
        )
        print(f"json.loads {loads.cpu_s:.2f} s, {loads.peak_bytes / MB:.0f} MiB")
        print(f"diagnose   {ours.cpu_s:.2f} s, {ours.peak_bytes / MB:.0f} MiB")
        print(row("CPU, diagnose analyze ÷ json.loads", ours.cpu_s / loads.cpu_s, 0.30))
        print(row("peak memory ÷ (64 MB + 0.15 × file)", ours.peak_bytes / (64e6 + 0.15 * size), 1.0))
        print(row("CPU, .json.gz ÷ .json", packed.cpu_s / ours.cpu_s, 1.3))
        scale(source, large, LARGE)
        big = large.stat().st_size
        much, ours = spent(diagnose("analyze", str(large)), diagnose("analyze", str(trace)), runs=3)
        print(row(f"CPU a MB, {big / 1e6:.0f} MB ÷ {size / 1e6:.0f} MB", much.cpu_s / big / (ours.cpu_s / size), 1.2))
        print(row("peak memory at that size ÷ (64 MB + 0.15 × file)", much.peak_bytes / (64e6 + 0.15 * big), 1.0))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
