"""What is stated of a ``check``: by the user, else by the table ``[tool.diagnose.check]`` of ``pyproject.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from diagnose.given import option
from heuristics.errors import DiagnoseError

TABLE = "tool.diagnose.check"


class Kind(StrEnum):
    """What an option may be; the values are the words for it."""

    TEXT = "a text"
    NUMBER = "a number, or a text that is one"
    SWITCH = "true or false"
    WORDS = "a text or a list of texts"


KINDS: Mapping[str, Kind] = {
    "baseline": Kind.TEXT,
    "workload": Kind.TEXT,
    "metric": Kind.TEXT,
    "min_effect": Kind.NUMBER,
    "confidence": Kind.NUMBER,
    "resolution": Kind.NUMBER,
    "sessions": Kind.NUMBER,
    "latest": Kind.NUMBER,
    "across": Kind.WORDS,
    "allow_noisy": Kind.SWITCH,
    "flips": Kind.SWITCH,
    "roof": Kind.SWITCH,
    "pairs": Kind.NUMBER,
    "warm_up": Kind.NUMBER,
    "paired_resolution": Kind.NUMBER,
    "timeout": Kind.NUMBER,
}
"""Options that a project may set once and for all."""

_EXAMPLES: Mapping[Kind, str] = {
    Kind.TEXT: '"decode-b8"',
    Kind.NUMBER: "10",
    Kind.SWITCH: "true",
    Kind.WORDS: '["driver"]',
}


def settings(stated: Mapping[str, Any], *, paired: bool = False, start: Path | None = None) -> dict[str, Any]:
    """What was typed, and for what was not the table of the nearest ``pyproject.toml``.

    In a file, ``resolution`` is of sessions and ``paired_resolution`` of pairs; typed, ``resolution`` is of either.

    Raises:
        DiagnoseError: that file is no TOML, its table has a name that is no option or one twice, or a value is of a
            kind that its option cannot have.
    """
    typed = {name: value for name, value in stated.items() if value is not None and value != ()}
    for name, value in typed.items():
        if not _fits(value, KINDS[name]):
            raise DiagnoseError(f"{name} must be {KINDS[name].value}, not {value!r}", hint=f"{name}={_python(name)}")
    project = _project(start or Path.cwd())
    of_pairs = project.pop("paired_resolution", None)
    if paired:
        project["resolution"] = of_pairs
    return {**project, **typed}


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
        return _placed(_named(path, found), folder)
    return {}


def _named(path: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """The table by the names of keywords, each of its kind."""
    named: dict[str, Any] = {}
    for written, value in table.items():
        name = written.replace("-", "_")
        if name not in KINDS:
            raise DiagnoseError(
                f"{path}: [{TABLE}] has no option {written}",
                hint=f"one of {', '.join(option(n) for n in sorted(KINDS))}",
            )
        if name in named:
            raise DiagnoseError(f"{path}: [{TABLE}] has {option(name)} twice", hint=f"{option(name)} without {name}")
        if not _fits(value, KINDS[name]):
            raise DiagnoseError(
                f"{path}: {written} must be {KINDS[name].value}, not {value!r}",
                hint=f"{written} = {_EXAMPLES[KINDS[name]]}",
            )
        named[name] = value
    return named


def _fits(value: Any, kind: Kind) -> bool:
    if kind is Kind.TEXT:
        return isinstance(value, str)
    if kind is Kind.SWITCH:
        return isinstance(value, bool)
    if kind is Kind.NUMBER:
        return isinstance(value, int | float | str) and not isinstance(value, bool)
    return isinstance(value, str) or (isinstance(value, list | tuple) and all(isinstance(item, str) for item in value))


def _python(name: str) -> str:
    return _EXAMPLES[KINDS[name]].replace("true", "True")


def _placed(named: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A baseline's folder is meant from where the file stands."""
    if "baseline" in named:
        named["baseline"] = str(folder / named["baseline"])
    return named
