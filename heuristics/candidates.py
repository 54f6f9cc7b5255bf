"""Several devices for the same work, ranked by speed; with prices also by cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from heuristics.step import Forecast

SECONDS_AN_HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One device's speed and cost. Costs are in US dollars; None where no price was given.

    ``fits`` is False where the weights and so many sequences are more than its memory, None where that is not known.
    """

    gpu: str
    step_s: float
    tokens_per_s: float | None
    step_s_at_roof: float
    tokens_per_s_at_roof: float | None
    fits: bool | None
    usd_per_hour: float | None
    usd_per_million_tokens: float | None
    usd_per_million_tokens_at_roof: float | None


def ranked(forecasts: Sequence[Forecast], usd_per_hour: Mapping[str, float]) -> tuple[Candidate, ...]:
    """Fastest first, those that do not hold the work last. Prices are a device's; a job pays for all it runs on."""
    found = [_candidate(f, usd_per_hour.get(f.gpu or "")) for f in forecasts]
    return tuple(sorted(found, key=lambda c: (c.fits is False, c.step_s, c.gpu)))


def by_cost(found: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Those with a price, cheapest tokens first, those that do not hold the work last."""
    priced = [c for c in found if c.usd_per_million_tokens is not None]
    return tuple(sorted(priced, key=lambda c: (c.fits is False, c.usd_per_million_tokens or 0.0, c.gpu)))


def _candidate(forecast: Forecast, usd_per_hour: float | None) -> Candidate:
    here, devices = forecast.here, forecast.here.load.tensor_parallel

    def cost(tokens_per_s: float | None) -> float | None:
        if usd_per_hour is None or tokens_per_s is None:
            return None
        return usd_per_hour * devices / SECONDS_AN_HOUR / tokens_per_s * 1e6

    return Candidate(
        gpu=forecast.gpu or "",
        step_s=here.achievable.step_s,
        tokens_per_s=here.achievable.tokens_per_s,
        step_s_at_roof=here.at_roof.step_s,
        tokens_per_s_at_roof=here.at_roof.tokens_per_s,
        fits=fits(forecast),
        usd_per_hour=usd_per_hour,
        usd_per_million_tokens=cost(here.achievable.tokens_per_s),
        usd_per_million_tokens_at_roof=cost(here.at_roof.tokens_per_s),
    )


def fits(forecast: Forecast) -> bool | None:
    """Whether the memory holds the weights and the load's sequences."""
    batch = forecast.fit.batch
    if batch is not None:
        return batch >= max(1.0, forecast.here.load.batch)
    stored = forecast.work.stored_bytes(forecast.here.load)
    if stored is None or forecast.memory_bytes is None:
        return None
    return stored <= forecast.memory_bytes
