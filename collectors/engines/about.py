"""What a server says of itself, once: its version, its model, its limits. Everything else of the answer is dropped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Fact(StrEnum):
    """One fact, whatever path and field state it."""

    VERSION = "version"
    SERVED_NAME = "served_name"
    MODEL_PATH = "model_path"
    PARAMETERS = "parameters"
    STORED_BYTES = "stored_bytes"
    MOST_CONTEXT = "most_context"
    SLOTS = "slots"
    DTYPE = "dtype"
    QUANTIZATION = "quantization"
    KV_DTYPE = "kv_dtype"
    TENSOR_PARALLEL = "tensor_parallel"
    PIPELINE_PARALLEL = "pipeline_parallel"
    DATA_PARALLEL = "data_parallel"
    EXPERT_PARALLEL = "expert_parallel"
    DEVICE_BYTES = "device_bytes"


NUMBERS = frozenset(
    {
        Fact.PARAMETERS,
        Fact.STORED_BYTES,
        Fact.MOST_CONTEXT,
        Fact.SLOTS,
        Fact.TENSOR_PARALLEL,
        Fact.PIPELINE_PARALLEL,
        Fact.DATA_PARALLEL,
        Fact.EXPERT_PARALLEL,
        Fact.DEVICE_BYTES,
    }
)

F = Fact

FIELDS: Mapping[str, Mapping[Fact, tuple[str, ...]]] = {
    "/version": {F.VERSION: ("version",)},
    "/v1/models": {
        F.SERVED_NAME: ("data.0.id",),
        F.MODEL_PATH: ("data.0.root",),
        F.MOST_CONTEXT: ("data.0.max_model_len", "data.0.meta.n_ctx"),
        F.PARAMETERS: ("data.0.meta.n_params",),
        F.STORED_BYTES: ("data.0.meta.size",),
    },
    "/props": {
        F.MODEL_PATH: ("model_path",),
        F.SLOTS: ("total_slots",),
        F.VERSION: ("build_info",),
    },
    "/model_info": {F.MODEL_PATH: ("model_path",)},
    "/server_info": {
        F.VERSION: ("version",),
        F.SERVED_NAME: ("served_model_name",),
        F.MODEL_PATH: ("model_path",),
        F.DTYPE: ("dtype",),
        F.QUANTIZATION: ("quantization",),
        F.KV_DTYPE: ("kv_cache_dtype",),
        F.TENSOR_PARALLEL: ("tp_size",),
        F.PIPELINE_PARALLEL: ("pp_size",),
        F.DATA_PARALLEL: ("dp_size",),
        F.EXPERT_PARALLEL: ("ep_size",),
    },
    "/info": {
        F.VERSION: ("version",),
        F.MODEL_PATH: ("model_id",),
        F.DTYPE: ("model_dtype",),
        F.MOST_CONTEXT: ("max_total_tokens",),
    },
    "/api/version": {F.VERSION: ("version",)},
    "/api/ps": {
        F.SERVED_NAME: ("models.0.name",),
        F.STORED_BYTES: ("models.0.size",),
        F.DEVICE_BYTES: ("models.0.size_vram",),
        F.MOST_CONTEXT: ("models.0.context_length",),
    },
}
"""Fields by path; several for one fact are tried in their order."""

LONGEST = 4096
MOST = 1e18


def facts(path: str, body: bytes) -> dict[Fact, str | float]:
    """The listed facts in an answer; nothing where it is not the JSON that was expected."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    found: dict[Fact, str | float] = {}
    for fact, places in FIELDS.get(path, {}).items():
        for place in places:
            value = _at(answer, place)
            if fact in NUMBERS and isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < MOST:
                found.setdefault(fact, float(value))
            elif fact not in NUMBERS and isinstance(value, str) and 0 < len(value) <= LONGEST:
                found.setdefault(fact, value)
    return found


def _at(answer: Any, place: str) -> Any:
    for step in place.split("."):
        if step.isdecimal() and isinstance(answer, list) and int(step) < len(answer):
            answer = answer[int(step)]
        elif isinstance(answer, dict):
            answer = answer.get(step)
        else:
            return None
    return answer
