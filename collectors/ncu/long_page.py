"""Details and summary pages: a row a metric, in the same order for every kernel.

That order is learned from one kernel and, for the next, only its wanted rows are looked at; each must
begin exactly as expected, or the kernel is read row by row and its order learned anew. Rows that are not
wanted are not looked at: ncu states the same metrics for every kernel of a table, only its rules differ.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collectors.ncu.cells import RULE, add_kernel, figure, rule_label
from collectors.ncu.header import Header
from collectors.ncu.metrics import Field, Target, empty_row, put, target
from collectors.ncu.table import KernelTable

SPLIT = '","'
RULE_CELL = f'","{RULE}","'.encode()
MOST_KNOWN = 10_000
MOST_ROWS = 10_000
"""Rows of one kernel beyond which their order is not worth learning; ``--set full`` gives a few hundred."""
QUOTE, NEWLINE = 34, 10

_FIELD = rb'"[^"\n]*(?:""[^"\n]*)*"'
_CELL = re.compile(rb'"([^"]*(?:""[^"]*)*)",')

Wanted = tuple[int, bytes, Target | None]
"""(offset among the kernel's rows, the row's beginning, where its value goes); no target for ncu's own rule."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a kernel's rows looked like: how many, which are wanted, and whether ncu's own rule is among them."""

    rows: int
    wanted: tuple[Wanted, ...]
    ruled: bool

    @classmethod
    def of(cls, rows: int, wanted: Sequence[Wanted]) -> Order:
        """Of rows that state one quantity twice the first stands; cycles are not needed beside a duration."""
        stated = {to.field for _, _, to in wanted if to is not None}
        taken = {Field.CYCLES, Field.CYCLE_RATE} if Field.DURATION in stated else set()
        kept = []
        for item in wanted:
            to = item[2]
            if to is None or to.adds or to.field not in taken:
                kept.append(item)
            if to is not None:
                taken.add(to.field)
        return cls(rows, tuple(kept), any(to is None for _, _, to in kept))


