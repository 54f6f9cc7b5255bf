"""What a workload is: a step, what it needs, and the same step with one need changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Step = Callable[[], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """The same step with a known change, to be timed against it.

    ``share`` is what the change relieves or burdens: ``memory``, ``compute`` or ``latency``. ``factor`` is by how much
    that need alone is multiplied, 0 where it is taken away.
    """

    share: str
    what: str
    factor: float
    make: Callable[[], Step]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A workload made ready on a device.

    ``flops`` and ``bytes`` are what one step needs by its construction, None where nothing of the sort is meant.
    ``config`` is the config.json of its model and ``load`` its batch, context and phase, where it is a decoder.
    """

    step: Step
    flops: float | None = None
    bytes: float | None = None
    dtype: str = "bf16"
    weight_bits: float = 16.0
    config: Mapping[str, Any] | None = None
    load: Mapping[str, Any] = field(default_factory=dict)
    variants: tuple[Variant, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A name, the family that is left out together when widths are fitted, and how to make it."""

    name: str
    family: str
    what: str
    build: Callable[[Any], Built]
    expected: str
    """The regime that follows from the construction, written down before anything was measured; ``mixed`` for none."""
    replayed: bool = True
    """Its kernels can be measured one by one: what it is lies in them, and not between them."""
