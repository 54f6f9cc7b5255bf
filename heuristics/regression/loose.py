"""Values out of JSON that somebody else wrote: what makes no sense counts as lacking, and nothing here raises."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]

LARGEST = 1e30
"""Beyond any figure in SI units: so that sums and products of a few stay finite."""


def mapping(of: Json, name: str) -> Json:
    """The object under a name, empty where there is none."""
    found = of.get(name)
    return found if isinstance(found, dict) else {}


def items(of: Json, name: str) -> list[Json]:
    """The objects of a list under a name."""
    found = of.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def words(of: Json, name: str) -> list[str]:
    """The texts of a list under a name."""
    found = of.get(name)
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []


def text(value: Any) -> str | None:
    """A text that says anything."""
    return value if isinstance(value, str) and value else None


def number(value: Any) -> float | None:
    """A number that a figure can have; a truth value is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) and abs(found) <= LARGEST else None


def positive(value: Any) -> float | None:
    """A number above zero, such as a time."""
    found = number(value)
    return found if found is not None and found > 1.0 / LARGEST else None


def fraction(value: Any) -> float | None:
    """A number from 0 to 1."""
    found = number(value)
    return found if found is not None and 0.0 <= found <= 1.0 else None


def whole(value: Any) -> int | None:
    """A number of things."""
    found = number(value)
    return None if found is None else int(found)


def numbers(of: Json) -> dict[str, float]:
    """The fields that are numbers."""
    return {name: found for name, value in of.items() if (found := number(value)) is not None}
