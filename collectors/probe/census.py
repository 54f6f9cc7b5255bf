"""FLOPs and bytes of one step, counted while it runs once, operation by operation.

FLOPs are those of torch's own counter, with formulas for what it leaves out: matrix-vector products, and attention on
processors or with fewer heads of keys than of queries. Bytes are a lower bound on what must move: each stretch of a
tensor that was there before the step, read by it, counts once, and of a lookup in a table only the rows it takes;
operands and results of products count as well. What passes between other operations may be fused, and does not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

from heuristics.operations import Operation
from heuristics.vocabulary import Dtype

LOOKUPS = frozenset({"embedding", "index", "index_select", "gather", "take", "_embedding_bag", "embedding_bag"})
"""Operations that read of their first operand only what they return."""
ATTENTION = "scaled_dot_product"
BATCHED = frozenset({"bmm", "baddbmm"})
"""Products of two tensors that both belong to the sequences: what was there before is their cache."""

OTHERS = "other operations"
MOST_KINDS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What one step does. ``dtype`` is the arithmetic of most FLOPs, ``weight_bits`` the mean width of its weights.

    ``how``: counted, or stated by the caller. ``reason`` says why there is nothing, or less than everything.
    """

    operations: tuple[Operation, ...] = ()
    dtype: Dtype | None = None
    weight_bits: float = 16.0
    how: str = "counted"
    reason: str | None = None

    @property
    def flops(self) -> float:
        """Of the step."""
        return sum(op.flops for op in self.operations)

    @property
    def bytes(self) -> float:
        """At least so many must move in the step."""
        return sum(op.bytes for op in self.operations)


@dataclass(slots=True, kw_only=True)
class _Kind:
    """One kind of operation, on one size of weights."""

    flops: float = 0.0
    weight_bytes: float = 0.0
    kv_bytes: float = 0.0
    activation_bytes: float = 0.0


@dataclass(slots=True, kw_only=True)
class Ledger:
    """What operations did so far, by kind; ``weights`` are storages that hold parameters."""

    weights: frozenset[int] = frozenset()
    kinds: dict[str, _Kind] = field(default_factory=dict)
    made: set[int] = field(default_factory=set)
    seen: set[tuple[Any, ...]] = field(default_factory=set)
    left: dict[int, float] = field(default_factory=dict)
    flops_by_dtype: dict[str, float] = field(default_factory=dict)
    parameters: float = 0.0
    parameter_bytes: float = 0.0
    on_gpu: bool = False

    def enter(
        self, name: str, read: Sequence[Any], results: Sequence[Any], flops: float, written: Sequence[Any] = ()
    ) -> None:
        """One operation that ran: tensors it took values from, those it returned, and those it changed in place."""
        before = {storage_of(t) for t in (*read, *written)}
        if results and not flops and not written and all(storage_of(t) in before for t in results):
            return
        outside = [t for t in read if storage_of(t) not in self.made]
        self.made.update(s for t in results if (s := storage_of(t)) not in before)
        kind = self._kind(name, outside, flops)
        whole = name not in LOOKUPS
        largest = max(outside, key=_bytes, default=None)
        for tensor in outside:
            moved = self._unread(tensor, None if whole else sum(map(_bytes, results)))
            self._add(kind, name, tensor, moved, product=flops > 0.0 and tensor is largest)
        if flops:
            kind.flops += flops
            inside = [t for t in read if storage_of(t) in self.made]
            kind.activation_bytes += sum(map(_bytes, [*inside, *results]))
            dtype = str(read[-1].dtype) if read else ""
            self.on_gpu = self.on_gpu or any(t.is_cuda for t in read)
            self.flops_by_dtype[dtype] = self.flops_by_dtype.get(dtype, 0.0) + flops

    def operations(self) -> tuple[Operation, ...]:
        """Those that need anything."""
        found = [
            Operation(
                name=name,
                flops=k.flops,
                weight_bytes=k.weight_bytes,
                kv_bytes=k.kv_bytes,
                activation_bytes=k.activation_bytes,
            )
            for name, k in self.kinds.items()
        ]
        return tuple(op for op in found if op.flops or op.bytes)

    def _kind(self, name: str, outside: Sequence[Any], flops: float) -> _Kind:
        title = OTHERS
        if flops and ATTENTION in name:
            title = "attention"
        elif flops:
            largest = max(outside, key=_bytes, default=None)
            size = "" if largest is None else " " + "x".join(map(str, largest.shape))
            title = f"{name}{size}"
        if title not in self.kinds and len(self.kinds) >= MOST_KINDS:
            title = "other products" if flops else OTHERS
        return self.kinds.setdefault(title, _Kind())

    def _unread(self, tensor: Any, most: float | None) -> float:
        """Bytes of a tensor that were not read before in this step, within what its storage holds."""
        stretch = (storage_of(tensor), tensor.storage_offset(), tuple(tensor.shape), tuple(sorted(tensor.stride())))
        if most is None and stretch in self.seen:
            return 0.0
        self.seen.add(stretch)
        left = self.left.setdefault(stretch[0], float(tensor.untyped_storage().nbytes()))
        moved = min(left, _bytes(tensor) if most is None else min(most, _bytes(tensor)))
        self.left[stretch[0]] = left - moved
        return moved

    def _add(self, kind: _Kind, name: str, tensor: Any, moved: float, *, product: bool) -> None:
        weight = storage_of(tensor) in self.weights
        if not weight and (ATTENTION in name or name in BATCHED):
            kind.kv_bytes += moved
        elif weight or (product and not self.weights):
            kind.weight_bytes += moved
            self.parameters += moved / tensor.element_size()
            self.parameter_bytes += moved
        else:
            kind.activation_bytes += moved


