"""Roofs: what a device can do at most, stated by itself or by the table, and what is reached of it in practice."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from heuristics.gpus import DeviceFacts, GpuPart, part_of_device
from heuristics.simplex import LOADED_CEILINGS, MEASURED_CEILINGS, STATED_CEILINGS, Ceilings, unsteady
from heuristics.vocabulary import Dtype

TABLE_DEVIATION = 0.05
"""A device-derived bandwidth this far from the table is flagged: a variant with other memory."""

MIG_MEMORY_SLICES = 8
MIG_COMPUTE_SLICES = {"A30": 4}
"""Slices of MIG-capable parts: memory in eighths, compute in sevenths but for the A30."""
MIG_PROFILE = re.compile(r"\b(?:(\d+)c\.)?(\d+)g\.(\d+)gb", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What is known of one device. Bytes, hertz, watts; None where no source states it."""

    index: int | None = None
    uuid: str | None = None
    name: str | None = None
    vendor: str | None = None
    memory_bytes: float | None = None
    sm_count: int | None = None
    bus_width_bits: int | None = None
    memory_clock_hz: float | None = None
    max_sm_clock_hz: float | None = None
    sm_clock_hz: float | None = None
    bandwidth_bytes_per_s: float | None = None
    """Peak bandwidth where a source states it otherwise than by its clock; ``bandwidth_source`` says how."""
    bandwidth_source: str | None = None
    last_level_cache_bytes: float | None = None
    power_limit_w: float | None = None
    mig_profile: str | None = None

    def merged(self, other: Device) -> Device:
        """This device with the gaps filled from another description of it."""
        filled = {f: getattr(other, f) for f in self.__slots__ if getattr(self, f) is None}
        return replace(self, **filled)

    @property
    def facts(self) -> DeviceFacts:
        """What tells variants of a name apart; of a MIG slice its memory and SMs are not the part's."""
        whole = self.slice_profile is None
        return DeviceFacts(
            memory_bytes=self.memory_bytes if whole else None,
            bus_width_bits=self.bus_width_bits,
            memory_clock_hz=self.memory_clock_hz,
            sm_count=self.sm_count if whole else None,
        )

    @property
    def slice_profile(self) -> str | None:
        """The MIG profile such as ``3g.40gb``: stated, or in the device's name."""
        found = MIG_PROFILE.search(self.mig_profile or self.name or "")
        return found[0] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Roofs:
    """The two peaks of one device, dense, in bytes/s and FLOP/s, with where they come from.

    Either may be None: not known, and ``unknown`` says why.
    """

    bandwidth_bytes_per_s: float | None
    flops_per_s: float | None
    dtype: Dtype
    source: str
    ceilings: Ceilings = STATED_CEILINGS
    """What is reachable of the peaks: little of a datasheet's, nearly all of what was measured."""
    last_level_cache_bytes: float | None = None
    board_power_w: float | None = None
    unproven: bool = False
    """The arithmetic peak is not, or may not be, that of the arithmetic in use: emulated, or of unstated type."""
    warnings: tuple[str, ...] = ()
    unknown: str | None = None

    @property
    def bandwidth_ceiling(self) -> float:
        """The one number to show for the achievable fraction of the bandwidth."""
        return self.ceilings.bandwidth.typical

    @property
    def arithmetic_ceiling(self) -> float:
        """The one number to show for the achievable fraction of the arithmetic."""
        return self.ceilings.arithmetic.typical

    @property
    def ridge_flops_per_byte(self) -> float | None:
        """Intensity at which both peaks bind at once."""
        if self.bandwidth_bytes_per_s is None or self.flops_per_s is None:
            return None
        return self.flops_per_s / self.bandwidth_bytes_per_s


def clock_bandwidth_bytes_per_s(memory_clock_hz: float, bus_width_bits: int) -> float:
    """2 × clock × bus ÷ 8: right for HBM and, since NVML prints half the data rate, for GDDR too."""
    return 2.0 * memory_clock_hz * bus_width_bits / 8.0


def clock_scaled_flops_per_s(part: GpuPart, dtype: Dtype, sm_clock_hz: float) -> float | None:
    """The dense rate at the current SM clock, capped at the table's.

    The rated clock is the one at which the datasheet rate is reached (1,830 MHz on an H100 that may run
    at 1,980); where it is unknown the boost clock stands in.
    """
    peak = part.dense_flops_per_s.get(dtype)
    rated = part.rated_sm_clock_hz or part.boost_sm_clock_hz
    if peak is None or rated is None or part.rate_capped:
        return peak
    return peak * min(1.0, sm_clock_hz / rated)


