"""Verdicts as JSON, such as sessions of a job leave them night by night."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

STEP_S = 0.02
NOISE = (0.4, -1.1, 0.9, -0.2, 1.3, -0.7, 0.1, -0.6, 0.8, -0.9, 0.3, 1.0)


def verdict(slower: float = 0.0, *, night: int = 0, spread: float = 0.01, **changes: Any) -> dict[str, Any]:
    """A whole verdict. ``changes`` replace fields of its parts: ``environment={"gpu": ...}``, ``regime="latency"``."""
    step = STEP_S * (1.0 + slower) * math.exp(spread * NOISE[night % len(NOISE)])
    regime = changes.pop("regime", "memory")
    shares = {"memory": 0.1, "compute": 0.05, "latency": 0.1} | {regime: 0.0}
    shares[regime] = round(1.0 - sum(shares.values()), 6)
    found: dict[str, Any] = {
        "schema": "diagnose.verdict/1",
        "tool_version": "0.1.0",
        "created_at": f"2026-11-{night + 1:02d}T02:00:00+00:00",
        "subject": {"kind": "process", "engine": "vLLM", "model": "ours/8b", "workload": "decode-8", "devices": []},
        "window_s": 10.0,
        "verdict": {
            "regime": regime,
            "cause": {"memory": "weights", "compute": "tensor", "latency": "host"}.get(regime),
            "confidence": 0.95,
            "shares": shares,
            "limits": [],
        },
        "phases": {},
        "measured": {
            "time_per_output_token_s": step,
            "time_to_first_token_s": 10.0 * step,
            "tokens_per_s": 8.0 / step,
            "step_s": step,
            "batch": 8.0,
            "bandwidth_fraction": 0.6 * STEP_S / step,
            "compute_fraction": 0.02,
        },
        "samples": {"time_per_output_token_s": [step * (1.0 + 0.002 * n) for n in (-2, 1, 0, 2, -1)]},
        "environment": {
            "gpu": "NVIDIA H100 80GB HBM3",
            "driver": "580.82",
            "engine_version": "0.32.0",
            "dtype": "bf16",
        },
        "evidence": [],
        "operations": [],
        "headroom": {},
        "advice": [],
        "warnings": [],
    }
    for part, fields in changes.items():
        found[part] = {**found[part], **fields} if isinstance(fields, dict) and part in found else fields
    return found


def written(path: Path, found: dict[str, Any]) -> str:
    """A verdict in a file; its path."""
    path.write_text(json.dumps(found), encoding="utf-8")
    return str(path)


def baseline(folder: Path, count: int = 10, **options: Any) -> str:
    """A folder of so many nights; its path."""
    folder.mkdir(exist_ok=True)
    lines = [json.dumps(verdict(night=night, **options)) for night in range(count)]
    (folder / "decode-8.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(folder)
