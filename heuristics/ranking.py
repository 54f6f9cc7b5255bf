"""Devices against each other as the batch grows: tokens a dollar, and the batches at which one overtakes another."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations, pairwise

from heuristics.candidates import SECONDS_AN_HOUR
from heuristics.operations import step_roof_s
from heuristics.step import BATCHES, Forecast, fitting
from heuristics.work import KernelWork

MOST_BATCH = 16384.0
STEPS = 400
"""Over which the batch is looked at, evenly in its logarithm; each change between two is then halved down."""
HALVINGS = 60
EQUAL = 1e-9


class By(StrEnum):
    """What devices are ranked by."""

    COST = "cost"
    SPEED = "speed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a device makes of a batch. ``fits`` is None where its memory, or the cache, is not known."""

    gpu: str
    batch: float
    tokens_per_s: float
    tokens_per_s_at_roof: float
    tokens_per_usd: float | None
    tokens_per_usd_at_roof: float | None
    fits: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """At this batch the order of two devices changes; a leader is None where they are equal.

    ``at_roof``: by the peaks, otherwise by what is achievable of them. ``fits``: both hold such a batch.
    """

    by: By
    at_roof: bool
    batch: float
    devices: tuple[str, str]
    leader_below: str | None
    leader_above: str | None
    fits: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Devices over batches. ``by_batch`` goes by batch, then by name."""

    by_batch: tuple[Offer, ...]
    flips: tuple[Flip, ...]


def ranking(forecasts: Sequence[Forecast], usd_per_hour: Mapping[str, float]) -> Ranking | None:
    """The devices of the forecasts against each other, in any order; None where no batch makes tokens.

    Prices are a device's; a job pays for all that it runs on. Without prices only the speed is compared.
    """
    named = sorted((f for f in forecasts if f.gpu is not None), key=lambda f: f.gpu or "")
    if not named or isinstance(named[0].work, KernelWork) or not named[0].work.generates:
        return None
    curves = {f.gpu or "": _curves(f) for f in named} if len(named) > 1 else {}
    batches = sorted({*map(float, BATCHES), named[0].here.load.batch})
    return Ranking(
        by_batch=tuple(_offer(f, b, usd_per_hour.get(f.gpu or "")) for b in batches for f in named),
        flips=tuple(
            sorted(
                (flip for pair in combinations(named, 2) for flip in _flips(pair, curves, usd_per_hour)),
                key=lambda flip: (flip.by, flip.at_roof, flip.batch, flip.devices),
            )
        ),
    )


def tokens_per_s(forecast: Forecast, batch: float, *, at_roof: bool) -> float:
    """All sequences' tokens a second at a batch, at the peaks or at what is achievable of them."""
    load = replace(forecast.here.load, batch=batch)
    step_s = step_roof_s(forecast.work.operations(load), forecast.roofs, achievable=not at_roof)
    assert step_s is not None
    return load.tokens / step_s


def _offer(forecast: Forecast, batch: float, usd_per_hour: float | None) -> Offer:
    reached, peak = (tokens_per_s(forecast, batch, at_roof=at_roof) for at_roof in (False, True))
    a_usd = None if usd_per_hour is None else SECONDS_AN_HOUR / _usd_per_hour(forecast, usd_per_hour)
    return Offer(
        gpu=forecast.gpu or "",
        batch=batch,
        tokens_per_s=reached,
        tokens_per_s_at_roof=peak,
        tokens_per_usd=None if a_usd is None else reached * a_usd,
        tokens_per_usd_at_roof=None if a_usd is None else peak * a_usd,
        fits=_fits(forecast, batch),
    )


def _usd_per_hour(forecast: Forecast, usd_per_hour: float) -> float:
    return usd_per_hour * forecast.here.load.tensor_parallel


def _fits(forecast: Forecast, batch: float) -> bool | None:
    most = fitting(forecast.work, forecast.here.load, forecast.memory_bytes).batch
    return None if most is None else batch <= most


Curve = tuple[float, ...]
"""Tokens a second over the grid of batches."""


def _curves(forecast: Forecast) -> dict[bool, Curve]:
    return {
        at_roof: tuple(tokens_per_s(forecast, batch, at_roof=at_roof) for batch in _grid()) for at_roof in (False, True)
    }


def _grid() -> list[float]:
    return [math.exp(math.log(MOST_BATCH) * i / (STEPS - 1)) for i in range(STEPS)]


def _flips(
    pair: tuple[Forecast, Forecast], curves: Mapping[str, Mapping[bool, Curve]], usd_per_hour: Mapping[str, float]
) -> Iterator[Flip]:
    names = pair[0].gpu or "", pair[1].gpu or ""
    prices = usd_per_hour.get(names[0]), usd_per_hour.get(names[1])
    factors = {By.SPEED: 1.0}
    if prices[0] is not None and prices[1] is not None:
        factors[By.COST] = prices[1] / prices[0]
    for by, factor in factors.items():
        for at_roof in (False, True):
            first, second = (curves[name][at_roof] for name in names)
            signs = [_sign(factor * a / b) for a, b in zip(first, second, strict=True)]
            yield from _changes(pair, by, at_roof, factor, signs)


def _changes(
    pair: tuple[Forecast, Forecast], by: By, at_roof: bool, factor: float, signs: Sequence[int]
) -> Iterator[Flip]:
    a, b = pair
    leaders = {1: a.gpu, 0: None, -1: b.gpu}

    def sign(batch: float) -> int:
        return _sign(factor * tokens_per_s(a, batch, at_roof=at_roof) / tokens_per_s(b, batch, at_roof=at_roof))

    for (low, before), (high, after) in pairwise(zip(_grid(), signs, strict=True)):
        if before == after:
            continue
        batch = _last(lambda batch, before=before: sign(batch) == before, low, high)  # type: ignore[misc]
        held = [_fits(forecast, batch) for forecast in pair]
        yield Flip(
            by=by,
            at_roof=at_roof,
            batch=batch,
            devices=(a.gpu or "", b.gpu or ""),
            leader_below=leaders[before],
            leader_above=leaders[after],
            fits=None if None in held else all(held),
        )


def _last(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Where what holds at ``low`` and not at ``high`` ends."""
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return high


def _sign(ratio: float) -> int:
    """Who leads: 1 above one, -1 below, 0 where they are equal."""
    return 0 if abs(ratio - 1.0) <= EQUAL else 1 if ratio > 1.0 else -1
