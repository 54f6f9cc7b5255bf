"""Configurations of a model of our own, in the words of Hugging Face."""

from __future__ import annotations

from typing import Any

from collectors.model_config import shape_of
from heuristics.model_shape import ModelShape

Config = dict[str, Any]

PLAIN: Config = {
    "model_type": "llama",
    "hidden_size": 512,
    "intermediate_size": 1536,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 32000,
    "torch_dtype": "bfloat16",
}


def shape(**changes: Any) -> ModelShape:
    """The shape of the plain configuration after changes; None takes a field away."""
    return shape_of({k: v for k, v in (PLAIN | changes).items() if v is not None})
