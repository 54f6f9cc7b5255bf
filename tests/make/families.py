"""One sound dump of every family, for tests that damage dumps without caring what is in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.make import averages, engines, kineto, kineto_layouts, ncu, nsys, smi
from tests.make.prometheus import Board, dcgm, page

KERNELS = [
    ncu.Kernel(),
    ncu.Kernel(name="void softmax<int>(float *)", duration_s=3e-6, memory=0.2, compute=0.3, dram=0.1),
    ncu.Kernel(name='void rms_norm<"a", 4>(x)', duration_s=8e-6, memory=0.9, compute=0.1, dram=0.88),
]
READINGS = [smi.Reading(time_s=float(n)) for n in range(20)]
QUERIED = ("timestamp", "index", "name", "utilization.gpu", "utilization.memory", "power.draw", "clocks.max.memory")
SUMS = [("void gemm<float, 4>(a, b)", 4000, 15_000_000), ("softmax", 4000, 2_000_000), ("copy", 10, 9_000)]
AVERAGES = [
    averages.Row(name="aten::mm", host_us=900.0, device_us=4000.0, calls=20),
    averages.Row(name="cudaLaunchKernel", host_us=4000.0, calls=40),
    averages.Row(name="nvjet_tst_128x64_TNT", device_us=4000.0, calls=20),
    averages.Row(name="rms_norm_kernel", device_us=700.0, calls=20),
]
STATES = (engines.State(), engines.State().later(10.0))


def database(profile: nsys.Profile) -> bytes:
    """The bytes of an export."""
    with TemporaryDirectory() as folder:
        return nsys.write(Path(folder) / "run.sqlite", profile).read_bytes()


def _timeline() -> bytes:
    calls = [nsys.Call(start=20_000 * n, end=20_000 * n + 3_000) for n in range(60)]
    events = [nsys.Event(start=c.start + 6_000, end=c.start + 18_000, call=c) for c in calls]
    ranges = [nsys.Range(text="decode step", start=0, end=1_200_000)]
    return database(nsys.Profile(events=events, ranges=ranges))


FAMILIES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "ncu details": ("details.csv", lambda: ncu.details(KERNELS).encode()),
    "ncu raw": ("raw.csv", lambda: ncu.raw(KERNELS).encode()),
    "Kineto": ("trace.json", lambda: kineto_layouts.kineto(kineto.document(kineto.decoding()))),
    "key_averages": ("table.txt", lambda: averages.table(AVERAGES, device_us=4700.0).encode()),
    "nsys": ("run.sqlite", _timeline),
    "kern_sum": ("sums.csv", lambda: nsys.kernel_sums(SUMS).encode()),
    "dmon": ("dmon.log", lambda: smi.dmon(READINGS).encode()),
    "pmon": ("pmon.log", lambda: smi.pmon([[smi.Process(), smi.Process(pid=7)]] * 9).encode()),
    "query": ("query.csv", lambda: smi.query(READINGS, QUERIED).encode()),
    "engine": ("a.prom", lambda: "".join(page(engines.vllm(s)) for s in STATES).encode()),
    "dcgm": ("dcgm.prom", lambda: page(dcgm([Board(), Board(gpu=1)])).encode()),
}
"""A usual file name, and the content."""


def sound(family: str) -> bytes:
    """An undamaged dump of that family."""
    return FAMILIES[family][1]()