def storage_of(tensor: Any) -> int:
    """What tells storages apart while they live."""
    return int(tensor.untyped_storage()._cdata)


def _bytes(tensor: Any) -> float:
    """Bytes of a tensor's distinct elements: what is expanded is there once."""
    elements = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        elements *= size if stride else 1
    return float(elements * tensor.element_size()) if tensor.numel() else 0.0


def count(torch: Any, run: Any, module: Any = None) -> Counted:
    """One step, run once and counted; where that cannot be, with the reason."""
    ledger = Ledger(weights=frozenset(storage_of(t) for t in _tensors_of(module)))
    try:
        _watched(torch, run, ledger)
    except Exception as error:
        return Counted(reason=f"counting failed: {type(error).__name__}: {str(error).strip()[:200]}")
    operations = ledger.operations()
    if not sum(op.flops for op in operations):
        return Counted(
            operations=operations, reason="no product was seen: does the step replay a graph, or call code of its own?"
        )
    dtype = max(ledger.flops_by_dtype, key=lambda name: ledger.flops_by_dtype[name])
    return Counted(
        operations=operations,
        dtype=arithmetic(dtype, tf32=_multiplies_tf32(torch, dtype, ledger)),
        weight_bits=8.0 * ledger.parameter_bytes / ledger.parameters if ledger.parameters else 16.0,
    )


def stated(found: Counted, flops: float | None, moved: float | None) -> Counted:
    """The count with what the caller knows better in its place, then as one operation."""
    if flops is None and moved is None:
        return found
    needed = found.bytes if moved is None else moved
    weights = min(needed, sum(op.weight_bytes for op in found.operations) or needed)
    step = Operation(
        name="step",
        flops=found.flops if flops is None else flops,
        weight_bytes=weights,
        activation_bytes=needed - weights,
    )
    return replace(found, operations=(step,), how="stated", reason=None if flops else found.reason)


def arithmetic(dtype: str, *, tf32: bool = False) -> Dtype | None:
    """What multiplies operands of a type of torch's; of FP32 on a CUDA device that may be ``tf32``."""
    name = dtype.removeprefix("torch.")
    if name == "float32" and tf32:
        return Dtype.TF32
    found = {"float32": Dtype.FP32, "bfloat16": Dtype.BF16, "float16": Dtype.FP16, "int8": Dtype.INT8}.get(name)
    if found is None and name.startswith("float8"):
        return Dtype.FP8
    return found


def _multiplies_tf32(torch: Any, dtype: str, ledger: Ledger) -> bool:
    return ledger.on_gpu and dtype == "torch.float32" and torch.get_float32_matmul_precision() != "highest"


def _tensors_of(module: Any) -> Iterator[Any]:
    if module is not None:
        yield from module.parameters()
        yield from module.buffers()


def _watched(torch: Any, run: Any, ledger: Ledger) -> None:
    modes: Any = import_module("torch.utils._python_dispatch")
    counters: Any = import_module("torch.utils.flop_counter")
    counter = counters.FlopCounterMode(display=False, custom_mapping=_formulas(torch))

    class Watch(modes.TorchDispatchMode):  # type: ignore[misc]
        """Sees every operation on its way to the counter."""

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            before = counter.get_total_flops()
            out = func(*args, **(kwargs or {}))
            changed = {id(a) for a, spec in zip(args, func._schema.arguments, strict=False) if _is_written(spec)}
            given = [(id(a) in changed, t) for a in (*args, *(kwargs or {}).values()) for t in _flat(torch, a)]
            ledger.enter(
                func._schema.name.split("::")[-1],
                [t for written, t in given if not written],
                list(_flat(torch, out)),
                float(counter.get_total_flops() - before),
                [t for written, t in given if written],
            )
            return out

    with torch.no_grad(), counter, Watch():
        run()


def _is_written(argument: Any) -> bool:
    return argument.alias_info is not None and argument.alias_info.is_write


def _flat(torch: Any, value: Any) -> Iterator[Any]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _flat(torch, each)


def _formulas(torch: Any) -> dict[Any, Any]:
    """FLOPs of what torch's counter does not know, or refuses to count with grouped heads."""
    aten = torch.ops.aten

    def vector(matrix: Any, vec: Any, *rest: Any, **options: Any) -> int:
        return 2 * int(matrix[0]) * int(matrix[1])

    def added(bias: Any, matrix: Any, vec: Any, *rest: Any, **options: Any) -> int:
        return 2 * int(matrix[0]) * int(matrix[1])

    def attention(query: Any, key: Any, value: Any, *rest: Any, **options: Any) -> int:
        sequences, heads, queries, width = (int(n) for n in query)
        return 2 * sequences * heads * queries * int(key[2]) * (width + int(value[3]))

    formulas: dict[str, Any] = {
        "mv": vector,
        "addmv": added,
        "_scaled_dot_product_flash_attention_for_cpu": attention,
        "_scaled_dot_product_flash_attention": attention,
        "_scaled_dot_product_efficient_attention": attention,
        "_scaled_dot_product_cudnn_attention": attention,
    }
    return {getattr(aten, name): formula for name, formula in formulas.items() if hasattr(aten, name)}