def mig_fraction(profile: str, part: GpuPart) -> tuple[float, float]:
    """(bandwidth, arithmetic) fractions of a MIG profile such as ``3g.40gb``, or ``1c.3g.40gb`` for a part of it.

    Arithmetic goes by compute slices, bandwidth by memory slices: the profile's memory over an eighth of
    the part's, rounded.
    """
    found = MIG_PROFILE.search(profile)
    if found is None:
        return 1.0, 1.0
    compute_slices, memory_gb = int(found[1] or found[2]), int(found[3])
    memory_slices = round(memory_gb * 1e9 / (part.memory_bytes / MIG_MEMORY_SLICES))
    bandwidth = min(MIG_MEMORY_SLICES, max(1, memory_slices)) / MIG_MEMORY_SLICES
    return bandwidth, min(1.0, compute_slices / MIG_COMPUTE_SLICES.get(part.name, 7))


def table_dtype(part: GpuPart, wanted: Dtype | None) -> Dtype:
    """The arithmetic type to compare with: the one asked for, else BF16, else FP16, else FP32."""
    order = ([wanted] if wanted else []) + [Dtype.BF16, Dtype.FP16, Dtype.FP32]
    return next(d for d in order if d in part.dense_flops_per_s)


def datasheet_roofs(part: GpuPart, dtype: Dtype | None = None) -> Roofs:
    """The table's column, as ``--gpu NAME`` means it."""
    chosen = table_dtype(part, dtype)
    warnings: tuple[str, ...] = ()
    if dtype is not None and chosen is not dtype:
        warnings = (
            f"{part.name} has no {dtype.value} units: that arithmetic is emulated and its roof unknown until seen; "
            f"{chosen.value} is shown",
        )
    return Roofs(
        bandwidth_bytes_per_s=part.bandwidth_bytes_per_s,
        flops_per_s=part.dense_flops_per_s[chosen],
        dtype=chosen,
        source=f"datasheet of {part.name}",
        last_level_cache_bytes=part.last_level_cache_bytes,
        board_power_w=part.board_power_w,
        unproven=dtype is not None and chosen is not dtype,
        warnings=warnings,
    )


def device_roofs(device: Device, named: GpuPart | None = None, dtype: Dtype | None = None) -> Roofs | None:
    """The roofs of a device: its own statements before the table's, scaled by its clock and its MIG slice.

    ``named`` is the part the user named; without it the device's own name is looked up. Returns None when
    nothing at all is known.
    """
    own = part_of_device(device.name, device.facts) if device.name else None
    part = named or own
    base = datasheet_roofs(part, dtype) if part else None
    bus = device.bus_width_bits or (part.bus_width_bits if part else None)
    stated, how = device.bandwidth_bytes_per_s, device.bandwidth_source or "stated by the device"
    if stated is None and device.memory_clock_hz is not None and bus is not None:
        stated, how = clock_bandwidth_bytes_per_s(device.memory_clock_hz, bus), "memory clock × bus width of the device"
    if base is None and stated is None:
        return None
    roofs = base or Roofs(
        bandwidth_bytes_per_s=None,
        flops_per_s=None,
        dtype=dtype or Dtype.BF16,
        source="",
        last_level_cache_bytes=device.last_level_cache_bytes,
        unknown=_why_unknown(device),
    )
    if stated is not None:
        roofs = _with_stated_bandwidth(roofs, stated, how, part)
    if part is not None and device.sm_clock_hz is not None:
        scaled = clock_scaled_flops_per_s(part, roofs.dtype, device.sm_clock_hz)
        if scaled is not None and scaled < 0.98 * (roofs.flops_per_s or 0.0):
            roofs = replace(
                roofs, flops_per_s=scaled, source=f"{roofs.source}, SM clock {device.sm_clock_hz / 1e6:.0f} MHz"
            )
    if part is not None and device.slice_profile is not None:
        roofs = _sliced(roofs, device.slice_profile, part)
    if named is not None and own is not None and own != named:
        other = f"the dump names {device.name}; the roofs are those of {named.name}, as given"
        roofs = replace(roofs, warnings=(*roofs.warnings, other))
    return roofs


