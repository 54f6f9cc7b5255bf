"""Counted work: itself at the batch it ran at, in proportion elsewhere but for the weights."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heuristics.counted_work import CountedWork
from heuristics.operations import Load, Operation

STEP = (
    Operation(name="mm", flops=8e9, weight_bytes=1e9, activation_bytes=1e6),
    Operation(name="attention", flops=1e9, kv_bytes=4e9),
)
WORK = CountedWork(counted=STEP, batch=8.0)


def test_at_its_own_batch_it_is_what_was_counted() -> None:
    assert WORK.operations(Load(batch=8.0, context_tokens=512.0)) is STEP
    assert WORK.with_weight_bits(4.0) is WORK
    assert WORK.stored_bytes(Load()) is None


@given(batch=st.floats(0.5, 1e4))
def test_weights_stay_and_everything_else_grows(batch: float) -> None:
    found = WORK.operations(Load(batch=batch))
    for before, after in zip(STEP, found, strict=True):
        assert after.weight_bytes == before.weight_bytes
        for name in ("flops", "kv_bytes", "activation_bytes"):
            assert abs(getattr(after, name) - getattr(before, name) * batch / 8.0) <= 1e-9 * getattr(after, name)
