"""What single cells say: a number, a device, the prose of ncu's own rule, and the columns that name a kernel."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from collectors.marks import phase_of
from collectors.ncu.header import Header
from collectors.ncu.metrics import NAN, Field, Target
from collectors.units import number
from heuristics.ncu_rule import label_of_text
from heuristics.operations import Phase

RULE = "SOLBottleneck"

MOST_DEVICES = 1 << 16

_WAVES = re.compile(r"only (\d+(?:\.\d+)?) full waves")
"""The launch statistics may not be in the file although ncu's own rule quotes them."""

RULE_WAVES = Target(Field.RULE_WAVES, 1.0)


class Kernel(NamedTuple):
    """What the columns say that are the same in all rows of a kernel."""

    name: str
    device: int
    phase: Phase | None
    invocations: float | None = None
    """How many launches a summary's row stands for; None on other pages."""


def figure(text: str) -> float:
    """A cell's number; NaN where it is none."""
    value = number(text)
    return NAN if value is None else value


def device_index(text: str) -> int:
    """A device column's number; 0 where there is none."""
    if text == "0":
        return 0
    value = number(text)
    return int(value) if value is not None and 0 <= value < MOST_DEVICES else 0


@lru_cache(maxsize=1024)
def rule_reading(prose: bytes) -> tuple[str, float]:
    """The label of the rule's prose, "" for prose not known, and the waves that it quotes, NaN if none."""
    text = prose.decode("utf-8", "replace")
    waves = _WAVES.search(text)
    return label_of_text(text) or "", float(waves[1]) if waves is not None else NAN


def kernel_of(header: Header, cells: Sequence[str]) -> Kernel:
    """The kernel that the cells of a long page's row name."""
    return Kernel(
        name=cells[header.name],
        device=device_index(cells[header.device]) if header.device is not None else 0,
        phase=phase_of(" ".join(cells[i] for i in header.nvtx)) if header.nvtx else None,
        invocations=figure(cells[header.invocations]) if header.invocations is not None else None,
    )
