"""A shape as plain JSON, and back again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypedDict

from heuristics.errors import UnusableModel
from heuristics.model_shape import Experts, LatentAttention, ModelShape


class ModelRecord(TypedDict, total=False):
    """What was read of a model. Absent is left out; whoever writes it adds the time."""

    what: str
    name: str
    source: str
    shape: dict[str, Any]
    stored_bytes: int
    parameters: int
    warnings: list[str]


_NESTED: Mapping[str, type] = {"latent_attention": LatentAttention, "experts": Experts}


def plain(shape: ModelShape) -> dict[str, Any]:
    """The shape's fields that are not None, nested ones as dictionaries."""
    return _without_none(asdict(shape))


def shape_from_record(record: Mapping[str, Any]) -> ModelShape:
    """The shape of a ``model`` record; fields that are not known are passed over.

    Raises:
        UnusableModel: there is no shape in it, or what it states is none.
    """
    stated = record.get("shape")
    if not isinstance(stated, Mapping):
        raise UnusableModel("the record of the model has no shape")
    built: ModelShape = _built(ModelShape, stated)
    return built


def _without_none(found: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _without_none(v) if isinstance(v, dict) else v for k, v in found.items() if v is not None}


def _built(kind: type, stated: Mapping[str, Any]) -> Any:
    known: dict[str, Any] = {}
    for field in fields(kind):
        value = stated.get(field.name)
        if value is None:
            continue
        if field.name in _NESTED:
            if not isinstance(value, Mapping):
                raise UnusableModel(f"the record of the model states {field.name} as no object")
            known[field.name] = _built(_NESTED[field.name], value)
        else:
            known[field.name] = _checked(field.name, str(field.type), value)
    try:
        return kind(**known)
    except TypeError as error:
        raise UnusableModel("the record of the model lacks a dimension") from error


def _checked(name: str, kind: str, value: Any) -> Any:
    """The value, if it is of the field's type: annotations are text, as ``int | None``."""
    wanted = kind.split(" ", maxsplit=1)[0]
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    sound = {
        "bool": isinstance(value, bool),
        "str": isinstance(value, str),
        "int": is_number and isinstance(value, int) and 0 <= value < 1 << 62,
        "float": is_number and 0 < value < 1e6 and math.isfinite(value),
    }
    if not sound.get(wanted, False):
        raise UnusableModel(f"the record of the model states {name} as {str(value)[:40]!r}")
    return float(value) if wanted == "float" else value
