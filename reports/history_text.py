"""A baseline over time for a terminal: a table of its groups, and for each the trends, a plot and what changed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from heuristics.regression.change_points import Kind
from heuristics.regression.change_shapes import SIDE
from heuristics.regression.history import Group, Trend
from reports.history_words import (
    Files,
    Happening,
    flaws,
    happenings,
    identity,
    moment,
    ready,
    regime,
    signed,
    title,
    value,
)
from reports.lines import bold, bullet, painted, table, wrapped
from reports.plot import columns_of, marks, plot, spark
from reports.words import percent, printable

NARROWEST, WIDEST = 60, 100
ROWS = 9
MOST_STRETCHES = 6
SPARK = 18
_BESIDE = 62
"""Columns that the table of groups takes beside their names."""
_EVENTS = "abcdefghijklmnopqrstuvwxyz"
_HEAD = ("workload", "device", "model", "sessions", "first", "last", "per token", "regime", "missing")
_SHOWN = (0, 3, 4, 5, 6, 7)
"""Columns of the table on a terminal; the others stand in a line below each row."""


def listed(groups: Sequence[Group], files: Files, *, width: int = 80, colour: bool = False) -> str:
    """A line a group, the number of sessions that the gate still needs, and what could not be read."""
    columns = max(NARROWEST, min(width, WIDEST))
    lines = [*_grid(groups, columns, colour), *_below(files, columns)] if groups else _empty(files, columns)
    return "\n".join(lines) + "\n"


def list_rows(groups: Sequence[Group]) -> tuple[Sequence[str], list[list[str]]]:
    """Head and cells of the table of groups."""
    return _HEAD, [_cells(group) for group in groups]


def shown(groups: Sequence[Group], files: Files, *, width: int = 80, colour: bool = False) -> str:
    """Each group with its trends, its plot and its changes."""
    columns = max(NARROWEST, min(width, WIDEST))
    if not groups:
        return "\n".join(_empty(files, columns)) + "\n"
    lines: list[str] = []
    for group in groups:
        lines += ["", *_heading(group, columns, colour), *body(group, columns, colour)]
    return "\n".join([*lines[1:], *_below(files, columns)]) + "\n"


def body(group: Group, columns: int, colour: bool = False) -> list[str]:
    """A group's trends, plot and changes, without its heading."""
    if not group.trends:
        return ["  none of the figures that are compared"]
    lines = [*_trends(group, columns, colour), ""]
    told = happenings(group)
    drawn = group.primary or group.trends[0]
    if len(drawn.values) > 1:
        lines += [*_drawn(group, drawn, told, columns, colour), ""]
    return lines + _changes(group, drawn, told, columns, colour)


def facts(group: Group) -> list[str]:
    """What the sessions are of, and how many there are."""
    first, last = moment(group.sessions[0], group), moment(group.sessions[-1], group)
    count = len(group.sessions)
    span = f"{count} sessions, {first} to {last}" if count > 1 else f"1 session, {first}"
    return [identity(group), f"{span}; {ready(group)}"]


def _heading(group: Group, columns: int, colour: bool) -> list[str]:
    name = wrapped(title(group), columns, "", "  ")
    return [*(bold(line, colour) for line in name), *(x for f in facts(group) for x in bullet(f, columns)), ""]


def _cells(group: Group) -> list[str]:
    last = group.sessions[-1]
    trend = group.primary
    known = group.identity
    return [
        title(group),
        printable(known.get("gpu") or known.get("host") or "-"),
        printable(known.get("model") or "-"),
        str(len(group.sessions)),
        printable((group.sessions[0].created_at or "-")[:10]),
        printable((last.created_at or "-")[:10]),
        "-" if trend is None else value(trend.metric, trend.median) + _of(trend),
        regime(last),
        str(group.missing),
    ]


def _of(trend: Trend) -> str:
    """The metric, where it is another one than the time per token."""
    named = {"step_s": " a step", "kernel_time_s": " of kernels"}
    return named.get(trend.metric.name, "")


def _grid(groups: Sequence[Group], columns: int, colour: bool) -> list[str]:
    head, rows = list_rows(groups)
    room = columns - _BESIDE
    cut = [[_short(row[i], room) if i == 0 else row[i] for i in _SHOWN] for row in rows]
    first, *rest = table([head[i] for i in _SHOWN], cut, columns + 2, left={0, 5})
    lines = [bold(first.removeprefix("  "), colour)]
    for group, row in zip(groups, rest, strict=True):
        lines.append(row.removeprefix("  "))
        lines += bullet(f"{identity(group)}; {ready(group)}", columns)
    return lines


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _below(files: Files, columns: int) -> list[str]:
    told = [line for text in flaws(files) for line in wrapped(text, columns, "", "  ")]
    return ["", *told] if told else []


def _empty(files: Files, columns: int) -> list[str]:
    where = wrapped(f"No sessions in {printable(files.directory)}", columns, "", "  ")
    return [*where, *_below(files, columns)]


