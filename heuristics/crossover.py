"""The batch at which decoding turns from bandwidth-bound to compute-bound, exactly, or why it never does.

FLOPs grow with the batch B as f·B; of the bytes, weights w(B) stay (or grow to a limit, where more tokens touch more
experts), and activations and KV cache grow as a·B. Intensity meets the ridge I* where f·B = I*·(w(B) + a·B). With
constant w that is B* = I*·w ÷ (f − I*·a), and it never does where f ≤ I*·a.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from heuristics.operations import Load, Operation, Phase
from heuristics.vocabulary import Dtype
from heuristics.work import ALL_EXPERTS, Work

HALVINGS = 200
LEAST_BATCH = 1e-9

STORED_BITS = (16.0, 8.0, 4.0)
ARITHMETIC_BITS = {
    Dtype.FP32: 32.0,
    Dtype.TF32: 32.0,
    Dtype.BF16: 16.0,
    Dtype.FP16: 16.0,
    Dtype.FP8: 8.0,
    Dtype.INT8: 8.0,
    Dtype.FP4: 4.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossover:
    """A batch, above which arithmetic binds; None with the reason where there is none."""

    batch: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthCrossover:
    """The crossover of the linear layers for one arithmetic type and one width of stored weights."""

    dtype: Dtype
    weight_bits: float
    ridge_flops_per_byte: float
    crossover: Crossover


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How operations grow with the batch: FLOPs and cache or activation bytes a sequence, weight bytes a step."""

    flops: float
    moved_bytes: float
    kv_bytes: float
    weight_bytes: Callable[[float], float]

    @property
    def most_weight_bytes(self) -> float:
        """Those of a batch that touches every expert."""
        return self.weight_bytes(ALL_EXPERTS)

    @property
    def limit_flops_per_byte(self) -> float | None:
        """The intensity that a growing batch tends to; None where nothing but weights is moved."""
        return self.flops / self.moved_bytes if self.moved_bytes > 0 else None


def growth(work: Work, load: Load, chosen: Callable[[Operation], bool] = lambda _: True) -> Growth:
    """The growth of the chosen operations in decode at the load's context."""

    def at(batch: float) -> Sequence[Operation]:
        decode = replace(load, phase=Phase.DECODE, batch=batch, prefill_tokens=0.0)
        return [op for op in work.operations(decode) if chosen(op)]

    one = at(1.0)
    return Growth(
        flops=sum(op.flops for op in one),
        moved_bytes=sum(op.kv_bytes + op.activation_bytes for op in one),
        kv_bytes=sum(op.kv_bytes for op in one),
        weight_bytes=lambda batch: sum(op.weight_bytes for op in at(batch)),
    )


def crossover(found: Growth, ridge_flops_per_byte: float) -> Crossover:
    """Where the intensity of so growing work meets the ridge."""
    most, ridge = found.most_weight_bytes, ridge_flops_per_byte
    room = found.flops - ridge * found.moved_bytes
    if most <= 0.0:
        if room > 0.0:
            return Crossover(batch=None, reason="never: compute-bound at any batch alike")
        limit = found.limit_flops_per_byte or 0.0
        return Crossover(batch=None, reason=f"never: {limit:.3g} FLOP/byte at any batch, the ridge is {ridge:.3g}")
    if room <= 0.0:
        what = "KV cache" if found.kv_bytes > 0.5 * found.moved_bytes else "activations"
        return Crossover(
            batch=None,
            reason=f"never: the {what} of each sequence keeps it at {found.limit_flops_per_byte or 0.0:.3g} FLOP/byte "
            f"at most, the ridge is {ridge:.3g}",
        )
    high = ridge * most / room
    if found.weight_bytes(1.0) == most:
        return Crossover(batch=high)
    low = LEAST_BATCH
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        below = room * middle < ridge * found.weight_bytes(middle)
        low, high = (middle, high) if below else (low, middle)
    return Crossover(batch=high)


def step_crossover(work: Work, load: Load, ridge_flops_per_byte: float) -> Crossover:
    """The whole step's: all its FLOPs over all its bytes against the ridge."""
    return crossover(growth(work, load), ridge_flops_per_byte)


def operation_crossovers(work: Work, load: Load, ridge_flops_per_byte: float) -> tuple[tuple[str, Crossover], ...]:
    """Each operation's own, by name, in the order of the step."""
    decode = replace(load, phase=Phase.DECODE, prefill_tokens=0.0)
    names = [op.name for op in work.operations(decode)]
    return tuple((name, crossover(growth(work, load, _named(name)), ridge_flops_per_byte)) for name in names)


def width_crossovers(
    work: Work, load: Load, bandwidth_bytes_per_s: float, flops_per_s: Sequence[tuple[Dtype, float]]
) -> tuple[WidthCrossover, ...]:
    """The linear layers' for each arithmetic type and each width of weights no wider; types alike count once."""
    found, seen = [], set()
    for dtype, peak in flops_per_s:
        alike = (ARITHMETIC_BITS[dtype], peak)
        if alike in seen:
            continue
        seen.add(alike)
        for bits in STORED_BITS:
            if bits <= ARITHMETIC_BITS[dtype] <= 16.0:
                ridge = peak / bandwidth_bytes_per_s
                linear = growth(work.with_weight_bits(bits), load, _is_linear)
                found.append(
                    WidthCrossover(
                        dtype=dtype, weight_bits=bits, ridge_flops_per_byte=ridge, crossover=crossover(linear, ridge)
                    )
                )
    return tuple(found)


def _named(name: str) -> Callable[[Operation], bool]:
    return lambda op: op.name == name


def _is_linear(op: Operation) -> bool:
    return op.weight_bytes > 0
