"""The table of GPU parts, and which part a device name means.

Rates are dense (no 2:4 sparsity) with FP32 accumulation. Sources stand in ``data/gpus.toml``, one a part.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from heuristics.errors import UnknownGpu
from heuristics.vocabulary import Dtype

_GIGA = 1e9
_TERA = 1e12
_MEGA = 1e6

EVERYDAY_NAMES = {
    "h100": "H100 SXM5",
    "h200": "H200 SXM",
    "a100": "A100 80GB SXM",
    "v100": "V100 SXM2 16GB",
    "p100": "P100 SXM2 16GB",
    "gh200": "GH200 96GB",
    "b200": "B200 SXM",
    "b300": "B300 SXM",
    "mi250x": "MI250X (one GCD)",
}
"""What a person means by a bare family name. Never applied to a name that a device reports of itself."""

SXM_WORDS = {"sxm2", "sxm3", "sxm4", "sxm5", "sxm6"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuPart:
    """One part. Bytes, bytes/s, FLOP/s (integer operations/s for INT8), hertz, watts."""

    name: str
    vendor: str
    device_names: tuple[str, ...]
    memory_bytes: float
    bandwidth_bytes_per_s: float
    dense_flops_per_s: Mapping[Dtype, float]
    memory_clock_hz: float | None
    bus_width_bits: int | None
    sm_count: int | None
    boost_sm_clock_hz: float | None
    rated_sm_clock_hz: float | None
    rate_capped: bool
    """Arithmetic is capped whatever the clock."""
    last_level_cache_bytes: float | None
    board_power_w: float | None
    source: str
    source_confidence: str
    note: str | None


@cache
def parts() -> tuple[GpuPart, ...]:
    """Every part of the table, in its order."""
    from importlib.resources import files

    text = files("heuristics.data").joinpath("gpus.toml").read_text(encoding="utf-8")
    return tuple(_part(row) for row in tomllib.loads(text)["gpu"])


def _part(row: Mapping[str, Any]) -> GpuPart:
    def scaled(key: str, factor: float) -> float | None:
        return None if key not in row else float(row[key]) * factor

    cache_mb = row.get("last_level_cache_mb", row.get("l2_mb"))
    return GpuPart(
        name=row["name"],
        vendor=row["vendor"],
        device_names=tuple(row["device_names"]),
        memory_bytes=float(row["memory_gb"]) * _GIGA,
        bandwidth_bytes_per_s=float(row["bandwidth_gb_s"]) * _GIGA,
        dense_flops_per_s={Dtype(k): float(v) * _TERA for k, v in row["dense_tflops"].items()},
        memory_clock_hz=scaled("memory_clock_mhz", _MEGA),
        bus_width_bits=row.get("bus_bits"),
        sm_count=row.get("sm_count"),
        boost_sm_clock_hz=scaled("boost_clock_mhz", _MEGA),
        rated_sm_clock_hz=scaled("rated_sm_clock_mhz", _MEGA),
        rate_capped=row.get("rate_capped", False),
        last_level_cache_bytes=None if cache_mb is None else float(cache_mb) * _MEGA,
        board_power_w=scaled("board_power_w", 1.0),
        source=row["source"],
        source_confidence=row["source_confidence"],
        note=row.get("note"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """What a tool states about a device beside its name; used to tell variants of one name apart."""

    memory_bytes: float | None = None
    bus_width_bits: int | None = None
    memory_clock_hz: float | None = None
    sm_count: int | None = None


def _words(name: str) -> tuple[str, ...]:
    """Lower-case words; ``80GB`` and ``80 GB`` alike; brand words that tell nothing apart dropped."""
    joined = re.sub(r"(\d+)\s*g(?:i?b)?\b", r"\1gb", name.lower())
    words = re.findall(r"[a-z0-9]+", joined)
    return tuple(w for w in words if w not in {"nvidia", "tesla", "geforce", "amd", "instinct", "per", "gpu"})


def part_of_device(name: str, facts: DeviceFacts | None = None) -> GpuPart | None:
    """The part whose own device name this is, told apart by ``facts`` where a name has variants.

    None when the name is unknown, or names a family whose variants the facts do not settle: a device
    is never given another part's roof. Exact names come first; then whole words, never substrings, so
    that H20 is not H200 and L4 is not L40S. MIG profiles and virtual functions keep their part's name.
    """
    base = re.sub(r"\s+(MIG\s+\d+g\.\d+gb.*|VF)$", "", name.strip(), flags=re.IGNORECASE)
    wanted = _words(base)
    exact = [p for p in parts() if wanted in {_words(n) for n in (p.name, *p.device_names)}]
    if len(exact) == 1 and _agrees(exact[0], facts):
        return exact[0]
    family = exact or [p for p in parts() if p.device_names and wanted and _within(wanted, p)]
    fitting = [p for p in family if facts is not None and _agrees(p, facts) and _settled(facts)]
    return fitting[0] if len(fitting) == 1 else None


def _within(wanted: tuple[str, ...], part: GpuPart) -> bool:
    return any(set(wanted) <= set(_words(n)) for n in (part.name, *part.device_names))


def _settled(facts: DeviceFacts) -> bool:
    return any(v is not None for v in (facts.memory_bytes, facts.bus_width_bits, facts.sm_count))


def _agrees(part: GpuPart, facts: DeviceFacts | None) -> bool:
    """Whether nothing stated about the device contradicts the part.

    Drivers state between 0.99 (GDDR with ECC) and 1.07 (HBM, counted in binary) of the nominal memory.
    """
    if facts is None:
        return True
    if facts.sm_count is not None and part.sm_count is not None and facts.sm_count != part.sm_count:
        return False
    if facts.memory_bytes is not None and not 0.93 <= facts.memory_bytes / part.memory_bytes <= 1.10:
        return False
    if facts.bus_width_bits is not None and part.bus_width_bits is not None:
        return abs(facts.bus_width_bits - part.bus_width_bits) <= 256
    return True


def part_named(name: str) -> GpuPart:
    """The part a person means by ``name``.

    Raises:
        UnknownGpu: no part, or several, fit the name; the hint lists them.
    """
    wanted = _words(name)
    everyday = EVERYDAY_NAMES.get("".join(wanted))
    if everyday is not None:
        return next(p for p in parts() if p.name == everyday)
    exact = [p for p in parts() if wanted in {_words(n) for n in (p.name, *p.device_names)}]
    if len(exact) == 1:
        return exact[0]
    loose = _loosened(wanted)
    found = exact or [p for p in parts() if wanted and _fits(loose, p)]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(p.name for p in found)
        raise UnknownGpu(f"{name!r} fits several parts", hint=f"say which: {several}")
    near = _near(wanted) or [p.name for p in parts()]
    raise UnknownGpu(
        f"no GPU named {name!r} in the table",
        hint="known parts: " + ", ".join(near) + "; or give --bandwidth-gb-s and --tflops",
    )


def _near(wanted: tuple[str, ...]) -> list[str]:
    """Parts that share a word with what was typed, or whose family its beginning spells (``a100pcie``)."""
    typed = "".join(wanted)
    return [p.name for p in parts() if set(wanted) & set(_words(p.name)) or typed.startswith(_words(p.name)[0])]


def _loosened(words: tuple[str, ...]) -> set[str]:
    return {"sxm" if w in SXM_WORDS else w for w in words}


def _fits(wanted: set[str], part: GpuPart) -> bool:
    if part.name == "MI250X (whole package)":
        return False
    return any(wanted <= _loosened(_words(n)) for n in (part.name, *part.device_names))
