"""One invented job twice: before something changed, and after."""

from __future__ import annotations

import json
from pathlib import Path

from tests.make import engines, kineto, kineto_layouts
from tests.make.jobs import LLAMA, Options
from tests.make.prometheus import Board, dcgm, page

STEPS = 20


def trace(
    path: Path, *, kernels: int = 20, apart_ns: int = 13_000, length_ns: int = 4_000, added: str = "rms_norm_kernel"
) -> Path:
    """Steps of decoding without graphs, so many kernels each. Those beyond the first twenty are called ``added``."""
    events: list[kineto.Event] = []
    step_ns = kernels * apart_ns
    for step in range(STEPS):
        begun = 1_000_000 + step * step_ns
        for place in range(kernels):
            name = added if place >= 20 else ("rms_norm_kernel", "nvjet_tst_128x64_TNT")[place % 2]
            work = kineto.Work(name=name, start_ns=begun + place * apart_ns, length_ns=length_ns)
            events += kineto.launched(work)
        events.append(kineto.Note(name=f"ProfilerStep#{step}", start_ns=begun - 6_000, length_ns=step_ns))
    path.write_bytes(kineto_layouts.kineto(kineto.document(events)))
    return path


def served(folder: Path, name: str, *, step_s: float, batch: float, dram: float = 0.77) -> Options:
    """Ten seconds of eight billion parameters in bf16, seen by the engine and by dcgm-exporter."""
    state = engines.State(kv_usage=0.31)
    board = Board(engine=0.98, sm=0.90, tensor=0.08, dram=dram)
    files = []
    for place, moment in enumerate((state, state.later(10.0, step_s=step_s, batch=batch))):
        stamp = f"2027-05-04T13:00:{10 * place:02d}Z"
        pages = {
            "engine": page(engines.vllm(moment), captured_at=stamp),
            "dcgm": page(dcgm([board]), captured_at=stamp),
        }
        for kind, text in pages.items():
            files.append(f"{name}-{kind}{place}.prom")
            (folder / files[-1]).write_text(text, encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(LLAMA), encoding="utf-8")
    return {"files": files, "model": "config.json"}
