"""Work that was counted while a step ran, rather than derived from a model's shape."""

from __future__ import annotations

from dataclasses import dataclass, replace

from heuristics.operations import Load, Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedWork:
    """The operations of one step as it ran at ``batch``, whatever phase and context that was.

    Bytes are a lower bound: what a step reads that was there before it, once, and the operands of its products.
    """

    counted: tuple[Operation, ...]
    batch: float
    weight_bits: float = 16.0
    name: str | None = None
    generates: bool = True

    def operations(self, load: Load) -> tuple[Operation, ...]:
        """What was counted; at another batch all but the weights in proportion to it."""
        factor = load.batch / self.batch
        return self.counted if factor == 1.0 else tuple(_scaled(op, factor) for op in self.counted)

    def with_weight_bits(self, bits: float) -> CountedWork:
        """The same: its bytes were counted."""
        return self

    def with_kv_bits(self, bits: float) -> CountedWork:
        """The same: its bytes were counted."""
        return self

    def stored_bytes(self, load: Load) -> float | None:
        """Not known: what is kept may be more than what a step reads."""
        return None


def _scaled(op: Operation, factor: float) -> Operation:
    return replace(
        op,
        flops=op.flops * factor,
        kv_bytes=op.kv_bytes * factor,
        activation_bytes=op.activation_bytes * factor,
    )
