"""What the smallest things cost: --help, and the sample that ships with the package.

python -m tests.benchmarks.small
"""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.spent import MB, diagnose, python, spent

SAMPLE = Path(__file__).parents[2] / "diagnose" / "samples" / "vllm_cpu_decode"


def main() -> None:
    bare, numpy, overview, sample = spent(
        python("pass"),
        python("import numpy"),
        diagnose("--help"),
        diagnose("analyze", str(SAMPLE / "before.prom"), str(SAMPLE / "after.prom")),
        runs=9,
    )
    rows = (("python", bare), ("import numpy", numpy), ("diagnose --help", overview), ("diagnose analyze", sample))
    for what, run in rows:
        print(f"{what:<20} {run.cpu_s:.2f} s of CPU, {run.peak_bytes / MB:.0f} MiB")


if __name__ == "__main__":
    main()