def measured_roofs(
    *,
    bandwidth_bytes_per_s: float,
    flops_per_s: Mapping[Dtype, float],
    dtype: Dtype | None,
    source: str,
    last_level_cache_bytes: float | None = None,
    under_load: bool = False,
    bandwidth_spread: float | None = None,
    arithmetic_spread: float | None = None,
) -> Roofs:
    """Roofs that were measured on the device itself, for arithmetic of type ``dtype`` (None: not known).

    Where that type was not among the measured ones, FP32 or else the fastest stands there, unproven. Figures
    taken ``under_load`` may be too low and get wider ceilings; those whose rounds spread widely, lower ones.
    """
    known = dtype is not None and dtype in flops_per_s
    fastest = max(flops_per_s, key=lambda d: flops_per_s[d], default=None)
    chosen = dtype if known else Dtype.FP32 if Dtype.FP32 in flops_per_s else fastest
    ceilings = LOADED_CEILINGS if under_load else MEASURED_CEILINGS
    warnings = []
    if under_load:
        warnings.append("the roofs were measured under load and may be too low: run `diagnose calibrate` when idle")
    if dtype is not None and not known and chosen is not None:
        warnings.append(f"the {dtype} roof of this machine was not measured; {chosen} is shown")
    return Roofs(
        bandwidth_bytes_per_s=bandwidth_bytes_per_s,
        flops_per_s=flops_per_s[chosen] if chosen is not None else None,
        dtype=chosen or dtype or Dtype.FP32,
        source=source,
        ceilings=Ceilings(
            bandwidth=unsteady(ceilings.bandwidth, bandwidth_spread),
            arithmetic=unsteady(ceilings.arithmetic, arithmetic_spread),
        ),
        last_level_cache_bytes=last_level_cache_bytes,
        unproven=not known,
        warnings=tuple(warnings),
        unknown=None if chosen is not None else "no arithmetic was measured",
    )


def _with_stated_bandwidth(roofs: Roofs, stated: float, how: str, part: GpuPart | None) -> Roofs:
    warnings = roofs.warnings
    table = part.bandwidth_bytes_per_s if part else None
    if table is not None and abs(stated / table - 1.0) > TABLE_DEVIATION:
        warnings = (
            *warnings,
            f"the device's own figure is {stated / 1e9:.0f} GB/s where the datasheet of {part.name if part else ''}"
            f" says {table / 1e9:.0f}: another memory variant; it is used",
        )
    source = how + (f", arithmetic from the datasheet of {part.name}" if part else "")
    return replace(roofs, bandwidth_bytes_per_s=stated, source=source, warnings=warnings)


def _sliced(roofs: Roofs, profile: str, part: GpuPart) -> Roofs:
    bandwidth, arithmetic = mig_fraction(profile, part)
    return replace(
        roofs,
        bandwidth_bytes_per_s=None if roofs.bandwidth_bytes_per_s is None else roofs.bandwidth_bytes_per_s * bandwidth,
        flops_per_s=None if roofs.flops_per_s is None else roofs.flops_per_s * arithmetic,
        source=f"{roofs.source}, MIG {profile}",
    )


def _why_unknown(device: Device) -> str:
    if device.name is None:
        return "the source does not name the device"
    return f"{device.name} is not in the table of parts"


def overridden(
    roofs: Roofs | None, bandwidth_bytes_per_s: float | None, flops_per_s: float | None, dtype: Dtype | None = None
) -> Roofs | None:
    """Roofs with the user's own figures in place of either peak.

    An arithmetic peak given without its type may be another type's: it bounds nothing from above.
    """
    if bandwidth_bytes_per_s is None and flops_per_s is None:
        return roofs
    base = roofs or Roofs(bandwidth_bytes_per_s=None, flops_per_s=None, dtype=dtype or Dtype.BF16, source="")
    given = [w for w, v in (("bandwidth", bandwidth_bytes_per_s), ("arithmetic", flops_per_s)) if v is not None]
    rest = f", the rest from {base.source}" if base.source and len(given) == 1 else ""
    untyped = flops_per_s is not None and dtype is None
    ceilings = Ceilings(
        bandwidth=(base.ceilings if bandwidth_bytes_per_s is None else STATED_CEILINGS).bandwidth,
        arithmetic=(base.ceilings if flops_per_s is None else STATED_CEILINGS).arithmetic,
    )
    return replace(
        base,
        ceilings=ceilings,
        bandwidth_bytes_per_s=bandwidth_bytes_per_s or base.bandwidth_bytes_per_s,
        flops_per_s=flops_per_s or base.flops_per_s,
        dtype=dtype or base.dtype,
        unproven=untyped or (base.unproven and flops_per_s is None),
        source=" and ".join(given) + " as given" + rest,
        warnings=(
            *base.warnings,
            *(
                ("--tflops without --dtype: it may be another type's peak, so little follows from it",)
                if untyped
                else ()
            ),
        ),
    )
