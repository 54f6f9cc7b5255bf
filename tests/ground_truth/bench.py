"""The device that workloads are built on: weights that several of them share, and the clock."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.ground_truth.lazily import torch
from tests.ground_truth.stack import Decoder, Shape, Weights, graphed

WARM_UP_S = 0.25
LEAST_STEPS = 3

SHORT_HEAD = 8192
"""Rows of the head beside so few layers that a whole one would outweigh them."""


class Bench:
    """One device. With ``layers`` no decoder has more, and nothing is folded into graphs: for tools that replay."""

    def __init__(self, device: str, layers: int | None = None) -> None:
        self.device, self.layers = device, layers
        self.cuda = device == "cuda"
        self.dtype = torch.bfloat16 if self.cuda else torch.float32
        self.bits = 16 if self.cuda else 32
        self._weights: dict[Shape, Weights] = {}
        self._pool: Any = None

    def weights(self, shape: Shape) -> Weights:
        """Random weights of a shape, made once; those of other shapes are let go when there are more than two."""
        if shape not in self._weights:
            if len(self._weights) >= 2:
                self._weights.pop(next(iter(self._weights)))
                self.free()
            self._weights[shape] = Weights(shape, self.device, self.dtype)
        return self._weights[shape]

    def decoder(self, shape: Shape, batch: int, context: int) -> Decoder:
        """A decoder whose cache lies in one pool that all of them use in turn."""
        if self.layers is not None:
            shape = replace(shape, layers=min(shape.layers, self.layers), vocabulary=min(shape.vocabulary, SHORT_HEAD))
        count = shape.layers * 2 * batch * shape.kv_heads * context * shape.head_dim
        if self._pool is None or self._pool.numel() < count:
            self._pool = None
            self.free()
            self._pool = torch.empty(count, device=self.device, dtype=self.dtype).normal_()
        return Decoder(self.weights(shape), batch=batch, context=context, cache=self._pool)

    def few(self, count: int, a_layer: int = 1) -> int:
        """So many alike, or no more than ``a_layer`` for each layer where there is a limit."""
        return count if self.layers is None else min(count, a_layer * self.layers)

    def free(self) -> None:
        """Give back what is not used any more."""
        gc.collect()
        if self.cuda:
            torch.cuda.empty_cache()

    def wait(self) -> None:
        """Until the device has done all it was asked for."""
        if self.cuda:
            torch.cuda.synchronize()

    def graphed(self, step: Callable[[], Any]) -> Callable[[], Any]:
        """The step as one launch, where the device knows such a thing."""
        return graphed(step) if self.cuda and self.layers is None else step

    def seconds(self, step: Callable[[], Any], budget_s: float) -> dict[str, float]:
        """Wall time of a step: the median over groups of steps with one wait at the end of each group."""
        with torch.no_grad():
            until = time.monotonic() + min(WARM_UP_S, budget_s)
            first = self._timed(step, 1)
            while time.monotonic() < until:
                first = min(first, self._timed(step, 1))
            group = max(1, min(200, int(0.02 / max(first, 1e-6))))
            times = []
            until = time.monotonic() + budget_s
            while time.monotonic() < until or len(times) < LEAST_STEPS:
                times.append(self._timed(step, group) / group)
        times.sort()
        return {
            "step_s": statistics.median(times),
            "low_s": times[len(times) // 10],
            "high_s": times[-1 - len(times) // 10],
            "groups": float(len(times)),
            "steps_a_group": float(group),
        }

    def _timed(self, step: Callable[[], Any], count: int) -> float:
        self.wait()
        begun = time.perf_counter()
        for _ in range(count):
            step()
        self.wait()
        return time.perf_counter() - begun
