"""Read the model that a process uses, or one that the user names; nothing is ever downloaded."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from collectors.model_config import LONGEST_FILE_BYTES, parsed, shape_of, states_dtype
from collectors.model_files.gguf import read_gguf
from collectors.model_files.place import Place, find
from collectors.model_files.record import ModelRecord, plain
from collectors.model_files.runtime import StatedModel, as_run, as_stored, checked, packed_width, with_cache
from collectors.model_files.safetensors import Part, Stored, stored
from collectors.model_files.view import CannotRead, ProcessView
from collectors.redaction import model_name
from heuristics.errors import UnusableModel
from heuristics.model_shape import ModelShape


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A model that could not be read: why, and what would unlock it."""

    reason: str
    unlock: str | None = None


def read_model(stated: StatedModel, view: ProcessView) -> ModelRecord | Unread:
    """The ``model`` record of what an engine was told to load, from the files that it sees. Never raises for a file."""
    try:
        place = find(stated.name_or_path, view, revision=stated.revision, download_dir=stated.download_dir)
        return _from_gguf(place, stated, view) if place.gguf else _from_config(place, stated, view)
    except CannotRead as error:
        return Unread(reason=error.reason, unlock=error.unlock)
    except UnusableModel as error:
        return Unread(reason=str(error), unlock=error.hint)
    except (OSError, ValueError, ArithmeticError, RecursionError) as error:
        return Unread(reason=f"the model's files cannot be used ({type(error).__name__})", unlock="give --model PATH")


def read_given(path_or_id: str) -> ModelRecord | Unread:
    """The same of a model that the user names: a config.json, a folder, a GGUF, or an id in the user's own caches."""
    try:
        here = Path.cwd()
    except OSError:
        here = Path("/")
    home = os.path.expanduser("~")
    view = ProcessView(root=Path("/"), cwd=here, env=os.environ, home=Path(home) if home.startswith("/") else None)
    return read_model(StatedModel(name_or_path=path_or_id), view)


def _from_config(place: Place, stated: StatedModel, view: ProcessView) -> ModelRecord:
    name = place.name or "model"
    config = parsed(view.content(place.config or "", LONGEST_FILE_BYTES), "config.json")
    shape = checked(replace(shape_of(config), name=name))
    quantised = shape.head_weight_bits is not None
    width = packed_width(shape)
    warnings: list[str] = []
    found = _weights(place, view, shape, warnings)
    source = f"config.json in {place.where}"
    if found is not None:
        shape = as_stored(shape, found, warnings)
        if not states_dtype(config) and not quantised:
            bits = 32.0 if shape.weight_bits > 24.0 else 16.0
            shape = replace(shape, activation_bits=bits, kv_bits=bits)
        files = (
            "the header of 1 safetensors file"
            if found.files == 1
            else f"the headers of {found.files} safetensors files"
        )
        source = f"config.json and {files} in {place.where}"
    shape = as_run(shape, stated, quantised=quantised or shape.weight_bits < 15.0, warnings=warnings)
    record = _record(name, source, shape, warnings)
    if found is not None:
        record["stored_bytes"] = found.bytes
        parameters = found.of(*(p for p in Part if p is not Part.DRAFT)).count(width)
        if parameters is not None:
            record["parameters"] = round(parameters)
    return record


def _weights(place: Place, view: ProcessView, shape: ModelShape, warnings: list[str]) -> Stored | None:
    """What the files hold; None where there are none to read, as with random weights, and why as a warning."""
    reason = "no weights beside the configuration"
    if place.weights is not None:
        try:
            return stored(place.weights, view, layers=shape.layers)
        except CannotRead as error:
            reason = error.reason
    warnings.append(f"{reason}: bits are as the configuration states them")
    return None


def _from_gguf(place: Place, stated: StatedModel, view: ProcessView) -> ModelRecord:
    found = read_gguf(place.gguf, view)
    name = place.name or model_name(found.title or "") or "a model of Ollama"
    warnings = list(found.warnings)
    shape = with_cache(replace(found.shape, name=name), stated, otherwise=found.shape.kv_bits, warnings=warnings)
    source = place.where if len(place.gguf) == 1 else f"{place.where} in {len(place.gguf)} parts"
    record = _record(name, source, checked(shape), warnings)
    return record | ModelRecord(stored_bytes=found.bytes, parameters=found.parameters)


def _record(name: str, source: str, shape: ModelShape, warnings: list[str]) -> ModelRecord:
    record = ModelRecord(what="model", name=name, source=source, shape=plain(shape))
    if warnings:
        record["warnings"] = warnings
    return record
