"""The widths that are fitted to the captures: the constant of each, and what is asked about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from heuristics.claims import Bound, Claim, Proportion, Saturation, WallBound
from heuristics.signals import (
    arithmetic_intensity,
    bandwidth_saturation,
    common,
    compute_saturation,
    dram_activity,
    host_time,
    kernel_speed_of_light,
    kernel_timeline,
    link_traffic,
    power_and_clocks,
    sm_activity,
    tensor_activity,
    time_fractions,
)
from heuristics.vocabulary import Share


def _any(claim: Claim) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """A width, the module constant that holds it, and what is asked about it."""

    name: str
    homes: tuple[ModuleType, ...]
    """The modules whose own name it is, or that import it by that name."""
    signals: tuple[ModuleType, ...]
    reading: tuple[str, ...]
    claims: Callable[[Claim], bool] = _any

    @property
    def value(self) -> float:
        """As it is."""
        return float(getattr(self.homes[0], self.name))

    @property
    def title(self) -> str:
        """Where it stands."""
        return f"{self.homes[0].__name__.rsplit('.', 1)[-1]}.{self.name}"


def _memory(low: bool) -> Callable[[Claim], bool]:
    def of(claim: Claim) -> bool:
        return (
            isinstance(claim, WallBound)
            and claim.share is Share.MEMORY
            and (claim.fraction < time_fractions.LOW_MEMORY) is low
        )

    return of


def _latency(claim: Claim) -> bool:
    return isinstance(claim, WallBound) and claim.share is Share.LATENCY


def _operations(several: bool) -> Callable[[Claim], bool]:
    return lambda claim: isinstance(claim, Proportion) and (claim.byte_s.size > 1) is several


CONSTANTS: tuple[Constant, ...] = (
    Constant(
        name="COUNTER_WIDTH",
        homes=(common, dram_activity, tensor_activity),
        signals=(dram_activity, tensor_activity),
        reading=("gpm",),
    ),
    Constant(
        name="ARITHMETIC_WIDTH",
        homes=(common, bandwidth_saturation, compute_saturation),
        signals=(bandwidth_saturation, compute_saturation),
        reading=("numbers",),
        claims=lambda claim: isinstance(claim, Saturation),
    ),
    Constant(
        name="OPERATIONS_WIDTH",
        homes=(arithmetic_intensity,),
        signals=(arithmetic_intensity,),
        reading=("numbers",),
        claims=_operations(several=True),
    ),
    Constant(
        name="TOTALS_WIDTH",
        homes=(arithmetic_intensity,),
        signals=(arithmetic_intensity,),
        reading=("numbers",),
        claims=_operations(several=False),
    ),
    Constant(name="WIDTH", homes=(sm_activity,), signals=(sm_activity,), reading=("gpm",)),
    Constant(name="WIDTH", homes=(kernel_timeline,), signals=(kernel_timeline,), reading=("trace",)),
    Constant(name="WIDTH", homes=(kernel_speed_of_light,), signals=(kernel_speed_of_light,), reading=("ncu", "trace")),
    Constant(name="SM_WIDTH", homes=(time_fractions,), signals=(time_fractions,), reading=("nvml",), claims=_latency),
    Constant(
        name="MEMORY_WIDTH",
        homes=(time_fractions,),
        signals=(time_fractions,),
        reading=("nvml",),
        claims=_memory(low=False),
    ),
    Constant(
        name="LOW_MEMORY_WIDTH",
        homes=(time_fractions,),
        signals=(time_fractions,),
        reading=("nvml",),
        claims=_memory(low=True),
    ),
    Constant(name="WIDTH", homes=(power_and_clocks,), signals=(power_and_clocks,), reading=("nvml",)),
    Constant(name="WIDTH", homes=(link_traffic,), signals=(link_traffic,), reading=("nvml",)),
    Constant(name="ASLEEP_WIDTH", homes=(host_time,), signals=(host_time,), reading=("gpm",), claims=_latency),
    Constant(
        name="CACHED_WIDTH",
        homes=(bandwidth_saturation,),
        signals=(bandwidth_saturation,),
        reading=("numbers",),
        claims=lambda claim: isinstance(claim, Bound),
    ),
)
"""Every width that some capture has something to say of. The others say in their docstrings why they are not fitted."""
