"""Sessions made for tests: like ones of a job whose time per token is about 20 ms, with whatever is said of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from heuristics.regression.session import Health, Session, figures_of
from heuristics.vocabulary import Cause, Regime

IDENTITY = {
    "workload": "decode-8",
    "load": "decode-8",
    "gpu": "NVIDIA H100 80GB HBM3",
    "devices": "1 x NVIDIA H100 80GB HBM3",
    "engine": "vLLM",
    "engine_version": "0.32.0",
    "model": "ours/8b",
    "dtype": "bf16",
    "parallelism": None,
    "measured_by": "watching",
    "driver": "580.82",
    "host": "EPYC, 32 cores",
}
STEP_S = 0.02
NOISE = (0.4, -1.1, 0.9, -0.2, 1.3, -0.7, 0.1, -0.6, 0.8, -0.9, 0.3, 1.0)
"""Of sessions, in deviations: no chance in tests of what is decided."""


def session(
    name: str = "now",
    slower: float = 0.0,
    *,
    spread: float = 0.0,
    offset: float = 0.0,
    regime: Regime | None = Regime.MEMORY,
    cause: Cause | None = Cause.WEIGHTS,
    confidence: float = 0.95,
    health: Health | None = None,
    measured: Mapping[str, float | None] | None = None,
    identity: Mapping[str, str | None] | None = None,
    batch: float = 8.0,
    limits: Sequence[str] = (),
    roofs: Mapping[str, float] | None = None,
    bytes_per_step: Mapping[str, float] | None = None,
    data: str | None = None,
    day: int = 1,
) -> Session:
    """One session, slower than usual by a fraction and off by ``offset`` deviations of ``spread``."""
    step = STEP_S * (1.0 + slower) * math.exp(spread * offset)
    found: dict[str, float | None] = {
        "time_per_output_token_s": step,
        "time_to_first_token_s": 10.0 * step,
        "tokens_per_s": batch / step,
        "bandwidth_fraction": 0.6 * STEP_S / step,
        "compute_fraction": 0.02,
        **(measured or {}),
    }
    known = {name: value for name, value in found.items() if value is not None}
    verdict: dict[str, Any] = {
        "measured": {**known, "batch": batch, **(bytes_per_step or {})},
        "verdict": {"limits": list(limits)},
        "roofs": dict(roofs or {}),
    }
    return Session(
        name=name,
        created_at=f"2026-11-{day:02d}T02:00:00+00:00",
        data=data or name,
        identity={**IDENTITY, **(identity or {})},
        figures=figures_of(known, {}),
        regime=regime,
        cause=cause,
        confidence=confidence,
        health=health or Health(),
        verdict=verdict,
    )


def nights(count: int = 10, *, spread: float = 0.015, **options: Any) -> list[Session]:
    """Like sessions, one a night."""
    return [
        session(f"night {i}", spread=spread, offset=NOISE[i % len(NOISE)], day=1 + i, **options) for i in range(count)
    ]


def changed(sessions: Sequence[Session], places: Sequence[int], **options: Any) -> list[Session]:
    """The same with some of them made anew."""
    return [session(s.name, day=1 + i, **options) if i in places else s for i, s in enumerate(sessions)]
