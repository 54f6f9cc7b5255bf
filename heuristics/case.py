"""A case: everything observed of one device, or of one phase on it, ready to be judged."""

from __future__ import annotations

from dataclasses import dataclass, replace

from heuristics.gpus import GpuPart
from heuristics.model_shape import ModelShape
from heuristics.observations import (
    Activity,
    Board,
    Host,
    KernelProfile,
    LoadCurve,
    Samples,
    Serving,
    StepTimes,
    Timeline,
)
from heuristics.operations import Load, Operation, step_operations
from heuristics.roofs import Device, Roofs
from heuristics.simplex import STATED_CEILINGS, UNKNOWN_ARITHMETIC_CEILING, Ceiling, Prior
from heuristics.vocabulary import Dtype
from heuristics.work import Work

PREFILL_REACHES, MOST_BEYOND_PREFILL = 0.85, 2.0
"""Prompts run near the arithmetic roof of their kernels, rarely at less than half of it."""

WEIGHT_ONLY_BITS = 4.5
"""Weights this narrow are unpacked before the product unless the device multiplies FP4 itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One device's observations. ``sources`` names, by payload class name, where each came from."""

    device: Device | None = None
    part: GpuPart | None = None
    """The table's row for the device, where it is known which."""
    roofs: Roofs | None = None
    profile: KernelProfile | None = None
    timeline: Timeline | None = None
    samples: Samples | None = None
    activity: Activity | None = None
    board: Board | None = None
    host: Host | None = None
    curve: LoadCurve | None = None
    step_times: StepTimes | None = None
    serving: Serving | None = None
    model: ModelShape | None = None
    work: Work | None = None
    """What a step does, where it is stated otherwise than by a model's shape."""
    load: Load | None = None
    sources: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    replicated: bool = False
    """The job has several data-parallel replicas, of which not all need have had work."""
    proven_flops_per_s: float | None = None
    """What the job itself reached while it took in prompts: its arithmetic roof is hardly lower."""

    @property
    def shared(self) -> bool:
        """Others hold memory on the device: what it is seen doing may be theirs."""
        return self.board is not None and bool(self.board.other_processes)

    @property
    def watched(self) -> bool:
        """All was read in the very same time: a sample without a kernel is no pause before the load."""
        return self.host is not None

    def source(self, payload: type) -> str:
        """Where observations of this kind came from."""
        return dict(self.sources).get(payload.__name__, "")

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations of a step at the observed load; empty without a model or a load."""
        if self.work is not None:
            return self.work.operations(self.load or Load())
        if self.model is None or self.load is None:
            return ()
        return step_operations(self.model, self.load)

    @property
    def dequantised(self) -> bool:
        """Weights are unpacked to a wider type before they are multiplied."""
        stated = self.work or self.model
        if stated is None or stated.weight_bits > WEIGHT_ONLY_BITS:
            return False
        return self.roofs is None or self.roofs.dtype is not Dtype.FP4

    @property
    def prior(self) -> Prior:
        """Beliefs before the signals: an unknown compute roof where arithmetic is emulated or dequantised."""
        ceilings = self.roofs.ceilings if self.roofs is not None else STATED_CEILINGS
        prior = Prior(bandwidth=ceilings.bandwidth, arithmetic=ceilings.arithmetic, least_work=self.least_work)
        if self.dequantised or (self.roofs is not None and self.roofs.unproven):
            return replace(prior, arithmetic=self._unknown_ceiling())
        return prior

    def _unknown_ceiling(self) -> Ceiling:
        """Of a roof that no table knows: anything, unless the job's own prefill shows about where it is."""
        peak = self.roofs.flops_per_s if self.roofs is not None else None
        if self.proven_flops_per_s is None or not peak:
            return UNKNOWN_ARITHMETIC_CEILING
        shown = self.proven_flops_per_s / peak
        return Ceiling(
            mean=min(1.0, shown / PREFILL_REACHES),
            deviation=0.25 * shown,
            low=min(0.99, max(0.01, 0.9 * shown)),
            high=max(min(1.0, MOST_BEYOND_PREFILL * shown), min(1.0, 0.9 * shown) + 0.01),
        )

    @property
    def least_work(self) -> float:
        """The job had work for at least this share of the window.

        All of it when requests are known to have run, or when a timeline or a kernel profile defines the
        window; otherwise no more than requests or the device were seen active.
        """
        if self.serving is not None and self.serving.busy:
            return 1.0
        looked = self.serving.least_work if self.serving is not None else None
        defined = self.timeline is not None or self.profile is not None
        unseen = self.activity is None and self.samples is None and looked is None
        seen = [1.0] if unseen and (defined or self.host is None) else []
        if unseen and not defined and self.host is not None and self.host.computes:
            seen.append(1.0 - (self.host.asleep_fraction or 0.0))
        if looked is not None:
            seen.append(looked)
        if self.serving is None and self.host is not None and self.host.self_driven:
            seen.append(self.host.busiest_thread_fraction or 0.0)
        if self.activity is not None:
            parts = (self.activity.engine_active, self.activity.sm_active, self.activity.dram_active)
            seen.append(max((p for p in parts if p is not None), default=0.0))
        if self.samples is not None:
            active = active_samples(self.samples)
            if active is not None:
                seen.append(active)
        return min(1.0, max(max(seen, default=1.0), 0.05))


def active_samples(samples: Samples) -> float | None:
    """Mean ``sm`` time fraction over the rows in which it is stated and not zero; None without such rows."""
    import numpy as np

    stated = samples.sm[~np.isnan(samples.sm)]
    busy = stated[stated > 0]
    return float(busy.mean()) if busy.size else None
