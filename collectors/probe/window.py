"""A short window of torch.profiler, read by the collector of such traces."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from collectors.dump import Dump
from collectors.probe.backend import Backend, Run
from heuristics.observations import Timeline

MOST_STEPS = 20
FEWEST_EVENTS = 20
"""With fewer there is nothing between kernels to be seen: the steps are a few long ones."""
LONGEST_S = 0.25
"""Of steps in the window, as they take without the profiler."""


_KEEP_CUPTI = {"DISABLE_CUPTI_LAZY_REINIT": "1", "TEARDOWN_CUPTI": "0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The device's timeline over ``steps`` steps; None with the reason, or where it would show nothing."""

    timeline: Timeline | None = None
    steps: int = 0
    reason: str | None = None


def traced(torch: Any, run: Run, backend: Backend, step_s: float) -> Window:
    """Some steps under the profiler, without shapes, stacks or memory.

    Kernels take as long under it as without, but the host is slower. So the window is stretched or shortened to the
    time that the steps take by themselves, and the gaps with it.
    """
    steps = max(1, min(MOST_STEPS, round(LONGEST_S / step_s)))
    try:
        with TemporaryDirectory(prefix="diagnose-") as folder:
            path = str(Path(folder) / "trace.json")
            _record(torch, run, backend, steps, path)
            found = _timeline(path, on_gpu=backend.asynchronous)
    except Exception as error:
        return Window(reason=f"no trace: {type(error).__name__}: {str(error).strip()[:200]}")
    if found is None or not found.launches:
        return Window(reason="the trace holds no work of the device")
    if found.launches < FEWEST_EVENTS:
        return Window()
    return Window(timeline=unslowed(found, steps * step_s), steps=steps)


def unslowed(traced: Timeline, window_s: float) -> Timeline:
    """The timeline of the same kernels in the time that they take without a profiler."""
    window = max(window_s, traced.busy_s)
    gaps, before = window - traced.busy_s, traced.window_s - traced.busy_s
    host = None
    if traced.host_gap_s is not None:
        host = gaps * min(1.0, traced.host_gap_s / before) if before > 0.0 else 0.0
    return replace(traced, window_s=window, host_gap_s=host, excluded_s=0.0, step_s=())


def _record(torch: Any, run: Run, backend: Backend, steps: int, path: str) -> None:
    profiler = torch.profiler
    activities = [profiler.ProfilerActivity.CPU]
    if backend.asynchronous:
        activities.append(profiler.ProfilerActivity.CUDA)
    with _with_graphs(backend.asynchronous), profiler.profile(activities=activities) as recorded:
        for _ in range(steps):
            run()
        backend.synchronize()
    recorded.export_chrome_trace(path)


@contextmanager
def _with_graphs(on_gpu: bool) -> Iterator[None]:
    """Replaying graphs after CUPTI was taken down and set up again has crashed; so it is left in place."""
    before = {name: os.environ.get(name) for name in _KEEP_CUPTI}
    if on_gpu:
        os.environ.update({name: value for name, value in _KEEP_CUPTI.items() if before[name] is None})
    try:
        yield
    finally:
        for name in _KEEP_CUPTI:
            if before[name] is None:
                os.environ.pop(name, None)


def _timeline(path: str, *, on_gpu: bool) -> Timeline | None:
    dump = Dump(path=path)
    try:
        reader = import_module("collectors.kineto.trace" if on_gpu else "collectors.kineto.processors")
        observations = reader.read(dump).observations
    finally:
        dump.close()
    whole = [o.payload for o in observations if o.phase is None and isinstance(o.payload, Timeline)]
    return max(whole, key=lambda t: t.busy_s, default=None)
