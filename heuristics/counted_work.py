"""Work that was counted while a step ran, rather than derived from a model's shape."""

from __future__ import annotations

from dataclasses import dataclass

from heuristics.operations import Load, Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedWork:
    """The operations of one step as it ran at one batch: they hold for that load alone, whatever is asked.

    Bytes are a lower bound: what a step reads that was there before it, once, and the operands of its products.
    """

    counted: tuple[Operation, ...]
    weight_bits: float = 16.0
    name: str | None = None
    generates: bool = True

    def operations(self, load: Load) -> tuple[Operation, ...]:
        """What was counted."""
        return self.counted

    def with_weight_bits(self, bits: float) -> CountedWork:
        """The same: its bytes were counted."""
        return self

    def stored_bytes(self, load: Load) -> float | None:
        """Not known: what is kept may be more than what a step reads."""
        return None
