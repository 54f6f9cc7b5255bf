"""Details and summary pages: a row a metric, in the same order for every kernel.

That order is learned from one kernel and, for the next, only its wanted rows are looked at; each must
begin exactly as expected, or the kernel is read row by row and its order learned anew.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from collectors.marks import phase_of
from collectors.ncu.header import Header
from collectors.ncu.metrics import NAN, Field, Target, empty_row, put, target
from collectors.ncu.table import KernelTable
from collectors.units import number
from heuristics.ncu_rule import label_of_text

SPLIT = '","'
RULE_ROW = '","","","'
MOST_KNOWN = 50_000
QUOTE, NEWLINE = 34, 10

_WAVES = re.compile(r"only (\d+(?:\.\d+)?) full waves")
"""The launch statistics may not be in the file although ncu's own rule quotes them."""

Wanted = tuple[int, bytes, Target | None]
"""(offset among the kernel's rows, the row's beginning, where its value goes); no target for ncu's own rule."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a kernel's rows looked like: how many, and which of them are wanted."""

    rows: int
    wanted: tuple[Wanted, ...]

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
        return cls(rows, tuple(kept))


class LongPage:
    """Reads the rows below one header; blocks end with a line, not always with a kernel."""

    def __init__(self, header: Header, table: KernelTable) -> None:
        self.table = table
        self.header = header
        section = header.at("Section Name")
        self.first = section if section is not None else header.columns.index("Metric Name")
        self.beginning = re.compile(rb'(?:"[^"]*(?:""[^"]*)*",){%d}' % self.first)
        self.is_summary = header.at("Metric Value") is None
        self.name = header.columns.index("Kernel Name")
        self.device = header.at("Device")
        self.carried = b""
        self.known: dict[str, Target | None] = {}
        self.order: Order | None = None
        self._reset()

    def _reset(self) -> None:
        self.prefix = b""
        self.fields: list[str] = []
        self.row = empty_row()
        self.label = ""
        self.seen = 0
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
            if self.seen and self.prefix and block[begin] == QUOTE and not block.startswith(self.prefix, begin):
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
        if self.seen:
            if self.prefix:
                self.order = Order.of(self.seen, self.wanted)
            self._add(self.fields, self.row, self.label)
        self._reset()

    def _add(self, fields: list[str], row: list[float], label: str) -> None:
        device = device_index(fields[self.device]) if self.device is not None else 0
        phase = phase_of(" ".join(fields[i] for i in self.header.nvtx)) if self.header.nvtx else None
        self.table.add(fields[self.name], device, row, label, phase)

    def _as_before(self, block: bytes, begins: list[int], at: int, order: Order) -> int:
        """Take a whole kernel whose rows are ordered as the last one's were; 0 if they are not."""
        end = at + order.rows
        if end > len(begins) - 1:
            return 0
        begin = begins[at]
        opening = self.beginning.match(block, begin)
        if opening is None:
            return 0
        prefix = opening[0]
        if not block.startswith(prefix, begins[end - 1]) or block.startswith(prefix, begins[end]):
            return 0
        row = empty_row()
        label = ""
        length = len(prefix)
        for offset, beginning, to in order.wanted:
            behind = begins[at + offset] + length
            if not block.startswith(beginning, behind):
                return 0
            behind += len(beginning)
            if to is None:
                label = label or _rule(block[behind : begins[at + offset + 1]].decode("utf-8", "replace"), row)
                continue
            text = block[behind : block.find(b'"', behind)]
            try:
                value = float(text)
            except ValueError:
                value = _number(text)
            if to.adds:
                put(row, to, value)
            else:
                row[to.field] = value * to.factor
        self._add(self._fields(prefix), row, label)
        return order.rows

    def _line(self, line: bytes) -> bool:
        """One line, in whatever order; False if it is damaged."""
        if self.prefix and line.startswith(self.prefix):
            return self._tail(line[len(self.prefix) :].decode("utf-8", "replace"))
        if not line.startswith(b'"'):
            return self._cells(line) if line.count(b",") >= len(self.header.columns) - 6 else True
        self._enter()
        found = self.beginning.match(line)
        if found is None:
            return False
        self._open(found[0])
        return self._tail(line[found.end() :].decode("utf-8", "replace"))

    def _open(self, prefix: bytes) -> None:
        self.prefix = prefix
        self.fields = self._fields(prefix)
        if self.is_summary and (at := self.header.at("Invocations")) is not None:
            invocations = number(self.fields[at])
            if invocations is not None:
                self.row[Field.INVOCATIONS] = invocations

    def _fields(self, prefix: bytes) -> list[str]:
        text = prefix.decode("utf-8", "replace")
        return text[1:-2].split(SPLIT) if '""' not in text else next(csv.reader([text]))[: self.first]

    def _tail(self, tail: str) -> bool:
        """``"Section","Metric","unit","value",``, or a rule's row with more fields behind empty ones."""
        offset = self.seen
        self.seen += 1
        rule = tail.find(RULE_ROW, 0, 80)
        if rule >= 0:
            if '"SOLBottleneck"' in tail:
                self.wanted.append((offset, tail[: rule + len(RULE_ROW)].encode(), None))
                self.label = self.label or _rule(tail, self.row)
            return True
        beginning = self._beginning_of_value(tail)
        if beginning is None:
            return False
        to = self._target(beginning)
        if to is None:
            return True
        self.wanted.append((offset, beginning.encode(), to))
        return _put_first(self.row, to, tail[len(beginning) :])

    def _beginning_of_value(self, tail: str) -> str | None:
        """Everything up to the value's first digit; in a summary the value is the average, the last field."""
        end = tail.rstrip(",").rfind(SPLIT)
        return None if end < 0 else tail[: end + len(SPLIT)]

    def _target(self, beginning: str) -> Target | None:
        if beginning in self.known:
            return self.known[beginning]
        parts = beginning.removeprefix('"').removesuffix(SPLIT).split(SPLIT)
        parts = parts[:-2] if self.is_summary else parts
        found = target(parts[-2], parts[-1]) if len(parts) >= 2 else None
        if len(self.known) < MOST_KNOWN:
            self.known[beginning] = found
        return found

    def _cells(self, line: bytes) -> bool:
        """A line that is not quoted throughout: some other program has rewritten the file."""
        try:
            cells = next(csv.reader([line.decode("utf-8", "replace")]), [])
        except csv.Error:
            return False
        value = self.header.at("Average" if self.is_summary else "Metric Value")
        if value is None or len(cells) <= value:
            return False
        if cells[: self.first] != self.fields:
            self._enter()
            self.fields = cells[: self.first]
        self.seen += 1
        name, unit = self.header.columns.index("Metric Name"), self.header.columns.index("Metric Unit")
        to = target(cells[name], cells[unit])
        figure = number(cells[value])
        if to is not None and figure is not None:
            put(self.row, to, figure)
        return True


def _put_first(row: list[float], to: Target, tail: str) -> bool:
    """Enter the value at the beginning of ``12.3",``; False if the field does not end there."""
    text, mark, _ = tail.partition('"')
    if not mark:
        return False
    figure = number(text)
    if figure is not None:
        put(row, to, figure)
    return True


def _rule(text: str, row: list[float]) -> str:
    """The label of a rule's prose; the waves it quotes go into the row."""
    label, waves = _reading(text)
    if waves is not None and math.isnan(row[Field.WAVES]):
        row[Field.WAVES] = waves
    return label


@lru_cache(maxsize=1024)
def _reading(text: str) -> tuple[str, float | None]:
    waves = _WAVES.search(text)
    return label_of_text(text) or "", float(waves[1]) if waves is not None else None


def _number(text: bytes) -> float:
    value = number(text.decode("utf-8", "replace"))
    return NAN if value is None else value


def device_index(text: str) -> int:
    """A device column's number; 0 where there is none."""
    if text == "0":
        return 0
    figure = number(text)
    return int(figure) if figure is not None and 0 <= figure < 1 << 16 else 0
