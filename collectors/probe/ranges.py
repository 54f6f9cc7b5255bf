"""Named ranges that Nsight tools see: by the nvtx package, else by torch, else none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from heuristics.operations import Phase

Push = Callable[[str], object]
Pop = Callable[[], object]


def range_name(phase: Phase, batch: int) -> str:
    """Of the steps that are measured; collectors of dumps read the phase from it."""
    return f"{phase.value} batch {batch}"


def warm_up_name(batch: int) -> str:
    """Of the steps before: no phase, so that none of a dump counts them."""
    return f"warm-up batch {batch}"


def pair(torch: Any, *, on_gpu: bool) -> tuple[Push, Pop] | None:
    """How to begin and to end a range; None where nothing can."""
    try:
        nvtx = import_module("nvtx")
        return nvtx.push_range, nvtx.pop_range
    except Exception:  # not installed, or its library does not load: torch has ranges too
        pass
    if not on_gpu:
        return None
    try:
        torch.cuda.nvtx.range_push("diagnose")
        torch.cuda.nvtx.range_pop()
    except Exception:  # torch without NVTX: a range is a comfort, and the measurement goes on without
        return None
    return torch.cuda.nvtx.range_push, torch.cuda.nvtx.range_pop


@contextmanager
def named(name: str, how: tuple[Push, Pop] | None) -> Iterator[None]:
    """A range of that name around what is inside."""
    if how is None:
        yield
        return
    push, pop = how
    push(name)
    try:
        yield
    finally:
        pop()
