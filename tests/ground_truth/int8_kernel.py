"""y = x · Wᵀ with INT8 weights and a scale a row, for one token: each weight is read once and unpacked on its way."""

from __future__ import annotations

from importlib import import_module
from typing import Any

torch: Any = import_module("torch")
triton: Any = import_module("triton")
tl: Any = import_module("triton.language")


@triton.jit
def _rows(x, matrix, scale, out, columns, ROWS: tl.constexpr, WIDTH: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: N803
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    total = tl.zeros((ROWS, WIDTH), dtype=tl.float32)
    for start in range(0, columns, WIDTH):
        places = start + tl.arange(0, WIDTH)
        weights = tl.load(matrix + rows[:, None] * columns + places[None, :])
        values = tl.load(x + places)
        total += weights.to(tl.float32) * values.to(tl.float32)[None, :]
    found = tl.sum(total, axis=1) * tl.load(scale + rows).to(tl.float32)
    tl.store(out + rows, found.to(tl.bfloat16))


def product(x: Any, matrix: Any, scale: Any) -> Any:
    """x of shape (1, columns), matrix (rows, columns) in INT8, scale (rows,): (1, rows) in BF16."""
    rows, columns = matrix.shape
    out = torch.empty(1, rows, device=x.device, dtype=torch.bfloat16)
    _rows[(rows // 4,)](x, matrix, scale, out, columns, ROWS=4, WIDTH=1024)
    return out
