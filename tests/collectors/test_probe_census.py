"""What a step needs, from the operations it ran: tensors that only say where and how large they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count as numbers
from types import SimpleNamespace
from typing import Any

import pytest

from collectors.probe.census import OTHERS, Counted, Ledger, arithmetic, stated
from heuristics.operations import Operation
from heuristics.vocabulary import Dtype

_storages = numbers(1)


@dataclass(kw_only=True)
class Tensor:
    """A tensor of four-byte numbers, or a view of another's storage."""

    shape: tuple[int, ...]
    of: Tensor | None = None
    offset: int = 0
    strides: tuple[int, ...] | None = None
    storage: int = field(default_factory=lambda: next(_storages))
    dtype: str = "torch.float32"
    is_cuda: bool = False

    def __post_init__(self) -> None:
        if self.of is not None:
            self.storage = self.of.storage

    def untyped_storage(self) -> Any:
        whole = self if self.of is None else self.of
        return SimpleNamespace(_cdata=self.storage, nbytes=lambda: 4 * whole.numel())

    def storage_offset(self) -> int:
        return self.offset

    def stride(self) -> tuple[int, ...]:
        if self.strides is not None:
            return self.strides
        found, step = [], 1
        for size in reversed(self.shape):
            found.append(step)
            step *= size
        return tuple(reversed(found))

    def numel(self) -> int:
        whole = 1
        for size in self.shape:
            whole *= size
        return whole

    def element_size(self) -> int:
        return 4


def tensor(*shape: int, of: Tensor | None = None, offset: int = 0) -> Tensor:
    return Tensor(shape=shape, of=of, offset=offset)


def only(ledger: Ledger) -> Operation:
    (found,) = ledger.operations()
    return found


def test_a_product_reads_its_weights_once_and_moves_its_operands() -> None:
    x, w, y = tensor(8, 64), tensor(64, 128), tensor(8, 128)
    ledger = Ledger()
    ledger.enter("mm", [x, w], [y], flops=2.0 * 8 * 64 * 128)
    found = only(ledger)
    assert found.name == "mm 64x128"
    assert found.weight_bytes == 4 * 64 * 128
    assert found.activation_bytes == 4 * (8 * 64 + 8 * 128)
    assert found.kv_bytes == 0


def test_weights_that_two_products_share_stream_once() -> None:
    w = tensor(64, 64)
    ledger = Ledger()
    for _ in range(2):
        ledger.enter("mm", [tensor(8, 64), w], [tensor(8, 64)], flops=1.0)
    assert only(ledger).weight_bytes == 4 * 64 * 64


def test_parts_of_one_storage_never_count_for_more_than_it_holds() -> None:
    whole = tensor(64, 64)
    ledger = Ledger(weights=frozenset({whole.storage}))
    for offset in range(4):
        ledger.enter("mm", [tensor(8, 32), tensor(32, 64, of=whole, offset=offset)], [tensor(8, 64)], flops=1.0)
    assert sum(op.weight_bytes for op in ledger.operations()) == 4 * 64 * 64


def test_what_an_operation_made_is_no_input_of_the_step() -> None:
    x, w = tensor(8, 64), tensor(64, 64)
    made = tensor(8, 64)
    ledger = Ledger(weights=frozenset({w.storage}))
    ledger.enter("mm", [x, w], [made], flops=1.0)
    before = sum(op.bytes for op in ledger.operations())
    ledger.enter("silu", [made], [tensor(8, 64)], flops=0.0)
    assert sum(op.bytes for op in ledger.operations()) == before


def test_a_view_moves_nothing() -> None:
    w = tensor(64, 64)
    ledger = Ledger()
    ledger.enter("t", [w], [tensor(64, 64, of=w)], flops=0.0)
    assert ledger.operations() == ()


def test_a_lookup_reads_the_rows_it_takes() -> None:
    table, rows = tensor(1000, 64), tensor(8, 64)
    ledger = Ledger(weights=frozenset({table.storage}))
    ledger.enter("embedding", [table], [rows], flops=0.0)
    found = only(ledger)
    assert (found.name, found.weight_bytes) == (OTHERS, 4 * 8 * 64)


def test_a_cache_that_the_step_writes_to_is_still_read_from_before() -> None:
    keys, query = tensor(8, 4, 512, 16), tensor(8, 4, 1, 16)
    ledger = Ledger()
    ledger.enter("mm", [tensor(8, 64), tensor(64, 64)], [query], flops=1.0)
    ledger.enter("copy_", [query], [keys], flops=0.0, written=[keys])
    seen = tensor(8, 4, 512, 16, of=keys)
    ledger.enter("_scaled_dot_product_flash_attention", [query, seen, seen], [tensor(8, 4, 1, 16)], flops=1.0)
    attention = next(op for op in ledger.operations() if op.name == "attention")
    assert attention.kv_bytes == 4 * seen.numel()
    assert attention.weight_bytes == 0


def test_what_is_expanded_is_there_once() -> None:
    x = Tensor(shape=(8, 64), strides=(0, 1))
    ledger = Ledger()
    ledger.enter("add", [x], [tensor(8, 64)], flops=0.0)
    assert only(ledger).bytes == 4 * 64


@pytest.mark.parametrize(
    ("dtype", "tf32", "wanted"),
    [
        ("torch.float32", False, Dtype.FP32),
        ("torch.float32", True, Dtype.TF32),
        ("torch.bfloat16", True, Dtype.BF16),
        ("torch.float8_e4m3fn", False, Dtype.FP8),
        ("torch.float64", False, None),
    ],
)
def test_the_arithmetic_follows_from_the_operands(dtype: str, tf32: bool, wanted: Dtype | None) -> None:
    assert arithmetic(dtype, tf32=tf32) is wanted


def test_what_the_caller_states_stands_in_place_of_what_was_counted() -> None:
    counted = Counted(operations=(Operation(name="mm", flops=10.0, weight_bytes=100.0, activation_bytes=5.0),))
    assert stated(counted, None, None) is counted
    less = stated(counted, 20.0, 60.0)
    assert (less.flops, less.bytes) == (20.0, 60.0)
    assert less.operations[0].weight_bytes == 60.0
    more = stated(counted, None, 1000.0)
    assert (more.flops, more.operations[0].weight_bytes, more.bytes) == (10.0, 100.0, 1000.0)
