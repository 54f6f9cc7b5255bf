"""Large Nsight Compute exports against pandas.read_csv on the same file.

    python -m tests.benchmarks.ncu [EXPORT.csv ...]

writes a details page and two raw pages (few and many columns) of 55 MB with invented figures into a temporary
folder, and prints the ratios. Exports given are scaled to that size and measured as well.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.spent import MB, diagnose, python, row, spent

PANDAS = (
    "import sys, warnings; warnings.simplefilter('ignore'); import pandas; [pandas.read_csv(f) for f in sys.argv[1:]]"
)
PAGES = (("details",), ("raw", "60"), ("raw", "800"))


def scale(arguments: tuple[str, ...], target: Path) -> None:
    """Write a large page, in a process of its own: a child's peak memory counts what its parent had."""
    subprocess.run([sys.executable, "-m", "tests.benchmarks.scaled_page", *arguments, str(target)], check=True)


def main(exports: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder, "large.csv"), Path(folder, "small.csv")
        for arguments in [*((e,) for e in exports), *PAGES]:
            scale(arguments, large)
            with large.open("rb") as whole:
                small.write_bytes(b"".join(whole.readline() for _ in range(60)))
            print(f"{' '.join(Path(a).name for a in arguments)}, {large.stat().st_size / 1e6:.0f} MB")
            measure(large, small)


def measure(large: Path, small: Path) -> None:
    """Print the two ratios for one file; imports count as time and do not count as memory."""
    imports, before = spent(python(PANDAS), diagnose("analyze", str(small)), runs=2)
    pandas, ours = spent(python(PANDAS, str(large)), diagnose("analyze", str(large)))
    above = {
        "pandas": pandas.peak_bytes - imports.peak_bytes,
        "diagnose": ours.peak_bytes - before.peak_bytes,
    }
    for name, run in (("pandas", pandas), ("diagnose", ours)):
        print(f"  {name:<8} {run.cpu_s:.2f} s, {above[name] / MB:.1f} MiB above its imports")
    print(row("  CPU, analyze ÷ pandas.read_csv", ours.cpu_s / pandas.cpu_s, 0.5))
    print(row("  peak memory above imports, analyze ÷ pandas.read_csv", above["diagnose"] / above["pandas"], 0.1))


if __name__ == "__main__":
    if any(a.startswith("-") for a in sys.argv[1:]):
        raise SystemExit(__doc__)
    main(sys.argv[1:])
