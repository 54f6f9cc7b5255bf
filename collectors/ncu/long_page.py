"""Details and summary pages: a row a metric, in the same order for every kernel.

That order is learned from one kernel and, for the next, only its wanted rows are looked at; each must
begin exactly as expected, or the kernel is read row by row and its order learned anew. Rows that are not
wanted are not looked at: ncu states the same metrics for every kernel of a table, only its rules differ.
Kernels in the same order wait until the block ends or the order changes, and are entered together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from collectors.ncu.cells import RULE, RULE_WAVES, Kernel, figure, kernel_of, rule_reading
from collectors.ncu.figures import figures_at, joined
from collectors.ncu.header import QUOTE, Header
from collectors.ncu.lines import NO_LINES, Lines
from collectors.ncu.metrics import Field, Target, empty_row, put, target
from collectors.ncu.table import KernelTable
from heuristics.arrays import Array, Flags

SPLIT = '","'
RULE_CELL = f'","{RULE}","'.encode()
MOST_KNOWN = 10_000
MOST_ROWS = 10_000
"""Rows of one kernel beyond which their order is not worth learning; ``--set full`` gives a few hundred."""
COMMA = 44

_FIELD = rb'"[^"\n]*(?:""[^"\n]*)*"'
_CELL = re.compile(rb'"([^"]*(?:""[^"]*)*)",')


class Wanted(NamedTuple):
    """A row of every kernel: which one, how it begins, and how much of the line follows the value.

    It begins with everything between the kernel's columns and the value.
    """

    offset: int
    beginning: bytes
    behind: int
    to: Target


class Order:
    """What a kernel's rows looked like: how many, how the first one begins, which are wanted, where the rule is.

    Of rows that state one quantity twice the first stands; cycles are not needed beside a duration.
    ``doubtful``: by wanted row, whether another one would stand in for it if it stated nothing.
    """

    def __init__(self, rows: int, opening: bytes, wanted: Sequence[Wanted], rule: tuple[int, bytes] | None) -> None:
        self.rows = rows
        self.opening = opening
        self.rule = rule
        by_cycles = {Field.CYCLES, Field.CYCLE_RATE} if any(w.to.field == Field.DURATION for w in wanted) else set()
        taken = set(by_cycles)
        self.wanted: list[Wanted] = []
        twice: set[Field] = {Field.DURATION} if by_cycles else set()
        for item in wanted:
            if item.to.adds or item.to.field not in taken:
                self.wanted.append(item)
            else:
                twice.add(item.to.field)
            taken.add(item.to.field)
        self.doubtful = np.array([w.to.field in twice for w in self.wanted], bool)
        self.offsets = np.array([w.offset for w in self.wanted], np.intp)
        self.sizes = np.array([len(w.beginning) for w in self.wanted], np.intp)
        self.behind = np.array([w.behind for w in self.wanted], np.intp)
        self.beginnings = [(w.offset, w.beginning) for w in self.wanted]
        if rule is not None:
            self.beginnings.append(rule)


@dataclass(slots=True)
class Alike:
    """Kernels of one block in one order: the line each begins with, the length of its columns, and who it is."""

    first: list[int] = field(default_factory=list)
    length: list[int] = field(default_factory=list)
    kernels: list[Kernel] = field(default_factory=list)


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
        self.carried = NO_LINES
        self.known: dict[bytes, Target | None] = {}
        self.kernels: dict[bytes, Kernel] = {}
        self.order: Order | None = None
        self.alike = Alike()
        self._reset()

    def _reset(self) -> None:
        self.prefix = b""
        self.row = empty_row()
        self.label = ""
        self.seen = 0
        self.sound = False
        self.opening = b""
        self.wanted: list[Wanted] = []
        self.rule: tuple[int, bytes] | None = None

    def take(self, lines: Lines) -> int:
        """Read whole lines; returns how many were damaged."""
        held, self.carried = self.carried, NO_LINES
        return self._take(lines.after(held), at_end=False)

    def _take(self, lines: Lines, *, at_end: bool) -> int:
        block, begins, count = lines.text, lines.begins.tolist(), len(lines)
        damaged = 0
        at = 0
        while at < count:
            begin = begins[at]
            if self.seen and not block.startswith(self.prefix, begin) and self.beginning.match(block, begin):
                self._enter()
            if not self.seen and self.order is not None:
                if not at_end and at + self.order.rows >= count:
                    self.carried = lines.part(at)
                    break
                if self._as_before(block, begins, at, self.order):
                    at += self.order.rows
                    continue
                self._enter_alike(block, begins)
            damaged += not self._line(block[begin : begins[at + 1] - 1])
            at += 1
        self._enter_alike(block, begins)
        return damaged

    def close(self) -> int:
        """Read what was held back for more; returns how many lines were damaged."""
        held, self.carried = self.carried, NO_LINES
        damaged = self._take(held, at_end=True)
        self._enter()
        return damaged

    def _enter(self) -> None:
        """Enter the kernel whose rows have come to an end, and learn its order."""
        if self.sound:
            if self.seen <= MOST_ROWS:
                self.order = Order(self.seen, self.opening, self.wanted, self.rule)
            kernel = kernel_of(self.header, _cells(self.prefix))
            self.table.add(kernel, self.row, self.label)
        self._reset()

    def _as_before(self, block: bytes, begins: list[int], at: int, order: Order) -> bool:
        """Whether the next rows are exactly one kernel, ordered as the last one was; it is then noted."""
        length = self._length_of_prefix(block, begins, at, order)
        if not length:
            return False
        for offset, beginning in order.beginnings:
            if not block.startswith(beginning, begins[at + offset] + length):
                return False
        begin = begins[at]
        kernel = self._kernel(block[begin : begin + length])
        if kernel is None:
            return False
        self.alike.first.append(at)
        self.alike.length.append(length)
        self.alike.kernels.append(kernel)
        return True

    def _length_of_prefix(self, block: bytes, begins: list[int], at: int, order: Order) -> int:
        """The length of what opens the next rows, if they are one kernel, without the rule if the last had none."""
        end = at + order.rows
        if end >= len(begins):
            return 0
        begin, after = begins[at], begins[end]
        behind = block.find(order.opening, begin, begins[at + 1])
        if behind < begin + 2 or block[behind - 1] != COMMA:
            return 0
        prefix = block[begin:behind]
        if not block.startswith(prefix, begins[end - 1]) or block.startswith(prefix, after):
            return 0
        if after < len(block) and block[after] != QUOTE:
            return 0
        if order.rule is None and block.find(RULE_CELL, begin, after) >= 0:
            return 0
        return behind - begin

    def _kernel(self, prefix: bytes) -> Kernel | None:
        """The kernel that these columns name; None if they are not columns of a kernel."""
        number_end = prefix.find(b'",', 1)
        known = self.kernels.get(prefix[number_end:])
        if known is not None and prefix[1:number_end].isdigit():
            return known
        if self.beginning.fullmatch(prefix) is None:
            return None
        found = kernel_of(self.header, _cells(prefix))
        if len(self.kernels) < MOST_KNOWN:
            self.kernels[prefix[number_end:]] = found
        return found

    def _enter_alike(self, block: bytes, begins: list[int]) -> None:
        """Enter the kernels noted, in their order; one that may state a value elsewhere is read row by row."""
        alike, order = self.alike, self.order
        if not alike.first or order is None:
            return
        self.alike = Alike()
        columns, doubtful = self._values(block, begins, alike, order)
        labels: list[str] = []
        if order.rule is not None:
            offset, beginning = order.rule
            ahead = [length + len(beginning) for length in alike.length]
            rows = [(begins[at + offset], begins[at + offset + 1] - 1) for at in alike.first]
            read = [rule_reading(block[b + to : e]) for (b, e), to in zip(rows, ahead, strict=True)]
            labels = [label for label, _ in read]
            columns[Field.RULE_WAVES] = np.array([waves for _, waves in read])
        begin = 0
        for row in [*np.flatnonzero(doubtful).tolist(), len(alike.first)]:
            if row > begin:
                chosen = slice(begin, row)
                some = {to: column[chosen] for to, column in columns.items()}
                self._extend(alike.kernels[chosen], some, labels[chosen])
            if row < len(alike.first):
                self._one_by_one(block, begins[alike.first[row] : alike.first[row] + order.rows + 1])
            begin = row + 1

    def _extend(self, kernels: list[Kernel], columns: dict[Field, Array], labels: list[str]) -> None:
        names = [self.table.index_of(kernel.name) for kernel in kernels]
        phases = [kernel.phase for kernel in kernels] if self.header.nvtx else ()
        if self.header.invocations is not None:
            columns[Field.INVOCATIONS] = np.array([kernel.invocations for kernel in kernels], np.float64)
        self.table.extend(names, [kernel.device for kernel in kernels], columns, phases, labels)

    def _values(self, block: bytes, begins: list[int], alike: Alike, order: Order) -> tuple[dict[Field, Array], Flags]:
        """Wanted values by quantity, each of shape (kernels,), and which kernels may state one in another row."""
        letters = np.frombuffer(block, np.uint8)
        lines = np.array(begins)
        rows = np.array(alike.first)[:, None] + order.offsets
        begin = lines[rows] + np.array(alike.length)[:, None] + order.sizes
        end = lines[rows + 1] - order.behind
        values = figures_at(letters, begin.ravel(), end.ravel()).reshape(begin.shape)
        unstated = np.isnan(values)
        doubtful: Flags = (unstated & order.doubtful).any(axis=1) | (letters[end] != QUOTE).any(axis=1)
        for kernel, row in np.argwhere(unstated).tolist():
            doubtful[kernel] |= QUOTE in block[begin[kernel, row] : end[kernel, row]]
        columns: dict[Field, Array] = {}
        for item, stated in zip(order.wanted, values.T, strict=True):
            with np.errstate(over="ignore"):
                columns[item.to.field] = joined(columns.get(item.to.field), stated, item.to)
        return columns, doubtful

    def _one_by_one(self, block: bytes, begins: list[int]) -> None:
        """Enter one kernel whose rows are known to be sound, each looked at; its order is not learned."""
        order = self.order
        for begin, end in pairwise(begins):
            self._line(block[begin : end - 1])
        self._enter()
        self.order = order

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
        self.opening = self.opening or found[0]
        to = self._target(found[0])
        if to is None:
            self.sound = True
            self._rule(offset, tail)
            return True
        text, mark, rest = tail[found.end() :].partition(b'"')
        if not mark:
            return False
        self.sound = True
        put(self.row, to, figure(text.decode("utf-8", "replace")))
        if offset < MOST_ROWS:
            self.wanted.append(Wanted(offset, found[0], len(rest) + 2, to))
        return True

    def _rule(self, offset: int, tail: bytes) -> None:
        """A row without a wanted metric: perhaps that of ncu's own rule, of which the first one stands."""
        at = tail.find(RULE_CELL)
        if at >= 0 and self.rule is None:
            end = at + len(RULE_CELL)
            self.rule = offset, tail[:end]
            self.label, waves = rule_reading(tail[end:])
            put(self.row, RULE_WAVES, waves)

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
