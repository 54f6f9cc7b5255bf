"""Large pages of Nsight Compute: invented ones, or real exports whose rows are repeated with ids that count on.

python -m tests.benchmarks.scaled_page (details | raw COLUMNS | EXPORT.csv) TARGET
"""

from __future__ import annotations

import gzip
import random
import re
import sys
from pathlib import Path

from tests.make.ncu import Attributes, Kernel, details, raw

SIZE = 55_000_000
KERNELS = 500

LONG_NAME = (
    "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<c10::BFloat16>, "
    "std::array<char *, (unsigned long){}>>(int, T2, T3)"
)

_ID = re.compile(r'^"(\d+)",', re.MULTILINE)


def invented(count: int) -> list[Kernel]:
    """Kernels of different figures and forty names."""
    some = random.Random(1)
    return [
        Kernel(
            name=LONG_NAME.format(place % 40),
            duration_s=some.uniform(2e-6, 9e-4),
            memory=some.uniform(0.05, 0.95),
            compute=some.uniform(0.05, 0.95),
            dram=some.uniform(0.02, 0.9),
            label="Latency Issue",
        )
        for place in range(count)
    ]


def details_page(count: int) -> str:
    """As ``--set full`` prints it: three dozen rows a kernel, of which nine are wanted."""
    text = details(invented(count))
    header, *rows = text.splitlines(keepends=True)
    some = random.Random(3)
    more = []
    for row in rows:
        more.append(row)
        if '"Duration"' in row:
            opening = row[: row.index('"GPU Speed')]
            figures = [f"{some.uniform(0, 99):.2f}" for _ in range(26)]
            more += [f'{opening}"Memory Workload Analysis","Item {i}","%","{f}",\n' for i, f in enumerate(figures)]
    return header + "".join(more)


def raw_page(count: int, columns: int) -> str:
    """``--page raw`` with so many columns, a dozen of them wanted."""
    kernels = invented(count)
    some = random.Random(2)
    page = raw(kernels[:1], attributes=[Attributes()])
    names = [f"smsp__metric_{i}.sum" for i in range(columns - page.splitlines()[0].count('","') - 1)]
    more = {name: ("", [f"{some.uniform(1, 9e4):,.2f}" for _ in kernels]) for name in names}
    return raw(kernels, attributes=[Attributes()], columns=more)


def real_page(path: Path) -> str:
    """A real export, from its heading on."""
    packed = path.read_bytes()
    lines = (gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed).decode("utf-8-sig").splitlines(True)
    return "".join(lines[next(i for i, line in enumerate(lines) if "Kernel Name" in line) :])


def write_scaled(text: str, target: Path, size: int = SIZE) -> None:
    """The rows of a page again and again under its heading, to the size wanted."""
    lines = text.splitlines(keepends=True)
    heading = 1 if '"Metric Name"' in lines[0] else 2
    body = "".join(lines[heading:])
    ids = 1 + max(int(found[1]) for found in _ID.finditer(body))
    with target.open("w", encoding="utf-8") as out:
        out.writelines(lines[:heading])
        for copy in range(-(-size // len(body))):
            later = copy * ids
            out.write(_ID.sub(lambda found, by=later: f'"{int(found[1]) + by}",', body))


if __name__ == "__main__":
    what = sys.argv[1]
    if what == "details":
        page = details_page(KERNELS)
    else:
        page = raw_page(KERNELS, int(sys.argv[2])) if what == "raw" else real_page(Path(what))
    write_scaled(page, Path(sys.argv[-1]))
