"""What a step and what a prompt token cost, from how stretches of time differ in both.

Within a stretch with work throughout, time = a · steps + b · prompt tokens: a step streams the weights whether or not
a prompt shares it, and a prompt token adds arithmetic. Least squares over the stretches gives both, when they vary
against each other; otherwise nothing tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heuristics.arrays import Array

FEWEST = 4
SMALLEST = 1e-150
"""Columns no longer than that are none: their squares are zero in floating point."""
LARGEST_ERROR = 0.12
"""Standard error of the prefill's part of the time above which it is not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSplit:
    """Seconds a step and a prompt token take, the time of all prompts, and the standard error of their part."""

    step_s: float
    prompt_token_s: float
    prefill_s: float
    error: float


def split(window_s: Array, steps: Array, prompt_tokens: Array) -> PhaseSplit | None:
    """Least squares without negative costs; arrays of shape (stretches,). None where the two are not told apart."""
    if window_s.size < FEWEST or not steps.any() or not prompt_tokens.any():
        return None
    design = np.column_stack([steps, prompt_tokens])
    scale = np.linalg.norm(design, axis=0)
    if (scale < SMALLEST).any():
        return None
    normal = (design / scale).T @ (design / scale)
    if np.linalg.det(normal) < 1e-4:
        return None
    step_s, prompt_token_s = np.linalg.solve(normal, (design / scale).T @ window_s) / scale
    if prompt_token_s < 0.0:
        step_s, prompt_token_s = float(window_s.sum() / steps.sum()), 0.0
    elif step_s < 0.0:
        step_s, prompt_token_s = 0.0, float(window_s.sum() / prompt_tokens.sum())
    residual = window_s - design @ np.array([step_s, prompt_token_s])
    variance = float(residual @ residual) / max(1, window_s.size - 2)
    deviation = np.sqrt(variance * np.linalg.inv(normal)[1, 1]) / scale[1]
    error = float(deviation * prompt_tokens.sum() / window_s.sum())
    if error > LARGEST_ERROR:
        return None
    prefill_s = float(min(window_s.sum(), prompt_token_s * prompt_tokens.sum()))
    return PhaseSplit(step_s=float(step_s), prompt_token_s=float(prompt_token_s), prefill_s=prefill_s, error=error)
