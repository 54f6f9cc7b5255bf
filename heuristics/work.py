"""What a step does, stated by numbers: a model's shape, so many parameters, one linear layer, or any kernel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from heuristics.errors import UnusableModel
from heuristics.model_shape import Experts, ModelShape
from heuristics.operations import Load, Operation, step_operations
from heuristics.roofline import linear_bytes, linear_flops

ALL_EXPERTS = 1e9
"""Tokens that touch every expert there is."""


class Work(Protocol):
    """Operations at a load, and what is stored. Bytes and FLOPs are one device's."""

    def __hash__(self) -> int:
        """Works that are equal do the same."""

    @property
    def name(self) -> str | None:
        """What to call it."""

    @property
    def weight_bits(self) -> float:
        """Bits of a stored weight."""

    @property
    def generates(self) -> bool:
        """A step of it makes tokens, so that tokens a second mean something."""

    def operations(self, load: Load) -> tuple[Operation, ...]:
        """Every operation of one step."""

    def with_weight_bits(self, bits: float) -> Work:
        """The same with weights of another width."""

    def with_kv_bits(self, bits: float) -> Work:
        """The same with a KV cache of another width, where it has one."""

    def stored_bytes(self, load: Load) -> float | None:
        """Weights that one device keeps; None where that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelWork:
    """A whole decoder, from its shape."""

    shape: ModelShape
    generates: bool = True

    @property
    def name(self) -> str | None:
        """The model's name."""
        return self.shape.name

    @property
    def weight_bits(self) -> float:
        """Bits of a weight of the layers."""
        return self.shape.weight_bits

    def operations(self, load: Load) -> tuple[Operation, ...]:
        """Every operation of one step."""
        return step_operations(self.shape, load)

    def with_weight_bits(self, bits: float) -> ModelWork:
        """The same with the layers' weights, experts' too, of another width; the head keeps its own."""
        shape = self.shape
        return ModelWork(
            shape=replace(
                shape,
                weight_bits=bits,
                head_weight_bits=shape.head_weight_bits or shape.weight_bits,
                experts=None if shape.experts is None else replace(shape.experts, weight_bits=None),
            )
        )

    def with_kv_bits(self, bits: float) -> ModelWork:
        """The same with a KV cache of another width."""
        return ModelWork(shape=replace(self.shape, kv_bits=bits))

    def stored_bytes(self, load: Load) -> float | None:
        """What is streamed when every expert is touched, and an untied embedding."""
        everything = step_operations(self.shape, replace(load, phase=_DECODE.phase, batch=ALL_EXPERTS))
        bits = self.shape.head_weight_bits or self.shape.weight_bits
        embedding = 0.0 if self.shape.tied_embedding else self.shape.hidden_size * self.shape.vocab_size * bits / 8.0
        return sum(op.weight_bytes for op in everything) + embedding / load.tensor_parallel


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedWork:
    """So many parameters streamed a step, and a KV cache where ``attention`` gives its shape.

    ``active_parameters`` are those a token passes. With ``experts``, as (count, chosen by a token), a step streams
    what all tokens pass and the experts they touch; without, all ``parameters`` whatever the batch.
    """

    parameters: float
    active_parameters: float
    weight_bits: float
    attention: ModelShape | None = None
    experts: tuple[int, int] | None = None
    name: str | None = None
    generates: bool = True

    def __post_init__(self) -> None:
        if self.active_parameters > self.parameters:
            raise UnusableModel("more parameters are active than there are", hint="--params is the larger number")

    def operations(self, load: Load) -> tuple[Operation, ...]:
        """The product with the weights, and attention."""
        split = load.tensor_parallel
        weights = Operation(
            name="weights",
            flops=2.0 * self.active_parameters * load.tokens / split,
            weight_bytes=self._streamed(load.tokens) * self.weight_bits / 8.0 / split,
        )
        if self.attention is None:
            return (weights,)
        attention = next(op for op in step_operations(self.attention, load) if op.name == "attention")
        return (weights, replace(attention, activation_bytes=0.0))

    def with_weight_bits(self, bits: float) -> StreamedWork:
        """The same with weights of another width."""
        return replace(self, weight_bits=bits)

    def with_kv_bits(self, bits: float) -> StreamedWork:
        """The same with a KV cache of another width."""
        return self if self.attention is None else replace(self, attention=replace(self.attention, kv_bits=bits))

    def stored_bytes(self, load: Load) -> float | None:
        """All parameters."""
        return self.parameters * self.weight_bits / 8.0 / load.tensor_parallel

    def _streamed(self, tokens: float) -> float:
        if self.experts is None:
            return self.parameters
        count, chosen = self.experts
        if chosen == count:
            return self.parameters
        routed = (self.parameters - self.active_parameters) / (1.0 - chosen / count)
        if routed > self.parameters:
            raise UnusableModel(
                f"{self.active_parameters:.3g} active of {self.parameters:.3g} parameters is less than {chosen} of "
                f"{count} experts would be",
                hint="--active-params counts the chosen experts and all that every token passes",
            )
        mixture = Experts(count=count, per_token=chosen, intermediate_size=1, layers=1)
        return self.parameters - routed + routed * mixture.expected_distinct(tokens) / count


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerWork:
    """One linear layer W[rows, columns] · X[columns, tokens]."""

    rows: int
    columns: int
    weight_bits: float
    activation_bits: float = 16.0
    generates: bool = False

    @property
    def name(self) -> str | None:
        """Its dimensions."""
        return f"linear {self.rows}x{self.columns}"

    def operations(self, load: Load) -> tuple[Operation, ...]:
        """The one product."""
        size, split = (self.rows, self.columns, load.tokens), load.tensor_parallel
        weights = linear_bytes(*size, self.weight_bits / 8.0, 0.0)
        moved = linear_bytes(*size, 0.0, self.activation_bits / 8.0)
        return (
            Operation(
                name=self.name or "",
                flops=linear_flops(*size) / split,
                weight_bytes=weights / split,
                activation_bytes=moved / split,
            ),
        )

    def with_weight_bits(self, bits: float) -> LayerWork:
        """The same with weights of another width."""
        return replace(self, weight_bits=bits)

    def with_kv_bits(self, bits: float) -> LayerWork:
        """The same: it has no cache."""
        return self

    def stored_bytes(self, load: Load) -> float | None:
        """Its weights."""
        return self.rows * self.columns * self.weight_bits / 8.0 / load.tensor_parallel


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelWork:
    """Any kernel whose FLOPs and bytes are known."""

    flops: float
    bytes: float
    weight_bits: float = 16.0
    name: str | None = "kernel"
    generates: bool = False

    def operations(self, load: Load) -> tuple[Operation, ...]:
        """The kernel, whatever the load."""
        return (Operation(name="kernel", flops=self.flops, activation_bytes=self.bytes),)

    def with_weight_bits(self, bits: float) -> KernelWork:
        """The same: its bytes are stated."""
        return self

    def with_kv_bits(self, bits: float) -> KernelWork:
        """The same: its bytes are stated."""
        return self

    def stored_bytes(self, load: Load) -> float | None:
        """Not known."""
        return None


_DECODE = Load()
