"""Thresholds of ``check`` as typed, or as the project's file has them, to the policy in fractions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diagnose.given import metric_asked, option, scaled, whole
from heuristics.errors import DiagnoseError
from heuristics.regression.likeness import TRAITS
from heuristics.regression.policy import FEWEST_SESSIONS, PairedPolicy, Policy

Number = float | int | str | None

LEAST_PERCENT = 0.2
"""No session is as steady; whoever types 0.05 means five percent."""

MOST_PERCENT = {"confidence": 100.0, "min_effect": 1000.0, "resolution": 1000.0}


def policy_of(found: Mapping[str, Any]) -> Policy:
    """The policy of a check against sessions.

    Raises:
        DiagnoseError: a threshold makes no sense.
    """
    usual = Policy()
    sessions = whole("sessions", found.get("sessions", usual.sessions))
    if sessions < FEWEST_SESSIONS:
        raise DiagnoseError(
            f"sessions must be at least {FEWEST_SESSIONS}, not {sessions}: fewer cannot tell the job from the night",
            hint="two versions that both run here need no sessions: diagnose check --paired 'CMD_A' 'CMD_B'",
        )
    latest = whole("latest", found.get("latest", max(usual.latest, sessions)))
    if latest < sessions:
        raise DiagnoseError(f"latest must be at least sessions, {sessions}, not {latest}", hint="--latest 30")
    return Policy(
        min_effect=_percent("min_effect", found, usual.min_effect),
        confidence=_percent("confidence", found, usual.confidence),
        resolution=_percent("resolution", found, usual.resolution),
        sessions=sessions,
        latest=latest,
        metric=None if found.get("metric") is None else metric_asked(str(found["metric"])).name,
        roof_gates=bool(found.get("roof", True)),
        flips_gate=bool(found.get("flips", True)),
        across=_traits(found.get("across", ())),
        allow_noisy=bool(found.get("allow_noisy", False)),
    )


def paired_policy_of(found: Mapping[str, Any]) -> PairedPolicy:
    """The policy of two commands in turns.

    Raises:
        DiagnoseError: a threshold makes no sense.
    """
    usual = PairedPolicy()
    return PairedPolicy(
        pairs=whole("pairs", found.get("pairs", usual.pairs)),
        min_effect=_percent("min_effect", found, usual.min_effect),
        confidence=_percent("confidence", found, usual.confidence),
        resolution=_percent("resolution", found, usual.resolution),
        flips_gate=bool(found.get("flips", True)),
        roof_gates=bool(found.get("roof", True)),
    )


def _percent(name: str, found: Mapping[str, Any], usual: float) -> float:
    """Percent as typed, with or without its sign, as a fraction."""
    value = found.get(name)
    if value is None:
        return usual
    bare = value.strip().removesuffix("%").strip() if isinstance(value, str) else value
    fraction = scaled(name, bare, 0.01, example="3")
    assert fraction is not None
    most = MOST_PERCENT[name] / 100.0
    if fraction > most or (name == "confidence" and not 0.5 <= fraction < 1.0):
        between = "50 and 100" if name == "confidence" else f"0 and {MOST_PERCENT[name]:g}"
        raise DiagnoseError(f"{option(name)} must lie between {between} percent, not {value}", hint="--confidence 99")
    if name == "min_effect" and fraction < LEAST_PERCENT / 100.0:
        wrong = f"{option(name)} is in percent, and {value} is less than {LEAST_PERCENT:g}"
        raise DiagnoseError(wrong, hint=f"{option(name)} of 5 is five percent")
    return fraction


def _traits(names: str | Sequence[str]) -> frozenset[str]:
    """Traits that may differ, by their names or separated by commas."""
    listed = [names] if isinstance(names, str) else list(names)
    given = [n.strip().replace("-", "_") for text in listed for n in str(text).split(",") if n.strip()]
    for name in given:
        if name not in TRAITS:
            raise DiagnoseError(f"no trait named {name!r}", hint=f"--across with one of {', '.join(TRAITS)}")
    return frozenset(given)