def _trends(group: Group, columns: int, colour: bool) -> list[str]:
    rows = []
    for trend in group.trends:
        last = trend.last_against_median
        rows.append(
            (
                trend.metric.label,
                value(trend.metric, trend.median),
                "-" if trend.spread is None else percent(trend.spread),
                value(trend.metric, trend.values[-1]),
                signed(math.log1p(last)),
                spark(trend.values, SPARK),
            )
        )
    head = ("", "median", "spread", "last", "to median", "oldest to newest")
    first, *rest = table(head, rows, columns, left={0, 5})
    return [painted(first, "2", colour), *rest]


def _drawn(group: Group, trend: Trend, told: Sequence[Happening], columns: int, colour: bool) -> list[str]:
    """The plot of one metric, with marks beneath: digits for its changes, letters for versions."""
    room = columns - 16
    places = columns_of(len(group.sessions), room)
    width = places[-1] + 1
    points: dict[int, list[float]] = {}
    for place, found in zip(trend.places, trend.values, strict=True):
        points.setdefault(places[place], []).append(found)
    drawn = plot(
        points,
        _levels(trend, places),
        width=width,
        rows=ROWS,
        told=lambda v: value(trend.metric, v),
    )
    indent = " " * (drawn[0].index("┤") + 1)
    first, last = moment(group.sessions[0], group), moment(group.sessions[-1], group)
    between = max(2, width - len(first) - len(last))
    lines = [f"  {trend.metric.label}", *drawn, f"{indent[:-1]}└{'─' * width}"]
    lines.append(f"{indent}{first}{' ' * between}{last}" if len(group.sessions) > 1 else f"{indent}{first}")
    for kind in (True, False):
        row = marks({places[h.place]: m for h, m in _marked(trend, told) if (h.trend is trend) is kind}, width)
        if row:
            lines.append(f"{indent}{painted(row, '33', colour)}")
    return lines


def _levels(trend: Trend, places: Sequence[int]) -> dict[int, float]:
    """The median of each stretch between steps, by column; none where the metric drifts."""
    drifts = [(c.first, c.last) for c in trend.changes if c.kind is Kind.DRIFT]
    cuts = {c.first for c in trend.changes} | {last + 1 for _, last in drifts}
    ends = sorted({0, len(trend.values), *(cut for cut in cuts if cut < len(trend.values))})
    found: dict[int, float] = {}
    for begin, end in pairwise(ends):
        if any(first <= begin <= last for first, last in drifts):
            continue
        middle = median(trend.values[begin:end])
        for column in range(places[trend.places[begin]], places[trend.places[end - 1]] + 1):
            found[column] = middle
    return found


def _marked(trend: Trend, told: Sequence[Happening]) -> list[tuple[Happening, str]]:
    """The changes of the metric that is drawn by digits, versions by letters."""
    changes = [h for h in told if h.trend is trend]
    events = [h for h in told if h.trend is None]
    return [(h, str(i) if i < 10 else "+") for i, h in enumerate(changes, 1)] + [
        (h, _EVENTS[i] if i < len(_EVENTS) else "+") for i, h in enumerate(events)
    ]


def _changes(group: Group, drawn: Trend, told: Sequence[Happening], columns: int, colour: bool) -> list[str]:
    """What changed when, beside its mark, and how the regime went."""
    named = {id(h): mark for h, mark in _marked(drawn, told)}
    lines: list[str] = []
    left = sorted(told, key=lambda h: (h.trend is not drawn, h.place))
    entries: list[tuple[Happening, list[Happening]]] = []
    while left:
        happening, *others = left
        alike = [h for h in others if happening.goes_with(h)]
        left = [h for h in others if h not in alike]
        entries.append((happening, alike))
    for happening, alike in sorted(entries, key=lambda e: (e[0].place, e[0].trend is None)):
        front = f"  {named.get(id(happening), ' ')} {moment(group.sessions[happening.place], group)}  "
        code = {True: "31", False: "32", None: ""}[happening.worse]
        first, *rest = wrapped(happening.text, columns, front, " " * len(front))
        lines += [painted(first, code, colour and code != ""), *rest]
        if alike:
            sizes = [f"{h.trend.metric.label} {signed(h.change.size)}" for h in alike if h.trend and h.change]
            lines += wrapped(f"likewise {', '.join(sizes)}", columns, " " * len(front), " " * len(front))
    if not lines:
        enough = len(drawn.values) >= 2 * SIDE
        lines = [f"  no change of 1 % or more{'' if enough else f'; a step shows from {2 * SIDE} sessions on'}"]
    return lines + _regimes(group, columns)


def _regimes(group: Group, columns: int) -> list[str]:
    """From when on which regime; where it went to and fro, how often which."""
    if len(group.regimes) == 1:
        return bullet(f"{regime(group.regimes[0])} throughout", columns)
    if len(group.regimes) > MOST_STRETCHES:
        counts = Counter(regime(session) for session in group.sessions)
        told = [f"{words} in {count} sessions" for words, count in counts.most_common()]
        return bullet(f"the regime changed {len(group.regimes) - 1} times: {', '.join(told)}", columns)
    told = [f"{regime(s)} from {moment(group.sessions[s.first], group)}" for s in group.regimes]
    return bullet("; ".join(told), columns)
