"""What single cells say: a number, a device, the prose of ncu's own rule, and the columns that name a kernel."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from collectors.marks import phase_of
from collectors.ncu.header import Header
from collectors.ncu.metrics import NAN, Field, Target, put
from collectors.ncu.table import KernelTable
from collectors.units import number
from heuristics.ncu_rule import label_of_text

RULE = "SOLBottleneck"

_WAVES = re.compile(r"only (\d+(?:\.\d+)?) full waves")
"""The launch statistics may not be in the file although ncu's own rule quotes them."""

_RULE_WAVES = Target(Field.RULE_WAVES, 1.0)


def figure(text: str) -> float:
    """A cell's number; NaN where it is none."""
    value = number(text)
    return NAN if value is None else value


def device_index(text: str) -> int:
    """A device column's number; 0 where there is none."""
    if text == "0":
        return 0
    value = number(text)
    return int(value) if value is not None and 0 <= value < 1 << 16 else 0


def rule_label(prose: str, row: list[float]) -> str:
    """The label of the rule's prose; the waves it quotes go into the row."""
    label, waves = _reading(prose)
    put(row, _RULE_WAVES, waves)
    return label


@lru_cache(maxsize=1024)
def _reading(prose: str) -> tuple[str, float]:
    waves = _WAVES.search(prose)
    return label_of_text(prose) or "", float(waves[1]) if waves is not None else NAN


def add_kernel(table: KernelTable, header: Header, cells: Sequence[str], row: list[float], label: str) -> None:
    """Enter a kernel of a long page: its row, and what the columns say that are the same in all its rows."""
    if header.invocations is not None:
        row[Field.INVOCATIONS] = figure(cells[header.invocations])
    index = device_index(cells[header.device]) if header.device is not None else 0
    phase = phase_of(" ".join(cells[i] for i in header.nvtx)) if header.nvtx else None
    table.add(cells[header.name], index, row, label, phase)
