"""The load that a sweep sends, from its options as typed or as passed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from collectors.load.plan import Plan, batches_of
from diagnose.given import scaled, whole


def _seconds(option: str) -> Callable[[Any], float | None]:
    return partial(scaled, option, factor=1.0)


FIELDS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "batches": ("batches", batches_of),
    "prompt_tokens": ("prompt_tokens", partial(whole, "prompt_tokens")),
    "output_tokens": ("output_tokens", partial(whole, "output_tokens")),
    "level_seconds": ("level_s", _seconds("level_seconds")),
    "max_requests": ("max_requests", partial(whole, "max_requests")),
    "max_tokens": ("max_tokens", partial(whole, "max_tokens")),
    "max_seconds": ("max_seconds", _seconds("max_seconds")),
    "timeout": ("timeout_s", _seconds("timeout")),
}
"""By option: the plan's field, and how it is read."""


def plan_of(options: Mapping[str, Any]) -> Plan:
    """The plan of these options; what is None, or is no option of the load, is left out.

    Raises:
        DiagnoseError: one of them makes no sense.
    """
    stated = {name: value for name, value in options.items() if name in FIELDS and value is not None}
    return Plan(**{FIELDS[name][0]: FIELDS[name][1](value) for name, value in stated.items()}).checked()
