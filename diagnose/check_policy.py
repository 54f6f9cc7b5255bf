"""Thresholds of ``check`` as typed, or as ``pyproject.toml`` has them, to the policy in fractions."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diagnose.given import option, scaled, whole
from heuristics.errors import DiagnoseError
from heuristics.regression.likeness import TRAITS
from heuristics.regression.metrics import METRICS, metric_named
from heuristics.regression.policy import FEWEST_SESSIONS, PairedPolicy, Policy

Number = float | int | str | None

TABLE = "tool.diagnose.check"
NAMES = frozenset(
    {
        "baseline",
        "workload",
        "metric",
        "min_effect",
        "confidence",
        "resolution",
        "sessions",
        "latest",
        "across",
        "allow_noisy",
        "flips",
        "roof",
        "pairs",
        "warm_up",
        "paired_resolution",
        "timeout",
    }
)
"""Options that a project may set once and for all."""

MOST_PERCENT = {"confidence": 100.0, "min_effect": 1000.0, "resolution": 1000.0}


def settings(stated: Mapping[str, Any], *, paired: bool = False, start: Path | None = None) -> dict[str, Any]:
    """What was typed, and for what was not the table ``[tool.diagnose.check]`` of the nearest ``pyproject.toml``.

    In a file, ``resolution`` is of sessions and ``paired_resolution`` of pairs; typed, ``resolution`` is of either.

    Raises:
        DiagnoseError: that file is no TOML, or its table has a name that is no option.
    """
    typed = {name: value for name, value in stated.items() if value is not None and value != ()}
    project = _project(start or Path.cwd())
    of_pairs = project.pop("paired_resolution", None)
    if paired:
        project["resolution"] = of_pairs
    return {**project, **typed}


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
        metric=_metric(found.get("metric")),
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
    return fraction


def _metric(name: str | None) -> str | None:
    if name is None:
        return None
    found = metric_named(str(name).replace("-", "_"))
    if found is None:
        known = ", ".join(m.name for m in METRICS)
        raise DiagnoseError(f"no metric named {name!r}", hint=f"one of {known}")
    return found.name


def _traits(names: str | Sequence[str]) -> frozenset[str]:
    """Traits that may differ, by their names or separated by commas."""
    listed = [names] if isinstance(names, str) else list(names)
    given = [n.strip().replace("-", "_") for text in listed for n in str(text).split(",") if n.strip()]
    for name in given:
        if name not in TRAITS:
            raise DiagnoseError(f"no trait named {name!r}", hint=f"--across with one of {', '.join(TRAITS)}")
    return frozenset(given)


def _project(start: Path) -> dict[str, Any]:
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if not path.is_file():
            continue
        try:
            found: Any = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DiagnoseError(f"{path}: cannot be read: {error}", hint="mend it, or run elsewhere") from error
        for name in TABLE.split("."):
            found = found.get(name, {}) if isinstance(found, dict) else {}
        if not isinstance(found, dict):
            raise DiagnoseError(f"{path}: {TABLE} is no table", hint=f"[{TABLE}]")
        named = {str(name).replace("-", "_"): value for name, value in found.items()}
        if unknown := sorted(set(named) - NAMES):
            raise DiagnoseError(
                f"{path}: [{TABLE}] has no option {', '.join(unknown)}",
                hint=f"one of {', '.join(option(n) for n in sorted(NAMES))}",
            )
        return _placed(named, folder)
    return {}


def _placed(named: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A baseline's folder is meant from where the file stands."""
    if isinstance(named.get("baseline"), str):
        named["baseline"] = str(folder / named["baseline"])
    return named
