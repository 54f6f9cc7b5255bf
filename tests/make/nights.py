"""A baseline of many nights: a job with noise between sessions, a change in the middle, and new versions."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from tests.make.verdicts import verdict

BEGUN = datetime(2026, 1, 1, 2, 0, tzinfo=UTC)


def nights(
    count: int = 40,
    *,
    slower: Callable[[int], float] = lambda night: 0.05 * (night >= 28),
    noise: float = 0.015,
    seed: int = 4,
    changes: Callable[[int], dict[str, Any]] = lambda night: {},
) -> list[dict[str, Any]]:
    """So many verdicts, one a night; the same seed gives the same ones."""
    rng = np.random.default_rng(seed)
    found = []
    for night in range(count):
        shift = math.expm1(noise * float(rng.standard_normal()))
        made = verdict((1.0 + slower(night)) * (1.0 + shift) - 1.0, spread=0.0, **changes(night))
        found.append(made | {"created_at": (BEGUN + timedelta(days=night)).isoformat()})
    return found


def upgraded(night: int) -> dict[str, Any]:
    """A new engine with the step, and a new driver before it."""
    return {
        "environment": {
            "engine_version": "0.32.0" if night < 28 else "0.33.1",
            "driver": "580.65" if night < 12 else "580.82",
        }
    }


def kept(folder: Path, verdicts: list[dict[str, Any]]) -> str:
    """A folder that holds them; its path."""
    folder.mkdir(exist_ok=True)
    lines = "".join(f"{json.dumps(found)}\n" for found in verdicts)
    (folder / "decode-8.jsonl").write_text(lines, encoding="utf-8")
    return str(folder)