class LongPage:
    """Reads the rows below one header as ncu wrote them; blocks end with a line, not always with a kernel."""

    def __init__(self, header: Header, table: KernelTable) -> None:
        self.table = table
        self.header = header
        self.first = len(header.of_the_kernel)
        self.metric, self.unit = header.columns.index("Metric Name"), header.columns.index("Metric Unit")
        before = header.columns.index(header.value) - self.first
        self.beginning = re.compile(rb'"\d[\d.,]*",(?:%b,){%d}' % (_FIELD, self.first - 1))
        self.before_value = re.compile(rb'(?:%b,){%d}"' % (_FIELD, before))
        self.carried = b""
        self.known: dict[bytes, Target | None] = {}
        self.order: Order | None = None
        self._reset()

    def _reset(self) -> None:
        self.prefix = b""
        self.row = empty_row()
        self.label = ""
        self.seen = 0
        self.sound = False
        self.wanted: list[Wanted] = []

    def take(self, block: bytes) -> int:
        """Read whole lines; returns how many were damaged."""
        if self.carried:
            block, self.carried = self.carried + block, b""
        return self._take(block, at_end=False)

    def _take(self, block: bytes, *, at_end: bool) -> int:
        ends = np.flatnonzero(np.frombuffer(block, np.uint8) == NEWLINE)
        begins = [0, *(ends + 1).tolist()]
        lines = len(begins) - 1
        damaged = 0
        at = 0
        while at < lines:
            begin = begins[at]
            if self.seen and not block.startswith(self.prefix, begin) and self.beginning.match(block, begin):
                self._enter()
            if not self.seen and self.order is not None:
                if not at_end and at + self.order.rows >= lines:
                    self.carried = block[begin:]
                    return damaged
                done = self._as_before(block, begins, at, self.order)
                if done:
                    at += done
                    continue
            damaged += not self._line(block[begin : begins[at + 1] - 1])
            at += 1
        return damaged

    def close(self) -> int:
        """Read what was held back for more; returns how many lines were damaged."""
        held, self.carried = self.carried, b""
        damaged = self._take(held, at_end=True) if held else 0
        self._enter()
        return damaged

    def _enter(self) -> None:
        """Enter the kernel whose rows have come to an end, and learn its order."""
        if self.sound:
            if self.seen <= MOST_ROWS:
                self.order = Order.of(self.seen, self.wanted)
            self._add(self.prefix, self.row, self.label)
        self._reset()

    def _add(self, prefix: bytes, row: list[float], label: str) -> None:
        plain = b'""' not in prefix
        cells = prefix[1:-2].decode("utf-8", "replace").split(SPLIT) if plain else _cells(prefix)
        add_kernel(self.table, self.header, cells, row, label)

    def _as_before(self, block: bytes, begins: list[int], at: int, order: Order) -> int:
        """Take a whole kernel whose rows are ordered as the last one's were; 0 if they are not."""
        prefix = self._prefix_of_all(block, begins, at, order)
        if prefix is None:
            return 0
        row = empty_row()
        label = ""
        length = len(prefix)
        for offset, beginning, to in order.wanted:
            behind = begins[at + offset] + length
            if not block.startswith(beginning, behind):
                return 0
            behind += len(beginning)
            line_end = begins[at + offset + 1] - 1
            if to is None:
                label = label or rule_label(block[behind:line_end].decode("utf-8", "replace"), row)
                continue
            close = block.find(b'"', behind, line_end)
            text = block[behind : max(behind, close)]
            try:
                value = float(text)
            except ValueError:
                value = figure(text.decode("utf-8", "replace"))
            if not math.isfinite(value):
                return 0
            if to.adds:
                put(row, to, value)
            else:
                row[to.field] = value * to.factor
        self._add(prefix, row, label)
        return order.rows

    def _prefix_of_all(self, block: bytes, begins: list[int], at: int, order: Order) -> bytes | None:
        """What opens the next rows, if they are exactly one kernel, and without the rule if the last one had none."""
        end = at + order.rows
        if end > len(begins) - 1:
            return None
        opening = self.beginning.match(block, begins[at])
        if opening is None:
            return None
        prefix, after = opening[0], begins[end]
        if not block.startswith(prefix, begins[end - 1]) or block.startswith(prefix, after):
            return None
        if after < len(block) and block[after] != QUOTE:
            return None
        if not order.ruled and block.find(RULE_CELL, begins[at], after) >= 0:
            return None
        return prefix

    def _line(self, line: bytes) -> bool:
        """One line, in whatever order; False if it is damaged, not if the application printed it."""
        if self.seen and line.startswith(self.prefix):
            return self._tail(line[len(self.prefix) :])
        if not line.startswith(b'"'):
            return True
        found = self.beginning.match(line)
        if found is None:
            return False
        self._enter()
        self.prefix = found[0]
        return self._tail(line[found.end() :])

    def _tail(self, tail: bytes) -> bool:
        """``"Section","Metric","unit","value",``, or a rule's row with more fields behind empty ones."""
        offset = self.seen
        self.seen += 1
        found = self.before_value.match(tail)
        if found is None:
            return False
        to = self._target(found[0])
        if to is None:
            self.sound = True
            self._rule(offset, tail)
            return True
        text, mark, _ = tail[found.end() :].partition(b'"')
        if not mark:
            return False
        self.sound = True
        put(self.row, to, figure(text.decode("utf-8", "replace")))
        if offset < MOST_ROWS:
            self.wanted.append((offset, found[0], to))
        return True

    def _rule(self, offset: int, tail: bytes) -> None:
        """A row without a wanted metric: perhaps that of ncu's own rule."""
        at = tail.find(RULE_CELL)
        if at >= 0:
            end = at + len(RULE_CELL)
            self.label = self.label or rule_label(tail[end:].decode("utf-8", "replace"), self.row)
            if offset < MOST_ROWS:
                self.wanted.append((offset, tail[:end], None))

    def _target(self, beginning: bytes) -> Target | None:
        """Where the value behind a row's beginning goes; None also for the empty metric of a rule."""
        if beginning in self.known:
            return self.known[beginning]
        cells = _cells(beginning)
        found = target(cells[self.metric - self.first], cells[self.unit - self.first])
        if len(self.known) < MOST_KNOWN:
            self.known[beginning] = found
        return found


def _cells(text: bytes) -> list[str]:
    """Quoted cells, each with its comma."""
    return [cell.decode("utf-8", "replace").replace('""', '"') for cell in _CELL.findall(text)]
